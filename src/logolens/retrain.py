"""``python -m logolens.retrain``: the command ``logolens retrain`` under the old script's kind of name."""

import sys

from logolens.cli import main

if __name__ == "__main__":
    sys.exit(main(["retrain", *sys.argv[1:]]))
