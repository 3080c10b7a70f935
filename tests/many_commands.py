"""Runs many commands one after the other in one process, and watches time and memory of each.

Starting Python and JAX takes a second; two thousand commands would take most of an hour for that.
"""

import contextlib
import io
import json
import os
import re
import select
import subprocess
import sys
import time
from pathlib import Path

import jaxrnn

SECONDS = 20.0
BYTES = 2**30
COMMANDS_A_PROCESS = 150  # JAX keeps what it has compiled


class ManyCommands:
    """Runs commands in a process that is started anew when it hangs, dies or has run enough.

    Args:
        folder: where the process has its current directory and its compilation cache.
        keep_compiled: whether programs stay compiled from one command to the next, which is quick
            where all commands are of one model, and takes memory where they are not.
    """

    def __init__(self, folder, keep_compiled=False):
        self.folder, self.keep_compiled = Path(folder), keep_compiled
        self.child = None

    def run(self, *arguments):
        """{"code", "out", "error", "seconds", "bytes"} of a command; code None where it hung."""
        if self.child is None or self.count == COMMANDS_A_PROCESS:
            self.close()
            self._start()
        self.count += 1
        self.child.stdin.write(json.dumps(list(map(str, arguments))).encode() + b"\n")
        self.child.stdin.flush()
        began = time.monotonic()
        ready, _, _ = select.select([self.child.stdout], [], [], SECONDS)
        line = self.child.stdout.readline() if ready else b""
        if line:
            return json.loads(line)
        seconds = time.monotonic() - began
        self.child.kill()
        code = self.close() if ready else None
        self.close()
        return {"code": code, "out": "", "error": "", "seconds": seconds, "bytes": 0}

    def _start(self):
        self.count = 0
        self.child = subprocess.Popen(
            [sys.executable, __file__, *["keep"] * self.keep_compiled],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=self.folder,
            env={
                **os.environ,
                "PYTHONPATH": str(Path(jaxrnn.__file__).parent.parent),
                "XDG_CACHE_HOME": str(self.folder / "cache"),
            },
        )
        self.child.stdout.readline()

    def close(self):
        """Ends the process; its exit code."""
        if self.child is None:
            return None
        self.child.stdin.close()
        self.child.stdout.close()
        code, self.child = self.child.wait(), None
        return code

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def fault(result):
    """What is wrong with how a command ended, or None: it must succeed or say one sentence."""
    code, error = result["code"], result["error"]
    if code is None:
        return f"still running after {SECONDS:.0f} s"
    if code not in (0, 2, 3):
        return f"exit code {code}: {error}"
    if "Traceback" in error or "Warning" in error:
        return error
    if result["bytes"] > BYTES:
        return f"{result['bytes']:,} bytes"
    # The sentence; before it there may be notes, or argparse's lines on how the command is used.
    sentences = re.findall("^jaxrnn.*: .+", error, re.MULTILINE)
    if (code > 0) != bool(sentences) or (code > 0 and error.splitlines()[-1] not in sentences):
        return f"exit code {code} with: {error!r}"
    return None


def _serve():
    replies = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    import jax

    from jaxrnn.command_line import main

    replies.write(b"\n")
    replies.flush()
    for line in sys.stdin.buffer:
        _forget_peak()
        began = time.monotonic()
        out, error = _stream(), _stream()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(error):
            try:
                code = main(json.loads(line))
            except SystemExit as ended:
                code = ended.code
            except BaseException:
                import traceback

                traceback.print_exc()
                code = 1
        reply = {
            "code": code,
            "seconds": time.monotonic() - began,
            "bytes": _peak(),
            "out": _text(out),
            "error": _text(error),
        }
        replies.write(json.dumps(reply).encode() + b"\n")
        replies.flush()
        if sys.argv[1:] != ["keep"]:
            jax.clear_caches()
        jax.config.update("jax_enable_x64", False)


def _stream():
    """As the command's own process has it, see `standard_streams.prepare`."""
    return io.TextIOWrapper(io.BytesIO(), encoding="utf-8", errors="backslashreplace")


def _text(stream):
    stream.flush()
    return stream.buffer.getvalue().decode()


def _forget_peak():
    with contextlib.suppress(OSError), open("/proc/self/clear_refs", "w") as file:
        file.write("5")


def _peak():
    with contextlib.suppress(OSError), open("/proc/self/status") as file:
        return 1024 * int(re.search(r"VmHWM:\s+(\d+)", file.read())[1])
    return 0


if __name__ == "__main__":
    _serve()
