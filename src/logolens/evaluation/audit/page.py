"""What an audit found, as one page with thumbnails: no other file, no script, no other host."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from logolens.data.checks.findings import KINDS, Audit, Finding
from logolens.evaluation.html_page import Gallery, Part, Section, Table, Text, Thumb, Tiles, page, write_page
from logolens.evaluation.inline_images import thumbnail

__all__ = ["write_audit"]

_SHOWN = 48
"""Photos of a kind that are shown; the fix list has all."""

_OF_GROUP = 6
"""Photos of one group of copies that are shown."""

_GROUPED = ("leak-against", "leak", "two-labels", "look-alike", "copy", "near-copy")


def write_audit(audit: Audit, path: str | os.PathLike[str], *, force: bool = False) -> Path:
    """Write the page.

    Raises:
        UsageError: the file is there and `force` is not given, or it cannot be written.
    """
    counts = audit.counts()
    grave = sum(count for kind, count in counts.items() if KINDS[kind].severity == "error")
    lead = f"{audit.photos:,} photos of {len(audit.labels):,} labels."
    if audit.against is not None:
        lead += f" Held against {audit.against}."
    if audit.unchecked is not None:
        lead += f" {audit.unchecked}"
    tiles = [(f"{count:,}", KINDS[kind].title) for kind, count in counts.items()]
    overview = [Tiles(tiles)] if tiles else [Text("Nothing was found.")]
    sections = [Section(_verdict(grave, counts), overview)]
    sections += [_section(audit, kind, counts[kind]) for kind in counts]
    rows = [[label, f"{count:,}"] for label, count in audit.labels.items()]
    sections.append(Section("Photos of each label", [Table(("label", "photos"), rows, numbers=(1,))]))
    if audit.notes:
        sections.append(Section("Good to know", [Text(note) for note in audit.notes]))
    return write_page(page(f"Audit of {audit.data}", *sections, lead=lead), path, force=force)


def _verdict(grave: int, counts: Mapping[str, int]) -> str:
    if grave:
        return "What spoils a model or its figures comes first"
    return "Nothing grave, and some things to look at" if counts else "Nothing stands out"


def _section(audit: Audit, kind: str, count: int) -> Section:
    parts: list[Part] = [Text(KINDS[kind].advice)]
    findings = audit.of(kind)
    if kind in _GROUPED:
        shown = findings[: _SHOWN // 4]
        for finding in shown:
            thumbs = list(_of_group(audit, finding))
            parts.append(Gallery(thumbs, caption=finding.detail) if thumbs else Text(finding.detail))
    else:
        shown = findings[:_SHOWN]
        thumbs, words = [], []
        for finding in shown:
            picture = thumbnail(audit.files.get(finding.photos[0]) if finding.photos else None, finding.boxes)
            if picture is None:
                words.append(finding.detail)
            else:
                thumbs.append(Thumb(picture, caption=finding.detail))
        if thumbs:
            parts.append(Gallery(thumbs))
        parts += [Text(word) for word in words]
    if len(findings) > len(shown):
        parts.append(Text(f"And {len(findings) - len(shown):,} more, which the fix list names."))
    return Section(f"{KINDS[kind].title}: {count:,}", parts)


def _of_group(audit: Audit, finding: Finding) -> Iterator[Thumb]:
    places: Sequence[tuple[str, Path | None]] = [
        *((name, audit.files.get(name)) for name in finding.photos[:_OF_GROUP]),
        *((f"{name} (the other data set)", audit.other_files.get(name)) for name in finding.others[:_OF_GROUP]),
    ]
    for name, file in places:
        if (picture := thumbnail(file)) is not None:
            yield Thumb(picture, caption=name + (", to leave out" if name in finding.exclude else ""))
