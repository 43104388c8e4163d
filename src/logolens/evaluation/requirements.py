"""What is asked of a bundle, as in ``top1>=0.9``, and whether its figures hold it."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from logolens.errors import UsageError

__all__ = ["Claim", "claims_of"]

_TEXT = re.compile(r"\s*(?P<figure>[^<>=!\s][^<>=!]*?)\s*(?P<sign>>=|<=|==|>|<)\s*(?P<bound>[^<>=!\s]+)\s*")
_SIGNS = {">=": operator.ge, "<=": operator.le, ">": operator.gt, "<": operator.lt, "==": operator.eq}
_KNOWN = (
    *("n", "top1", "top5", "top1_ci95", "top5_ci95", "macro_f1", "macro_f1_ci95", "ece", "missed", "none", "per_class"),
    *("open_set", "by_size", "by_source", "crops", "aurc", "compare", "risk_coverage"),
)
"""Where a claim can begin: the figures of ``logolens evaluate --json``."""


@dataclass(frozen=True)
class Claim:
    """A figure, a sign and a bound.

    Attributes:
        text: as it was written.
        figure: the way to the figure in the JSON object, its steps joined by dots, as in ``none.auroc`` or
            ``top1_ci95.0``; a part of a list can be told by its name, as in ``by_size.up to 1%.top1``.
        sign: one of >=, <=, >, < and ==.
        bound: what it is held against.
    """

    text: str
    figure: str
    sign: str
    bound: float

    def value(self, figures: Mapping[str, Any]) -> float | None:
        """The figure; None where it was not measured.

        Raises:
            UsageError: there is no such figure.
        """
        at: Any = figures
        rest = self.figure
        while rest:
            if at is None:
                return None
            # A label may hold dots itself, so that the longest name that fits is the step.
            keys = _keys(at)
            step = max((key for key in keys if rest == key or rest.startswith(f"{key}.")), key=len, default=None)
            if step is None:
                known = ", ".join(sorted(keys)[:12]) if keys else "nothing"
                raise UsageError(f"There is no figure {self.figure!r} here; at {rest!r} there is: {known}.")
            at, rest = keys[step], rest[len(step) + 1 :]
        if at is None:
            return None
        if isinstance(at, bool) or not isinstance(at, (int, float)):
            raise UsageError(
                f"{self.figure!r} is no single figure; go on to one of: {', '.join(sorted(_keys(at))[:12])}."
            )
        return float(at)

    def holds(self, figures: Mapping[str, Any]) -> bool:
        """Whether the figures hold it; what was not measured holds nothing."""
        value = self.value(figures)
        return value is not None and bool(_SIGNS[self.sign](value, self.bound))


def _keys(at: Any) -> dict[str, Any]:
    if isinstance(at, Mapping):
        return dict(at)
    if isinstance(at, (list, tuple)):
        named = {str(item["name"]): item for item in at if isinstance(item, Mapping) and "name" in item}
        return named | {str(number): item for number, item in enumerate(at)}
    return {}


def claims_of(texts: Sequence[str]) -> tuple[Claim, ...]:
    """Claims from what stands on the command line.

    Raises:
        UsageError: one is no claim, its bound is no number, or it begins with no figure that there is.
    """
    return tuple(_claim(text) for text in texts)


def _claim(text: str) -> Claim:
    found = _TEXT.fullmatch(text)
    if found is None:
        raise UsageError(
            f"{text!r} is no claim; write a figure, a sign (>=, <=, >, <, ==) and a number, as in 'top1>=0.9'."
        )
    try:
        bound = float(found["bound"].removesuffix("%")) / (100 if found["bound"].endswith("%") else 1)
    except ValueError:
        bound = math.nan
    if not math.isfinite(bound):
        raise UsageError(f"{text!r}: {found['bound']!r} is no number; write it as 0.9 or 90%.")
    if found["figure"].split(".")[0] not in _KNOWN:
        raise UsageError(
            f"{text!r}: there is no figure {found['figure']!r}; those that can be claimed: {', '.join(_KNOWN)}."
        )
    return Claim(text, found["figure"], found["sign"], bound)
