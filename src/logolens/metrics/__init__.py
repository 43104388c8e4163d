"""Metrics on arrays, nothing else: how often answers are right, how sure that is, and how honest confidences are.

Nothing here opens an image or a bundle: the caller hands over probabilities and the truth, and gets figures that are
ready for JSON.
"""

from __future__ import annotations

from logolens.metrics.bootstrap import Draws, Paired, compare, mcnemar
from logolens.metrics.confidence import Bin, Risk, area_under_risk, reliability, risk_coverage
from logolens.metrics.details import Answered, Details, Mixed, OpenSet, Slice, detail
from logolens.metrics.figures import Evaluation, LabelFigures, Misclassified, NoneFigures
from logolens.metrics.judging import evaluate
from logolens.metrics.scores import auroc, expected_calibration_error, wilson_interval

__all__ = [
    "Answered",
    "Bin",
    "Details",
    "Draws",
    "Evaluation",
    "LabelFigures",
    "Misclassified",
    "Mixed",
    "NoneFigures",
    "OpenSet",
    "Paired",
    "Risk",
    "Slice",
    "area_under_risk",
    "auroc",
    "compare",
    "detail",
    "evaluate",
    "expected_calibration_error",
    "mcnemar",
    "reliability",
    "risk_coverage",
    "wilson_interval",
]
