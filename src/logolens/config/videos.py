"""How much of a video is looked at."""

from __future__ import annotations

from dataclasses import dataclass

from logolens.config.base import check, setting

__all__ = ["VideoSettings"]


@dataclass(frozen=True)
class VideoSettings:
    """How often a video is looked at, and how much of it.

    What is longer than the limits is looked at as far as they go, and its answer says so; a larger file is refused.
    """

    fps: float = setting(1.0, "most frames of a second of video that are looked at", low=0.01, high=60.0)
    max_frames: int = setting(3_600, "most frames of a video that are looked at", low=1, high=100_000)
    max_duration: float = setting(7_200.0, "seconds of a video after which no more of it is looked at", low=0.1)
    max_decoding: float = setting(
        1_800.0, "seconds of processor time after which no more of a video is decoded", low=1.0
    )
    max_video_bytes: int = setting(8_000_000_000, "largest video file, in bytes", low=1)

    def __post_init__(self) -> None:
        check(self)
