"""The experts: each finds out in its own way which label an image shows. See `contract.Expert`.

A new expert is a file in this folder that meets the contract, and one more entry in ``EXPERTS``.
"""

from __future__ import annotations

from logolens.models.experts.contract import Expert, Inquiry, Learned
from logolens.models.experts.drawing import DrawingMatcher
from logolens.models.experts.network import CloserViews, MapWindows, ViewsWithin, WholePhoto

__all__ = ["EXPERTS", "Expert", "Inquiry", "Learned", "expert_of"]

EXPERTS: tuple[Expert, ...] = (WholePhoto(), MapWindows(), CloserViews(), ViewsWithin(), DrawingMatcher())
"""In the order in which they are asked, what costs least first."""


def expert_of(name: str) -> Expert:
    """The expert of this name.

    Raises:
        KeyError: there is none.
    """
    return {expert.name: expert for expert in EXPERTS}[name]
