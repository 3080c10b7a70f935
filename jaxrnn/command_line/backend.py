"""`--device` and `--deterministic`: what has to be said before JAX looks for its devices."""

import argparse
import os
from importlib.metadata import entry_points
from importlib.util import find_spec
from pkgutil import iter_modules

from jaxrnn.errors import sentence

DEVICES = ("cpu", "gpu", "tpu")
INSTALL = {"gpu": "pip install 'jax[cuda13]' for CUDA", "tpu": "pip install 'jax[tpu]'"}
# XLA otherwise times several kernels for a product, at each compilation, and takes the fastest; and
# adds the rows of a scatter in the order in which they come. This flag ends both; jaxlib 0.10 to
# 0.12 know it, also without GPUs, and one that XLA does not know ends the process.
DETERMINISTIC = "--xla_gpu_deterministic_ops=true"


def add_device(parser: argparse._ActionsContainer) -> None:
    """Adds `--device`."""
    parser.add_argument(
        "--device",
        choices=DEVICES,
        help="where to compute; default: where JAX does by itself, on a TPU or GPU if there is one",
    )


def add_deterministic(parser: argparse._ActionsContainer) -> None:
    """Adds `--deterministic`."""
    parser.add_argument(
        "--deterministic",
        action="store_true",
        help="the same bits each time on GPUs too, of one kind and with the same jaxlib; slower. "
        "On a CPU it is so anyway",
    )


def repeated(device: str | None, deterministic: bool) -> str:
    """The two options again, for a command that goes on with this one.

    >>> repeated("gpu", True), repeated(None, False)
    (' --device gpu --deterministic', '')
    """
    chosen = "" if device is None else f" --device {device}"
    return chosen + (" --deterministic" if deterministic else "")


def configure(device: str | None, deterministic: bool = False) -> None:
    """Says to JAX, which has not yet looked for its devices, on which it is to compute.

    Args:
        device: of DEVICES; None: whichever JAX takes by itself.
        deterministic: whether GPUs have to give the same bits each time.
    """
    if deterministic and device in ("gpu", None) and _gpu_plugins():
        os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {DETERMINISTIC}".strip()
    if device is None:
        return
    import jax

    # Beside an accelerator the CPU stays within reach: gradient checks are made there.
    jax.config.update("jax_platforms", f"{platform(device)},cpu" if device != "cpu" else "cpu")


def check(command: str, device: str | None) -> None:
    """Has JAX look for its devices, all that there are in all processes.

    Args:
        command: for the sentence.
        device: that `configure` was told.

    Raises:
        ValueError: there is no such device; the sentence names those that there are.
    """
    if device is None:
        return
    import jax

    reason = ""
    try:
        found = jax.default_backend()
        if found == device:
            return
    except (RuntimeError, AssertionError) as error:
        reason = f" ({' '.join(str(error).split())})" if str(error) else ""
    jax.config.update("jax_platforms", None)  # so that it says what there is
    there = [name for name in DEVICES if _there(name)]
    if device in there:
        expected = f"{jax.default_backend()}, on which JAX had started before this command did"
        hint = "a file that --import names, or JAX_PLATFORMS, may have chosen it"
        raise ValueError(sentence(command, "--device", expected, device, hint))
    lacking = not (_gpu_plugins() if device == "gpu" else find_spec("libtpu"))
    expected = f"what JAX finds here: {', '.join(there)}"
    hint = INSTALL[device] if lacking else ""
    raise ValueError(
        sentence(command, "--device", expected, device + ("" if lacking else reason), hint)
    )


def platform(device: str) -> str:
    """JAX's name of a device: a gpu is cuda or rocm, as the plugin is that is installed."""
    if device != "gpu":
        return device
    plugins = _gpu_plugins()
    return "rocm" if plugins and not any("cuda" in name for name in plugins) else "cuda"


def _gpu_plugins() -> list[str]:
    """JAX's plugins for GPUs: its wheels put them into the namespace `jax_plugins`."""
    names = [point.value for point in entry_points(group="jax_plugins")]
    spec = find_spec("jax_plugins")
    if spec is not None:
        names += [module.name for module in iter_modules(spec.submodule_search_locations)]
    return [name for name in names if "cuda" in name or "rocm" in name]


def _there(device: str) -> bool:
    import jax

    try:
        return bool(jax.devices(device))
    except RuntimeError:
        return False
