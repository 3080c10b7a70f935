"""Every public function lowers for GPUs and TPUs, asked on a CPU; kernels: recurrence/test_kernel.

Nothing is compiled or run: `jax.jit(f).trace(*shapes).lower(lowering_platforms=(platform,))` fails
where a primitive has no rule for the platform, or one that refuses its dtype or shapes.

A new public name is a row of LIBRARY or CHARLM, or stands in NOTHING_TO_LOWER; a test says so.
"""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
import pytest

import jaxrnn as rnn
from jaxrnn import charlm, tuning
from jaxrnn.charlm import beams, evaluation, generating, training

PLATFORMS = {"float32": ("cuda", "tpu"), "bfloat16": ("cuda", "tpu"), "float64": ("cuda",)}
T, B, I, H, V = 12, 4, 5, 6, 7
OPTIONS = {
    "none": (),
    "recompute": ("recompute",),
    "lengths": ("lengths",),
    "resets": ("resets", "reset_carry"),
    "masks": ("masks",),
    "reverse": ("reverse",),
    "all": ("recompute", "lengths", "resets", "reset_carry", "masks", "reverse"),
}
NETWORKS = {
    "stack": rnn.Stack([rnn.GRU, rnn.LSTM], dropout=0.2),
    "residual": rnn.Stack([rnn.LSTM_PROJECTED] * 2, residual=True),
    "bidirectional": rnn.Bidirectional(rnn.LSTM),
    "nested": rnn.Stack([rnn.Bidirectional(rnn.GRU), rnn.LSTM]),
}
DTYPES = tuple(PLATFORMS)


def lowers(function: Any, *shapes: Any, platforms: tuple[str, ...]) -> None:
    traced = jax.jit(function).trace(*shapes)
    for platform in platforms:
        assert traced.lower(lowering_platforms=(platform,)).as_text().startswith("module")


def shaped(shape: tuple[int, ...], dtype: Any) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(shape, dtype)


def key() -> Any:
    return jax.eval_shape(lambda: jax.random.key(0))


def total(tree: Any) -> Any:
    """A number that everything in the tree has a part in."""
    return sum(jnp.sum(leaf.astype(jnp.float32)) for leaf in jax.tree.leaves(tree))


class Problem(NamedTuple):
    """A network and the shapes of its arguments."""

    network: Any
    dtype: str
    tokens: bool = False

    @property
    def params(self) -> Any:
        make = functools.partial(rnn.init, self.network, dtype=self.dtype)
        return jax.eval_shape(lambda key: make(key, I, H), key())

    @property
    def carry(self) -> Any:
        return jax.eval_shape(lambda p: rnn.zero_carry(self.network, p, (B,)), self.params)

    @property
    def xs(self) -> Any:
        return shaped((T, B), "int32") if self.tokens else shaped((T, B, I), self.dtype)

    @property
    def hs(self) -> Any:
        return shaped((T, B, rnn.output_size(self.network, self.params)), self.dtype)

    @property
    def x(self) -> Any:
        return shaped(self.xs.shape[1:], self.xs.dtype)

    def given(self, names: tuple[str, ...]) -> tuple[dict[str, Any], dict[str, Any]]:
        """Keywords of an unroll: (those that are arrays, those that are not)."""
        arrays = {
            "lengths": shaped((B,), "int32"),
            "resets": shaped((T, B), bool),
            "reset_carry": self.carry,
            "masks": jax.eval_shape(self.draw_masks, self.params, key()),
        }
        flags = dict.fromkeys({"recompute", "reverse"} & set(names), True)
        return {name: arrays[name] for name in names if name in arrays}, flags

    def draw_masks(self, params: Any, key: Any) -> Any:
        return rnn.draw_masks(
            self.network, params, key, T, (B,), recurrent_dropout=0.2, zoneout=0.1
        )


def values(unroll: Any, **more: Any) -> Any:
    """Row: what it returns."""

    def row(p: Problem) -> Any:
        return functools.partial(unroll, p.network, **more), p.params, p.carry, p.xs

    return row


