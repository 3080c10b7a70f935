"""The command `jaxrnn`, and `python -m jaxrnn`."""

import os
import sys

from jaxrnn.command_line import stop_requests


def run() -> int:
    """Runs the command line of this process; its exit code."""
    stop_requests.end_at_once()  # what is imported from here on may take a second
    from jaxrnn.command_line import main, standard_streams

    standard_streams.prepare()
    if os.path.expanduser("~") == "~":
        # A container's user without HOME and name, where asking for the home folder is an error
        # that Bokeh does not expect. This is what Debian calls the home of those who have none.
        os.environ["HOME"] = "/nonexistent"
    return main()


if __name__ == "__main__":
    sys.exit(run())
