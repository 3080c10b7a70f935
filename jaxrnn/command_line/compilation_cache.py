"""JAX's persistent compilation cache, in the user's cache folder: the second start is faster."""

import os
import sys
import warnings
from pathlib import Path


def use_compilation_cache() -> None:
    """Keeps compiled programs under XDG_CACHE_HOME/jaxrnn (by default ~/.cache/jaxrnn).

    Does nothing where JAX_COMPILATION_CACHE_DIR names a folder, and says so where ours cannot be
    written: never in a folder for all users, since what stands there is run.
    """
    import jax

    # Programs here are small; JAX would keep only what took a second to compile.
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.1)
    # A full disk, an entry cut short: it is compiled anew, and is nobody's business.
    about_entries = "Error (reading|writing) persistent compilation cache entry"
    warnings.filterwarnings("ignore", about_entries)
    if os.environ.get("JAX_COMPILATION_CACHE_DIR"):
        return
    try:
        folder = cache_folder()
        folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK):
            raise PermissionError(f"{folder} cannot be written to")
    except OSError as error:
        print(
            f"Compiled programs are not kept, so that every start compiles anew: {error}. "
            "XDG_CACHE_HOME can name another folder.",
            file=sys.stderr,
        )
        return
    jax.config.update("jax_compilation_cache_dir", str(folder))


def cache_folder() -> Path:
    """The folder of compiled programs.

    Raises:
        FileNotFoundError: XDG_CACHE_HOME names none, and there is no home folder.
    """
    cache = os.environ.get("XDG_CACHE_HOME")
    if cache:
        return Path(cache) / "jaxrnn" / "compiled"
    home = Path(os.path.expanduser("~"))
    if not home.is_dir():
        raise FileNotFoundError(f"there is no home folder {home}")
    return home / ".cache" / "jaxrnn" / "compiled"
