"""``python -m logolens.classify``: the command ``logolens classify`` under the old script's kind of name."""

import sys

from logolens.cli import main

if __name__ == "__main__":
    sys.exit(main(["classify", *sys.argv[1:]]))
