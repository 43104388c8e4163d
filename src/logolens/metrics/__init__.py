"""Metrics on arrays, nothing else: how often answers are right, how sure that is, and how honest confidences are.

Nothing here opens an image or a bundle: the caller hands over probabilities and the truth, and gets figures that are
ready for JSON.
"""

from __future__ import annotations

from logolens.metrics.arithmetic import auroc, bootstrap_interval, expected_calibration_error, wilson_interval
from logolens.metrics.figures import Evaluation, LabelFigures, Misclassified, NoneFigures, confusion_pairs
from logolens.metrics.judging import evaluate

__all__ = [
    "Evaluation",
    "LabelFigures",
    "Misclassified",
    "NoneFigures",
    "auroc",
    "bootstrap_interval",
    "confusion_pairs",
    "evaluate",
    "expected_calibration_error",
    "wilson_interval",
]