def gradient(unroll: Any, *options: str, order: int = 1, **more: Any) -> Any:
    """Row: the gradient by everything that has one, or the gradient of that."""

    def row(p: Problem) -> Any:
        arrays, flags = p.given(options)
        fixed = {name: arrays.pop(name) for name in ("lengths", "resets") if name in arrays}
        fixed |= {"xs": p.xs} if p.tokens else {}
        floats = {"params": p.params, "carry": p.carry} | arrays
        floats |= {} if p.tokens else {"xs": p.xs}

        def function(floats: Any, fixed: Any) -> Any:
            return total(unroll(p.network, **floats, **fixed, **flags, **more))

        for _ in range(order):
            function = lower_by_one(function)
        return function, floats, fixed

    return row


def lower_by_one(function: Any) -> Any:
    return lambda floats, fixed: total(jax.grad(function)(floats, fixed))


def emit(p: Problem) -> Any:
    w_hy = jnp.ones((p.hs.shape[-1], I), p.dtype)
    if p.tokens:
        return lambda h, key: jax.random.categorical(key, h @ w_hy)
    return lambda h, key: h @ w_hy


def generate(p: Problem) -> Any:
    def function(params: Any, carry: Any, first: Any, key: Any) -> Any:
        more = {"stop": 1} if p.tokens else {}
        return rnn.generate(p.network, params, carry, first, emit(p), max_length=5, key=key, **more)

    return function, p.params, p.carry, p.x, key()


def dropout(p: Problem) -> Any:
    def function(params: Any, carry: Any, xs: Any, key: Any) -> Any:
        return rnn.unroll(p.network, params, carry, xs, dropout_key=key)

    return function, p.params, p.carry, p.xs, key()


def weights_dropped(p: Problem) -> Any:
    return lambda params, key: rnn.weight_drop(p.network, params, key, 0.3), p.params, key()


def adagrad(p: Problem) -> Any:
    optimizer = rnn.karpathy_adagrad(0.1)
    return optimizer.update, p.params, jax.eval_shape(optimizer.init, p.params)


def taught(p: Problem) -> Any:
    teach = functools.partial(rnn.teacher_forcing, start=1, stop=2)
    return teach, shaped((T, B), "int32"), shaped((B,), "int32")


def rtrl(part: str) -> Any:
    """Row: a part of learning online, or `unroll_rtrl`'s gradient by all that has one."""

    def row(p: Problem) -> Any:
        if part == "unroll_rtrl":

            def loss(params: Any, carry: Any, xs: Any) -> Any:
                return total(rnn.unroll_rtrl(p.network, params, carry, xs))

            return jax.grad(loss, (0, 1)), p.params, p.carry, p.xs
        init = functools.partial(rnn.rtrl_init, p.network)
        if part == "rtrl_init":
            return init, p.params, p.carry
        state = jax.eval_shape(init, p.params, p.carry)
        if part == "rtrl_step":
            return functools.partial(rnn.rtrl_step, p.network), p.params, state, p.x
        return functools.partial(rnn.rtrl_gradient, p.network), state, p.carry.h

    return row


OF_ONE_CELL = ("unroll_rtrl", "rtrl_init", "rtrl_step", "rtrl_gradient")
# Public name -> rows; a row makes (function, shapes of its arguments ...) of a problem.
LIBRARY = {
    "init": [lambda p: (lambda key: rnn.init(p.network, key, I, H, dtype=p.dtype), key())],
    "zero_carry": [lambda p: (lambda params: rnn.zero_carry(p.network, params, (B,)), p.params)],
    "step": [
        lambda p: (functools.partial(rnn.step, p.network), p.params, p.carry, p.x),
    ],
    "unroll": [
        values(rnn.unroll),
        dropout,
        gradient(rnn.unroll, order=2),
        *(gradient(rnn.unroll, *names) for names in OPTIONS.values()),
    ],
    "unroll_autodiff": [values(rnn.unroll_autodiff), gradient(rnn.unroll_autodiff)],
    "unroll_truncated": [gradient(rnn.unroll_truncated, forward_steps=3, backward_steps=6)],
    "solve_parallel": [values(rnn.solve_parallel), values(rnn.solve_parallel, jacobian="diagonal")],
    "unroll_parallel": [gradient(rnn.unroll_parallel, *OPTIONS["all"][1:])],
    **{name: [rtrl(name)] for name in OF_ONE_CELL},
    "trace": [values(rnn.trace)],
    "draw_masks": [lambda p: (p.draw_masks, p.params, key())],
    "weight_drop": [weights_dropped],
    "karpathy_adagrad": [adagrad],
    "generate": [generate],
    "teacher_forcing": [taught],
    "last_outputs": [lambda p: (rnn.last_outputs, p.hs, shaped((B,), "int32"))],
    "sequence_mask": [lambda p: (lambda n: rnn.sequence_mask(n, T), shaped((B,), "int32"))],
}
FORWARDS_ONLY = ("step", "generate", "unroll_truncated")


