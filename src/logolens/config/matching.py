"""How local features are found, looked up and proved."""

from __future__ import annotations

from dataclasses import dataclass, replace

from logolens.config.base import check, setting

__all__ = ["MATCHED_BOXED", "MATCHED_WHOLE", "MatcherSettings"]

MATCHED_BOXED, MATCHED_WHOLE = 3000, 300
"""Photos up to which the matcher is tried unasked, with boxes and without: key points of whole photos take longer."""


@dataclass(frozen=True)
class MatcherSettings:
    """How local features are found, looked up and proved by geometry."""

    long_side: int = setting(750, "long side in pixels that a photo is brought to before key points are sought", low=64)
    upscale: float = setting(2.5, "most that a small image is enlarged", low=1.0, high=8.0)
    contrast: float = setting(0.02, "contrast that a key point must have", low=0.0, high=1.0)
    edge: float = setting(20.0, "how much longer than wide a key point may be", low=1.0)
    query_points: int = setting(1500, "most key points of a photo that is asked about", low=16, high=20_000)
    whole_points: int = setting(500, "most key points of a reference that is a whole photo", low=8, high=20_000)
    box_points: int = setting(100, "most key points of a reference that is a box", low=8, high=20_000)
    box_side: int = setting(400, "long side in pixels that a box is brought to", low=64)
    box_margin: float = setting(0.05, "margin around a box, as a share of its longer side", low=0.0, high=1.0)
    ratio: float = setting(0.85, "largest ratio of the nearest to the second nearest distance", low=0.1, high=1.0)
    tolerance: float = setting(5.0, "largest distance of an inlier from where it should lie, in pixels", low=0.5)
    anisotropy: float = setting(2.2, "most that one direction may be stretched beside the other", low=1.0)
    inverted: bool = setting(True, "match light on dark with dark on light, too")
    per_label: int = setting(300, "most references of one label", low=1)
    exact: int = setting(20_000, "descriptors up to which all are compared; beyond, an inverted file is asked", low=0)
    probes: int = setting(4, "lists of the inverted file that each key point is looked up in", low=1)
    verified: int = setting(30, "references that are held against the photo's geometry", low=1)
    top: int = setting(1, "references whose evidence is summed for a label that has boxes", low=1)

    boxed_long_side: int = setting(500, "long_side where the references are boxes", low=64)
    boxed_query_points: int = setting(1000, "query_points where the references are boxes", low=16, high=20_000)

    def __post_init__(self) -> None:
        check(self)

    def for_boxes(self) -> MatcherSettings:
        """These settings where the references are boxes: they are many, and small beside the photo."""
        return replace(self, long_side=self.boxed_long_side, query_points=self.boxed_query_points)
