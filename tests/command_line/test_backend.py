"""`--device` and `--deterministic`: passed on by every command, before JAX has its devices."""

import os
import subprocess
import sys

import jax
import pytest

from jaxrnn.command_line import COMMANDS, backend, main

TINY = """--rnn-size 8 --num-layers 1 --model elman --seq-length 10 --batch-size 4
    --max-steps 12 --print-every 4 --sample-length 20""".split()  # noqa: SIM905
# What a command needs beside --device to come as far as JAX.
NEEDS = {
    "train": (),
    "sample": ("no-run",),
    "evaluate": ("no-run",),
    "export": ("no-run", "model.onnx"),
    "import": ("no-file.safetensors",),
    "gradcheck": ("--cell", "elman", "--length", "1"),
    "show": ("no-run",),
    "demo": ("counting",),
}


@pytest.fixture(autouse=True)
def _as_it_was(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    before = jax.config.jax_platforms
    yield
    jax.config.update("jax_platforms", before)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_passes_the_device_on_before_all_else(command, monkeypatch, capsys):
    told = []

    def stop(command, device):
        told.append((command, device))
        raise ValueError("that is enough")

    monkeypatch.setattr(backend, "configure", lambda *arguments: told.append(arguments))
    monkeypatch.setattr(backend, "check", stop)
    if command == "gradcheck":
        assert main([command, *NEEDS[command], "--device", "cpu"]) == 0
        assert told == [("cpu",)]
        return
    assert main([command, *NEEDS[command], "--device", "gpu"]) == 2
    assert "that is enough" in capsys.readouterr().err
    (configured, *_), checked = told
    assert configured == "gpu"
    assert checked == (command, "gpu")


@pytest.mark.parametrize("command", ["train", "sample", "evaluate"])
def test_deterministic_is_passed_on(command, monkeypatch, capsys):
    told = []
    monkeypatch.setattr(backend, "check", lambda *arguments: 1 / 0)
    monkeypatch.setattr(backend, "configure", lambda *arguments: told.append(arguments))
    main([command, *NEEDS[command], "--deterministic"])
    main([command, *NEEDS[command]])
    assert told == [(None, True), (None, False)]


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("device", ["gpu", "tpu"])
def test_a_device_that_is_not_there(command, device, capsys):
    if jax.default_backend() != "cpu":
        pytest.skip("there is one")
    assert main([command, *NEEDS[command], "--device", device]) == 2
    error = capsys.readouterr().err
    expected = "what JAX finds here: cpu" if command != "gradcheck" else "cpu, on which"
    assert f"{command}: --device: expected {expected}" in error
    assert f"got {device}." in error
    assert len(error.splitlines()) == 1


def test_a_device_that_nobody_has(capsys):
    with pytest.raises(SystemExit):
        main(["train", "--device", "cuda"])
    assert "invalid choice: 'cuda'" in capsys.readouterr().err


def test_jax_had_started_on_another_device(monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    with pytest.raises(ValueError, match=r"expected gpu, on which JAX had started .* got cpu"):
        backend.check("train", "cpu")


@pytest.mark.integration
def test_the_option_comes_before_jax_and_stands_against_the_environment(tmp_path):
    """JAX would look for a TPU here and fail, were it not told otherwise in time.

    And a jaxlib that does not know the flag of `--deterministic` would end the process.
    """
    (tmp_path / "bottles.txt").write_text("".join(f"{n} green bottles, \n" for n in range(150)))
    arguments = ["train", "bottles.txt", "--out", "run", *TINY, "--max-minutes", "1e-6"]
    flags = f"{os.environ.get('XLA_FLAGS', '')} {backend.DETERMINISTIC}"
    done = subprocess.run(
        [sys.executable, "-m", "jaxrnn", *arguments, "--device", "cpu", "--deterministic"],
        env=os.environ | {"JAX_PLATFORMS": "tpu", "XLA_FLAGS": flags},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "jaxrnn train --out run --resume --device cpu --deterministic goes on." in done.stdout


@pytest.mark.parametrize(
    ("plugins", "platform"),
    [([], "cuda"), (["jax_cuda13_plugin"], "cuda"), (["jax_plugins.xla_rocm7"], "rocm")],
)
def test_a_gpu_is_what_its_plugin_says(plugins, platform, monkeypatch):
    points = [type("Point", (), {"value": name}) for name in ["another_plugin", *plugins]]
    monkeypatch.setattr(backend, "entry_points", lambda group: points)
    assert backend.platform("gpu") == platform
    backend.configure("gpu")
    assert jax.config.jax_platforms == f"{platform},cpu"
    backend.configure("tpu")
    assert jax.config.jax_platforms == "tpu,cpu"
    backend.configure("cpu")
    assert jax.config.jax_platforms == "cpu"


def test_deterministic_sets_the_flag_where_a_gpu_may_be_used(monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", "--xla_cpu_enable_fast_math=false")
    monkeypatch.setattr(backend, "_gpu_plugins", lambda: [])
    backend.configure(None, True)
    monkeypatch.setattr(backend, "_gpu_plugins", lambda: ["jax_plugins.xla_cuda13"])
    backend.configure("cpu", True)
    backend.configure("gpu", False)
    assert os.environ["XLA_FLAGS"] == "--xla_cpu_enable_fast_math=false"
    backend.configure("gpu", True)
    assert os.environ["XLA_FLAGS"] == f"--xla_cpu_enable_fast_math=false {backend.DETERMINISTIC}"
