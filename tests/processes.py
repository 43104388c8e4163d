"""Which processes this one has started, on Linux: what ps prints is cut to the width of a terminal."""

from __future__ import annotations

import os
from pathlib import Path


def children(text: str) -> list[int]:
    """The numbers of this process's children whose command line holds a text."""
    found = []
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            # After the name, which is in brackets and may hold blanks: the state, then the parent.
            parent = int((folder / "stat").read_text("utf-8", "replace").rpartition(")")[2].split()[1])
            command = (folder / "cmdline").read_bytes()
        except OSError:
            continue  # It has ended since.
        if parent == os.getpid() and text.encode() in command:
            found.append(int(folder.name))
    return found
