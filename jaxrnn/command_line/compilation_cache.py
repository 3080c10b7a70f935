"""JAX's persistent compilation cache, in the user's cache folder: the second start is faster."""

import os
import sys
from pathlib import Path


def use_compilation_cache() -> None:
    """Keeps compiled programs under XDG_CACHE_HOME/jaxrnn (by default ~/.cache/jaxrnn).

    Does nothing where JAX_COMPILATION_CACHE_DIR names a folder, or ours cannot be written.
    """
    import jax

    # Programs here are small; JAX would keep only what took a second to compile.
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.1)
    if os.environ.get("JAX_COMPILATION_CACHE_DIR"):
        return
    folder = cache_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        print(f"Compiled programs are not kept: {error}.", file=sys.stderr)
        return
    jax.config.update("jax_compilation_cache_dir", str(folder))


def cache_folder() -> Path:
    """The folder of compiled programs."""
    home = os.environ.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path.home() / ".cache") / "jaxrnn" / "compiled"
