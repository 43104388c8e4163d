"""What a report of a scan holds."""

from __future__ import annotations

from dataclasses import dataclass

from logolens.config.base import check, setting

__all__ = ["ReportSettings"]


@dataclass(frozen=True)
class ReportSettings:
    """How much of a scan its report shows, and where its thumbnails stand."""

    most: int = setting(
        50_000,
        "most images in the report: matches, unsure ones and errors first, then the clear ones that came closest",
        low=1,
        high=200_000,
    )
    inside: float = setting(
        16.0,
        "thumbnails of up to this many MB stand inside the page; more stand in files beside it",
        low=0.0,
        high=200.0,
    )

    def __post_init__(self) -> None:
        check(self)
