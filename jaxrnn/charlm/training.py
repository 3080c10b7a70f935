"""Training steps: one window of the text in one dispatch, or many.

One window, truncated BPTT: the carry comes in from the window before, the gradient stops there.

    carry', logits = apply(params, carry, inputs)      L = loss(logits, targets)
    params' = params + optimizer(∂L/∂params)
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxrnn.charlm import model
from jaxrnn.charlm.losses import Loss, cross_entropy
from jaxrnn.charlm.streams import number_of_windows, window
from jaxrnn.errors import sentence
from jaxrnn.networks import Unroll
from jaxrnn.networks import unroll as bptt_unroll

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
    opt_state: optax.OptState
    step: Array


def initial_state(params: model.Params, optimizer: optax.GradientTransformation) -> TrainState:
    """The state before the first update."""
    return TrainState(params, optimizer.init(params), jnp.zeros((), jnp.int32))


def make_train_step(
    config: model.Config,
    optimizer: optax.GradientTransformation,
    loss: Loss = cross_entropy,
    *,
    unroll: Unroll = bptt_unroll,
) -> Callable[..., tuple[TrainState, Any, Metrics]]:
    """Makes the jitted step `(state, carry, inputs, targets[, key]) -> (state, carry, metrics)`.

    Args:
        config: the model.
        optimizer: any optax transformation.
        loss: `(logits [T, *B, V], targets [T, *B]) -> []`.
        unroll: `jaxrnn.unroll`, or whatever has its arguments and values.

    Returns:
        The step. `inputs` and `targets` are integers [T, *B]; `key`, a `jax.random.key`, is for
        dropout: each step folds its number into it, so one key serves a whole run. `metrics` are
        `loss`, before the update, and `gradient_norm`, Euclidean, before clipping.

    Raises:
        ValueError: (by the step) a model with dropout and no key.

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

    def train_step(
        state: TrainState, carry: Any, inputs: Array, targets: Array, key: Array | None = None
    ) -> tuple[TrainState, Any, Metrics]:
        return _update(config, optimizer, loss, unroll, state, carry, inputs, targets, key)

    return jax.jit(train_step)


