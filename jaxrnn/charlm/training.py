"""Training steps: one window of the text in one dispatch, or many.

One window, truncated BPTT: the carry comes in from the window before, the gradient stops there.

    carry', logits = apply(params, carry, inputs)      L = loss(logits, targets)
    params' = params + optimizer(∂L/∂params)

The loss is a mean over streams, and dropout of a stream depends on its place in the whole batch
alone. So the batch can be divided over devices, and each device's part into parts that come one
after the other: gradients of the parts are averaged, and the numbers are the same up to the order
of summation.
"""

import dataclasses
import functools
import math
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.typing import DTypeLike
from numpy.typing import NDArray

from jaxrnn.charlm import model
from jaxrnn.charlm.losses import Loss, cross_entropy
from jaxrnn.charlm.placement import STREAMS, Mesh, check_mesh, divide, replicate
from jaxrnn.charlm.streams import Part, number_of_windows, window, window_resets
from jaxrnn.errors import sentence
from jaxrnn.networks import Unroll, fold_in
from jaxrnn.networks import unroll as bptt_unroll
from jaxrnn.recurrence.checks import check_size
from jaxrnn.recurrence.sharding import same_axes

Array = jax.Array
Metrics = dict[str, Array]


class TrainState(NamedTuple):
    """What training changes.

    Attributes:
        params: the model's parameters.
        opt_state: the optimizer's state.
        step: int32 [], updates so far.
    """

    params: model.Params
    opt_state: Any  # an optax.OptState, whose forward references pdoc cannot resolve
    step: Array


class TrainStep(Protocol):
    """What `make_train_step` makes."""

    def __call__(
        self,
        state: TrainState,
        carry: Any,
        inputs: Array | NDArray[Any],
        targets: Array | NDArray[Any],
        key: Array | None = None,
        resets: Array | NDArray[Any] | None = None,
    ) -> tuple[TrainState, Any, Metrics]:
        """(state after the update, carry after the window, metrics)."""


class TrainWindows(Protocol):
    """What `make_train_windows` makes."""

    def __call__(
        self,
        state: TrainState,
        carry: Any,
        streams: Array | NDArray[Any] | Part,
        count: Array | int | np.int32,
        key: Array | None = None,
    ) -> tuple[TrainState, Any, Metrics]:
        """(state after the updates, carry after the last window, metrics [capacity])."""


def initial_state(params: model.Params, optimizer: optax.GradientTransformation) -> TrainState:
    """The state before the first update."""

    # Jitted, so that its zeros are made on the device and not sent there.
    @jax.jit
    def rest(params: model.Params) -> tuple[optax.OptState, Array]:
        return optimizer.init(params), jnp.zeros((), jnp.int32)

    return TrainState(params, *rest(params))


def make_train_step(
    config: model.Config,
    optimizer: optax.GradientTransformation,
    loss: Loss = cross_entropy,
    *,
    unroll: Unroll = bptt_unroll,
    accumulate: int = 1,
    compute_dtype: DTypeLike | None = None,
) -> TrainStep:
    """Makes the jitted step `(state, carry, inputs, targets[, key, resets]) -> (state, carry, …)`.

    Args:
        config: the model.
        optimizer: any optax transformation.
        loss: `(logits [T, *B, V], targets [T, *B]) -> []`, a mean over the streams.
        unroll: `jaxrnn.unroll`, or whatever has its arguments and values.
        accumulate: a divisor of the first batch axis: so many parts of the batch are computed one
            after the other and their gradients averaged. The same numbers up to the order of
            summation, in a part of the memory.
        compute_dtype: bfloat16 for mixed precision: the model runs in it, on a copy of the
            parameters, and the carry is in it (`zero_carry(dtype=)`); parameters, their gradient's
            sums, optimizer and loss stay as they are. None: the parameters' dtype.

    Returns:
        The step. `inputs` and `targets` are integers [T, *B]; `key`, a `jax.random.key`, is for
        dropout: each step folds its number into it, so one key serves a whole run, and then each
        stream its position in the batch; `resets`, bool [T, *B], are true where a document
        starts, before which the carry is zero. It returns (state, carry, metrics): `metrics` are
        `loss`, before the update, and `gradient_norm`, Euclidean, before clipping.

    Raises:
        ValueError: (by the step) a model with dropout and no key; a batch that `accumulate` does
            not divide.

    Example:
        >>> import jax, jax.numpy as jnp, jaxrnn as rnn
        >>> config = model.Config(vocab_size=3, cell="elman", hidden_size=8, num_layers=1)
        >>> optimizer = rnn.karpathy_adagrad(learning_rate=0.1)
        >>> state = initial_state(model.init(config, jax.random.key(0)), optimizer)
        >>> carry = model.zero_carry(config, state.params, 1)
        >>> step = make_train_step(config, optimizer)
        >>> tokens = jnp.array([[0], [1], [2], [0], [1], [2], [0]])
        >>> for _ in range(20):
        ...     state, carry, metrics = step(state, carry, tokens[:-1], tokens[1:])
        >>> bool(metrics["loss"] < 0.1)
        True
    """
    update = _Update("make_train_step", config, optimizer, loss, unroll, accumulate, compute_dtype)

    def train_step(
        state: TrainState,
        carry: Any,
        inputs: Array,
        targets: Array,
        key: Array | None = None,
        resets: Array | None = None,
    ) -> tuple[TrainState, Any, Metrics]:
        return update(state, carry, _Window(inputs, targets, resets), key)

    return jax.jit(train_step)


