"""However a batch is divided, over devices, processes and parts, training is that of one device."""

import os
import socket
import subprocess
import sys

import division
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from oracles import random_params

from jaxrnn import charlm
from jaxrnn.charlm.placement import make_mesh, whole
from jaxrnn.optimizers import OPTIMIZERS, make_optimizer, make_schedule

TOLERANCE = {"float32": 1e-5, "float64": 1e-10}


def follows(found, expected, dtype):
    (losses, _, value), (expected_losses, _, expected_value) = found, expected
    assert losses.shape == (division.STEPS,)
    assert losses.dtype == dtype
    assert losses[-10:].mean() < 0.8 * losses[:10].mean()  # it learns something
    np.testing.assert_allclose(losses, expected_losses, rtol=TOLERANCE[dtype], atol=0)
    np.testing.assert_allclose(value, expected_value, rtol=TOLERANCE[dtype])


def check_followed(dtype, devices, accumulate, cell):
    found = division.run(dtype, devices, accumulate, cell=cell)
    expected = division.run(dtype, cell=cell)
    follows(found, expected, dtype)
    if dtype == "float64":
        for a, b in zip(*(jax.tree.leaves(end) for _, end, _ in (found, expected)), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize(
    "mesh",
    [
        2,
        jax.make_mesh((2,), ("batch",), devices=jax.devices()[:2]),
        jax.make_mesh((2,), ("streams",), devices=jax.devices()[:2]),  # its axis is explicit
    ],
    ids=["a number", "another axis", "an explicit axis"],
)
def test_what_is_no_mesh_of_ours_is_said(mesh):
    config = charlm.Config(vocab_size=3, cell="elman", hidden_size=4, num_layers=1)
    params = random_params(config)
    with pytest.raises(TypeError, match=r"mesh: expected a mesh of charlm\.make_mesh\(devices\)"):
        charlm.make_train_windows(config, make_optimizer("sgd", 0.1), 2, 1, mesh=mesh)
    with pytest.raises(TypeError, match=r"^evaluate: mesh: expected a mesh of charlm\.make_mesh"):
        charlm.evaluate(config, params, np.arange(9) % 3, mesh=mesh)


@pytest.mark.parametrize("dtype", ["blah", "int8", 3])
def test_a_compute_dtype_that_is_none_is_said(dtype):
    config = charlm.Config(vocab_size=3, cell="elman", hidden_size=4, num_layers=1)
    with pytest.raises(TypeError, match=r"^make_train_step: compute_dtype: expected a floating"):
        charlm.make_train_step(config, make_optimizer("sgd", 0.1), compute_dtype=dtype)


# Two devices without parts, and in float32, are in test_training and below in mixed precision.
@pytest.mark.parametrize(
    ("dtype", "devices", "accumulate"),
    [pytest.param("float32", 2, 1, marks=pytest.mark.slow), ("float64", 2, 4)],
)
def test_a_divided_batch_follows_the_whole_one(dtype, devices, accumulate):
    check_followed(dtype, devices, accumulate, "elman")


# Not with layer norm: of a carry that starts over from zero it divides by next to nothing, and in
# these 100 steps rounding grows a hundred thousand times.
@pytest.mark.slow
@pytest.mark.parametrize("cell", ["gru", "lstm"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("devices", "accumulate"), [(2, 1), (1, 2), (1, 4), (1, 8), (2, 2), (2, 4)]
)
def test_every_division_follows_the_whole_batch(dtype, devices, accumulate, cell):
    check_followed(dtype, devices, accumulate, cell)


def in_processes(processes, devices, folder):
    """What each of some processes found."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    outs = [folder / f"{process}.npz" for process in range(processes)]
    running = [
        subprocess.Popen(
            [
                sys.executable, division.__file__, address, str(processes), str(process),
                str(devices), str(out),
            ],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            stderr=subprocess.PIPE,
            text=True,
        )
        for process, out in enumerate(outs)
    ]  # fmt: skip
    try:
        for process in running:
            _, errors = process.communicate(timeout=300)
            assert process.returncode == 0, errors
    finally:
        for process in running:
            process.kill()
    return [dict(np.load(out)) for out in outs]


@pytest.mark.parametrize(
    ("processes", "devices"),
    [
        pytest.param(2, 2, marks=pytest.mark.slow),  # the ordinary run trains so by command
        pytest.param(2, 4, marks=pytest.mark.slow),
        pytest.param(1, 4, marks=pytest.mark.slow),
    ],
)
def test_processes_follow_the_single_device(processes, devices, tmp_path):
    all_found = in_processes(processes, devices, tmp_path)
    for dtype, accumulate in (("float32", 1), ("float64", 2)):
        expected = division.run(dtype)
        for found in all_found:
            this = f"{dtype}-{accumulate}"
            follows((found[f"{this}-losses"], None, found[f"{this}-value"]), expected, dtype)
            if dtype == "float64":
                state, carry = expected[1]
                for index, leaf in enumerate(jax.tree.leaves((state.params, carry))):
                    np.testing.assert_allclose(
                        found[f"{this}-{index}"], leaf, rtol=1e-8, atol=1e-10
                    )
    for found in all_found:
        assert found["answers"].tolist() == [True, processes == 2, False]
    for name, array in all_found[0].items():
        np.testing.assert_array_equal(array, all_found[-1][name], err_msg=name)


def test_streams_of_the_same_text_draw_masks_of_their_own():
    """One mask for both streams of a device, or the same masks on both devices, would do it too."""
    config, optimizer, streams, _ = division.parts(0.5)
    same = np.repeat(streams[:1], 4, axis=0)
    for devices in (1, 2):
        mesh = make_mesh(devices)
        params = random_params(config, dtype=jnp.float32)
        state = charlm.initial_state(params, optimizer)
        carry = charlm.zero_carry(config, params, 4)
        train = charlm.make_train_windows(config, optimizer, 8, 1, mesh=mesh)
        _, carry, _ = train(state, carry, same, 1, jax.random.key(0))
        tops = {row.tobytes() for row in np.asarray(whole(mesh, carry)[1].h)}
        assert len(tops) == 4


def test_a_step_in_parts_is_the_step():
    config, optimizer, streams, _ = division.parts()
    tokens = streams[:, : division.LENGTH + 1].T.astype(np.int32).reshape(-1, 4, 2)
    params = random_params(config)
    state, carry = (
        charlm.initial_state(params, optimizer),
        charlm.zero_carry(config, params, (4, 2)),
    )
    ends = []
    for accumulate in (1, 4):
        step = charlm.make_train_step(config, optimizer, accumulate=accumulate)
        ends.append(step(state, carry, tokens[:-1], tokens[1:], jax.random.key(2)))
    for end in ends[1:]:
        for a, b in zip(jax.tree.leaves(end), jax.tree.leaves(ends[0]), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)


def test_parts_take_a_part_of_the_memory():
    config = charlm.Config(20, "gru", hidden_size=32, num_layers=2)
    optimizer = make_optimizer("sgd", 0.1)
    tokens = jnp.zeros((41, 64), jnp.int32)

    def temporaries(accumulate):
        step = charlm.make_train_step(config, optimizer, accumulate=accumulate)
        state, carry = jax.eval_shape(first)
        lowered = step.lower(state, carry, tokens[:-1], tokens[1:])
        return lowered.compile().memory_analysis().temp_size_in_bytes

    def first():
        params = random_params(config, dtype=jnp.float32)
        return charlm.initial_state(params, optimizer), charlm.zero_carry(config, params, 64)

    assert temporaries(8) < 0.3 * temporaries(1)


def test_parts_that_do_not_divide_the_batch_are_refused():
    config, optimizer, streams, _ = division.parts()
    params = random_params(config, dtype=jnp.float32)
    state, carry = charlm.initial_state(params, optimizer), charlm.zero_carry(config, params, 8)
    for devices, accumulate in ((1, 3), (2, 8)):
        train = charlm.make_train_windows(
            config, optimizer, 8, 1, mesh=make_mesh(devices), accumulate=accumulate
        )
        with pytest.raises(ValueError, match="batch size: expected a multiple of"):
            train(state, carry, streams, 1, jax.random.key(0))
    step = charlm.make_train_step(config, optimizer, accumulate=2)
    tokens, carry = jnp.zeros(8, jnp.int32), charlm.zero_carry(config, params, ())
    with pytest.raises(ValueError, match="accumulate: expected 1 for a stream without a batch"):
        step(state, carry, tokens, tokens, jax.random.key(0))
    with pytest.raises(ValueError, match="accumulate: expected an integer of at least 1, got 0"):
        charlm.make_train_step(config, optimizer, accumulate=0)


def test_mixed_precision_trains_nearly_as_float32_does():
    losses, (state, carry), _ = division.run(compute_dtype="bfloat16")
    exact, _, _ = division.run()
    assert losses.dtype == np.float32
    assert carry[0].h.dtype == jnp.bfloat16
    kept = {leaf.dtype.name for leaf in jax.tree.leaves((state.params, state.opt_state))}
    assert kept == {"float32", "int32"}
    np.testing.assert_allclose(losses, exact, rtol=0.03)
    assert (losses != exact).any()
    divided, _, _ = division.run(devices=2, accumulate=2, compute_dtype="bfloat16")
    np.testing.assert_allclose(divided, losses, rtol=0.01)


def test_an_update_too_small_for_bfloat16_is_not_lost():
    """A thousandth of 2⁻⁸ a step: in bfloat16 a weight of 1 would stay there for ever."""
    config, _, streams, _ = division.parts(0.0)
    optimizer = make_optimizer("adam", 2**-8 / 1000)
    drawn = random_params(config, dtype=jnp.float32)
    ones = drawn._replace(w_hy=jax.device_put(np.ones(drawn.w_hy.shape, np.float32)))

    def trained(params, compute_dtype):
        state = charlm.initial_state(params, optimizer)
        carry = charlm.zero_carry(config, params, division.BATCH, dtype=compute_dtype)
        train = charlm.make_train_windows(
            config, optimizer, division.LENGTH, 20, compute_dtype=compute_dtype
        )
        state, _, _ = train(state, carry, streams, 20)
        return np.asarray(state.params.w_hy, np.float32)

    rounded = jax.tree.map(lambda leaf: jax.device_put(np.asarray(leaf).astype(jnp.bfloat16)), ones)
    assert (trained(rounded, None) == 1).all()
    ones = jax.tree.map(jnp.copy, ones)
    moved = trained(ones, jnp.bfloat16)
    assert 10 * 2**-8 / 1000 < np.abs(moved - 1).max() < 2**-8


def test_a_carry_in_another_dtype_is_named():
    config, optimizer, streams, _ = division.parts()
    params = random_params(config, dtype=jnp.float32)
    state, carry = charlm.initial_state(params, optimizer), charlm.zero_carry(config, params, 8)
    train = charlm.make_train_windows(config, optimizer, 8, 1, compute_dtype=jnp.bfloat16)
    with pytest.raises(TypeError, match=r"carry: expected bfloat16, the compute_dtype, .*dtype="):
        train(state, carry, streams, 1, jax.random.key(0))


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_is_strict(name):
    config = charlm.Config(5, "elman", hidden_size=3, num_layers=1)
    schedule = make_schedule("cosine", 0.01, total_steps=9, steps_per_epoch=3, warmup_steps=3)
    decay = 0.1 if name == "adamw" else 0.0
    optimizer = make_optimizer(name, schedule, weight_decay=decay, clip_norm=1.0, clip_value=1.0)
    params = random_params(config, dtype=jnp.float32)
    state, carry = charlm.initial_state(params, optimizer), charlm.zero_carry(config, params, 2)
    step = charlm.make_train_step(config, optimizer)
    assert jax.config.jax_numpy_dtype_promotion == "strict"
    tokens = jnp.zeros((3, 2), jnp.int32)
    after = jax.eval_shape(step, state, carry, tokens, tokens)
    assert jax.tree.map(lambda leaf: leaf.dtype, after[0]) == jax.tree.map(
        lambda leaf: leaf.dtype, state
    )
