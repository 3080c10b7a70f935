"""Sampling from a character model in JAX: the library's own, and a loop of jitted steps."""

from typing import Any

import numpy as np

from benchmarks.peers.jax_training import charlm_parts
from benchmarks.peers.peer import Prepared
from benchmarks.problems import COMPARED_CHARACTERS, Arrays, SampleProblem


def prepare_charlm_sampling(problem: SampleProblem, device: str) -> Prepared:
    """`charlm.sample_many`: one dispatch, text in, text out; first characters are drawn evenly."""
    import jax

    from jaxrnn import charlm

    config, params, _ = charlm_parts(problem, problem.arrays())
    vocab = charlm.Vocab.from_text("".join(map(chr, range(0x4E00, 0x4E00 + config.vocab_size))))
    count, length = problem.size.batch, problem.size.time
    prime = vocab.decode(np.zeros(1, np.int32))

    def run() -> None:
        key = jax.random.key(problem.seed)
        charlm.sample_many(config, params, vocab, key, count, length=length, prime=prime)

    def results() -> Arrays:
        key = jax.random.key(problem.seed)
        text = charlm.sample(
            config, params, vocab, key, length=COMPARED_CHARACTERS, prime=prime, temperature=0.0
        )
        return {"likeliest characters": vocab.encode(text)}

    return Prepared({"sample": run}, results)


def prepare_loop_sampling(problem: SampleProblem, device: str) -> Prepared:
    """A Python loop around one jitted step: what anyone would write first."""
    import jax
    import jax.numpy as jnp

    import jaxrnn as rnn

    model = problem.arrays()
    cell = rnn.CELLS[problem.cell]
    _, params, _ = charlm_parts(problem, model)
    count, length, vocabulary, _ = problem.size

    def logits_of(carries: Any, tokens: Any) -> tuple[Any, Any]:
        x, after = jax.nn.one_hot(tokens, vocabulary), []
        for layer, carry in zip(params.layers, carries, strict=True):
            carry, x = rnn.step(cell, layer, carry, x)
            after.append(carry)
        return after, x @ params.w_hy + params.b_y

    @jax.jit
    def draw(carries: Any, tokens: Any, key: Any) -> tuple[Any, Any, Any]:
        carries, logits = logits_of(carries, tokens)
        key, now = jax.random.split(key)
        return carries, jax.random.categorical(now, logits), key

    @jax.jit
    def likeliest(carries: Any, tokens: Any) -> tuple[Any, Any]:
        carries, logits = logits_of(carries, tokens)
        return carries, jnp.argmax(logits, -1)

    def start() -> tuple[Any, Any]:
        carries = [rnn.zero_carry(cell, layer, (count,)) for layer in params.layers]
        return carries, jnp.zeros(count, jnp.int32)

    def run() -> None:
        (carries, tokens), key = start(), jax.random.key(problem.seed)
        text = []
        for _ in range(length):
            carries, tokens, key = draw(carries, tokens, key)
            text.append(tokens)
        jax.device_get(text)

    def results() -> Arrays:
        carries, tokens = start()
        text = []
        for _ in range(COMPARED_CHARACTERS):
            carries, tokens = likeliest(carries, tokens)
            text.append(int(tokens[0]))
        return {"likeliest characters": np.asarray(text)}

    return Prepared({"sample": run}, results)
