"""Artwork files to drawings: SVG, PDF and pictures, with or without transparency, a folder or a file a label."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from logolens.config import BACKGROUND, Limits
from logolens.data import Notes
from logolens.data.as_text import label_on_a_line
from logolens.data.folder import clean_label, entries
from logolens.data.synthesis.artwork import Artwork
from logolens.errors import DataError, ImageError, LogolensError, UsageError
from logolens.io.images import IMAGE_SUFFIXES, content_hash, open_rgba, outside_of, read_bytes
from logolens.io.names import file_name, text_of
from logolens.io.sources import is_leftover, walk
from logolens.io.sources.local import leads_back
from logolens.io.sources.pdf import clear_pages

__all__ = ["ARTWORK_SUFFIXES", "Collection", "drawings", "photo_among", "read_artworks"]

DRAWING_SUFFIXES = frozenset({".svg", ".svgz", ".pdf"})
ARTWORK_SUFFIXES = DRAWING_SUFFIXES | IMAGE_SUFFIXES
"""The file endings, lower case, that are taken for artwork in a folder."""

_SIDE = 640
"""About as large as a logo is ever shown."""

_SEEN = 26  # Coverage from which a pixel counts as drawn when the drawing is cut out.
_FLAT = 18.0  # Largest difference within a margin of one colour.
_ONE = 42.0  # Colours this near to one another are one ink, its smooth edges included.
_FORBIDDEN = frozenset('<>:"/\\|?*')


@dataclass(frozen=True)
class Collection:
    """The artwork of some labels.

    Attributes:
        variants: the drawings of each label, labels sorted.
        others: drawings that are no label, from a folder ``none``: they stand beside the logos, and where there is none.
        notes: what was odd, a sentence each.
        key: a hash of all files that it was read from; the same files under the same labels give it again.
    """

    variants: dict[str, tuple[Artwork, ...]]
    others: tuple[Artwork, ...]
    notes: tuple[str, ...]
    key: str


def read_artworks(paths: Sequence[Path], *, limits: Limits = Limits()) -> Collection:
    """Read the artwork that some paths name.

    Args:
        paths: each a folder with one subfolder a label, a label's own folder of artwork files, or an artwork file whose name
            is the label. A folder ``none`` holds artwork that is no label.
        limits: how large a file may be.

    Raises:
        DataError: nothing is there, or nothing of a label can be used; the files and reasons are named.
        MissingExtraError: what draws SVG or PDF is not installed.
        UsageError: two labels are the same, differ in upper and lower case alone, or hold the same file; or a label cannot
            name a folder.
    """
    if not paths:
        raise UsageError(
            "No artwork was named; give a folder with one subfolder of SVG, PDF or PNG files for each label."
        )
    notes = Notes()
    files = _labelled(paths, notes)
    variants: dict[str, tuple[Artwork, ...]] = {}
    hashes = []
    seen: dict[str, tuple[str, Path]] = {}
    for label in sorted(files):
        found: list[Artwork] = []
        problems = []
        for path in files[label]:
            try:
                data = read_bytes(path, limits)
                digest = content_hash(data)
                before = seen.setdefault(digest, (label, path))
                if before[0] != label:
                    raise UsageError(
                        f"{before[1]} and {path} are the same file under two labels, which nothing could tell apart. Remove one."
                    )
                found += drawings(data, label, path.name, notes, limits)
                hashes.append(f"{label}\t{digest}")
            except (ImageError, DataError) as error:
                problems.append(f"{path}: {str(error).removeprefix(f'{path}: ').rstrip('.')}")
        if problems and found:
            notes.add("unreadable-artwork", "Artwork that cannot be used, left out: {n}.", problems)
        if not found:
            raise DataError(
                f"None of the artwork of {label!r} can be used: {'; '.join(problems[:3])}. Give an SVG, PDF or PNG file "
                "with visible shapes."
            )
        variants[label] = tuple(found)
    others = variants.pop(BACKGROUND, ())
    if not variants:
        raise DataError(f"{paths[0]} holds artwork of {BACKGROUND} alone; add a folder for each label.")
    key = content_hash("\n".join(sorted(hashes)).encode("utf-8", "surrogateescape"))
    return Collection(variants, others, tuple(str(note) for note in notes.all()), key)


def photo_among(folder: Path, *, limits: Limits = Limits()) -> Path | None:
    """The first picture below a folder that has no transparency, so that it may be a photo; None where all are artwork."""
    if not folder.is_dir():
        return None
    for path in walk(folder, suffixes=IMAGE_SUFFIXES - DRAWING_SUFFIXES, folder_links=True):
        try:
            image = open_rgba(read_bytes(path, limits), limits=limits)
        except LogolensError:
            continue  # Reading it as artwork will say what is wrong with it.
        if image.getchannel("A").getextrema()[0] > 250:  # type: ignore[operator]
            return path
    return None


def drawings(data: bytes, label: str, name: str, notes: Notes, limits: Limits) -> list[Artwork]:
    """The drawings in one file: one, or of a PDF file one a page.

    Raises:
        ImageError: it cannot be read, or shows nothing.
        DataError: too little of it is drawn.
        MissingExtraError: what draws it is not installed.
    """
    where = f"{label}/{name}"
    if data[:1024].lstrip().startswith(b"%PDF-"):
        pages = [open_rgba(page, limits=limits) for page in clear_pages(data, limits)]
        shown = [page for page in pages if page.getchannel("A").getextrema()[1]]
        if not shown:
            raise ImageError("No page of this PDF file shows anything.")
        return [_artwork(page, label, where, notes) for page in shown]
    drawn = open_rgba(data, limits=limits)
    if outside_of(drawn):
        message = "Drawings that refer to files or hosts outside them, which were not fetched: {n}."
        notes.add("outside-reference", message, [where])
    return [_artwork(drawn, label, where, notes)]


def _labelled(paths: Sequence[Path], notes: Notes) -> dict[str, list[Path]]:
    """The files of each label."""
    files: dict[str, list[Path]] = {}
    places: dict[str, tuple[str, Path]] = {}

    def add(label: str, place: Path, found: list[Path]) -> None:
        label = clean_label(label_on_a_line(text_of(label)))
        _check_label(label, place)
        before = places.setdefault(label.casefold(), (label, place))
        if before[1] != place:
            raise UsageError(
                f"{before[1]} and {place} give one label ({before[0]!r}); labels must differ in more than upper and lower "
                "case. Rename one of them, or put both into one folder."
            )
        files[label] = found

    for path in paths:
        if not path.exists():
            raise DataError(
                f"{path}: there is no such file or folder. Name a folder with one subfolder of artwork for each label."
            )
        if path.is_file():
            add(path.stem, path, [path])
            continue
        folders = entries(path, folders=True)
        own = [file for file in entries(path, folders=False) if file.suffix.lower() in ARTWORK_SUFFIXES]
        if not folders:
            if not own:
                raise DataError(
                    f"{path} holds no artwork. Make one subfolder for each label, as in {path.name}/acme/logo.svg; looked for "
                    "SVG, PDF, PNG and other images."
                )
            add(path.resolve().name, path, own)
            continue
        left: list[str] = []
        for folder in folders:
            if folder.is_symlink() and leads_back(folder, path):
                left.append(str(folder))
                continue
            within = walk(folder, suffixes=None, folder_links=True, within=path, left=left.append)
            found = [file for file in within if file.suffix.lower() in ARTWORK_SUFFIXES]
            if found:
                add(folder.name, folder, found)
            else:
                notes.add("empty-folder", "Folders without artwork, which give no label: {n}.", [str(folder)])
        if left:
            message = (
                "Linked folders that lead back into the artwork, whose files count where they lie, not followed: {n}."
            )
            notes.add("linked-back", message, left)
        if own:
            message = "Files beside the labels' folders, left out for want of a label: {n}."
            notes.add("unlabelled", message, [str(file) for file in own])
        if not files:
            raise DataError(
                f"{path}: none of its {len(folders)} subfolders holds artwork (SVG, PDF, PNG or other images)."
            )
    return files


def _check_label(label: str, place: Path) -> None:
    if not label or is_leftover(label) or label.endswith(".") or set(file_name(label)) & _FORBIDDEN:
        raise UsageError(f"{place} gives the label {label!r}, which cannot name a folder; rename it.")


def _artwork(image: Image.Image, label: str, where: str, notes: Notes) -> Artwork:
    image.thumbnail((_SIDE, _SIDE), Image.Resampling.LANCZOS)
    values = np.asarray(image)
    paint, alpha = np.ascontiguousarray(values[..., :3]), np.ascontiguousarray(values[..., 3])
    if alpha.max(initial=0) <= _SEEN:
        raise ImageError("It shows nothing: no pixel of it is drawn.")
    if (alpha < 250).mean() < 0.005:
        cleared = _without_margin(paint)
        if cleared is None:
            message = "Artwork without transparency, used as an opaque rectangle: {n}."
            notes.add("opaque", message, [where])
        else:
            paint, alpha = cleared
            message = "Artwork without transparency, whose margin of one colour was cut away: {n}."
            notes.add("flat-margin", message, [where])
    seen = alpha > _SEEN
    rows, columns = np.flatnonzero(seen.any(axis=1)), np.flatnonzero(seen.any(axis=0))
    part = (slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1))
    return _coloured(label, np.ascontiguousarray(alpha[part]), np.ascontiguousarray(paint[part]), where)


def _coloured(label: str, alpha: npt.NDArray[np.uint8], paint: npt.NDArray[np.uint8], title: str) -> Artwork:
    solid = alpha > 200
    inked = paint[solid if solid.any() else alpha > _SEEN].astype(np.float32)
    middle = np.median(inked, axis=0)
    apart = np.abs(inked - middle).max(axis=1)
    if float((apart > _ONE).mean()) < 0.01:
        colour = (int(middle[0]), int(middle[1]), int(middle[2]))
        return Artwork(label, alpha, colour, title)
    # Of several colours the brand's own is taken to be the most vivid one that covers something.
    vivid = inked.max(axis=1) - inked.min(axis=1)
    most = inked[vivid >= np.percentile(vivid, 75)]
    median = np.median(most, axis=0)
    return Artwork(label, alpha, (int(median[0]), int(median[1]), int(median[2])), title, paint)


def _without_margin(
    paint: npt.NDArray[np.uint8],
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]] | None:
    """The picture with what lies around its drawing made clear; None where its edge is not of one colour.

    Raises:
        ImageError: all of it is of one colour.
    """
    edge = np.concatenate([paint[0], paint[-1], paint[:, 0], paint[:, -1]]).astype(np.float32)
    ground = np.median(edge, axis=0)
    if float((np.abs(edge - ground).max(axis=1) > _FLAT).mean()) > 0.02:
        return None
    distance = np.abs(paint.astype(np.float32) - ground).max(axis=2)
    if float((distance > _FLAT).mean()) < 0.001:
        raise ImageError("It shows nothing: all of it is of one colour.")
    cv2: Any = importlib.import_module("cv2")
    _, parts = cv2.connectedComponents((distance <= _FLAT).astype(np.uint8), connectivity=4)
    around = np.unique(np.concatenate([parts[0], parts[-1], parts[:, 0], parts[:, -1]]))
    outside = np.isin(parts, around[around > 0])
    # The pixels along the edge are a mixture of the ground and the ink.
    near = cv2.dilate(outside.astype(np.uint8), np.ones((3, 3), np.uint8), iterations=2).astype(bool) & ~outside
    share = np.where(near, np.clip(distance / 110.0, 0.0, 1.0), 1.0)
    share[outside] = 0.0
    pure = (paint - ground * (1 - share[..., None])) / np.maximum(share[..., None], 0.15)
    mended = np.where(near[..., None], np.clip(pure, 0, 255), paint).astype(np.uint8)
    return mended, (share * 255).astype(np.uint8)
