"""Which photos of an evaluation a bundle has learned from: by their files, and by the names that tools give to versions."""

from __future__ import annotations

from pathlib import Path

from logolens.bundle.manifest import read_split
from logolens.data import Dataset
from logolens.data.same_name import same_names

__all__ = ["seen_before"]


def seen_before(dataset: Dataset, bundle: Path, which: str) -> tuple[int, list[str]]:
    """Tell of photos that a bundle was trained or tuned on, as its split.csv says, and of versions of these.

    Args:
        dataset: the photos that judge it.
        bundle: its folder.
        which: what it is called in a sentence.

    Returns:
        How many are the very files, and sentences.
    """
    rows = [row for row in read_split(bundle) if row["part"] != "test"]
    hashes = {row["sha256"] for row in rows}
    same = {number for number, photo in enumerate(dataset.photos) if photo.sha256 in hashes}
    files = len({dataset.photos[number].sha256 for number in same})
    count, notes = len(rows), []
    if files:
        notes.append(
            f"{files} of these {len(dataset)} photos were used to train or tune {which}; the figures flatter it."
        )
    pairs = same_names(
        [*(row["path"] for row in rows), *(photo.name for photo in dataset.photos)],
        [*([row["label"]] for row in rows), *(photo.labels for photo in dataset.photos)],
    )
    # Each pair joins the first version of a photo to a further one; those of the bundle come first.
    versions = {other - count: one for one, other in pairs if one < count <= other and other - count not in same}
    if versions:
        number, of = next(iter(sorted(versions.items())))
        notes.append(
            f"{len(versions)} of these {len(dataset)} photos are, by their names, versions of photos that {which} was trained or "
            f"tuned on, such as {dataset.photos[number].name} of {rows[of]['path']}; the figures flatter it. `logolens audit "
            "DATA --against` the data that it was trained on finds versions by picture, too."
        )
    return files, notes
