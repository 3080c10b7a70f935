"""The command `jaxrnn`, and `python -m jaxrnn`."""

import sys

from jaxrnn.command_line import stop_requests


def run() -> int:
    """Runs the command line of this process; its exit code."""
    stop_requests.end_at_once()  # what is imported from here on may take a second
    from jaxrnn.command_line import main, standard_streams

    standard_streams.prepare()
    return main()


if __name__ == "__main__":
    sys.exit(run())