class Model(NamedTuple):
    """A character model and the shapes of its arguments."""

    config: charlm.Config
    dtype: str

    @property
    def params(self) -> Any:
        make = functools.partial(charlm.init, self.config, dtype=self.dtype)
        return jax.eval_shape(make, key())

    def carry(self, *batch: int, dtype: Any = None) -> Any:
        make = functools.partial(charlm.zero_carry, self.config, batch_size=batch, dtype=dtype)
        return jax.eval_shape(make, self.params)

    @property
    def state(self) -> Any:
        start = functools.partial(charlm.initial_state, optimizer=OPTIMIZER)
        return jax.eval_shape(start, self.params)

    @property
    def tokens(self) -> Any:
        return shaped((T, B), "int32")


OPTIMIZER = optax.adamw(1e-3)


def train_step(**more: Any) -> Any:
    def row(m: Model) -> Any:
        step = charlm.make_train_step(m.config, OPTIMIZER, **more)
        carry = m.carry(B, dtype=more.get("compute_dtype"))
        return step, m.state, carry, m.tokens, m.tokens, key()

    return row


def train_windows(devices: int = 1, **more: Any) -> Any:
    def row(m: Model) -> Any:
        mesh = charlm.make_mesh(devices)
        windows = charlm.make_train_windows(m.config, OPTIMIZER, T, 3, mesh=mesh, **more)
        carry = m.carry(B, dtype=more.get("compute_dtype"))
        streams = shaped((B, 5 * T + 1), "int32")

        def function(state: Any, carry: Any, streams: Any, key: Any) -> Any:
            return windows(state, carry, streams, 2, key)

        return function, m.state, carry, streams, key()

    return row


def evaluated(devices: int) -> Any:
    """What `evaluate` runs: it takes a text, and reads numbers back between dispatches."""

    def row(m: Model) -> Any:
        sizes = {"length": T, "block": 2, "mesh": charlm.make_mesh(devices)}
        function = functools.partial(evaluation._summed_nats, m.config, **sizes)
        arrays = shaped((B, 2 * T + 1), "int32"), shaped((B,), "int32"), shaped((), "int32")
        return function, m.params, m.carry(B), *arrays

    return row


def sampled(**choice: Any) -> Any:
    """What `sample` and its kin run: they take and give text."""

    def row(m: Model) -> Any:
        fixed = {"greedy": False, "top_k": None, "scored": False}
        fixed |= {name: choice[name] for name in fixed if name in choice}
        function = functools.partial(generating._steps, m.config, **fixed)
        number = shaped((), m.dtype if m.dtype != "bfloat16" else "float32")
        share = number if "top_p" in choice else None
        token, given = shaped((B,), "int32"), shaped((9,), "int32")
        start = shaped((), "int32")
        return function, m.params, m.carry(B), token, key(), start, given, number, share

    return row


def first_drawn(m: Model) -> Any:
    return functools.partial(generating._evenly, count=B, vocab_size=V), key()


def first_carry(m: Model) -> Any:
    return functools.partial(generating._first_carry, m.config, count=B), m.params, m.carry()


def beams_found(**stop: Any) -> Any:
    """What `beam_search` runs: it takes and gives text."""

    def row(m: Model) -> Any:
        function = functools.partial(beams._search, m.config, width=3, length=T)
        table = shaped((3, V), "int32") if stop else None
        penalty = shaped((), m.dtype if m.dtype != "bfloat16" else "float32")
        return function, m.params, m.carry(), shaped((4,), "int32"), table, penalty

    return row


