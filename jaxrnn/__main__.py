"""`python -m jaxrnn` is the command `jaxrnn`."""

import sys

from jaxrnn.command_line import main

if __name__ == "__main__":
    sys.exit(main())
