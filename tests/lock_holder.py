"""A process that holds the lock of a run, as one that trains does."""

import signal
import subprocess
import sys
from contextlib import contextmanager

HOLDER = """
import sys
from jaxrnn.charlm.lock import lock
lock(sys.argv[1])
assert "jax" not in sys.modules
print("held", flush=True)
sys.stdin.read()
"""


@contextmanager
def held_by_another(folder):
    """The process; it is killed at the end."""
    command = [sys.executable, "-c", HOLDER, str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout.readline() == b"held\n"
            yield process
        finally:
            process.send_signal(signal.SIGKILL)
