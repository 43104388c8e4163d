"""The head and the matcher together: which of them answers, or both, is decided on held-out photos.

A network sees kinds of things, geometry sees this very drawing. Which one serves differs between data sets, so neither is
trusted by rule: out-of-fold logits of the head and out-of-fold evidence of the matcher are added in several proportions
(stacked generalisation: Wolpert, Neural Networks 5, 1992), and the matcher is taken only where it surely helps.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from logolens.calibration import calibrate, softmax

__all__ = ["Stack", "choose_stack"]

_PROPORTIONS = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
"""Weights of the matcher's evidence beside a head at its own temperature."""


@dataclass(frozen=True)
class Stack:
    """How the head's logits and the matcher's evidence are added.

    Attributes:
        head: weight of the head's logits.
        matcher: weight of the matcher's evidence; 0 where the head answers alone.
        reason: why, as a sentence with the figures.
    """

    head: float = 1.0
    matcher: float = 0.0
    reason: str = "The matcher was not tried."

    def logits(
        self, head: npt.NDArray[np.floating[Any]], evidence: npt.NDArray[np.floating[Any]] | None
    ) -> npt.NDArray[np.float64]:
        """The stacked logits, float64 of shape (n, outputs).

        Args:
            head: logits of shape (n, outputs), the background's last where there is one.
            evidence: the matcher's scores of shape (n, labels); the background has none, which is evidence of 0.
        """
        total = self.head * np.asarray(head, dtype=np.float64)
        if evidence is not None and self.matcher:
            total[:, : evidence.shape[1]] += self.matcher * evidence
        return total


def choose_stack(
    head: npt.NDArray[np.floating[Any]],
    evidence: npt.NDArray[np.floating[Any]],
    truth: npt.NDArray[np.int64],
) -> Stack:
    """Decide who answers, on photos that neither expert has learned from.

    Proportions are compared by their cross-entropy at the best temperature each. The matcher costs time whenever the model
    is asked, so it is taken only where the best proportion beats the head alone by more than one standard error of the
    paired differences.

    Args:
        head: out-of-fold logits, of shape (n, outputs).
        evidence: out-of-fold scores of the matcher, of shape (n, labels).
        truth: positions of the true labels, of shape (n,); no background among them.
    """
    labels = evidence.shape[1]
    seen = np.asarray(head, dtype=np.float64)[:, :labels]
    rows = np.arange(len(truth))

    def judged(stack: Stack) -> tuple[npt.NDArray[np.float64], float]:
        logits = stack.logits(seen, evidence)
        fitted = calibrate(logits, truth, background=False, max_false_alarms=1.0)
        losses = -np.log(np.maximum(softmax(logits / fitted.temperature)[rows, truth], 1e-12))
        return losses, float((logits.argmax(axis=1) == truth).mean())

    scale = 1.0 / calibrate(seen, truth, background=False, max_false_alarms=1.0).temperature
    tried = [Stack(1.0, 0.0), *(Stack(scale, weight) for weight in _PROPORTIONS), Stack(0.0, 1.0)]
    results = [judged(stack) for stack in tried]
    best = min(range(len(tried)), key=lambda number: float(results[number][0].mean()))
    alone, both, match = results[0][1], results[best][1], results[-1][1]
    gained = results[0][0] - results[best][0]
    error = float(gained.std(ddof=1) / np.sqrt(len(gained))) if len(gained) > 1 else float("inf")
    figures = (
        f"on {len(truth)} held-out photos the head alone is right on {alone:.0%}, the matcher alone on {match:.0%}"
    )
    if best == 0 or gained.mean() <= error:
        return Stack(1.0, 0.0, f"The head answers alone: {figures}, and together they are not surely better.")
    if tried[best].head == 0.0:
        return Stack(0.0, 1.0, f"The matcher answers alone: {figures}.")
    return Stack(
        tried[best].head, tried[best].matcher, f"Head and matcher answer together: {figures}, both on {both:.0%}."
    )
