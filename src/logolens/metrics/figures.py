"""What an evaluation found, as values that go to JSON and come back."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from logolens.metrics.scores import wilson_interval

__all__ = ["Evaluation", "LabelFigures", "Misclassified", "NoneFigures"]


@dataclass(frozen=True)
class LabelFigures:
    """The figures of one label. A figure that nothing defines is None: recall and F1 of a label without images."""

    n: int
    precision: float | None
    recall: float | None
    f1: float | None


@dataclass(frozen=True)
class Misclassified:
    """One image whose answer is wrong, and how sure the answer was."""

    image: str
    true: str
    predicted: str
    confidence: float


@dataclass(frozen=True)
class NoneFigures:
    """The figures of the images that show no logo."""

    n: int
    auroc: float | None
    false_alarm_rate: float

    @property
    def false_alarm_ci95(self) -> tuple[float, float]:
        """The 95 % interval of the false alarm rate (Wilson 1927)."""
        return wilson_interval(round(self.false_alarm_rate * self.n), self.n)


@dataclass(frozen=True)
class Evaluation:
    """What `evaluate` found. Shares lie from 0 to 1; a figure that nothing defines is None.

    Attributes:
        n: the images that show a logo; every figure but `none` is about these alone.
        top1: the share whose answer is right.
        top5: the share whose true label is among the five most probable labels (all of them where there are fewer).
        top1_ci95: the 95 % interval of `top1`.
        macro_f1: the mean of the F1 figures over the labels that have images.
        ece: the expected calibration error.
        per_class: the figures of each label, `none` excepted.
        confusion: counts, one row a true label, one column an answer, both in the order of `labels`.
        labels: the names of the rows and columns; ends in ``none`` where an image can be answered with it.
        misclassified: the wrong answers, surest first.
        none: the figures of the images that show no logo, where such were given.
        missed: the share of the images with a logo whose score stays below the threshold, so that predicting answers
            ``none``; None where it never does.
    """

    n: int
    top1: float | None
    top5: float | None
    top1_ci95: tuple[float | None, float | None]
    macro_f1: float | None
    ece: float | None
    per_class: dict[str, LabelFigures]
    confusion: tuple[tuple[int, ...], ...]
    labels: tuple[str, ...]
    misclassified: tuple[Misclassified, ...] = ()
    none: NoneFigures | None = field(default=None)
    missed: float | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain dicts, lists, numbers and null, in the form that ``logolens evaluate --json`` prints."""
        out: dict[str, Any] = {
            "n": self.n,
            "top1": self.top1,
            "top5": self.top5,
            "top1_ci95": list(self.top1_ci95),
            "macro_f1": self.macro_f1,
            "ece": self.ece,
            "per_class": {
                label: {"n": row.n, "precision": row.precision, "recall": row.recall, "f1": row.f1}
                for label, row in self.per_class.items()
            },
            "confusion": [list(row) for row in self.confusion],
            "labels": list(self.labels),
            "misclassified": [
                {"image": row.image, "true": row.true, "predicted": row.predicted, "confidence": row.confidence}
                for row in self.misclassified
            ],
        }
        if self.missed is not None:
            out["missed"] = self.missed
        if self.none is not None:
            out["none"] = {
                "n": self.none.n,
                "auroc": self.none.auroc,
                "false_alarm_rate": self.none.false_alarm_rate,
                "false_alarm_ci95": list(self.none.false_alarm_ci95),
            }
        return out
