"""`python -m diagnostics` is the command line."""

import sys

from diagnostics.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
