"""`jaxrnn sample`: beams, surprise, turns, and options that do not go together."""

import io
import math
import os
import signal
import subprocess
import sys
import threading
import time

import jax
import numpy as np
import pytest

from jaxrnn import charlm
from jaxrnn.charlm import runs
from jaxrnn.command_line import main, surprise_shown

TEXT = "".join(f"{number} green bottles hanging on the wall, \n" for number in range(150))
TINY = """--rnn-size 8 --num-layers 1 --model elman --seq-length 10 --batch-size 4
    --max-steps 12 --print-every 4 --sample-length 20 --dtype float64""".split()  # noqa: SIM905


@pytest.fixture(autouse=True)
def _caches_apart(monkeypatch, tmp_path_factory):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / "cache"))


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    text = tmp_path_factory.mktemp("text") / "bottles.txt"
    text.write_text(TEXT)
    out = tmp_path_factory.mktemp("runs") / "run"
    assert main(["train", str(text), "--out", str(out), *TINY]) == 0
    return str(out)


@pytest.fixture(scope="module")
def sampler(trained):
    """(config, params, vocab) and the carry that `sample` starts from."""
    run = runs.open_run(trained)
    (params, carry), _ = runs.load_sampler(run, pytest.fail)
    return (run.config, params, run.vocab), carry


def sample(capsys, *arguments):
    capsys.readouterr()
    assert main(["sample", *map(str, arguments)]) == 0
    return capsys.readouterr()


def test_a_beam_is_the_librarys(trained, sampler, capsys):
    model, carry = sampler
    found = charlm.beam_search(*model, "9 gr", width=4, length=12, carry=carry)
    texts = [f"9 gr{beam.written.text}\n" for beam in found]
    options = (trained, "--prime", "9 gr", "--length", 12, "--beam", 4)
    assert sample(capsys, *options).out == texts[0]
    three = "".join(f"--- {n} ---\n{text}" for n, text in enumerate(texts[:3], 1))
    assert sample(capsys, *options, "--count", 3).out == three
    greedy = sample(capsys, trained, "--prime", "9 gr", "--length", 12, "--greedy").out
    assert sample(capsys, *options[:-1], 1).out == greedy
    stopped = sample(capsys, *options, "--stop", texts[0][-4:-2]).out
    assert stopped.rstrip("\n") in texts[0]


def test_surprise_is_a_table_where_there_is_no_terminal(trained, sampler, capsys):
    model, carry = sampler
    options = (trained, "--prime", "9", "--length", 60)
    text = sample(capsys, *options).out[1:-1]
    head, *rows = sample(capsys, *options, "--surprise").out.splitlines()
    assert head == "token\tnats"
    tokens, nats = zip(*(row.split("\t") for row in rows), strict=True)
    assert "".join(tokens).replace("\\n", "\n") == text
    ids = model[2].encode("9" + text)
    _, logits = charlm.apply(*model[:2], carry, ids[:-1])
    expected = charlm.nats(logits, ids[1:])
    np.testing.assert_allclose(np.array(nats, float), expected, atol=1e-4)
    two = sample(capsys, *options, "--count", 2).out.split("--- 2 ---\n9")[1]
    rows = sample(capsys, *options, "--count", 2, "--surprise").out.split("--- 2 ---\n")[1]
    tokens = [row.split("\t")[0] for row in rows.splitlines()[1:]]
    assert "".join(tokens).replace("\\n", "\n") == two[:-1]
    assert (
        sample(capsys, *options[:3], "--surprise", "--beam", 3, "--length", 5).out.count("\t") == 6
    )


def test_surprise_is_colours_on_a_terminal(trained, capsys, monkeypatch):
    options = (trained, "--prime", "9", "--length", 60)
    text = sample(capsys, *options).out
    monkeypatch.setattr(surprise_shown, "has_colours", lambda stream: True)
    shown = sample(capsys, *options, "--surprise")
    assert "surprise in nats" in shown.err
    coloured = shown.out
    assert "\x1b[38;5;16;48;5;222m" in coloured
    for part in ("\x1b[0m", *(f"\x1b[38;5;16;48;5;{n}m" for _, n in surprise_shown.COLOURS)):
        coloured = coloured.replace(part, "")
    assert coloured.replace(" \n", "\n") == text.replace(" \n", "\n")


