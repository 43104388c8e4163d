"""The report of a scan: one page to work through its results with, thumbnails and all.

The page is `index.html`. Few thumbnails stand inside it, so that it is one file to send. Many would make a page that no
browser opens with ease: 50,000 of them are 250 MB. They become one JPEG file each in `thumbnails/` beside the page. Pages
opened from a disk may fetch nothing, but they may show images, and a browser loads those when they come into view,
decodes them beside the script and forgets them again by itself. Packs of them as scripts would do as well, but then the
page's policy would have to let scripts in from beside it; so it lets in none but its own, by its hash.
"""

from __future__ import annotations

import base64
import datetime
import heapq
import math
import os
import re
import secrets
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Protocol

from logolens.config import BACKGROUND, ReportSettings
from logolens.errors import UsageError
from logolens.inference.word_sentences import word_sentence
from logolens.io.atomic import beside, replace_folder
from logolens.io.files import open_regular
from logolens.scan.review_page import as_json, page_parts

__all__ = ["Result", "Scanned", "write_results"]

_VERDICTS = ("match", "unsure", "clear", "error")
_CHANGES = ("new", "changed", "same", "gone")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_SIGN = b'<meta name="generator" content="logolens report">'
_ROWS = 2000  # in one block of the page's data
_THUMBS = 64  # in one block of thumbnails, which is taken apart when the first of them is shown
_SCORES = 5  # of one image, the highest
_TIMES = 200  # of one video, the first


class Result(Protocol):
    """What a report needs to know of one image; the rows of a scan's store are such.

    Attributes:
        name: what the image is called: a path, a URL, or an archive's member.
        names: all its names, where the same bytes were met under several.
        sha256: of its bytes, or None where they could not be had.
        label: the answer, or None of an error.
        confidence: how sure it is that the image shows what was sought, or None of an error.
        verdict: "match", "unsure", "clear" or "error".
        scores: the probability of each label.
        box: where in the image, in fractions of its width and height, or None.
        error: why it could not be classified, or None.
        places: where it stands: the URLs of pages, or files.
        group: a number that near-duplicates share, or None.
        width: of the upright image in pixels, or None.
        height: of the upright image in pixels, or None.
        change: "new", "changed", "same" or "gone" since the last scan, or None.
    """

    @property
    def name(self) -> str: ...
    @property
    def names(self) -> Sequence[str]: ...
    @property
    def sha256(self) -> str | None: ...
    @property
    def label(self) -> str | None: ...
    @property
    def confidence(self) -> float | None: ...
    @property
    def verdict(self) -> str: ...
    @property
    def scores(self) -> Mapping[str, float] | None: ...
    @property
    def box(self) -> Sequence[float] | None: ...
    @property
    def error(self) -> str | None: ...
    @property
    def places(self) -> Sequence[str]: ...
    @property
    def group(self) -> int | None: ...
    @property
    def width(self) -> int | None: ...
    @property
    def height(self) -> int | None: ...
    @property
    def change(self) -> str | None: ...


@dataclass(frozen=True)
class Scanned:
    """What a report says of the scan as a whole.

    Attributes:
        id: of the scan's store, the same in each report of it: a browser keeps the decisions under it.
        find: the labels that were sought; none of them means any.
        labels: all labels that the bundle knows, without the background.
        threshold: from which confidence an image is a match, or None.
        bundle: its name, for people.
        finished: when, ISO 8601, or "".
        totals: how many images each verdict has.
        base: the folder that names which are relative paths start from, or "".
        complete: whether the scan came to its end.
    """

    id: str
    find: tuple[str, ...]
    labels: tuple[str, ...]
    threshold: float | None = None
    bundle: str = ""
    finished: str = ""
    totals: Mapping[str, int] = field(default_factory=dict)
    base: str = ""
    complete: bool = True


def write_results(
    rows: Iterable[Result],
    scanned: Scanned,
    out: str | os.PathLike[str],
    *,
    thumbnail: Callable[[str], bytes | None],
    settings: ReportSettings = ReportSettings(),
    force: bool = False,
) -> Path:
    """Write the report of a scan as a folder: `index.html`, and `thumbnails/` where there are many.

    The folder appears whole, by one rename.

    Args:
        rows: the results, in any order.
        scanned: what is said of the scan as a whole.
        out: the folder to write.
        thumbnail: gives the JPEG of a picture by its SHA-256, or None.
        settings: how much is shown.
        force: replace a report that is there. A folder that holds anything else is left alone.

    Returns:
        The page.

    Raises:
        UsageError: the folder is there and may not be replaced, or it cannot be written.
    """
    out = Path(out)
    _check_free(out, force)
    kept, left = _most_telling(rows, settings.most)
    fresh = beside(out, f".{out.name[:100]}.{secrets.token_hex(6)}.tmp")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        fresh.mkdir()
        _write(kept, left, scanned, fresh, thumbnail, settings)
        replace_folder(fresh, out)
    except OSError as error:
        raise UsageError(
            f"{out} cannot be written: {error.strerror or error}. Check that its folder is yours and has room."
        ) from error
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return out / "index.html"


