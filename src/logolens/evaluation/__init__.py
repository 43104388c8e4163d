"""Measure a bundle on labelled photos that it has not seen, hold it against another, and against what was asked of it."""

from __future__ import annotations

from logolens.evaluation.evaluate import Compared, EvaluateResult, evaluate
from logolens.evaluation.evaluate_page import write_evaluation
from logolens.evaluation.requirements import Claim, claims_of

__all__ = ["Claim", "Compared", "EvaluateResult", "claims_of", "evaluate", "write_evaluation"]
