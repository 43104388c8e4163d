"""What is odd about single files and about the labels: what the reading of the data has seen."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath

from logolens.config import BACKGROUND, AuditSettings
from logolens.data import FEW, Box, Dataset, Facts, Listing, Reading
from logolens.data.checks.findings import Finding

__all__ = ["about_boxes", "about_files", "about_labels"]

_KINDS = {
    **dict.fromkeys((".jpg", ".jpeg", ".jpe", ".jfif"), "JPEG"),
    **dict.fromkeys((".tif", ".tiff"), "TIFF"),
    **dict.fromkeys((".bmp", ".dib"), "BMP"),
    **dict.fromkeys((".ppm", ".pgm", ".pbm", ".pnm"), "PPM"),
    ".png": "PNG",
    ".webp": "WEBP",
    ".gif": "GIF",
    ".avif": "AVIF",
    ".jp2": "JPEG2000",
    ".tga": "TGA",
    ".ico": "ICO",
}
_SAME = {"MPO": "JPEG", "DIB": "BMP", "": None}

_ODD = {
    "moving": "it is animated or has several pages; only the first is used",
    "deep": "it has more than 8 bits a channel and is scaled to 8",
}
_PLAIN = 4.0
"""Standard deviation in grey levels below which a picture shows nothing; near copies are not sought of such either."""

_INSIDE = 0.5
"""The share of a box that must lie in its photo."""


def about_files(found: Reading, settings: AuditSettings) -> Iterator[Finding]:
    """Files that cannot be read, are not there, or are read and odd."""
    for item, reason in found.unreadable:
        yield Finding("unreadable", f"{item.name}: {reason}.", (item.name,), (item.name,))
    for item in found.missing:
        yield Finding("missing", f"{item.name} is listed and not there.", (item.name,), (item.name,))
    for item, facts in found.kept:
        yield from _about_file(item, facts, settings)


def _about_file(item: Listing, facts: Facts, settings: AuditSettings) -> Iterator[Finding]:
    name, size = item.name, f"{facts.width} x {facts.height} pixels"
    if min(facts.width, facts.height) < settings.tiny:
        yield Finding("tiny", f"{name} has {size}.", (name,))
    if facts.spread < _PLAIN:
        yield Finding("plain", f"{name} is of one colour, or nearly.", (name,))
    elif facts.blur >= settings.blurred:
        yield Finding("blurred", f"{name} is blurred ({facts.blur:.2f} of 1).", (name,), score=1 - facts.blur)
    said, kind = _KINDS.get(PurePosixPath(name).suffix.lower()), _SAME.get(facts.kind, facts.kind)
    if said is not None and kind is not None and said != kind:
        yield Finding("misnamed", f"{name} is a {facts.kind} file.", (name,))
    for trait in sorted(facts.traits & _ODD.keys()):
        yield Finding("odd-file", f"{name}: {_ODD[trait]}.", (name,))
    if "turned" in facts.traits and any(region.box is not None for region in item.regions):
        why = "its EXIF data turn it, and its boxes are read in the upright photo"
        yield Finding("odd-file", f"{name}: {why}; see that they were drawn there.", (name,))


def about_boxes(found: Reading, settings: AuditSettings) -> Iterator[Finding]:
    """Boxes that are empty, lie outside, or can hardly hold a logo; each distinct box once, empty ones by row."""
    for item, facts in found.kept:
        boxes = [region.box for region in item.regions if region.box is not None]
        full = dict.fromkeys(box for box in boxes if box.area > 0)
        empty = sum(box.area <= 0 for box in boxes)
        if empty:
            rows = "a row with an empty box" if empty == 1 else f"{empty} rows with an empty box"
            yield Finding("empty-box", f"{item.name} has {rows}.", (item.name,), count=empty)
        for box in full:
            yield from _about_box(item.name, box, facts, settings)


def _about_box(name: str, box: Box, facts: Facts, settings: AuditSettings) -> Iterator[Finding]:
    edges = (box.x1, box.y1, box.x2, box.y2)
    shown = f"the box {', '.join(f'{edge:g}' for edge in edges)} of {name}"
    inside = box.clipped(facts.width, facts.height)
    if inside.area <= 0:
        detail = f"{shown[0].upper()}{shown[1:]} lies outside its {facts.width} x {facts.height} pixels."
        yield Finding("outside-box", detail, (name,), boxes=(edges,))
        return
    if inside.area < _INSIDE * box.area:
        detail = f"Only {inside.area / box.area:.0%} of {shown} lies in the photo."
        yield Finding("cut-box", detail, (name,), boxes=(edges,))
    side = min(inside.x2 - inside.x1, inside.y2 - inside.y1)
    if side < settings.small_box:
        detail = f"{shown[0].upper()}{shown[1:]} is {side:g} pixels {'wide' if box.x2 - box.x1 < box.y2 - box.y1 else 'high'}."
        yield Finding("small-box", detail, (name,), boxes=(edges,))


def about_labels(dataset: Dataset, settings: AuditSettings) -> Iterator[Finding]:
    """Photos of several labels; labels that are too few, unbalanced, or spelt in two ways."""
    for photo in dataset.photos:
        if len(photo.labels) > 1:
            yield Finding(
                "several-labels", f"{photo.name} shows {' and '.join(photo.labels)}.", (photo.name,), label=photo.label
            )
    counts = dataset.counts()
    for label, count in counts.items():
        if count < FEW:
            photos = "1 photo" if count == 1 else f"{count} photos"
            yield Finding("few-photos", f"{label} has {photos}; below {FEW}, figures say little.", label=label)
    yield from _unbalanced(counts, settings)
    alike: dict[str, list[str]] = {}
    for label in dataset.labels:
        alike.setdefault(re.sub(r"[\W_]+", "", label.casefold()) or label, []).append(label)
    for names in alike.values():
        if len(names) > 1:
            held = " and ".join(f"{name} ({counts[name]} photos)" for name in names)
            yield Finding("alike-labels", f"{held} differ in spelling alone.", label=names[0])


def _unbalanced(counts: Mapping[str, int], settings: AuditSettings) -> Iterator[Finding]:
    own = {label: count for label, count in counts.items() if label != BACKGROUND and count}
    if len(own) < 2:
        return
    most, least = max(own, key=lambda label: own[label]), min(own, key=lambda label: own[label])
    if own[most] >= settings.imbalance * own[least]:
        yield Finding("unbalanced", f"{most} has {own[most]:,} photos and {least} {own[least]:,}.", label=least)
