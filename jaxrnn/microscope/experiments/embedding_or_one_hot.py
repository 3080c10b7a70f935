"""One-hot inputs or an embedding table ("Playing with recurrent networks").

The post found embeddings far better, but its one-hot code handed back the old state and so had no
memory. Here both models are the same GRU with the same text, updates and seeds, each at the
learning rate that suits it; a third one has one-hot inputs and its memory cut at every character.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from numpy.typing import NDArray

from jaxrnn import charlm
from jaxrnn.microscope.experiments.fitting import fit
from jaxrnn.microscope.experiments.record import Experiment, Measurement, Progress, silent
from jaxrnn.networks import Network, step, unroll

Array = jax.Array

SEEDS = 3
RATES = (0.02, 0.04, 0.08)
UPDATES = 300
EMBED_SIZE = 32
T_QUANTILE = 4.303
"""Student's t with SEEDS − 1 = 2 degrees of freedom, two-sided 95 %."""


class Contender(NamedTuple):
    """One way to read characters, over all seeds.

    Attributes:
        name: what it is.
        parameters: how many it has.
        rate: its best learning rate, chosen on other text than it is judged on.
        bits: [SEEDS], bits a character on fresh text.
        losses: [SEEDS, UPDATES], nats, at that rate.
    """

    name: str
    parameters: int
    rate: float
    bits: NDArray[np.float64]
    losses: NDArray[np.float32]


class EmbeddingData(NamedTuple):
    """What the experiment's page draws: the three contenders' curves and results."""

    contenders: tuple[Contender, Contender, Contender]


def run(key: Array, progress: Progress = silent, text: str | None = None) -> Experiment:
    """Trains all contenders from several seeds at several rates and compares them.

    Args:
        key: a `jax.random.key`.
        progress: is told of the updates.
        text: to train on; None: the documentation that comes with Python.

    Returns:
        The outcome with EmbeddingData; about two minutes on two cores.
    """
    text = charlm.python_documentation().text if text is None else text
    one_hot = _contend("one-hot", None, unroll, key, progress, text)
    embedded = _contend("embedding", EMBED_SIZE, unroll, key, progress, text)
    forgetful = _contend("one-hot without memory", None, unroll_without_memory, key, progress, text)
    gain = one_hot.bits - embedded.bits
    half_width = T_QUANTILE * gain.std(ddof=1) / np.sqrt(SEEDS)
    measurements = (
        *(
            Measurement(f"{each.name}, {each.parameters:,} parameters, rate {each.rate}",
                        each.bits.mean(), f"bits a character ± {each.bits.std(ddof=1):.3f}")
            for each in (one_hot, embedded, forgetful)
        ),
        Measurement("gain of the embedding", gain.mean(), "bits a character"),
        Measurement("95 % half-width of the gain", half_width, "bits a character"),
    )  # fmt: skip
    lost = forgetful.bits.mean() - one_hot.bits.mean()
    holds = gain.mean() > half_width
    size = f"{abs(gain.mean()):.3f} ± {half_width:.3f} bits a character over {SEEDS} seeds"
    direction = "better" if gain.mean() > 0 else "worse"
    verdict = (
        f"The embedding is {direction} by {size}"
        f"{'' if abs(gain.mean()) > half_width else ', which is no difference that can be told'}. "
        f"Cutting the memory of the one-hot model costs {lost:.2f}: the post compared a model "
        "with memory to one without."
    )
    claim = "A character model reads better through an embedding table than through one-hot inputs."
    data = EmbeddingData((one_hot, embedded, forgetful))
    return Experiment("embedding-or-one-hot", claim, measurements, bool(holds), verdict, data)


def unroll_without_memory(
    network: Network,
    params: Any,
    carry: Any,
    xs: Array,
    *,
    resets: Array | None = None,
    dropout_key: Array | None = None,
) -> tuple[Any, Array]:
    """`unroll` with the carry put back to zero before every step, so all steps at once.

    Resets change nothing then; there is no dropout.
    """
    zero = jax.tree.map(lambda x: jnp.zeros((len(xs), *x.shape), x.dtype), carry)
    _, hs = step(network, params, zero, xs)
    return carry, hs


def _contend(
    name: str,
    embed_size: int | None,
    run_layer: Any,
    key: Array,
    progress: Progress,
    text: str,
) -> Contender:
    training, held_out = charlm.split(text, 0.9, 0.1)
    vocab = charlm.Vocab.from_text(text)
    tokens = vocab.encode(held_out)
    choosing, judging = np.array_split(tokens[:40_000], 2)
    config = charlm.Config(len(vocab), "gru", hidden_size=64, num_layers=1, embed_size=embed_size)

    def bits(params: charlm.Params, tokens: NDArray[np.int32]) -> float:
        rows = jnp.asarray(charlm.make_streams(tokens, 8, len(tokens) // 8 - 1)).astype(jnp.int32).T
        carry = charlm.zero_carry(config, params, rows.shape[1])
        logits = charlm.apply(config, params, carry, rows[:-1], unroll=run_layer)[1]
        return charlm.bits(float(charlm.cross_entropy(logits, rows[1:])))

    tried = []
    for rate in RATES:
        optimizer = optax.chain(
            optax.clip_by_global_norm(1.0),
            optax.adam(optax.cosine_decay_schedule(rate, UPDATES)),
        )
        models = [
            fit(
                config, vocab, charlm.init(config, seed), optimizer, training, progress,
                what=f"{name}, rate {rate}, seed {number + 1} of {SEEDS}", updates=UPDATES,
                batch_size=32, length=50, unroll=run_layer,
            )
            for number, seed in enumerate(jax.random.split(key, SEEDS))
        ]  # fmt: skip
        tried.append((np.mean([bits(model.params, choosing) for model in models]), rate, models))
    _, rate, models = min(tried, key=lambda each: each[0])
    return Contender(
        name,
        sum(leaf.size for leaf in jax.tree.leaves(models[0].params)),
        rate,
        np.array([bits(model.params, judging) for model in models]),
        np.stack([model.losses for model in models]),
    )
