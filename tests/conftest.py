"""Settings under which all tests run: float64, nothing promoted in silence, quick compilation."""

import os

# The tests compile some thousand small programs and run each once: LLVM's slower passes took 60 %
# of the whole time. Commands that the tests start as processes inherit this.
os.environ["XLA_FLAGS"] = (
    f"{os.environ.get('XLA_FLAGS', '')} --xla_llvm_disable_expensive_passes=true".strip()
)

import jax

jax.config.update("jax_enable_x64", True)
jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")