def make_train_windows(
    config: model.Config,
    optimizer: optax.GradientTransformation,
    length: int,
    capacity: int,
    loss: Loss = cross_entropy,
    *,
    unroll: Unroll = bptt_unroll,
    mesh: Mesh | None = None,
    accumulate: int = 1,
    compute_dtype: DTypeLike | None = None,
) -> TrainWindows:
    """Makes the jitted `(state, carry, streams, count[, key]) -> (state, carry, metrics)`.

    It trains on the next `count` windows of the streams in one dispatch, each exactly as the
    step of `make_train_step` does; which window is next follows from `state.step`, and where the
    streams start over the carry goes back to zero. Python and the allocator are paid once for
    all of them: 300 windows of min-char-rnn's size take the time of about 100 single steps.

    `count` is a value, not a shape, so that every count runs the same compiled program, and how
    a run is divided into dispatches cannot change its numbers.

    Args:
        config: the model.
        optimizer: any optax transformation.
        length: T, steps in a window.
        capacity: the most windows in one dispatch.
        loss: `(logits [T, B, V], targets [T, B]) -> []`, a mean over the streams.
        unroll: `jaxrnn.unroll`, or whatever has its arguments and values.
        mesh: of `make_mesh`: the streams are divided over its devices, of however many
            processes, and their gradients averaged; numbers depend on it by rounding only. Of a
            CPU, whose loops XLA runs on one core each, `jax.config.update("jax_num_cpu_devices",
            n)`, before anything is computed, makes n devices. None: one device.
        accumulate: as for `make_train_step`; divides each device's streams.
        compute_dtype: as for `make_train_step`.

    Returns:
        The function. `streams` [B, W·T + 1] are those of `make_streams`, or a `streams.Part` of
        them, `count` at most `capacity`. `metrics` are arrays [capacity], of which the first
        `count` are filled.
        `state` and `carry` are donated: use what comes back. What is not in its place on the mesh
        is brought there: of several processes, each must give the whole of it.

    Raises:
        ValueError: (by the function) streams that devices times `accumulate` do not divide.
    """
    check_mesh("make_train_windows", mesh)
    axis = None if mesh is None else STREAMS
    update = _Update(
        "make_train_windows", config, optimizer, loss, unroll, accumulate, compute_dtype, axis
    )

    def train_windows(
        state: TrainState, carry: Any, part: Part, count: Array, key: Array | None
    ) -> tuple[TrainState, Any, Metrics]:
        windows = number_of_windows(part.streams, length)

        def one_window(index: Array, loop: Any) -> Any:
            state, carry, metrics = loop
            position = (state.step - part.step) % windows
            starts_over = position + part.window == 0
            carry = jax.tree.map(lambda x: jnp.where(starts_over, jnp.zeros_like(x), x), carry)
            state, carry, now = update(state, carry, at(part, position), key)
            return state, carry, {name: metrics[name].at[index].set(now[name]) for name in now}

        shapes = jax.eval_shape(one_update, state, carry, part, key)
        empty = {name: jnp.zeros(capacity, value.dtype) for name, value in shapes.items()}
        after: tuple[TrainState, Any, Metrics] = jax.lax.fori_loop(
            0, count, one_window, (state, carry, empty)
        )
        return after

    def at(part: Part, position: Array | int) -> _Window:
        inputs, targets = window(part.streams, position, length)
        return _Window(inputs, targets, window_resets(part.resets, position, length))

    def one_update(state: TrainState, carry: Any, part: Part, key: Array | None) -> Metrics:
        return update(state, carry, at(part, 0), key)[2]

    if mesh is None:
        jitted = jax.jit(train_windows, donate_argnums=(0, 1))
    else:
        everywhere, divided = jax.sharding.PartitionSpec(), jax.sharding.PartitionSpec(STREAMS)
        parted: Any = Part(divided, divided, everywhere, everywhere)  # type: ignore[arg-type]
        jitted = jax.jit(
            jax.shard_map(
                train_windows,
                mesh=mesh,
                in_specs=(everywhere, divided, parted, everywhere, everywhere),
                out_specs=(everywhere, divided, everywhere),
            ),
            donate_argnums=(0, 1),
        )

    def place_and_train(
        state: TrainState,
        carry: Any,
        streams: Array | NDArray[Any] | Part,
        count: Array | int | np.int32,
        key: Array | None = None,
    ) -> tuple[TrainState, Any, Metrics]:
        part = streams if isinstance(streams, Part) else Part(streams)
        update.check_batch(part.streams.shape[0], 1 if mesh is None else mesh.size)
        # Where they are in place already, as from the last dispatch, this copies nothing.
        state, key = replicate(mesh, (state, key))
        carry, part = divide(mesh, carry), place(mesh, part)
        count = replicate(mesh, np.int32(count))
        after: tuple[TrainState, Any, Metrics] = jitted(state, carry, part, count, key)
        return after

    return place_and_train


