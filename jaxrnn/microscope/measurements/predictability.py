"""Whether a network's next states can be foretold from states nearby: its Lyapunov exponent.

A small change δ of the carry is δ_T = J_T · … · J_1 δ after T steps. The largest Lyapunov exponent
is the rate at which nearly all such changes grow,

    λ = lim 1/T · ln ‖J_T · … · J_1 δ‖,

found by taking one vector along and making its length 1 again after each step (Benettin, Galgani,
Giorgilli and Strelcyn 1980). It is the gradient's factor a step seen from the other side: backwards
the same product of Jacobians carries the gradient.

It also says what Newton's method over time (`jaxrnn.solve_parallel`) has to expect (Gonzalez,
Kozachkov, Zoltowski, Clarkson and Linderman 2025, "Predictability enables parallelization of
nonlinear state space models"): with λ < 0 an error of the first guess dies away along the sequence,
with λ > 0 it grows. Along the states that the network goes through that is necessary; few
iterations suffice where λ < 0 along the first guess too (measured by `jaxrnn demo parallel`).
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from jaxrnn.errors import sentence
from jaxrnn.microscope.measurements.gradient_flow import direction
from jaxrnn.networks import Network, step

Array = jax.Array


class Predictability(NamedTuple):
    """The largest Lyapunov exponent along one sequence.

    Attributes:
        exponent: λ, nats a step; −∞ where every change is forgotten at once.
        growth: [T], the logarithm of the factor by which each step lengthens the vector.
        kind: `predictable`, `chaotic`, or `neither`, where e^λ is within 1 % of 1.
        words: what that means, in two sentences.
    """

    exponent: float
    growth: NDArray[np.float64]
    kind: str
    words: str


_NAME = "largest_lyapunov_exponent"
_KINDS = {"vanishes": "predictable", "stays": "neither", "explodes": "chaotic"}
_MEANING = {
    "predictable": "Neighbouring states draw together, as Newton's method over time "
    "(jaxrnn.solve_parallel) needs it to settle in few iterations.",
    "neither": "Neighbouring states keep their distance, and Newton's method over time "
    "(jaxrnn.solve_parallel) may take many iterations.",
    "chaotic": "Neighbouring states drift apart, which is chaos: Newton's method over time "
    "(jaxrnn.solve_parallel) does not settle, and the sequence is run step by step.",
}


def largest_lyapunov_exponent(
    cell: Network,
    params: Any,
    carry: Any,
    xs: Array,
    key: Array,
    *,
    along: Any = None,
    settle: int | None = None,
) -> Predictability:
    """How fast neighbouring states of a network draw together, or drift apart, along a sequence.

    Args:
        cell: a cell or a `Stack`.
        params: its parameters.
        carry: its carry before the first step, fields [H].
        xs: [T, I], or token ids [T].
        key: a `jax.random.key`, of the change that is followed.
        along: the carry before each step, fields [T, H], such as a guess; None: those that the
            network goes through.
        settle: steps at the beginning that do not count, in which the change turns to where it
            grows most; None: a tenth of them.

    Returns:
        A Predictability.

    Raises:
        ValueError: no step left to measure; a batch; states that are not finite.

    Example:
        >>> import jax, jax.numpy as jnp, jaxrnn as rnn
        >>> halves = rnn.ELMAN_RELU.Params(jnp.eye(3), jnp.eye(3) / 2, jnp.zeros(3))
        >>> zero = rnn.zero_carry(rnn.ELMAN_RELU, halves)
        >>> key, xs = jax.random.key(0), jnp.ones((20, 3))
        >>> found = largest_lyapunov_exponent(rnn.ELMAN_RELU, halves, zero, xs, key)
        >>> round(float(np.exp(found.exponent)), 4), found.kind
        (0.5, 'predictable')
    """
    length = xs.shape[0]
    settle = length // 10 if settle is None else settle
    if any(jnp.ndim(field) != 1 for field in jax.tree.leaves(carry)):
        got = ", ".join(str(list(jnp.shape(field))) for field in jax.tree.leaves(carry))
        hint = "take one sequence at a time"
        raise ValueError(sentence(_NAME, "carry", "fields [H], without a batch", got, hint))
    if not length:
        raise ValueError(sentence(_NAME, "xs", "at least one step", xs))
    if not 0 <= settle < length:
        rule = f"from 0 to {length - 1}, one less than the steps"
        raise ValueError(sentence(_NAME, "settle", rule, settle))
    growth = np.asarray(_growth(cell, params, carry, xs, key, along), np.float64)
    exponent = float(growth[settle:].mean())
    if np.isnan(exponent) or exponent == np.inf:
        first = int(np.argmax(~(growth < np.inf)))
        got = f"one that is not at step {first}"
        raise ValueError(sentence(_NAME, "xs", "inputs whose states are finite", got))
    kind = _KINDS[direction(float(np.exp(exponent)))]
    words = f"Largest Lyapunov exponent {exponent:+.3f} nats a step. {_MEANING[kind]}"
    return Predictability(exponent, growth, kind, words.replace("-", "−", 1))


@jax.jit
def _growth(cell: Network, params: Any, carry: Any, xs: Array, key: Array, along: Any) -> Array:
    def one_step(state: tuple[Any, Any], now: tuple[Array, Any]) -> tuple[tuple[Any, Any], Array]:
        (carry, change), (x, given) = state, now
        carry = carry if given is None else given

        def run(carry: Any) -> Any:
            return step(cell, params, carry, x)[0]

        after, changed = jax.jvp(run, (carry,), (change,))
        size = _length(changed)
        # A change that is forgotten whole stays so, and has no direction.
        unit = jax.tree.map(lambda c: jnp.where(size > 0, c / size, c), changed)
        return (after, unit), jnp.log(size)

    leaves = jax.tree.leaves(carry)
    keys = jax.random.split(key, len(leaves))
    drawn = [jax.random.normal(k, c.shape, c.dtype) for k, c in zip(keys, leaves, strict=True)]
    change = jax.tree.unflatten(jax.tree.structure(carry), drawn)
    size = _length(change)
    first = jax.tree.map(lambda c: c / size, change)
    return jax.lax.scan(one_step, (carry, first), (xs, along))[1]


def _length(tree: Any) -> Array:
    return jnp.sqrt(sum(jnp.sum(jnp.square(leaf)) for leaf in jax.tree.leaves(tree)))
