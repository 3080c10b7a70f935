"""What the command line takes for numbers."""

import argparse


def positive(text: str) -> int:
    """A whole number above zero.

    >>> positive("12")
    12
    """
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"expected a whole number above zero, got {text!r}")
    return int(text)


def positives(text: str) -> tuple[int, ...]:
    """Several, with commas between.

    >>> positives("128,256")
    (128, 256)
    """
    return tuple(map(positive, text.split(",")))
