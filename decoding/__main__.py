"""`python -m decoding COMMAND`."""

import sys

from decoding.command import main

if __name__ == "__main__":
    sys.exit(main())