def of_logits(loss: Any) -> Any:
    def row(m: Model) -> Any:
        return jax.value_and_grad(lambda *a: total(loss(*a))), shaped((T, B, V), m.dtype), m.tokens

    return row


SAMPLING = [sampled(), sampled(greedy=True), sampled(top_k=3), sampled(top_p=0.9), first_drawn]
CHARLM = {
    "init": [lambda m: (functools.partial(charlm.init, m.config, dtype=m.dtype), key())],
    "zero_carry": [
        lambda m: (functools.partial(charlm.zero_carry, m.config, batch_size=B), m.params)
    ],
    "apply": [
        lambda m: (functools.partial(charlm.apply, m.config), m.params, m.carry(B), m.tokens)
    ],
    "step": [
        lambda m: (
            functools.partial(charlm.step, m.config), m.params, m.carry(B), shaped((B,), "int32"),
        )
    ],
    "nats": [of_logits(charlm.nats)],
    "cross_entropy": [of_logits(charlm.cross_entropy)],
    "summed_cross_entropy": [of_logits(charlm.summed_cross_entropy)],
    "last_cross_entropy": [of_logits(charlm.last_cross_entropy)],
    "initial_state": [
        lambda m: (lambda params: charlm.initial_state(params, OPTIMIZER), m.params)
    ],
    "make_train_step": [
        train_step(), train_step(accumulate=2), train_step(unroll=rnn.unroll_autodiff),
    ],
    "make_train_windows": [train_windows(), train_windows(accumulate=2), train_windows(devices=2)],
    "window": [
        lambda m: (
            lambda streams, index: charlm.window(streams, index, T),
            shaped((B, 5 * T + 1), "int32"), shaped((), "int32"),
        )
    ],
    "evaluate": [evaluated(1), evaluated(2)],
    "surprisals": [
        lambda m: (
            functools.partial(evaluation._nats_of_a_window, m.config),
            m.params, m.carry(B), m.tokens, m.tokens,
        )
    ],
    "sample": [*SAMPLING, first_carry],
    "sample_many": SAMPLING[:1],
    "sample_many_scored": [sampled(scored=True)],
    "stream": SAMPLING[:1],
    "sample_scored": [sampled(scored=True)],
    "stream_scored": [sampled(scored=True)],
    "beam_search": [beams_found(), beams_found(stop=True)],
}  # fmt: skip
MIXED = {
    "make_train_step": train_step(compute_dtype=jnp.bfloat16),
    "make_train_windows": train_windows(compute_dtype=jnp.bfloat16),
    "make_train_windows on two devices": train_windows(2, compute_dtype=jnp.bfloat16),
}
# Values and tables; what makes arrays in NumPy, or reads files; what is computed on the CPU.
NOTHING_TO_LOWER = {
    "Bidirectional", "Cell", "Directions", "GradientReport", "Masks", "RTRLState", "Solution",
    "Stack", "TeacherForcing", "Trace", "output_size", "register", "gradcheck",
}  # fmt: skip
NOTHING_IN_CHARLM_TO_LOWER = {
    "Beam", "ByteVocab", "Config", "Corpus", "Decoder", "Encoder", "Group", "NGrams", "Params",
    "Sampling", "Scored", "Tokenizer", "TrainState", "TrainedModel", "Vocab", "WordVocab", "bits",
    "character_classes", "count_ngrams", "group_losses", "load", "make_mesh", "make_streams",
    "make_tokenizer", "ngram_surprisals", "number_of_windows", "python_documentation", "read_text",
    "split",
}  # fmt: skip


@pytest.fixture(autouse=True)
def _where_arrays_lie_is_left_out(monkeypatch):
    for module in (training, evaluation):
        for name in ("replicate", "divide"):
            monkeypatch.setattr(module, name, lambda mesh, tree: tree)


def check(row: Any, problem: Any) -> None:
    with jax.enable_x64(problem.dtype == "float64"):
        function, *shapes = row(problem)
        lowers(function, *shapes, platforms=PLATFORMS[problem.dtype])


