"""What a record was measured on: processor, cores, versions, flags, commit."""

import os
import platform
import subprocess
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import jaxrnn

PACKAGES = ("jax", "jaxlib", "numpy", "torch", "flax", "equinox", "dm-haiku", "keras")
FLAG_PREFIXES = ("XLA_", "JAX_", "OMP_", "MKL_", "KMP_", "GOMP_", "ONEDNN_", "MALLOC_", "CUDA_")
FLAGS = ("LD_PRELOAD", "GLIBC_TUNABLES", "TF_XLA_FLAGS", "NVIDIA_TF32_OVERRIDE")


def environment() -> dict[str, Any]:
    """Everything that a reader of a number needs in order to repeat it."""
    return {
        "processor": processor(),
        "cores": len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count(),
        "memory_gib": round(total_memory() / 2**30, 1),
        "system": platform.platform(),
        "python": platform.python_version(),
        # Not what an editable installation was when it was made.
        "versions": {"jaxrnn": jaxrnn.__version__}
        | {name: found for name in PACKAGES if (found := installed_version(name))},
        "flags": {
            name: value
            for name, value in sorted(os.environ.items())
            if name.startswith(FLAG_PREFIXES) or name in FLAGS
        },
        "commit": commit(),
        "load_before": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        "date": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }


def installed_version(distribution: str) -> str | None:
    """Version of an installed distribution, None where it is missing."""
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None


def processor() -> str:
    """The processor's name, as the system gives it."""
    information = Path("/proc/cpuinfo")
    if information.exists():
        for line in information.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def commit() -> str:
    """The commit that was measured, with `+changes` where the tree was not clean."""
    here = Path(__file__).parent

    def git(*arguments: str) -> str:
        return subprocess.run(
            ["git", *arguments], cwd=here, capture_output=True, text=True, check=True
        ).stdout.strip()

    try:
        changed = git("status", "--porcelain", "--untracked-files=no", "--", "..")
        return git("rev-parse", "--short=12", "HEAD") + ("+changes" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def total_memory() -> int:
    """Bytes of main memory."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def available_memory() -> int:
    """Bytes of main memory that can be had without pushing others out."""
    information = Path("/proc/meminfo")
    if information.exists():
        for line in information.read_text().splitlines():
            if line.startswith("MemAvailable"):
                return int(line.split()[1]) * 1024
    return total_memory()
