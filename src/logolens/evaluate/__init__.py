"""Measure a bundle on labelled photos that it has not seen, hold it against another, and against what was asked of it."""

from __future__ import annotations

from logolens.evaluate.claims import Claim, claims_of
from logolens.evaluate.page import write_evaluation
from logolens.evaluate.run import Compared, EvaluateResult, evaluate

__all__ = ["Claim", "Compared", "EvaluateResult", "claims_of", "evaluate", "write_evaluation"]