def test_colours_of_surprise():
    scored = charlm.Scored(("a", "\n", "b", "\t"), np.arange(4), np.array([0.1, 7, 1.5, math.inf]))
    assert surprise_shown.in_colours(scored) == (
        "a\x1b[38;5;16;48;5;203m \x1b[0m\n\x1b[38;5;16;48;5;229mb\x1b[0m"
        "\x1b[38;5;16;48;5;203m\t\x1b[0m"
    )
    assert surprise_shown.as_table(scored) == "a\t0.1000\n\\n\t7.0000\nb\t1.5000\n\\t\tinf\n"
    bytes_ = charlm.Scored(("", "é", "", "\ufffda"), np.array([195, 169, 195, 97]), np.zeros(4))
    rows = surprise_shown.as_table(bytes_, charlm.ByteVocab().labels).splitlines()
    assert [row.split("\t")[0] for row in rows] == ["\\xc3", "é", "\\xc3", "a"]
    hidden = charlm.Scored(("\x1b", "\u2028\\", "é "), np.arange(3), np.zeros(3))
    rows = surprise_shown.as_table(hidden).splitlines()
    assert [row.split("\t")[0] for row in rows] == ["\\x1b", "\\u2028\\\\", "é "]


def test_a_terminal_may_ask_for_no_colours(monkeypatch):
    terminal = io.StringIO()
    terminal.isatty = lambda: True
    for name in ("NO_COLOR", "TERM"):
        monkeypatch.delenv(name, raising=False)
    assert surprise_shown.has_colours(terminal)
    assert not surprise_shown.has_colours(io.StringIO())
    monkeypatch.setenv("NO_COLOR", "1")
    assert not surprise_shown.has_colours(terminal)
    monkeypatch.setenv("NO_COLOR", "")
    monkeypatch.setenv("TERM", "dumb")
    assert not surprise_shown.has_colours(terminal)


def converse(capsys, monkeypatch, trained, lines, *options):
    monkeypatch.setattr(sys, "stdin", io.StringIO(lines))
    return sample(capsys, trained, "--interactive", *options)


GREEDY = ("--temperature", 0, "--length", 30)


def greedy(sampler, prime, length=30):
    model, carry = sampler
    key = jax.random.key(0)
    return charlm.sample(*model, key, prime=prime, length=length, temperature=0, carry=carry)


def test_turns_carry_the_text_on(trained, sampler, capsys, monkeypatch):
    said = converse(capsys, monkeypatch, trained, "9 gr\n\nwall\\\n8", *GREEDY)
    text, turns = "\n", []
    for typed, length in (("9 gr", 30), ("", 30), ("wall\n8", 30)):
        text += typed
        turns.append(greedy(sampler, text, length))
        text += turns[-1]
    assert said.out == "".join(f"{turn}\n" for turn in turns)
    assert said.err == ""


def test_a_turn_obeys_and_names_what_it_does_not_know(trained, sampler, capsys, monkeypatch):
    lines = "9 \xe9\n9 gr\n:reset\n:length 5\n9 gr\n:temperature warm\n:temperature -1\n"
    lines += ":length 2.5\n:lenght 3\n:help\n::\n:reset\n:temperature 1.5\n9 gr\n"
    said = converse(capsys, monkeypatch, trained, lines, *GREEDY)
    first = greedy(sampler, "\n9 gr")
    assert said.out.startswith(f"{first}\n{first[:5]}\n")
    drawn = said.out.removeprefix(f"{first}\n{first[:5]}\n")
    assert len(drawn) == 6
    assert drawn[:5] != first[:5]
    *errors, tail = said.err.splitlines()
    assert errors[0].startswith("not read: expected the ")
    assert "'\xe9' in '9 \xe9'" in errors[0]
    assert ":temperature: expected a number, got 'warm'." in errors
    assert "temperature: expected a number from 0 up, got -1.0." in errors
    assert "length: expected an integer, got 2.5." in errors
    assert "expected one of :temperature X, :length N, :reset, :help, got ':lenght 3'." in errors
    assert tail.startswith("not read: expected the ")
    assert "':' in ':'" in tail
    assert "Traceback" not in said.err


def test_turns_take_a_stop_a_prime_and_surprise(trained, sampler, capsys, monkeypatch):
    whole = greedy(sampler, "9 gr", 30)
    stop = whole[10:12]
    before = whole.partition(stop)[0]
    options = (*GREEDY, "--prime", "9 ", "--stop", stop)
    said = converse(capsys, monkeypatch, trained, "gr\n", *options)
    assert said.out == f"{before}\n"
    said = converse(capsys, monkeypatch, trained, "gr\n", *options, "--surprise")
    assert said.out.count("\t") == len(before)


