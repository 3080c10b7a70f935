"""Files that are not opened, since reading them is running what they say; and the way round."""

from pathlib import Path

from jaxrnn.errors import sentence

_TORCH = (".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".bin")
_TORCH7 = (".t7",)


def refuse_programs(function: str, argument: str, path: Path) -> None:
    """Raises ValueError for a file of PyTorch's or Torch7's own, by its name alone.

    >>> refuse_programs("from_torch", "source", Path("cp.safetensors"))
    """
    ending = path.suffix.lower()
    if ending in _TORCH:
        got = f"{path}, by its name a pickle, which can run any program when it is opened"
        hint = (
            "torch.load(path, weights_only=True) reads its weights and nothing else, and "
            "safetensors.torch.save_file(state_dict, 'weights.safetensors') writes them again"
        )
    elif ending in _TORCH7:
        got = f"{path}, by its name a file of Torch7's, which no reader here knows"
        hint = (
            "char-rnn's and torch-rnn's checkpoints are Lua objects: have Torch7 itself write the "
            "weights as plain arrays, and pass those to from_torch by PyTorch's names"
        )
    else:
        return
    raise ValueError(sentence(function, argument, "a .safetensors file", got, hint))