def _check_free(out: Path, force: bool) -> None:
    if out.is_symlink() or (out.exists() and not out.is_dir()):
        raise UsageError(f"{out} is a file or a link; name a folder for the report.")
    if not out.exists() or not any(out.iterdir()):
        return
    if not _is_report(out):
        raise UsageError(f"{out} is not empty and is no report, so it stays as it is. Name a new folder.")
    if not force:
        raise UsageError(
            f"{out} holds a report already. Name another folder, or say that it may be replaced (--force)."
        )


def _is_report(folder: Path) -> bool:
    """Whether a folder holds what was written here and nothing else: only that is ever replaced."""
    if not {entry.name for entry in folder.iterdir()} <= {"index.html", "thumbnails"}:
        return False
    try:
        with open_regular(folder / "index.html") as page:
            return _SIGN in page.read(4096)
    except OSError:
        return False


def _most_telling(rows: Iterable[Result], most: int) -> tuple[list[Result], Counter[str]]:
    """The rows to show, the surest first, and how many of each verdict are left out."""
    seen: Counter[str] = Counter()

    def counted() -> Iterator[Result]:
        for row in rows:
            seen[row.verdict] += 1
            yield row

    order = {"match": 3, "unsure": 2, "error": 1, "clear": 0}
    kept = heapq.nlargest(most, counted(), key=lambda row: (order.get(row.verdict, 0), row.confidence or 0.0))
    return kept, seen - Counter(row.verdict for row in kept)


def _write(
    rows: Sequence[Result],
    left: Counter[str],
    scanned: Scanned,
    folder: Path,
    thumbnail: Callable[[str], bytes | None],
    settings: ReportSettings,
) -> None:
    thumbs = _Thumbs(folder / "thumbnails", thumbnail, settings.inside * 1e6)
    names = list(dict.fromkeys(row.sha256 for row in rows if row.sha256 and _SHA256.fullmatch(row.sha256)))
    for sha256 in names:
        thumbs.take(sha256)
    words = _words(rows, scanned)
    facts = _facts(scanned, left, words)
    opening, closing = page_parts(_title(scanned), facts, images_beside=thumbs.beside)
    with open(folder / "index.html", "w", encoding="utf-8", newline="\n") as page:
        page.write(opening)
        for block in _row_blocks(rows, words, thumbs):
            page.write(f'<script type="application/json" class="rows">{block}</script>\n')
        thumbs.write_inside(page)
        page.write(closing)


class _Thumbs:
    """Thumbnails on their way: kept back while they are few, then each a file."""

    def __init__(self, folder: Path, thumbnail: Callable[[str], bytes | None], inside: float) -> None:
        self._folder, self._thumbnail, self._room = folder, thumbnail, inside
        self._inside: dict[str, bytes] = {}
        self._beside: set[str] = set()
        self.beside = False

    def take(self, sha256: str) -> None:
        data = self._thumbnail(sha256)
        if not data or not data.startswith(b"\xff\xd8\xff"):
            return
        self._room -= len(data)
        if self._room < 0 and not self.beside:
            self.beside = True
            for earlier, its in self._inside.items():
                self._file(earlier, its)
            self._inside.clear()
        if self.beside:
            self._file(sha256, data)
        else:
            self._inside[sha256] = data

    def _file(self, sha256: str, data: bytes) -> None:
        path = self._folder / sha256[:2] / f"{sha256}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        self._beside.add(sha256)

    def numbers(self) -> dict[str, int]:
        """For each picture where its thumbnail is: its place inside the page, or -1 for a file beside it."""
        return dict.fromkeys(self._beside, -1) | {sha256: number for number, sha256 in enumerate(self._inside)}

    def write_inside(self, page: IO[str]) -> None:
        data = list(self._inside.values())
        for number, start in enumerate(range(0, len(data), _THUMBS)):
            lines = "\n".join(base64.b64encode(image).decode() for image in data[start : start + _THUMBS])
            page.write(f'<script type="text/plain" id="thumbs-{number}">{lines}</script>\n')


