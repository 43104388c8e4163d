"""Seek settings by grouped cross-validation on cached features, within a budget of minutes, the test part unseen."""

from __future__ import annotations

from logolens.training.tuning.search import TuneResult, tune
from logolens.training.tuning.trials import Trial, changes

__all__ = ["Trial", "TuneResult", "changes", "tune"]
