"""The loops as TPU kernels: interpreted they are the scans, and they lower for a TPU on a CPU."""

import dataclasses
import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.experimental.pallas import tpu as pltpu
from oracles import OPTIONS, cells, random_options, random_problem, worst_relative

import jaxrnn as rnn
from jaxrnn.networks.ways import Way, run
from jaxrnn.recurrence import bptt, sequences, tpu_kernel, unroll_cell
from jaxrnn.recurrence.step_programs import StepProgram

# Two tiles and three blocks, the last of each cut off: B = 10 by tiles of 8, T = 11 by blocks of 4.
T, B, H = 11, 10, 5


def interpreted(
    cell, *arguments, interpret=True, rows=8, steps=4, chunk_length=None, recompute=False, **given
):
    """`unroll` by the kernel, run by Pallas' interpreter."""
    kernel = tpu_kernel.Kernel(interpret=interpret, rows=rows, steps=steps)
    options = {"chunk_length": chunk_length, "recompute": recompute, "loop": kernel}
    return run(Way("unroll", unroll_cell, tuple(options.items())), cell, *arguments, **given)


def everything(unroll, network, problem, **given):
    """Outputs and the gradients of params, carry and, where they are numbers, inputs."""
    wanted = (0, 1) if jnp.issubdtype(problem[2].dtype, jnp.integer) else (0, 1, 2)

    def loss(*arguments):
        last, hs = unroll(network, *arguments, **given)
        weights = jnp.cos(jnp.arange(hs.size, dtype=jnp.float32)).reshape(hs.shape)
        total = jnp.sum(weights * hs.astype(jnp.float32) ** 2)
        return total + sum(
            jnp.sum(jnp.sin(c.astype(total.dtype))) for c in jax.tree.leaves(last)
        ), (
            last,
            hs,
        )

    (_, outputs), gradients = jax.jit(jax.value_and_grad(loss, wanted, has_aux=True))(*problem)
    return jax.tree.map(lambda a: np.asarray(a).astype(np.float64), (outputs, gradients))


def assert_same(network, problem, bound=1e-12, kernel=interpreted, **given):
    found = everything(kernel, network, problem, **given)
    worst = worst_relative(found, everything(rnn.unroll, network, problem, **given))
    assert worst <= bound


def lowered(platform, network, *arguments, backend="kernel", **given):
    """The text of `unroll`'s gradient, lowered for a platform that is not there."""

    def total(*arguments):
        last, hs = rnn.unroll(network, *arguments, backend=backend, **given)
        return sum(jnp.sum(a.astype(jnp.float32)) for a in jax.tree.leaves((last, hs)))

    program = jax.jit(jax.grad(total, (0, 1))).trace(*arguments)
    return program.lower(lowering_platforms=(platform,)).as_text()


def problem_of(name, **sizes):
    return random_problem(name, **({"length": T, "batch": (B,), "hidden": H} | sizes))


@pytest.mark.parametrize("name", cells("lstm", "elman_relu"))
def test_the_kernel_is_the_scan(name):
    assert_same(rnn.CELLS[name], problem_of(name))


@pytest.mark.parametrize("name", cells("gru"))
def test_with_lengths_resets_masks_and_direction(name):
    problem = problem_of(name)
    given = random_options(name, OPTIONS, *problem[:2], T, (B,))
    assert_same(rnn.CELLS[name], problem, **given)


@pytest.mark.parametrize("name", cells("elman"))
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_in_the_dtypes_of_a_tpu(name, dtype):
    """In bfloat16 too, since both round at the same places."""
    kernel = functools.partial(interpreted, rows=16)
    assert_same(rnn.CELLS[name], problem_of(name, dtype=dtype), 2e-6, kernel)


@pytest.mark.parametrize("name", cells())
def test_without_a_gradient_only_h_leaves_the_kernel(name):
    problem = problem_of(name)
    found = jax.jit(functools.partial(interpreted, rnn.CELLS[name]))(*problem)
    assert worst_relative(found, rnn.unroll(rnn.CELLS[name], *problem)) < 1e-12