@pytest.mark.parametrize(
    ("module", "table", "nothing"),
    [(rnn, LIBRARY, NOTHING_TO_LOWER), (charlm, CHARLM, NOTHING_IN_CHARLM_TO_LOWER)],
    ids=["jaxrnn", "charlm"],
)
def test_every_public_function_has_its_rows(module, table, nothing):
    public = {name for name in module.__all__ if callable(getattr(module, name))}
    assert table.keys() | nothing == public
    assert not table.keys() & nothing


def test_what_has_no_rule_for_a_platform_is_seen():
    with pytest.raises(NotImplementedError, match=r"only on CPU|not found for platform"):
        lowers(jax.lax.linalg.schur, shaped((3, 3), "float32"), platforms=("cuda",))


@pytest.mark.parametrize(
    "row",
    [gradient(rnn.unroll, *OPTIONS["all"]), generate],
    ids=["gradient of unroll", "generate"],
)
def test_a_function_of_the_library_lowers(row):
    check(row, Problem(rnn.GRU, "bfloat16", tokens=True))


@pytest.mark.parametrize(
    "row", [train_windows(compute_dtype=jnp.bfloat16), sampled(top_p=0.9)], ids=["train", "sample"]
)
def test_a_function_of_charlm_lowers(row):
    check(row, Model(charlm.Config(V, "lstm", H, dropout=0.1), "float32"))


@pytest.mark.slow
@pytest.mark.parametrize("tokens", [False, True], ids=["dense", "tokens"])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("cell", rnn.CELLS)
@pytest.mark.parametrize("name", LIBRARY)
def test_the_library_lowers_for_every_cell(name, cell, dtype, tokens):
    for row in LIBRARY[name]:
        check(row, Problem(rnn.CELLS[cell], dtype, tokens))


@pytest.mark.slow
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("name", LIBRARY)
def test_the_library_lowers_for_networks(name, network, dtype):
    if "directional" in repr(NETWORKS[network]).lower() and name in FORWARDS_ONLY:
        pytest.skip("runs forwards only")
    if name in OF_ONE_CELL:
        pytest.skip("takes one cell")
    for row in LIBRARY[name]:
        check(row, Problem(NETWORKS[network], dtype))


@pytest.mark.slow
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("cell", "embed_size"), [*((cell, None) for cell in rnn.CELLS), ("lstm", 3)]
)
@pytest.mark.parametrize("name", CHARLM)
def test_charlm_lowers(name, cell, dtype, embed_size):
    for row in CHARLM[name]:
        check(row, Model(charlm.Config(V, cell, H, embed_size=embed_size, dropout=0.1), dtype))


@pytest.mark.slow
@pytest.mark.parametrize("cell", rnn.CELLS)
@pytest.mark.parametrize("name", MIXED)
def test_mixed_precision_lowers(name, cell):
    check(MIXED[name], Model(charlm.Config(V, cell, H, dropout=0.1), "float32"))


@pytest.mark.slow
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_large_vocabulary_lowers(dtype):
    """Beyond the one-hot limit the gradient of the input weights is a scatter."""
    check(train_step(), Model(charlm.Config(2000, "gru", H), dtype))


@pytest.mark.slow
@pytest.mark.parametrize("platform", ["cuda", "tpu"])
@pytest.mark.parametrize("cell", rnn.CELLS)
def test_the_programs_that_the_platform_itself_would_trace_lower(cell, platform, monkeypatch):
    """The rows above are traced on a CPU, in the pieces that suit one."""
    record = {"cuda": tuning.GPU, "tpu": tuning.TPU}[platform]
    monkeypatch.setattr(tuning, "here", lambda: record)
    jax.clear_caches()
    problem, model = (
        Problem(rnn.CELLS[cell], "float32"),
        Model(charlm.Config(V, cell, H), "float32"),
    )
    rows = [(values(rnn.unroll), problem), (gradient(rnn.unroll, *OPTIONS["all"]), problem)]
    rows += [(gradient(rnn.unroll_parallel), problem), (rtrl("unroll_rtrl"), problem)]
    with jax.enable_x64(False):
        for row, case in [*rows, (train_step(), model)]:
            function, *shapes = row(case)
            lowers(function, *shapes, platforms=(platform,))
    jax.clear_caches()
