"""Holding units at a value while the model runs, to see what depends on them.

After every step the clamped entries of a carry are overwritten, before the layers above, the
readout and the next step read them. Clamping `h` therefore shows at once; clamping an LSTM's `c`
shows from the next step on.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxrnn.charlm.losses import nats
from jaxrnn.charlm.model import Config, Params, embed, zero_carry
from jaxrnn.charlm.tokenizers import Tokenizer
from jaxrnn.charlm.writing import LENGTH, TEMPERATURE
from jaxrnn.errors import sentence
from jaxrnn.microscope.traces.interventions import run_with_edits, step_with_edits

Array = jax.Array


class Clamp(NamedTuple):
    """A unit and the value it is held at; 0 silences it.

    Attributes:
        layer: from 0, the one that reads the text.
        unit: from 0.
        value: e.g. the unit's mean, or its largest value.
        field: of the carry, `h` or `c`.
    """

    layer: int
    unit: int
    value: float = 0.0
    field: str = "h"


class Overwrite(NamedTuple):
    """The clamps of one layer as arrays: where `mask`, the carry becomes `values`."""

    mask: Any
    values: Any


def clamped_losses(
    config: Config,
    params: Params,
    carry: tuple[Any, ...],
    inputs: Array,
    targets: Array,
    clamps: Sequence[Clamp],
) -> Array:
    """The losses of a text while units are clamped.

    Args:
        config: the model.
        params: its parameters.
        carry: L Carries before the first step, fields [H].
        inputs: integers [T].
        targets: integers [T].
        clamps: what to hold; none gives the model as it is.

    Returns:
        [T] nats.

    Raises:
        ValueError: a layer, unit or field that the model does not have.
    """
    return _losses(config, params, carry, inputs, targets, _overwrites(carry, clamps))


def clamping_effects(
    config: Config,
    params: Params,
    carry: tuple[Any, ...],
    inputs: Array,
    targets: Array,
    layer: int = 0,
    value: float = 0.0,
    field: str = "h",
) -> Array:
    """The change in mean loss when each unit of a layer in turn is held at a value.

    Args:
        config: the model.
        params: its parameters.
        carry: L Carries before the first step, fields [H].
        inputs: integers [T].
        targets: integers [T].
        layer: from 0.
        value: what each unit is held at; 0 silences it.
        field: of the carry.

    Returns:
        [H] nats a character; positive where the text becomes harder without the unit.

    Raises:
        ValueError: a layer or field that the model does not have.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> from jaxrnn import charlm
        >>> config = charlm.Config(vocab_size=5, cell="gru", hidden_size=8, num_layers=1)
        >>> params = charlm.init(config, jax.random.key(0))
        >>> tokens = jnp.array([0, 3, 1, 4])
        >>> carry = charlm.zero_carry(config, params, ())
        >>> clamping_effects(config, params, carry, tokens[:-1], tokens[1:]).shape
        (8,)
    """
    size = _widths(carry, layer, field)
    each = [_overwrites(carry, [Clamp(layer, unit, value, field)]) for unit in range(size)]
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *each)
    whole = _losses(config, params, carry, inputs, targets, _overwrites(carry, []))
    return _mean_losses(config, params, carry, inputs, targets, stacked) - jnp.mean(whole)


def clamped_sample(
    config: Config,
    params: Params,
    vocab: Tokenizer,
    key: Array,
    clamps: Sequence[Clamp],
    length: int = LENGTH,
    prime: str = "\n",
    temperature: float = TEMPERATURE,
) -> str:
    """A text written while units are clamped.

    With the same key the draws are those of `charlm.sample`, so without clamps the texts are
    equal, and where they part the clamps are the cause.

    Args:
        config: the model.
        params: its parameters.
        vocab: its vocabulary.
        key: a `jax.random.key`.
        clamps: what to hold, from the first character of the prime on.
        length: tokens to write, at least 1.
        prime: what comes before the text, at least one character.
        temperature: 0 takes the likeliest.

    Returns:
        The text of `length` tokens.

    Raises:
        ValueError: an empty prime or one with unknown characters, a layer, unit or field that the
            model does not have, a length below 1 or a temperature below 0.
    """
    if not prime:
        raise ValueError(sentence("clamped_sample", "prime", "at least one character", "none"))
    if length < 1:
        raise ValueError(sentence("clamped_sample", "length", "at least 1", length))
    if temperature < 0:
        raise ValueError(sentence("clamped_sample", "temperature", "at least 0", temperature))
    carry = zero_carry(config, params, (1,))
    overwrites = _overwrites(zero_carry(config, params, ()), clamps)
    forced = vocab.encode(prime)
    given = np.concatenate([forced[1:], np.full(length, -1, np.int32)])
    scale = 0.0 if temperature == 0 else 1 / temperature
    tokens = _sample(
        config, params, carry, key, overwrites, jnp.asarray(forced[:1]), jnp.asarray(given),
        jnp.asarray(scale, params.w_hy.dtype),
    )  # fmt: skip
    return vocab.decode(tokens[-length:])


def _overwrite(carry: Any, clamps: Overwrite) -> Any:
    return jax.tree.map(
        lambda mask, value, state: jnp.where(
            jnp.broadcast_to(mask, state.shape), jnp.broadcast_to(value, state.shape), state
        ),
        clamps.mask,
        clamps.values,
        carry,
    )


def _widths(carry: tuple[Any, ...], layer: int, field: str) -> int:
    """The units of a layer's field."""
    if not 0 <= layer < len(carry):
        raise ValueError(sentence("Clamp", "layer", f"0 to {len(carry) - 1}", layer))
    fields = carry[layer]._fields
    if field not in fields:
        raise ValueError(sentence("Clamp", "field", f"one of {', '.join(fields)}", field))
    return int(getattr(carry[layer], field).shape[-1])