def make_train_windows(
    config: model.Config,
    optimizer: optax.GradientTransformation,
    length: int,
    capacity: int,
    loss: Loss = cross_entropy,
    *,
    unroll: Unroll = bptt_unroll,
    devices: int = 1,
) -> Callable[..., tuple[TrainState, Any, Metrics]]:
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
        devices: a divisor of B: the streams are divided into so many parts, each on a device of
            its own, and their gradients averaged. `jax.config.update("jax_num_cpu_devices", n)`,
            before anything is computed, makes n devices of a CPU, whose loops XLA runs on one
            core each. Numbers depend on it by rounding, and by the masks of dropout.

    Returns:
        The function. `streams` [B, W·T + 1] are those of `make_streams`, `count` at most
        `capacity`. `metrics` are arrays [capacity], of which the first `count` are filled.
        `state` and `carry` are donated: use what comes back.

    Raises:
        ValueError: more devices than JAX has.
    """
    axis = None if devices == 1 else STREAMS

    def train_windows(
        state: TrainState, carry: Any, streams: Array, count: Array, key: Array | None = None
    ) -> tuple[TrainState, Any, Metrics]:
        windows = number_of_windows(streams, length)

        def one_window(index: Array, loop: Any) -> Any:
            state, carry, metrics = loop
            position = state.step % windows
            starts_over = position == 0
            carry = jax.tree.map(lambda x: jnp.where(starts_over, jnp.zeros_like(x), x), carry)
            inputs, targets = window(streams, position, length)
            state, carry, now = _update(
                config, optimizer, loss, unroll, state, carry, inputs, targets, key, axis
            )
            return state, carry, {name: metrics[name].at[index].set(now[name]) for name in now}

        shapes = jax.eval_shape(one_update, state, carry, streams, key)
        empty = {name: jnp.zeros(capacity, value.dtype) for name, value in shapes.items()}
        return jax.lax.fori_loop(0, count, one_window, (state, carry, empty))

    def one_update(state: TrainState, carry: Any, streams: Array, key: Array | None) -> Metrics:
        inputs, targets = window(streams, 0, length)
        return _update(config, optimizer, loss, unroll, state, carry, inputs, targets, key, axis)[2]

    if axis is None:
        return jax.jit(train_windows, donate_argnums=(0, 1))
    return _over_devices(train_windows, devices)


# The name of the mesh's one axis.
STREAMS = "streams"


def _over_devices(
    train_windows: Callable[..., tuple[TrainState, Any, Metrics]], devices: int
) -> Callable[..., tuple[TrainState, Any, Metrics]]:
    """Jits it with the streams divided over devices, everything else on all of them."""
    if devices > len(jax.devices()):
        expected = f"at most the {len(jax.devices())} that JAX has here"
        hint = 'jax.config.update("jax_num_cpu_devices", n), before all else, makes n of a CPU'
        raise ValueError(sentence("make_train_windows", "devices", expected, devices, hint))
    mesh = jax.make_mesh(
        (devices,),
        (STREAMS,),
        axis_types=(jax.sharding.AxisType.Auto,),
        devices=jax.devices()[:devices],
    )
    everywhere, divided = jax.sharding.PartitionSpec(), jax.sharding.PartitionSpec(STREAMS)
    jitted = jax.jit(
        jax.shard_map(
            train_windows,
            mesh=mesh,
            in_specs=(everywhere, divided, divided, everywhere, everywhere),
            out_specs=(everywhere, divided, everywhere),
        ),
        donate_argnums=(0, 1),
    )
    on_all = jax.sharding.NamedSharding(mesh, everywhere)
    by_streams = jax.sharding.NamedSharding(mesh, divided)

    def place_and_train(
        state: TrainState, carry: Any, streams: Array, count: Array, key: Array | None = None
    ) -> tuple[TrainState, Any, Metrics]:
        # Where they are in place already, as from the last dispatch, this copies nothing.
        state = jax.device_put(state, on_all)
        carry, streams = jax.device_put((carry, streams), by_streams)
        return jitted(state, carry, streams, count, key)

    return place_and_train


def _update(
    config: model.Config,
    optimizer: optax.GradientTransformation,
    loss: Loss,
    unroll: Unroll,
    state: TrainState,
    carry: Any,
    inputs: Array,
    targets: Array,
    key: Array | None,
    axis: str | None = None,
) -> tuple[TrainState, Any, Metrics]:
    dropout_key = None
    if config.dropout:
        if key is None:
            expected = f"a jax.random.key for dropout {config.dropout}"
            raise ValueError(sentence("train_step", "key", expected, "None"))
        dropout_key = jax.random.fold_in(key, state.step)
        if axis is not None:
            dropout_key = jax.random.fold_in(dropout_key, jax.lax.axis_index(axis))

    def objective(params: model.Params) -> tuple[Array, Any]:
        after, logits = model.apply(
            config, params, carry, inputs, unroll=unroll, dropout_key=dropout_key
        )
        value = loss(logits, targets)
        # The parameters are the same on all devices: JAX adds up their gradients over the mesh.
        return value if axis is None else jax.lax.pmean(value, axis), after

    (value, carry), gradient = jax.value_and_grad(objective, has_aux=True)(state.params)
    updates, opt_state = optimizer.update(gradient, state.opt_state, state.params)
    params = optax.apply_updates(state.params, updates)
    # In the loss's dtype: a bfloat16 sum of squares would be good for two digits.
    exact = jax.tree.map(lambda leaf: leaf.astype(value.dtype), gradient)
    metrics = {"loss": value, "gradient_norm": optax.tree.norm(exact)}
    return TrainState(params, opt_state, state.step + 1), carry, metrics
