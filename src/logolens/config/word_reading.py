"""How writing in photos is found and read, and what a word must be to count."""

from __future__ import annotations

from dataclasses import dataclass

from logolens.config.base import check, setting

__all__ = ["ReaderSettings", "WordSettings"]


@dataclass(frozen=True)
class ReaderSettings:
    """How writing in photos is found and read."""

    side: int = setting(544, "shorter side in pixels that a photo is brought to before writing is sought", low=32)
    area: int = setting(700_000, "most pixels that a photo is brought to, whatever its shape", low=1024)
    long_side: int = setting(2560, "most pixels of the longer side, however narrow a strip is", low=64)
    upscale: float = setting(2.0, "most that a small photo is enlarged", low=1.0, high=8.0)
    pixel: float = setting(0.3, "probability from which a pixel belongs to writing", low=0.0, high=1.0)
    region: float = setting(0.5, "mean probability that a region of writing must have", low=0.0, high=1.0)
    grow: float = setting(
        1.6, "how far a region is grown, as a multiple of its area over its outline", low=0.0, high=4.0
    )
    lines: int = setting(64, "most lines that are read in one photo, the largest first", low=1, high=1000)
    confidence: float = setting(
        0.5, "mean probability of its letters below which a line was not read", low=0.0, high=1.0
    )

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True)
class WordSettings:
    """What a word that was read must be to speak for a label, and how loudly it does."""

    similarity: float = setting(0.7, "similarity of a word to a name from which it counts at all", low=0.0, high=1.0)
    name_counts: float = setting(4.0, "photos that a label's name counts as, beside those that showed it", low=0.0)
    smoothing: float = setting(0.5, "photos added on both sides of each word's odds", low=0.01)
    common: float = setting(1.5, "photos of anything that a learned word is taken to stand on unseen", low=0.0)
    groups: int = setting(3, "groups of photos that must show a word before it is learned for their label", low=1)
    learned: int = setting(20, "most words that are learned for a label beside its names", low=0)
    letters: int = setting(4, "letters that a learned word must have", low=1)
    learned_odds: float = setting(1.0, "most that a learned word speaks for its label, in nats", low=0.0)
    share: float = setting(
        0.05, "share of a photo's writing below which a word counts less: a page full is no logo", low=0.0
    )
    named: int = setting(3, "labels named in one photo beyond which all count less: a list of names is no logo", low=1)
    small: float = setting(
        0.04, "height of letters, as a share of the photo's shorter side, below which they count less", low=0.0
    )

    def __post_init__(self) -> None:
        check(self)
