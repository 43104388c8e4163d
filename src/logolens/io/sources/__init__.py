"""Where images come from: files, folders, lists, archives, web sites and buckets, one by one.

Nothing here opens an image. A source that cannot be read is still a source: its ``read`` says why, so that one bad
name among thousands ends no run.
"""

from __future__ import annotations

from logolens.io.sources.gaps import Gaps
from logolens.io.sources.gathering import gather, reopen
from logolens.io.sources.leftovers import is_leftover
from logolens.io.sources.local import STDIN, expand, left_note, walk
from logolens.io.sources.source import Fetched, Source, Stamp, stamp_of
from logolens.io.sources.videos import Videos

__all__ = [
    "STDIN",
    "Fetched",
    "Gaps",
    "Source",
    "Stamp",
    "Videos",
    "expand",
    "gather",
    "is_leftover",
    "left_note",
    "reopen",
    "stamp_of",
    "walk",
]
