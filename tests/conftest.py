"""Settings under which all tests run: float64, nothing promoted in silence, quick compilation.

With JAXRNN_TEST_OPTIMISED=1 in the environment programs are compiled as for use; CI runs the tests
of values, of padding to the bit and of gradients that way too.
"""

import gc
import os
from importlib.metadata import version

import pytest

# The tests compile some thousand small programs and run each once: optimising them took three
# quarters of the whole time. Commands that the tests start as processes inherit this; the quick
# benchmarks compare the same functions as they are compiled for use.
QUICK = "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"
# The older code generator takes two thirds of the newer one's time, and with one part a program and
# narrow vectors half; jaxlib 0.11 has only the newer, and a flag that XLA does not know ends the
# process.
if version("jaxlib").startswith("0.10."):
    QUICK += " --xla_cpu_use_fusion_emitters=false --xla_cpu_parallel_codegen_split_count=1"
    QUICK += " --xla_cpu_prefer_vector_width=128"
if not os.environ.get("JAXRNN_TEST_OPTIMISED"):
    os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {QUICK}".strip()

import jax  # noqa: E402
from shared_programs import share_programs  # noqa: E402

jax.config.update("jax_num_cpu_devices", 2)  # for the tests of training on several
jax.config.update("jax_enable_x64", True)
jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")


def pytest_collection_finish():
    # Tracing makes objects by the hundred thousand: collecting them less often, and never looking
    # through the modules again, takes a seventh off.
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


@pytest.fixture(autouse=True, scope="session")
def _shared_programs():
    with pytest.MonkeyPatch.context() as patch:
        share_programs(patch.setattr)
        yield
