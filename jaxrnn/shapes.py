"""The five shapes in which a recurrent network reads and answers.

    one to one              one input, one output            step
    one to many             one input, a sequence            generate
    many to one             a sequence, one output           unroll, last_outputs
    many to many, aligned   an output at every step          unroll
    encoder to decoder      a sequence, then another         unroll, the carry handed on, generate

`step`, `unroll` and a readout make two of them in a line each. What takes more than a line is
here:

    generate             feeding each output back as the next input, up to a stop symbol
    teacher_forcing      the decoder's inputs and targets in training, where the right symbol is fed
    last_outputs         the output at each sequence's own last step
    sequence_mask        which steps belong to a sequence, e.g. for `jnp.mean(..., where=mask)`

Sequences of different lengths stand side by side in one array [T, *B] with `lengths` [*B], and
what stands after a sequence's end is padding. `generate` returns what `teacher_forcing` takes.

All five with one set of random weights; 3 is the stop symbol:

>>> import jax, jax.numpy as jnp, jaxrnn as rnn
>>> params = rnn.init(rnn.ELMAN, jax.random.key(0), input_size=4, hidden_size=4)
>>> zero, xs = rnn.zero_carry(rnn.ELMAN, params), jnp.array([0, 1, 2])
>>> @jax.jit
... def answer(carry, first):
...     greedy = lambda h: jnp.argmax(h, axis=-1)
...     return rnn.generate(rnn.ELMAN, params, carry, first, greedy, max_length=5, stop=3)
>>> _, h = rnn.step(rnn.ELMAN, params, zero, xs[0])  # one to one
>>> _, ys, length = answer(zero, xs[0])  # one to many
>>> carry, hs = rnn.unroll(rnn.ELMAN, params, zero, xs)  # many to many, aligned
>>> h = rnn.last_outputs(hs, jnp.array(3))  # many to one
>>> _, ys, length = answer(carry, xs[0])  # encoder to decoder

The last line is the decoder: it starts from the carry that the encoder ended with, which is all
it knows of the sequence that was read.

Source: the figure of the shapes is Karpathy's (2015); the encoder and the decoder are those of
Sutskever, Vinyals and Le (2014) and Cho et al. (2014); teacher forcing is Williams and Zipser's
(1989).
"""

from collections.abc import Callable
from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp
import numpy as np

from jaxrnn.errors import sentence
from jaxrnn.networks import Network, step
from jaxrnn.recurrence.checks import check_key, is_token_ids

Array = jax.Array

Emit = Callable[[Array], Array] | Callable[[Array, Array], Array]
"""`emit(h)`, or with a key `emit(h, key)`: from an output to what is emitted and fed back."""


