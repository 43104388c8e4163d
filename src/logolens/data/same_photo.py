"""The one answer to "is it the same photo?", for splits, audits, corrections and the grouping of a scan.

There are four kinds of evidence: the very same file; by picture, where the photos look one (see `near_duplicates`), laid in
any of the eight ways; by matched points, where one is cut, sheared, noisy or partly covered (see `same_points`); and by name,
where their names call them versions of one photo (see `same_name`).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from logolens.config import Limits
from logolens.data.candidates import WAYS
from logolens.data.near_duplicates import groups_of, near_links
from logolens.data.same_name import same_names
from logolens.data.same_points import looked_at, point_links

__all__ = ["BY_NAME", "BY_POINTS", "SAME_FILE", "SamePhotos", "same_photos"]

SAME_FILE = "the same file"
BY_NAME = "by name"
_BY_PICTURE = "by picture"
BY_POINTS = "by picture, matched points"


@dataclass(frozen=True)
class SamePhotos:
    """Which photos are one.

    Attributes:
        groups: for each photo the number of its group: the position of the group's first.
        evidence: for each photo what joins it to others of its group, sorted: "the same file", "by name", "by picture",
            "by picture, mirrored", "by picture, matched points". Empty where it stands alone.
    """

    groups: tuple[int, ...]
    evidence: tuple[tuple[str, ...], ...]

    def part(self, start: int, stop: int | None = None) -> SamePhotos:
        """Those of some photos; numbers stay, so that they mean the same in every part."""
        return SamePhotos(self.groups[start:stop], self.evidence[start:stop])


def same_photos(
    thumbs: Sequence[npt.NDArray[np.uint8]] | npt.NDArray[np.uint8],
    aspects: Sequence[Sequence[float]] | npt.NDArray[np.floating],
    *,
    files: Sequence[str] | None = None,
    names: Sequence[str] | None = None,
    labels: Sequence[Collection[str]] | None = None,
    points: Sequence[npt.NDArray[np.uint8]] | None = None,
    paths: Sequence[Path] | None = None,
    limits: Limits = Limits(),
) -> SamePhotos:
    """Say which photos are one.

    Args:
        thumbs: of each photo, as `near_duplicates.thumbnails` gives them.
        aspects: of each photo, width over height of the two.
        files: of each photo the SHA-256 of its bytes; without them no file is taken to be the same as another.
        names: of each photo its path as the data set names it; with ``labels`` what evidence by name takes.
        labels: of each photo its labels.
        points: of each photo its local features, as `logolens.data.points.points` gives them; with ``paths`` what evidence by
            matched points takes.
        paths: of each photo its file, for a closer look.
        limits: how large an image may be that is looked at more closely.
    """
    count = len(thumbs)
    links: list[tuple[int, int, str]] = []
    single = list(range(count))
    if files is not None:
        first: dict[str, int] = {}
        for index, file in enumerate(files):
            if first.setdefault(file, index) != index:
                links.append((first[file], index, SAME_FILE))
        single = sorted(first.values())
    if single:
        found = near_links(
            np.stack([thumbs[index] for index in single]), np.array([aspects[index] for index in single])
        )
        for link in found:
            how = f"{_BY_PICTURE}, {WAYS[link.way]}" if link.way else _BY_PICTURE
            links.append((single[link.one], single[link.other], how))
    if names is not None and labels is not None:
        links.extend((one, other, BY_NAME) for one, other in same_names(names, labels))
    if points is not None and paths is not None:
        groups = groups_of(count, [(one, other) for one, other, _ in links])
        whole = [its[1] for its in thumbs], [float(its[1]) for its in aspects]
        matched = point_links(points, *whole, groups, lambda index: looked_at(paths[index], limits))
        links.extend((one, other, BY_POINTS) for one, other in matched)
    evidence: list[set[str]] = [set() for _ in range(count)]
    for one, other, how in links:
        evidence[one].add(how)
        evidence[other].add(how)
    return SamePhotos(
        tuple(groups_of(count, [(one, other) for one, other, _ in links])),
        tuple(tuple(sorted(each)) for each in evidence),
    )
