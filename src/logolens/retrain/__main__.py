"""``python -m logolens.retrain``: the command ``logolens retrain`` under the old script's kind of name."""

import sys

from logolens.cli import main

sys.exit(main(["retrain", *sys.argv[1:]]))