def generate(
    cell: Network,
    params: Any,
    carry: Any,
    first: Array,
    emit: Emit,
    *,
    max_length: int,
    stop: int | None = None,
    key: Array | None = None,
    embed: Callable[[Array], Array] | None = None,
) -> tuple[Any, Array, Array]:
    """Feeds each output back as the next input: one to many, and the decoder in use.

        carry_t, h_t = step(carry_{t−1}, embed(y_{t−1}))      y_t = emit(h_t)      y_{−1} = first

    until y_t is the stop symbol or t + 1 is `max_length`. Greedy decoding, sampling and dense
    outputs differ in `emit` only.

    Args:
        cell: a cell or a `Stack`.
        params: its parameters.
        carry: its carry before the first step.
        first: the first input, e.g. a start symbol: token ids [*B], or dense [*B, I].
        emit: from h [*B, H] to what is emitted and fed back, of the shape and dtype of `first`
            (ids may have another integer dtype). Called as `emit(h)`, and with a key as
            `emit(h, key)`, with a key of its own at every step.
        max_length: steps at most, at least 1.
        stop: the token id that ends a sequence; None: every sequence has `max_length` outputs.
        key: a `jax.random.key` to sample with; None: `emit` draws nothing. The first steps are
            the same whatever `max_length` is.
        embed: from `first` and from what is emitted to the network's input; None: as it is.

    Returns:
        (carry, outputs [max_length, *B] or [max_length, *B, I], lengths int32 [*B]).

        `lengths` counts the outputs before the stop symbol, so it is `max_length` where none
        came. From there on a sequence's outputs are the stop symbol, the network reads nothing
        more of it, and its carry stays that of the step which emitted the stop.

    Raises:
        TypeError: a `Bidirectional` network, a first input that is no array, a stop for dense
            outputs or one that is no integer, a key that is no key, or an `emit` whose outputs
            have another dtype.
        ValueError: `max_length` below 1, a stop below 0, or an `emit` whose outputs have another
            shape.

    It is a `lax.scan` of `max_length` steps that computes nothing once every sequence has
    stopped, so both `jax.grad` and `jax.jvp` pass through it (through dense outputs fed back, and
    through the carry; ids have no gradient). Called outside of `jax.jit` it compiles each time.

    Example: a network that counts to its stop symbol, 4.

    >>> import jax, jax.numpy as jnp, jaxrnn as rnn
    >>> params = rnn.init(rnn.ELMAN, jax.random.key(0), input_size=5, hidden_size=5)
    >>> params = params._replace(w_xh=5 * jnp.eye(5, dtype=jnp.float32), w_hh=0 * params.w_hh)
    >>> @jax.jit
    ... def count(first):
    ...     carry = rnn.zero_carry(rnn.ELMAN, params, first.shape)
    ...     successor = lambda h: (jnp.argmax(h, axis=-1) + 1) % 5
    ...     return rnn.generate(rnn.ELMAN, params, carry, first, successor, max_length=5, stop=4)
    >>> carry, ids, lengths = count(jnp.array([0, 2, 4]))
    >>> print(ids)
    [[1 3 0]
     [2 4 1]
     [3 4 2]
     [4 4 3]
     [4 4 4]]
    >>> print(lengths)
    [3 1 4]

    Sampling takes `emit=lambda h, key: jax.random.categorical(key, h @ w_hy + b_y)` and a key;
    dense outputs take `emit=lambda h: h @ w_hy + b_y` and no stop.
    """
    _check_generate(first, max_length, stop, key)

    call = cast(Callable[..., Array], emit)  # with a key where there is one

    def advance(carry: Any, symbol: Array, t: Array) -> tuple[Any, Array]:
        x = symbol if embed is None else embed(symbol)
        carry, h = step(cell, params, carry, x)
        drawn_with = () if key is None else (jax.random.fold_in(key, t),)
        emitted = call(h, *drawn_with)
        return carry, _like_first(emitted, first)

    steps = jnp.arange(max_length, dtype=jnp.int32)
    if stop is None:

        def one_step(loop: tuple[Any, Array], t: Array) -> tuple[Any, Array]:
            carry, emitted = advance(*loop, t)
            return (carry, emitted), emitted

        (carry, _), outputs = jax.lax.scan(one_step, (carry, first), steps)
        batch = first.shape if is_token_ids(first) else first.shape[:-1]
        return carry, outputs, jnp.full(batch, max_length, jnp.int32)

    end = jnp.asarray(stop, first.dtype)

    def live_step(loop: tuple[Any, Array, Array], t: Array) -> tuple[tuple[Any, Array, Array], Any]:
        carry, symbol, running = loop
        moved, emitted = advance(carry, symbol, t)
        keep = running & (emitted != end)
        carry = jax.tree.map(
            lambda new, old: jnp.where(_over(running, new), new, old), moved, carry
        )
        # A sequence that has stopped goes on reading its last symbol and not the stop: the network
        # need not know the stop, and a NaN that is masked here would still reach the gradient.
        return (carry, jnp.where(keep, emitted, symbol), keep), jnp.where(running, emitted, end)

    def stopped_step(
        loop: tuple[Any, Array, Array], t: Array
    ) -> tuple[tuple[Any, Array, Array], Any]:
        return loop, jnp.full_like(loop[1], end)

    def one_step_or_none(loop: tuple[Any, Array, Array], t: Array) -> Any:
        return jax.lax.cond(jnp.any(loop[2]), live_step, stopped_step, loop, t)

    start = (carry, first, jnp.ones(first.shape, bool))
    (carry, _, _), outputs = jax.lax.scan(one_step_or_none, start, steps)
    return carry, outputs, jnp.sum(outputs != end, axis=0, dtype=jnp.int32)


class TeacherForcing(NamedTuple):
    """What a decoder reads and what it is to answer while it is trained.

    Attributes:
        inputs: ids [T + 1, *B]: the start symbol, then the right symbols; padding is the start.
        targets: ids [T + 1, *B]: the right symbols, then the stop symbol; padding is the stop.
        lengths: int32 [*B], steps that count, one more than symbols.
    """

    inputs: Array
    targets: Array
    lengths: Array