@pytest.fixture
def _interrupts_heeded():
    """A shell starts what it puts in the background with SIGINT ignored, also in its children."""
    before = signal.getsignal(signal.SIGINT)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.integration
@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX systems")
@pytest.mark.usefixtures("_interrupts_heeded")
def test_ctrl_c_stops_the_writing_and_not_the_session(trained):
    """Of 10 million characters that the first turn would be, which takes a minute or more."""
    child = subprocess.Popen(
        [sys.executable, "-m", "jaxrnn", "sample", trained, "--interactive", "--length", "1e7"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    stopper = threading.Timer(120, child.kill)
    stopper.start()
    child.stdin.write("9 gr\n")
    child.stdin.flush()
    assert len(child.stdout.read(40)) == 40
    child.send_signal(signal.SIGINT)
    time.sleep(0.5)
    child.stdin.write(":length 20\n:reset\n9 gr\n")
    out, error = child.communicate()
    stopper.cancel()
    assert child.returncode == 0
    assert error == ""
    assert len(out) > 21
    assert out[-22] == "\n"


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ("--beam 0", "--beam: expected at least 1"),
        ("--count 0", "--count: expected at least 1"),
        ("--count -1 --interactive", "--count: expected at least 1"),
        ("--beam 4 --temperature 0.5", "--temperature: expected no such option beside --beam"),
        ("--beam 4 --temperature 0", "--temperature: expected no such option beside --beam"),
        ("--beam 4 --top-k 3", "--top-k: expected no such option beside --beam"),
        ("--beam 4 --top-p 0.5", "--top-p: expected no such option beside --beam"),
        ("--beam 4 --greedy", "--greedy: expected no such option beside --beam"),
        ("--beam 4 --sample 1", "--sample: expected no such option beside --beam"),
        ("--beam 4 --seed 0", "--seed: expected no such option beside --beam"),
        ("--beam 4 --interactive", "--interactive: expected no such option beside --beam"),
        ("--beam 4 --count 5", "--count: expected at most the 4 of --beam, got 5"),
        ("--beam 4 --prime ", "--prime: expected at least one character"),
        ("--interactive --count 2", "--count: expected no such option beside --interactive"),
        ("--interactive --prime -", "--prime: expected a text beside --interactive"),
        ("--interactive --temperature -1", "--temperature: expected a number from 0 up"),
        ("--stop z!", "--stop: expected the "),
    ],
)
def test_options_that_do_not_go_together(trained, capsys, options, named):
    assert main(["sample", trained, *options.split(" ")]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"jaxrnn: sample: {named}")
    assert len(error.splitlines()) == 1


@pytest.mark.integration
@pytest.mark.skipif(os.name != "posix", reason="terminals of POSIX systems")
@pytest.mark.usefixtures("_interrupts_heeded")
def test_ctrl_c_at_the_prompt_of_a_terminal_asks_again_and_ctrl_d_ends(trained):
    import pty

    try:
        ours, theirs = pty.openpty()
    except OSError:
        pytest.skip("there are no pseudo-terminals here")
    child = subprocess.Popen(
        [sys.executable, "-m", "jaxrnn", "sample", trained, "--interactive", "--length", "20"],
        stdin=theirs,
        stdout=theirs,
        stderr=subprocess.PIPE,
        text=True,
    )
    os.close(theirs)
    stopper = threading.Timer(120, child.kill)
    stopper.start()

    def until_prompt():
        seen = b""
        while not seen.endswith(b"> "):
            seen += os.read(ours, 1000)
        return seen.decode()

    until_prompt()
    os.write(ours, b"9 zz")
    time.sleep(0.1)
    child.send_signal(signal.SIGINT)
    until_prompt()
    os.write(ours, b"9 gr\n")
    assert len(until_prompt().removeprefix("9 gr").replace("\r\n", "\n").strip("\n")) >= 20
    os.write(ours, b"\x04")
    _, error = child.communicate()
    stopper.cancel()
    os.close(ours)
    assert child.returncode == 0
    assert error.startswith("Type a text")
    assert "Traceback" not in error
    assert "not read" not in error
