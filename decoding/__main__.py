"""`python -m decoding "a prompt"`, or another command."""

import sys

from decoding.console.main import main

if __name__ == "__main__":
    sys.exit(main())
