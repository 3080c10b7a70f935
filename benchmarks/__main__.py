"""`python -m benchmarks SUITE`: measures, prints a table, keeps JSON lines and a picture."""

import sys

from benchmarks.command import main

if __name__ == "__main__":
    sys.exit(main())
