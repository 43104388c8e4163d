"""Labelled photos: read from folders and tables, held against what is odd, and divided without leaks."""

from __future__ import annotations

from logolens.datasets.archives import ArchiveLimits, unpack
from logolens.datasets.corrections import with_corrections
from logolens.datasets.download import FetchSettings, fetch
from logolens.datasets.loading import check_enough, load
from logolens.datasets.model import Box, Dataset, Note, Photo, Region
from logolens.datasets.published import PUBLISHED, Receipt, get
from logolens.datasets.splits import Split, check_leaks, grouped_folds, photo_groups, split

__all__ = [
    "PUBLISHED",
    "ArchiveLimits",
    "Box",
    "Dataset",
    "FetchSettings",
    "Note",
    "Photo",
    "Receipt",
    "Region",
    "Split",
    "check_enough",
    "check_leaks",
    "fetch",
    "get",
    "grouped_folds",
    "load",
    "photo_groups",
    "split",
    "unpack",
    "with_corrections",
]
