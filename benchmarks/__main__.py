"""`python -m benchmarks SUITE`: measures, prints a table, keeps JSON lines and a picture."""

import sys

from benchmarks.command import main

if __name__ == "__main__":
    try:
        code = main()
    except KeyboardInterrupt:
        print("stopped; what was measured is kept", file=sys.stderr)
        code = 130
    sys.exit(code)
