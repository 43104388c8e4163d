"""Settings: every default of logolens is written here, once.

The command line's flags derive from these dataclasses (name, type, default, help), and a bundle's manifest records them.
"""

from __future__ import annotations

from logolens.config.auditing import AuditSettings
from logolens.config.base import BACKGROUND, VIEWS, cache_folder, check, setting
from logolens.config.decoding import Limits, Preprocessing
from logolens.config.devices import DEVICES, PRECISIONS
from logolens.config.exporting import ExportSettings
from logolens.config.finetuning import AugmentSettings, FinetuneSettings
from logolens.config.galleries import GallerySettings
from logolens.config.matching import MATCHED_BOXED, MATCHED_WHOLE, MatcherSettings
from logolens.config.reporting import ReportSettings
from logolens.config.retraining import RetrainSettings
from logolens.config.scanning import DRAWING, DecodeSettings, ScanSettings
from logolens.config.serving import ServeSettings
from logolens.config.sources import SourceSettings
from logolens.config.synthesis import Conditions, SynthesisSettings
from logolens.config.training import CacheSettings, HeadSettings, SplitSettings, TrainSettings
from logolens.config.tuning import TuneSettings
from logolens.config.videos import VideoSettings
from logolens.config.word_reading import ReaderSettings, WordSettings

__all__ = [
    "BACKGROUND",
    "DEVICES",
    "DRAWING",
    "MATCHED_BOXED",
    "MATCHED_WHOLE",
    "PRECISIONS",
    "VIEWS",
    "AuditSettings",
    "AugmentSettings",
    "CacheSettings",
    "Conditions",
    "DecodeSettings",
    "ExportSettings",
    "FinetuneSettings",
    "GallerySettings",
    "HeadSettings",
    "Limits",
    "MatcherSettings",
    "Preprocessing",
    "ReaderSettings",
    "ReportSettings",
    "RetrainSettings",
    "ScanSettings",
    "ServeSettings",
    "SourceSettings",
    "SplitSettings",
    "SynthesisSettings",
    "TrainSettings",
    "TuneSettings",
    "VideoSettings",
    "WordSettings",
    "cache_folder",
    "check",
    "setting",
]
