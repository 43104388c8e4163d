"""The answers for several images, as a list that notebooks show and tables take."""

from __future__ import annotations

from typing import Any

from logolens.errors import require
from logolens.inference.results import Prediction

__all__ = ["Predictions"]

_SHOWN = 12
"""Answers that a notebook shows; a list may hold thousands."""


class Predictions(list[Prediction]):
    """A list of predictions, in the order of the images."""

    def to_dataframe(self, *, scores: bool = True) -> Any:
        """A pandas DataFrame with one row for each image.

        Args:
            scores: with a column ``score_LABEL`` for each label's probability.

        Returns:
            Columns ``image``, ``label``, ``confidence``, ``error``; ``left``, ``top``, ``right``, ``bottom``, the box in
            fractions of the image's sides, where any has one; and the scores. What an image does not have is missing.

        Raises:
            MissingExtraError: pandas is not installed.
        """
        pandas = require("pandas", "pandas")
        rows: list[dict[str, Any]] = []
        boxed = any(one.box is not None for one in self)
        labels = sorted({label for one in self for label in one.scores}) if scores else []
        for one in self:
            row: dict[str, Any] = {
                "image": one.image,
                "label": one.label,
                "confidence": one.confidence,
                "error": one.error,
            }
            if boxed:
                row |= zip(("left", "top", "right", "bottom"), one.box or (None,) * 4, strict=True)
            row |= {f"score_{label}": one.scores.get(label) for label in labels}
            rows.append(row)
        columns = ["image", "label", "confidence", "error", *(["left", "top", "right", "bottom"] if boxed else [])]
        return pandas.DataFrame(rows, columns=[*columns, *(f"score_{label}" for label in labels)])

    def _repr_html_(self) -> str:
        more = len(self) - _SHOWN
        left = f"<p>{more:,} more; to_dataframe() has all.</p>" if more > 0 else ""
        return f"<div>{''.join(one._repr_html_() for one in self[:_SHOWN])}</div>{left}"