@pytest.mark.parametrize(
    ("batch", "given"),
    [
        ((), {"recompute": True}),
        pytest.param((2, 3), {"chunk_length": 4}, marks=pytest.mark.slow),
        pytest.param((1,), {"steps": 32, "rows": 128}, marks=pytest.mark.slow),
        pytest.param((16,), {"steps": 1, "rows": None}, marks=pytest.mark.slow),
    ],
    ids=str,
)
def test_any_batch_tile_and_block(batch, given):
    sizes = {name: given[name] for name in ("rows", "steps") if name in given}
    given = {name: value for name, value in given.items() if name not in sizes}
    kernel = functools.partial(interpreted, **sizes)
    assert_same(
        rnn.GRU_RESET_BEFORE, problem_of("gru_reset_before", batch=batch), 1e-12, kernel, **given
    )


@pytest.mark.slow
def test_a_batch_of_no_sequences():
    problem = problem_of("gru", batch=(0,))
    found, expected = (everything(unroll, rnn.GRU, problem) for unroll in (interpreted, rnn.unroll))
    assert jax.tree.map(jnp.shape, found) == jax.tree.map(jnp.shape, expected)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["lstm", "gru"])
def test_token_ids(name):
    assert_same(rnn.CELLS[name], problem_of(name, tokens=True))


@pytest.mark.slow
def test_every_cell_of_a_network():
    net = rnn.Stack([rnn.Bidirectional(rnn.GRU), rnn.LSTM_PROJECTED], dropout=0.3)
    assert_same(net, problem_of(net), dropout_key=jax.random.key(1))


def test_padding_reaches_nothing():
    """NaN in the padding, in the carry of a sequence without steps, and in the tile's last rows."""
    params, carry, xs = problem_of("elman")
    lengths = jnp.asarray([11, 0, 3, 4, 5, 6, 7, 8, 9, 10])
    past = np.arange(T)[:, None] >= np.asarray(lengths)
    bad = jax.tree.map(np.array, (carry, xs))
    bad[0].h[1], bad[1][past] = np.nan, np.nan

    def gradient(carry, xs):
        total = lambda p: jnp.sum(interpreted(rnn.ELMAN, p, carry, xs, lengths=lengths)[1])  # noqa: E731
        return jax.jit(jax.grad(total))(params)

    jax.tree.map(np.testing.assert_array_equal, gradient(*bad), gradient(carry, xs))


def test_a_custom_cell():
    """Whose functions hold arrays, at the top and inside of `jit`, as a kernel may not."""
    scale = np.linspace(0.5, 1.0, H)
    scale_of = lambda x: jnp.broadcast_to(jnp.asarray(scale, x.dtype), x.shape)  # noqa: E731
    squash = jax.jit(lambda pre: jnp.tanh(pre * scale_of(pre)) / scale_of(pre))

    def forward(product, params, carry, a):
        pre = a + product("w_hh", carry.h)
        return type(carry)(squash(pre) * scale_of(pre)), (), pre

    def backward(product_T, params, carry, saved, new, d):
        d_a = d.h * (1 - new.h * new.h) * scale_of(d.h)
        return type(carry)(product_T("w_hh", d_a)), d_a

    mine = dataclasses.replace(rnn.ELMAN, name="scaled", forward=forward, backward=backward)
    problem = problem_of("elman")
    assert_same(mine, problem)
    assert lowered("tpu", mine, *map_to(problem, jnp.float32)).count("tpu_custom_call") == 2


def map_to(tree, dtype):
    return jax.tree.map(lambda a: jax.device_put(np.asarray(a).astype(dtype)), tree)


def shapes_of(name, **sizes):
    return jax.eval_shape(lambda: random_problem(name, **sizes))


def test_what_depends_on_the_weights_alone_is_done_before_the_loop():
    params, carry, xs = problem_of("lstm")
    step, _ = sequences.run_step(rnn.LSTM, params, sequences.Fixed(), carry, sequences.Timed(xs[0]))
    state = (step.after, None)
    inputs = (carry, step, sequences.Timed(None), carry.h)
    body = functools.partial(bptt._step_T, rnn.LSTM)
    program = StepProgram(body, params, sequences.Fixed(), state, inputs)
    assert [w.shape for w in program.shared] == [(4 * H, H)]  # w_hhᵀ, and not w_xh or b_h
    np.testing.assert_array_equal(program.before(params)[0], params.w_hh.T)
    (d_carry, _), left = program.rest([lambda: params.w_hh.T], (sequences.Fixed(), state, inputs))
    expected = body(params, sequences.Fixed(), state, inputs)
    assert worst_relative((d_carry, left), (expected[0][0], expected[1])) < 1e-15