def place(mesh: Mesh | None, part: Part) -> Part:
    """A part of the streams in its place on the mesh; what is there already costs nothing."""
    streams, resets = divide(mesh, (part.streams, part.resets))
    step, first = replicate(mesh, tuple(map(_int32, (part.step, part.window))))
    return Part(streams, resets, step, first)


def _int32(number: Any) -> Any:
    return number if isinstance(number, jax.Array) else np.int32(number)


class _Window(NamedTuple):
    """inputs and targets, integers [T, *B]; resets, bool [T, *B] or None."""

    inputs: Array
    targets: Array
    resets: Array | None


def _is_floating(dtype: Any) -> bool:
    try:
        return bool(jnp.issubdtype(jnp.dtype(dtype), jnp.floating))
    except TypeError:
        return False


@dataclasses.dataclass(frozen=True)
class _Update:
    """One update: `(state, carry, window, key) -> (state, carry, metrics)`.

    Attributes:
        function: that made it, for the sentences.
        config: the model.
        optimizer: any optax transformation.
        loss: a mean over the streams.
        unroll: how sequences are run.
        accumulate: parts of this device's streams.
        compute_dtype: the model's, or None.
        axis: of the mesh, or None.
    """

    function: str
    config: model.Config
    optimizer: optax.GradientTransformation
    loss: Loss
    unroll: Unroll
    accumulate: int
    compute_dtype: Any
    axis: str | None = None

    def __post_init__(self) -> None:
        check_size(self.function, "accumulate", self.accumulate)
        if self.compute_dtype is not None and not _is_floating(self.compute_dtype):
            expected = "a floating dtype such as bfloat16, or None"
            raise TypeError(sentence(self.function, "compute_dtype", expected, self.compute_dtype))

    def check_carry(self, carry: Any) -> None:
        """Raises TypeError where a carry is not in the compute dtype."""
        for leaf in jax.tree.leaves(carry):
            if self.compute_dtype is not None and leaf.dtype != self.compute_dtype:
                expected = f"{jnp.dtype(self.compute_dtype).name}, the compute_dtype"
                hint = "charlm.zero_carry(config, params, batch_size, dtype=) makes one"
                raise TypeError(sentence(self.function, "carry", expected, leaf, hint))

    def check_batch(self, batch: int, devices: int = 1) -> None:
        """Raises ValueError where a batch cannot be divided into the parts."""
        if batch % (devices * self.accumulate):
            where = f" on {devices} devices" if devices > 1 else ""
            expected = f"a multiple of {devices * self.accumulate}, accumulate {self.accumulate}"
            raise ValueError(sentence(self.function, "batch size", f"{expected}{where}", batch))

    def __call__(
        self, state: TrainState, carry: Any, window: _Window, key: Array | None
    ) -> tuple[TrainState, Any, Metrics]:
        self.check_carry(carry)
        keys = self.dropout_keys(key, state.step, window.inputs.shape[1:])
        params = state.params
        if self.axis is not None:
            # Of this device alone: the gradient is added up over the mesh once, below, in its
            # own dtype, instead of within the backward pass of every part.
            params = jax.lax.pcast(params, self.axis, to="varying")
        value, gradient, carry = self.gradient(params, carry, window, keys)
        if self.axis is not None:
            value, gradient = jax.lax.pmean((value, gradient), self.axis)
        # optax's Adam takes a float to the power of an integer.
        with jax.numpy_dtype_promotion("standard"):
            updates, opt_state = self.optimizer.update(gradient, state.opt_state, state.params)
        # In the loss's dtype: a bfloat16 sum of squares would be good for two digits.
        exact = jax.tree.map(lambda leaf: leaf.astype(value.dtype), gradient)
        metrics = {"loss": value, "gradient_norm": optax.tree.norm(exact)}
        after = TrainState(optax.apply_updates(state.params, updates), opt_state, state.step + 1)
        return after, carry, metrics

    def dropout_keys(self, key: Array | None, step: Array, batch: tuple[int, ...]) -> Array | None:
        """Keys [*B] of this device's streams, each of its step and its place in the whole batch."""
        if not self.config.dropout:
            return None
        if key is None:
            expected = f"a jax.random.key for dropout {self.config.dropout}"
            raise ValueError(sentence(self.function, "key", expected, "None"))
        size = math.prod(batch)
        place = jnp.arange(size, dtype=jnp.int32)
        if self.axis is not None:
            place = place + size * jax.lax.axis_index(self.axis)
        return fold_in(jax.random.fold_in(key, step), place.reshape(batch))

    def gradient(
        self, params: model.Params, carry: Any, window: _Window, keys: Array | None
    ) -> tuple[Array, model.Params, Any]:
        """(loss, its gradient, carry), part by part."""
        if self.accumulate == 1:
            return self.part(params, carry, window, keys)
        if window.inputs.ndim < 2:
            expected = "1 for a stream without a batch"
            raise ValueError(sentence(self.function, "accumulate", expected, self.accumulate))
        self.check_batch(window.inputs.shape[1])
        swapped = functools.partial(jax.tree.map, lambda x: jnp.swapaxes(x, 0, 1))

        def one_part(sums: model.Params, part: Any) -> Any:
            carry, window, keys = part
            value, gradient, carry = self.part(params, carry, swapped(window), keys)
            return jax.tree.map(jnp.add, sums, gradient), (value, carry)

        streams_first = carry, swapped(window), keys
        parts = jax.tree.map(lambda x: x.reshape(self.accumulate, -1, *x.shape[1:]), streams_first)
        zeros, _ = same_axes((jax.tree.map(jnp.zeros_like, params), params))
        sums, (values, carries) = jax.lax.scan(one_part, zeros, parts)
        return (
            jnp.mean(values),
            jax.tree.map(lambda sum_: sum_ / self.accumulate, sums),
            jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), carries),
        )

    def part(
        self, params: model.Params, carry: Any, window: _Window, keys: Array | None
    ) -> tuple[Array, model.Params, Any]:
        """(loss, its gradient, carry) of some streams."""

        def objective(params: model.Params) -> tuple[Array, Any]:
            if self.compute_dtype is not None:
                params = jax.tree.map(lambda leaf: leaf.astype(self.compute_dtype), params)
            after, logits = model.apply(
                self.config, params, carry, window.inputs,
                unroll=self.unroll, dropout_key=keys, resets=window.resets,
            )  # fmt: skip
            return self.loss(logits, window.targets), after

        (value, after), gradient = jax.value_and_grad(objective, has_aux=True)(params)
        return value, gradient, after