def _words(rows: Sequence[Result], scanned: Scanned) -> dict[str, int]:
    """Every label that the page names, and its number there."""
    words = dict.fromkeys([*scanned.labels, BACKGROUND])
    for row in rows:
        words.update(dict.fromkeys(row.scores or ()))
        words.update(dict.fromkeys(one["label"] for one in (getattr(row, "video", None) or {}).get("appearances", ())))
        if row.label is not None:
            words[row.label] = None
    return {word: number for number, word in enumerate(words)}


def _row_blocks(rows: Sequence[Result], words: Mapping[str, int], thumbs: _Thumbs) -> Iterator[str]:
    numbers = thumbs.numbers()
    places: dict[str, int] = {}
    for start in range(0, len(rows), _ROWS):
        known = len(places)
        block = [_row(row, words, places, numbers) for row in rows[start : start + _ROWS]]
        yield as_json({"places": list(places)[known:], "rows": block})


def _row(row: Result, words: Mapping[str, int], places: dict[str, int], numbers: Mapping[str, int]) -> list[Any]:
    """In the order in which the page's results.js takes it apart."""
    scores = heapq.nlargest(_SCORES, (row.scores or {}).items(), key=lambda pair: pair[1])
    return [
        row.name,
        row.sha256,
        -1 if row.label is None else words[row.label],
        _share(row.confidence),
        _VERDICTS.index(row.verdict),
        -1 if row.change is None else _CHANGES.index(row.change),
        row.group,
        row.width or 0,
        row.height or 0,
        None if row.box is None else [round(float(edge), 4) for edge in row.box],
        row.error,
        [places.setdefault(place, len(places)) for place in row.places],
        [[words[label], _share(share)] for label, share in scores],
        numbers.get(row.sha256 or ""),
        [places.setdefault(name, len(places)) for name in row.names if name != row.name],
        _word(row),
        _video(row, words),
    ]


def _word(row: Result) -> str | None:
    """What was read that speaks for the label, as a sentence; rows need not know of it."""
    word = getattr(row, "word", None)
    if not word or word.get("label") != row.label:
        return None
    return word_sentence(word, bool(word.get("read")))


def _video(row: Result, words: Mapping[str, int]) -> list[Any] | None:
    """Of a video how long it is, its note, and when what is seen; rows need not know of it."""
    video = getattr(row, "video", None)
    if not video:
        return None
    parts = [
        [words[one["label"]], one["start"], one["end"], _share(one["confidence"]), _VERDICTS.index(one["verdict"]), one["at"],
         _share(one["share"])]
        for one in video["appearances"][:_TIMES]
        if one["label"] in words
    ]  # fmt: skip
    return [video["seconds"], video["frames"], video["note"], parts, len(video["appearances"])]


def _share(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else round(float(value), 4)


def _title(scanned: Scanned) -> str:
    return f"Images that show {_listed(scanned.find)}" if scanned.find else "Images that show a logo"


def _facts(scanned: Scanned, left: Counter[str], words: Mapping[str, int]) -> dict[str, Any]:
    left_out = ""
    if left:
        parts = _listed([f"{left[verdict]:,} {verdict}" for verdict in _VERDICTS if left[verdict]])
        left_out = f"{parts} are not in this report; write it with a larger --most to see them."
    if not scanned.complete:
        left_out = f"The scan has not come to its end: run it again to go on with it. {left_out}".rstrip()
    return {
        "id": scanned.id,
        "about": _about(scanned),
        "bundle": scanned.bundle,
        "labels": list(scanned.labels),
        "background": BACKGROUND,
        "words": list(words),
        "totals": {verdict: scanned.totals.get(verdict, 0) for verdict in _VERDICTS},
        "base": scanned.base,
        "chunk": _THUMBS,
        "left": left_out,
    }


def _about(scanned: Scanned) -> str:
    classified = sum(scanned.totals.values())
    parts = [f"{classified:,} image{'' if classified == 1 else 's'} looked at"]
    if scanned.bundle:
        parts.append(f"with {scanned.bundle}")
    if scanned.finished:
        parts.append(f"until {_when(scanned.finished)}")
    text = " ".join(parts)
    return text if scanned.threshold is None else f"{text}; a match from {100 * scanned.threshold:g} % on"


def _when(text: str) -> str:
    try:
        return datetime.datetime.fromisoformat(text).strftime("%Y-%m-%d %H:%M %Z").strip()
    except ValueError:
        return text


def _listed(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
