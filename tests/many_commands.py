"""Runs many commands in one child process, each watched for time, memory and what it raises.

    with Commands() as commands:
        result = commands.run(["sample", "RUN"])
        assert not misbehaviour(result)

Starting Python and JAX takes a second; two thousand commands would take most of an hour. The child
is this file, run by itself; it imports JAX once and then does what each line says.
"""

import json
import os
import re
import select
import subprocess
import sys
import time
import traceback
from dataclasses import dataclass
from pathlib import Path

import jaxrnn

SECONDS = 20.0
MEMORY = 2**30  # beyond what the child had before the command
ROOM = 4 * 2**30  # of addresses, beyond what the child had at its start; XLA reserves much


@dataclass
class Result:
    """What a command did; `code` is None where it raised or was killed."""

    code: int | None
    out: str
    err: str
    raised: str
    seconds: float
    memory: int


class Commands:
    """The child; started anew when a command had to be killed, and now and then.

    Args:
        folder: its current folder.
        environment: variables of its environment beside this process's.
        most: commands before it is started anew.
        keep_compiled: whether programs stay compiled from one command to the next, also those that
            train: quick where all commands are of one model, and more memory each time where they
            are not.
    """

    def __init__(self, folder=None, environment=None, most=400, keep_compiled=False):
        self.folder, self.environment, self.most = folder, environment, most
        self.keep_compiled = keep_compiled
        self.child, self.done = None, 0

    def run(self, arguments, seconds=SECONDS):
        """A `Result`."""
        if self.child is None or self.done >= self.most:
            self.stop()
            self.start()
        self.done += 1
        began = time.monotonic()
        self.child.stdin.write(json.dumps(arguments).encode() + b"\n")
        self.child.stdin.flush()
        ready, _, _ = select.select([self.child.stdout], [], [], seconds)
        line = self.child.stdout.readline() if ready else b""
        if not line:
            self.child.kill()
            child, self.child = self.child, None
            child.communicate()
            code = child.returncode
            why = "the process ended" if ready else "it did not end"
            return Result(None, "", "", f"{why} ({code})", time.monotonic() - began, 0)
        return Result(**json.loads(line))

    def start(self):
        # The package under test, also where it is not the installed one.
        package = str(Path(jaxrnn.__file__).parent.parent)
        environment = os.environ | {"PYTHONPATH": package} | (self.environment or {})
        self.child = subprocess.Popen(
            [sys.executable, __file__, *["keep"] * self.keep_compiled],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
            cwd=self.folder,
        )
        assert self.child.stdout.readline() == b"ready\n"
        self.done = 0

    def stop(self):
        if self.child is not None:
            self.child.stdin.close()
            self.child.wait()
            self.child.stdout.close()
            self.child = None

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.stop()


def misbehaviour(result):
    """What is wrong with how a command ended, or ""; right is success, or one sentence."""
    if result.raised:
        return result.raised
    if "Traceback" in result.err or "Exception ignored" in result.err or "Warning" in result.err:
        return result.err
    if result.memory > MEMORY:
        return f"{result.memory / 2**20:,.0f} MiB more"
    if result.seconds > SECONDS:
        return f"{result.seconds:.1f} s"
    if result.code not in (0, 2, 3):
        return f"code {result.code}: {result.err[:1000]}"
    # Before the sentence there may be notes, or argparse's lines on how the command is used.
    lines = result.err.splitlines()
    said = [line for line in lines if re.match("jaxrnn( [a-z]+)?: ", line)]
    if result.code and (len(said) != 1 or lines[-1] != said[0] or len(said[0]) > 5000 + 200):
        return f"not one sentence: {result.err[:3000]}"
    return "" if result.code or not said else f"success, and {said[0]}"


def serve():
    """Reads commands, one per line, and says what became of each."""
    import resource
    import tempfile

    import jax
    from shared_programs import share_programs

    from jaxrnn.command_line import main

    keep_compiled = sys.argv[1:] == ["keep"]
    if keep_compiled:
        share_programs()
    jax.numpy.zeros(1).block_until_ready()
    answers = os.fdopen(os.dup(1), "wb")
    lines = os.fdopen(os.dup(0), "rb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    answers.write(b"ready\n")
    answers.flush()
    limit = _status("VmSize") + ROOM
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    for line in lines:
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            os.dup2(out.fileno(), 1)
            os.dup2(err.fileno(), 2)
            for name, number in (("stdout", 1), ("stderr", 2)):  # as `standard_streams` has them
                text = {"encoding": "utf-8", "errors": "backslashreplace"}
                setattr(sys, name, open(number, "w", closefd=False, **text))  # noqa: SIM115
            with open("/proc/self/clear_refs", "w") as file:
                file.write("5")  # the peak begins anew
            before, began = _status("VmRSS"), time.monotonic()
            code, raised = None, ""
            try:
                code = main(json.loads(line))
            except SystemExit as ended:
                code = ended.code
            except BaseException:
                raised = traceback.format_exc()
            seconds = time.monotonic() - began
            memory = _status("VmHWM") - before
            texts = []
            for stream, file in ((sys.stdout, out), (sys.stderr, err)):
                stream.flush()
                file.seek(0)
                texts.append(file.read().decode("utf-8", "backslashreplace"))
        result = dict(zip(("out", "err"), texts, strict=True), code=code, raised=raised)
        result |= {"seconds": seconds, "memory": memory}
        answers.write(json.dumps(result).encode() + b"\n")
        answers.flush()
        if not keep_compiled:
            jax.clear_caches()
        jax.config.update("jax_enable_x64", False)


def _status(name):
    with open("/proc/self/status") as file:
        return 1024 * next(int(line.split()[1]) for line in file if line.startswith(name))


if __name__ == "__main__":
    serve()