def teacher_forcing(
    symbols: Array, lengths: Array, *, start: int | Array, stop: int
) -> TeacherForcing:
    """Shifts sequences behind a start symbol and ends them with a stop symbol.

        inputs     start   y_0   y_1   …   y_{n−1}
        targets    y_0     y_1   …   y_{n−1}   stop

    In training the decoder is fed the right symbols instead of its own, so that all its steps are
    one `unroll`; in use `generate` feeds it what it emits.

    Args:
        symbols: ids [T, *B]; what stands past a sequence's length is ignored.
        lengths: integers [*B], n of each sequence without the stop; 0 is allowed, and more than T
            counts as T.
        start: the first input, an id or ids [*B] (one to many: the one input).
        stop: the id that ends a sequence.

    Returns:
        TeacherForcing(inputs, targets, lengths), ids in the dtype of `symbols`.

    Raises:
        TypeError: `symbols`, `lengths`, `start` or `stop` that are no integers.
        ValueError: shapes that do not fit, or an id below 0.

    Example:
        >>> import jax.numpy as jnp, jaxrnn as rnn
        >>> words = jnp.array([[3, 5], [4, 0]])  # 3 4, and 5 alone
        >>> fed = rnn.teacher_forcing(words, jnp.array([2, 1]), start=1, stop=2)
        >>> print(fed.inputs.T, fed.targets.T, fed.lengths, sep="\\n")
        [[1 3 4]
         [1 5 1]]
        [[3 4 2]
         [5 2 2]]
        [3 2]

    Dense targets need no stop: `jnp.concatenate([first[None], targets[:-1]])`.

    Source: Williams and Zipser (1989).
    """
    _check_ids("teacher_forcing", "symbols", symbols)
    batch = tuple(symbols.shape[1:])
    _check_lengths("teacher_forcing", lengths, batch)
    _check_id("teacher_forcing", "stop", stop)
    if isinstance(start, jax.Array | np.ndarray):
        _check_ids("teacher_forcing", "start", start, time_axes=0)
        if start.shape not in ((), batch):
            expected = f"an id, or ids {list(batch)}, one a sequence"
            raise ValueError(sentence("teacher_forcing", "start", expected, start))
    else:
        _check_id("teacher_forcing", "start", start)
    first = jnp.broadcast_to(jnp.asarray(start).astype(symbols.dtype), (1, *batch))
    end = jnp.full((1, *batch), stop, symbols.dtype)
    counted = sequence_mask(lengths, len(symbols))
    # Both paddings are ids that the network knows: an unknown id would put NaN into the gradient.
    inputs = jnp.concatenate([first, jnp.where(counted, symbols, first)])
    targets = jnp.concatenate([jnp.where(counted, symbols, end), end])
    steps = jnp.minimum(lengths.astype(jnp.int32), len(symbols)) + 1
    return TeacherForcing(inputs, targets, steps)


def last_outputs(hs: Array, lengths: Array) -> Array:
    """The output at each sequence's own last step: many to one.

    Args:
        hs: [T, *B, ...], an output or anything else for each step.
        lengths: integers [*B]; more than T counts as T.

    Returns:
        [*B, ...]: hs[lengths[b] − 1, b], and 0 where a length is 0. What stands in the padding,
        NaN included, reaches neither the values nor the gradient.

    Raises:
        TypeError: lengths that are no integers.
        ValueError: shapes that do not fit, or no step at all.

    Example:
        >>> import jax.numpy as jnp, jaxrnn as rnn
        >>> hs = jnp.array([[1.0, 10.0, 100.0], [2.0, 20.0, 200.0]])[..., None]
        >>> print(rnn.last_outputs(hs, jnp.array([1, 2, 0]))[:, 0])
        [ 1. 20.  0.]
    """
    if not hasattr(hs, "shape") or hs.ndim < 1 or not len(hs):
        raise ValueError(sentence("last_outputs", "hs", "an array [T, *B, ...], T at least 1", hs))
    _check_lengths("last_outputs", lengths)
    if hs.shape[1 : 1 + lengths.ndim] != lengths.shape:
        expected = f"[T, {', '.join(map(str, lengths.shape))}, ...], with the batch of lengths"
        hint = "time comes first"
        raise ValueError(sentence("last_outputs", "hs", expected, hs, hint))
    last = jnp.clip(lengths.astype(jnp.int32), 1, len(hs)) - 1
    picked = jnp.take_along_axis(hs, _over(last, hs[0])[None], axis=0)[0]
    return jnp.where(_over(lengths > 0, picked), picked, jnp.zeros_like(picked))