def _overwrites(carry: tuple[Any, ...], clamps: Sequence[Clamp]) -> tuple[Overwrite, ...]:
    for clamp in clamps:
        size = _widths(carry, clamp.layer, clamp.field)
        if not 0 <= clamp.unit < size:
            raise ValueError(sentence("Clamp", "unit", f"0 to {size - 1}", clamp.unit))
    found = []
    for index, layer in enumerate(carry):
        fields = layer._fields
        masks = {field: np.zeros(getattr(layer, field).shape[-1], np.bool_) for field in fields}
        values = {field: np.zeros(mask.shape) for field, mask in masks.items()}
        for clamp in clamps:
            if clamp.layer == index:
                masks[clamp.field][clamp.unit] = True
                values[clamp.field][clamp.unit] = clamp.value
        kind = type(layer)
        found.append(
            Overwrite(
                kind(**{field: jnp.asarray(masks[field]) for field in fields}),
                kind(**{field: jnp.asarray(values[field], layer.h.dtype) for field in fields}),
            )
        )
    return tuple(found)


@jax.jit
def _losses(
    config: Config, params: Params, carry: Any, inputs: Array, targets: Array, overwrites: Any
) -> Array:
    held = jax.tree.map(lambda x: jnp.broadcast_to(x, (len(inputs), *x.shape)), overwrites)
    return nats(run_with_edits(config, params, carry, inputs, _overwrite, held), targets)


@jax.jit
def _mean_losses(
    config: Config, params: Params, carry: Any, inputs: Array, targets: Array, overwrites: Any
) -> Array:
    def mean(held: Any) -> Array:
        return jnp.mean(_losses(config, params, carry, inputs, targets, held))

    return jax.vmap(mean)(overwrites)


@jax.jit
def _sample(
    config: Config,
    params: Params,
    carry: Any,
    key: Array,
    overwrites: Any,
    first: Array,
    given: Array,
    scale: Array,
) -> Array:
    positions = jnp.arange(len(given), dtype=jnp.int32)
    keys = jax.vmap(jax.random.fold_in, in_axes=(None, 0))(key, positions)

    def one_step(loop: tuple[Any, Array], now: tuple[Array, Array]) -> tuple[Any, Array]:
        carry, token = loop
        step_key, forced = now
        carry, logits = step_with_edits(config, params, carry, _read(token), _overwrite, overwrites)
        scaled = logits * scale.astype(logits.dtype)
        drawn = jnp.where(
            scale > 0, jax.random.categorical(step_key, scaled), jnp.argmax(logits, axis=-1)
        ).astype(jnp.int32)
        token = jnp.where(forced < 0, drawn, forced)
        return (carry, token), token[0]

    def _read(token: Array) -> Array:
        return token if params.embedding is None else embed(params.embedding, token)

    return jax.lax.scan(one_step, (carry, first), (keys, given))[1]
