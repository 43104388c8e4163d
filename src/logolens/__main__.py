"""``python -m logolens``."""

import sys

from logolens.cli import main

sys.exit(main())