def sequence_mask(lengths: Array, length: int) -> Array:
    """Which steps belong to a sequence: t < lengths[b].

    Args:
        lengths: integers [*B].
        length: T, at least 0.

    Returns:
        bool [T, *B].

    Raises:
        TypeError: lengths that are no integers.
        ValueError: a length that is no integer, or below 0.

    Example: a mean over the steps that count.

    >>> import jax.numpy as jnp, jaxrnn as rnn
    >>> losses = jnp.array([[1.0, 4.0], [2.0, 9.0], [3.0, 9.0]])
    >>> mask = rnn.sequence_mask(jnp.array([3, 1]), 3)
    >>> print(jnp.mean(losses, where=mask))  # of 1, 2, 3 and 4
    2.5
    """
    _check_lengths("sequence_mask", lengths)
    if not _is_integer(length) or length < 0:
        raise ValueError(sentence("sequence_mask", "length", "an integer of at least 0", length))
    steps = jnp.arange(length, dtype=jnp.int32).reshape(-1, *[1] * lengths.ndim)
    return steps < lengths.astype(jnp.int32)[None]


def _over(array: Array, other: Array) -> Array:
    """`array` [*B] with axes of length 1 appended, to meet `other` [*B, ...]."""
    return array.reshape(array.shape + (1,) * (other.ndim - array.ndim))


def _like_first(emitted: Array, first: Array) -> Array:
    expected = f"{first.dtype}{list(first.shape)}, as the first input that it follows"
    if not hasattr(emitted, "dtype"):
        raise TypeError(sentence("generate", "emit", expected, type(emitted).__name__))
    if emitted.shape != first.shape:
        raise ValueError(sentence("generate", "emit", expected, emitted))
    if is_token_ids(first) and is_token_ids(emitted):
        return emitted.astype(first.dtype)
    if emitted.dtype != first.dtype:
        hint = "jnp.argmax(h @ w_hy, axis=-1) emits ids" if is_token_ids(first) else ""
        raise TypeError(sentence("generate", "emit", expected, emitted, hint))
    return emitted


def _check_generate(first: Any, max_length: Any, stop: Any, key: Any) -> None:
    if not hasattr(first, "dtype"):
        expected = "an array: token ids [*B] or dense [*B, I]"
        raise TypeError(sentence("generate", "first", expected, type(first).__name__))
    if not _is_integer(max_length) or max_length < 1:
        raise ValueError(sentence("generate", "max_length", "an integer of at least 1", max_length))
    if stop is not None:
        _check_id("generate", "stop", stop)
        if not is_token_ids(first):
            hint = "leave it out, and cut the outputs by a rule of your own"
            raise TypeError(sentence("generate", "stop", "None with dense outputs", stop, hint))
    if key is not None:
        check_key("generate", key)


def _check_ids(function: str, argument: str, ids: Any, time_axes: int = 1) -> None:
    expected = "token ids [T, *B]" if time_axes else "token ids [*B]"
    if not hasattr(ids, "dtype") or not is_token_ids(ids):
        raise TypeError(sentence(function, argument, expected, ids))
    if ids.ndim < time_axes:
        raise ValueError(sentence(function, argument, expected, ids))


def _check_id(function: str, argument: str, symbol: Any) -> None:
    expected = "a token id, an integer of at least 0"
    if not _is_integer(symbol):
        raise TypeError(sentence(function, argument, expected, symbol))
    if symbol < 0:
        raise ValueError(sentence(function, argument, expected, symbol))


def _check_lengths(function: str, lengths: Any, batch: tuple[int, ...] | None = None) -> None:
    if not hasattr(lengths, "dtype") or not is_token_ids(lengths):
        raise TypeError(sentence(function, "lengths", "integers [*B]", lengths))
    if batch is not None and lengths.shape != batch:
        expected = f"{list(batch)}, one a sequence"
        raise ValueError(sentence(function, "lengths", expected, lengths))


def _is_integer(value: Any) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)
