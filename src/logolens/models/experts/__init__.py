"""The experts: each finds out in its own way which label an image shows.

A new expert is a file in this folder that meets a contract, and one more entry in ``EXPERTS``. There are two contracts, and each
expert names its own as its ``stage``. Evidence of the first stage is added up, see `contracts.first.Expert`; a late expert is
asked once these have spoken, where they leave doubt, and amends what they hold, see `contracts.late.LateExpert`.
"""

from __future__ import annotations

from logolens.models.contracts.first import Expert, Inquiry, Learned
from logolens.models.contracts.late import LateExpert, LateFit, Verdict
from logolens.models.experts.drawing import DrawingMatcher
from logolens.models.experts.network import CloserViews, MapWindows, ViewsWithin, WholePhoto
from logolens.models.experts.pairs import Pairs
from logolens.models.experts.words import Words

__all__ = [
    "EXPERTS",
    "Expert",
    "Inquiry",
    "LateExpert",
    "LateFit",
    "Learned",
    "Verdict",
    "expert_of",
    "first_experts",
    "late_experts",
]

EXPERTS: tuple[Expert | LateExpert, ...] = (
    *(WholePhoto(), MapWindows(), CloserViews(), ViewsWithin(), DrawingMatcher()),
    *(Words(), Pairs()),
)
"""In the order in which they are asked: those of the first stage, what costs least first, then the late ones."""


def first_experts() -> tuple[Expert, ...]:
    """Those whose evidence is added up, in the order in which they are asked."""
    return tuple(expert for expert in EXPERTS if expert.stage == "first")


def late_experts() -> tuple[LateExpert, ...]:
    """Those that amend what the first ones hold, in the order in which they are asked."""
    return tuple(expert for expert in EXPERTS if expert.stage == "late")


def expert_of(name: str) -> Expert:
    """The expert of the first stage that has this name.

    Raises:
        KeyError: there is none.
    """
    return {expert.name: expert for expert in first_experts()}[name]
