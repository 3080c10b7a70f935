"""Training programs that runs in one process share, so that most of the tests compile none."""

import functools

import jax

from jaxrnn.charlm import plan, training_loop

MAKERS = (
    (plan, "make_schedule"),
    (plan, "make_optimizer"),
    (training_loop, "make_train_windows"),
)


def share_programs(setattr=setattr):
    """Lets runs whose settings make the same training program compile it once.

    Each run makes a schedule, an optimizer and a program anew, also one that is resumed; equal
    arguments get those that they got before. What differs in any argument is compiled as ever.
    `setattr` may be a `MonkeyPatch`'s, which takes it back.
    """
    for module, name in MAKERS:
        setattr(module, name, _kept(getattr(module, name)))


def _kept(make):
    @functools.lru_cache(maxsize=None, typed=True)
    def made(x64, *arguments, **options):
        return make(*arguments, **options)

    @functools.wraps(make)
    def kept(*arguments, **options):
        # With 64-bit numbers it may be another thing that is made.
        return made(jax.config.jax_enable_x64, *arguments, **options)

    return kept