@pytest.mark.slow
def test_by_the_interpreter_that_keeps_memory_as_a_tpu_does():
    """With buffers of their own that begin as NaN: what was not brought is seen."""
    kernel = functools.partial(interpreted, interpret=pltpu.InterpretParams())
    problem = problem_of("gru")
    given = random_options("gru", OPTIONS, *problem[:2], T, (B,))
    assert_same(rnn.GRU, problem, 1e-12, kernel, **given)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["lstm", "gru_reset_before"])
def test_second_derivatives_are_the_scans(name):
    params, carry, xs = problem_of(name)
    given = random_options(name, OPTIONS, params, carry, T, (B,))

    def first(unroll, xs):
        run = functools.partial(unroll, rnn.CELLS[name], params, carry, **given)
        total = lambda xs: jnp.sum(run(xs)[1] ** 2)  # noqa: E731
        return jnp.sum(jax.grad(total)(xs) ** 2)

    found, expected = (
        jax.jit(jax.grad(functools.partial(first, unroll)))(xs)
        for unroll in (interpreted, rnn.unroll)
    )
    assert worst_relative(found, expected) < 1e-12


@pytest.mark.slow
def test_under_vmap():
    params, carry, xs = problem_of("gru")
    several = jax.tree.map(lambda w: jnp.stack([w, 2 * w]), params)

    def gradients(unroll):
        loss = lambda p, x: jnp.sum(unroll(rnn.GRU, p, carry, x)[1] ** 2)  # noqa: E731
        return jax.jit(jax.vmap(jax.grad(loss, (0, 1)), (0, None)))(several, xs)

    assert worst_relative(gradients(interpreted), gradients(rnn.unroll)) < 1e-12


@pytest.mark.slow
def test_inside_shard_map_with_its_checks_on():
    mesh = jax.make_mesh((2,), ("batch",), axis_types=(jax.sharding.AxisType.Auto,))
    whole, by_row = jax.sharding.PartitionSpec(), jax.sharding.PartitionSpec("batch")
    by_time = jax.sharding.PartitionSpec(None, "batch")
    problem = problem_of("gru", batch=(20,))

    def gradient(unroll):
        def part(params, carry, xs):
            hs = unroll(rnn.GRU, params, carry, xs, lengths=jnp.full(xs.shape[1], 7))[1]
            return jax.lax.psum(jnp.sum(jnp.sin(hs)), "batch")

        total = jax.shard_map(part, mesh=mesh, in_specs=(whole, by_row, by_time), out_specs=whole)
        return jax.jit(jax.grad(total, (0, 1, 2)))

    assert worst_relative(gradient(interpreted)(*problem), gradient(rnn.unroll)(*problem)) < 1e-12
    narrow = map_to(problem, jnp.float32)
    by_kernel = gradient(functools.partial(rnn.unroll, backend="kernel")).trace(*narrow)
    assert "tpu_custom_call" in by_kernel.lower(lowering_platforms=("tpu",)).as_text()


@pytest.mark.parametrize("name", cells("lstm"))
@pytest.mark.parametrize("dtype", [jnp.float32, pytest.param(jnp.bfloat16, marks=pytest.mark.slow)])
@pytest.mark.parametrize("options", [(), OPTIONS], ids=["plain", "options"])
def test_lowers_for_a_tpu(name, dtype, options):
    """70 steps by 32 and 200 rows by 128: tile and block as they are chosen, and both cut off."""
    problem = random_problem(name, length=70, batch=(200,), hidden=100, dtype=dtype)
    given = random_options(name, options, *problem[:2], 70, (200,))
    if "reset_carry" in given:
        given["reset_carry"] = map_to(given["reset_carry"], dtype)
    text = lowered("tpu", rnn.CELLS[name], *problem, **given)
    assert text.count("tpu_custom_call") == 2  # forward and backward


