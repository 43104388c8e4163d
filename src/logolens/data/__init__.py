"""Labelled photos: read from folders and tables, held against what is odd, and divided without leaks."""

from __future__ import annotations

from logolens.data.corrections import check_corrections, with_corrections
from logolens.data.dataset import Box, Dataset, Listing, Note, Notes, Photo, Region
from logolens.data.exclusions import check_exclusions, without
from logolens.data.indexing import Facts
from logolens.data.loading import FEW, Reading, check_enough, dataset_of, load, read, same_of
from logolens.data.registry import PUBLISHED, Receipt, get
from logolens.data.same_photo import SamePhotos, same_photos
from logolens.data.splits import PARTS, Split, check_leaks, grouped_folds, photo_groups, split
from logolens.io.download import FetchSettings, fetch
from logolens.io.unpack import ArchiveLimits, unpack

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
    "SamePhotos",
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
    "photo_groups",
    "read",
    "same_of",
    "same_photos",
    "split",
    "unpack",
    "with_corrections",
    "without",
]
