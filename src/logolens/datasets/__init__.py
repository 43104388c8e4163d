"""Labelled photos: read from folders and tables, held against what is odd, and divided without leaks."""

from __future__ import annotations

from logolens.datasets.archives import ArchiveLimits, unpack
from logolens.datasets.corrections import check_corrections, with_corrections
from logolens.datasets.download import FetchSettings, fetch
from logolens.datasets.exclusions import check_exclusions, without
from logolens.datasets.loading import FEW, Reading, check_enough, dataset_of, load, near_groups, read
from logolens.datasets.model import Box, Dataset, Listing, Note, Notes, Photo, Region
from logolens.datasets.published import PUBLISHED, Receipt, get
from logolens.datasets.reading import Facts
from logolens.datasets.splits import PARTS, Split, check_leaks, grouped_folds, photo_groups, split

__all__ = [
    "FEW",
    "PARTS",
    "PUBLISHED",
    "ArchiveLimits",
    "Box",
    "Dataset",
    "Facts",
    "FetchSettings",
    "Listing",
    "Note",
    "Notes",
    "Photo",
    "Reading",
    "Receipt",
    "Region",
    "Split",
    "check_corrections",
    "check_enough",
    "check_exclusions",
    "check_leaks",
    "dataset_of",
    "fetch",
    "get",
    "grouped_folds",
    "load",
    "near_groups",
    "photo_groups",
    "read",
    "split",
    "unpack",
    "with_corrections",
    "without",
]