def test_token_ids_lower_for_a_tpu():
    """Looked up before the kernel, without a gradient too, where the scan looks up step by step."""
    problem = random_problem("elman", tokens=True, dtype=jnp.float32)
    program = jax.jit(lambda *p: rnn.unroll(rnn.ELMAN, *p, backend="kernel")).trace(*problem)
    assert program.lower(lowering_platforms=("tpu",)).as_text().count("tpu_custom_call") == 1


@pytest.mark.slow
@pytest.mark.parametrize("batch", [(), (2, 3)])
def test_a_network_lowers_for_a_tpu(batch):
    net = rnn.Stack([rnn.Bidirectional(rnn.GRU), rnn.LSTM])
    problem = random_problem(net, batch=batch, dtype=jnp.float32)
    assert lowered("tpu", net, *problem).count("tpu_custom_call") == 6
    assert lowered("tpu", net, *problem, recompute=True).count("tpu_custom_call") > 6


NARROW = random_problem("elman", dtype=jnp.float32)
NO_KERNEL = 'unroll: backend: expected a TPU for "kernel", the only platform that has one, got '


def test_where_a_platform_has_no_kernel():
    with pytest.raises(ValueError, match=NO_KERNEL + 'cpu. Hint: backend="auto"'):
        rnn.unroll(rnn.ELMAN, *NARROW, backend="kernel")
    with pytest.raises(ValueError, match=NO_KERNEL + "cpu. Hint"):
        jax.jit(lambda *p: rnn.unroll(rnn.ELMAN, *p, backend="kernel")[0].h)(*NARROW)
    with pytest.raises(ValueError, match=NO_KERNEL + "cuda. Hint"):
        lowered("cuda", rnn.ELMAN, *NARROW)


def test_automatic_is_the_scan_where_there_is_no_kernel():
    scan, auto = (lowered("cpu", rnn.ELMAN, *NARROW, backend=name) for name in ("scan", "auto"))
    assert auto == scan


def test_automatic_on_a_tpu(monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: "tpu")
    automatic = functools.partial(lowered, backend="auto")
    assert "tpu_custom_call" in automatic("tpu", rnn.ELMAN, *NARROW)
    assert "tpu_custom_call" not in automatic("cpu", rnn.ELMAN, *NARROW)
    wide = random_problem("elman", dtype=jnp.float64)
    assert "tpu_custom_call" not in automatic("tpu", rnn.ELMAN, *wide)
    large = shapes_of("lstm", length=3, hidden=1024, dtype=jnp.float32)
    assert "tpu_custom_call" not in automatic("tpu", rnn.LSTM, *large)


@pytest.mark.parametrize("backend", ["pallas", None, True])
def test_an_unknown_backend(backend):
    with pytest.raises(ValueError, match='unroll: backend: expected "scan", "kernel" or "auto"'):
        rnn.unroll(rnn.ELMAN, *NARROW, backend=backend)


def test_what_the_kernel_cannot_hold():
    large = functools.partial(shapes_of, "lstm", length=3, hidden=1024)
    with pytest.raises(
        ValueError, match=r"fit 12 MiB .* got 16\.\d MiB with 1024 units in float32"
    ):
        lowered("tpu", rnn.LSTM, *large(dtype=jnp.float32))
    assert "tpu_custom_call" in lowered("tpu", rnn.LSTM, *large(dtype=jnp.bfloat16))
    with pytest.raises(ValueError, match=r"expected params in float32 or bfloat16 .* got float64"):
        lowered("tpu", rnn.ELMAN, *random_problem("elman"))


@pytest.mark.parametrize(
    ("shape", "dtype", "tiles"),
    [((8, 128), "float32", 1), ((9, 129), "float32", 4), ((100,), "float32", 1),
     ((16, 128), "bfloat16", 1), ((17, 1), "bfloat16", 2), ((3, 8, 128), "int32", 3)],
)  # fmt: skip
def test_bytes_in_whole_tiles(shape, dtype, tiles):
    assert tpu_kernel._bytes(shape, dtype) == tiles * 4096
    assert tiles * 4096 >= math.prod(shape) * jnp.dtype(dtype).itemsize
