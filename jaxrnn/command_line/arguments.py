"""Types of arguments that several commands take."""

import argparse

LARGEST_SEED = 2**32 - 1


def seed(text: str) -> int:
    """A number that `jax.random.key` takes, with 64-bit numbers or without.

    >>> seed("123")
    123
    """
    if not text.isdecimal() or int(text) > LARGEST_SEED:
        raise argparse.ArgumentTypeError(
            f"expected a whole number from 0 to {LARGEST_SEED}, got {text}"
        )
    return int(text)
