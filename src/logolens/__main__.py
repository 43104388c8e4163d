"""``python -m logolens``, and what the command ``logolens`` runs."""

from __future__ import annotations

import sys

__all__ = ["run"]


def run() -> int:
    """Run a command; an interrupt while the command line itself is being loaded ends it quietly, too."""
    try:
        from logolens.cli import main

        return main()
    except KeyboardInterrupt:
        sys.stderr.write("Stopped.\n")
        return 130


if __name__ == "__main__":
    sys.exit(run())
