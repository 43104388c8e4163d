"""From what is listed to photos: each file is read and decoded once, in threads, and remembered between runs.

The memory is a small SQLite file in the cache folder. It is an aid only: when it is damaged, locked or out of reach,
the files are read again.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from logolens.config import Limits, cache_folder
from logolens.data.blur import blur_of
from logolens.data.near_duplicates import THUMB, thumbnails
from logolens.data.points import ROW, points
from logolens.errors import ImageError
from logolens.io.images import content_hash, open_apart, read_bytes, stored_size
from logolens.io.svg import is_svg

__all__ = ["Facts", "Progress", "read_all"]

Progress = Callable[[int, int], None]
"""Called as ``progress(done, total)``."""

_SHRINK = 4 * THUMB
_VERSION = 4  # of what is remembered; raise it when `thumbnails`, `points` or `blur_of` changes
_GROUNDED = "grounded"
"""A trait of images with transparency: their thumbnails were made over a ground that shows them, as earlier ones were not."""

_ROWS = 300_000  # at most remembered, some 1.2 GB
_CHUNK = 512
_SETTLED_NS = 2_000_000_000  # a file changed this recently may change again within the clock's tick
_TURNED = (5, 6, 7, 8)  # EXIF orientations that swap width and height


@dataclass(frozen=True)
class Facts:
    """What is known of one readable image file.

    Attributes:
        sha256: of its bytes.
        width: of the upright image.
        height: of the upright image.
        thumbs: uint8 of shape (2, 32, 32), see `logolens.data.near_duplicates.thumbnails`.
        aspects: width over height of the two.
        kind: the format that its bytes are in, as Pillow names it: "JPEG", "PNG"; "SVG" of a drawing.
        blur: how blurred it is, from 0 to 1, see `logolens.data.blur`.
        spread: standard deviation of its brightness in grey levels; near 0 of a plain surface.
        traits: any of "turned" (by EXIF), "moving" (several frames), "clear" (has transparency, then "grounded" too),
            "deep" (16 bits or float), "ink" (CMYK).
        points: local features, uint8 of shape (up to 64, 40), see `logolens.data.points.points`.
    """

    sha256: str
    width: int
    height: int
    thumbs: npt.NDArray[np.uint8]
    aspects: tuple[float, float]
    kind: str
    blur: float
    spread: float
    traits: frozenset[str]
    points: npt.NDArray[np.uint8]


def read_all(
    paths: Sequence[Path], *, limits: Limits = Limits(), progress: Progress | None = None, remember: bool = True
) -> list[Facts | ImageError]:
    """Read each file once.

    Args:
        paths: the files; a path that stands here twice is read twice.
        limits: what is refused.
        progress: called now and then, and at the end.
        remember: whether facts are taken from the cache folder and kept there.

    Returns:
        For each path its facts, or the error that says why it cannot be read.
    """
    found: list[Facts | ImageError | None] = [None] * len(paths)
    with _Memory(cache_folder() / "photos.sqlite" if remember else None) as memory:
        keys = [_key(path) for path in paths]
        known = memory.recall([key for key in keys if key is not None])
        unread = []
        for index, key in enumerate(keys):
            facts = known.get(key) if key is not None else None
            # What was read under wider limits must still be refused under narrower ones.
            if key is not None and facts is not None and _is_within(facts, key[1], limits):
                found[index] = facts
            else:
                unread.append(index)
        done = len(paths) - len(unread)
        if progress is not None:
            progress(done, len(paths))
        with ThreadPoolExecutor(max(2, min(16, os.cpu_count() or 2)), thread_name_prefix="logolens-read") as pool:
            for start in range(0, len(unread), _CHUNK):
                chunk = unread[start : start + _CHUNK]
                fresh = []
                for index, result in zip(chunk, pool.map(lambda k: _read(paths[k], limits), chunk), strict=True):
                    found[index] = result
                    key = keys[index]
                    if isinstance(result, Facts) and key is not None and _is_settled(key) and key == _key(paths[index]):
                        fresh.append((key, result))
                    done += 1
                    if progress is not None:
                        progress(done, len(paths))
                memory.keep(fresh)
    return [item if item is not None else ImageError("The file was not read.") for item in found]


def _read(path: Path, limits: Limits) -> Facts | ImageError:
    try:
        data = read_bytes(path, limits)
        try:
            image = open_apart(data, shrink_to=_SHRINK, limits=limits)
        except ImageError as error:
            return ImageError(f"{path}: {error}")
    except ImageError as error:
        return error
    width, height, kind, traits = _header(data, _upright(image))
    thumbs, *aspects = thumbnails(image)
    blur, spread = blur_of(image)
    of_file = (content_hash(data), width, height)
    return Facts(*of_file, thumbs, (aspects[0], aspects[1]), kind, blur, spread, traits, points(image))


def _upright(image: Image.Image) -> tuple[int, int]:
    """The size of the upright image in its file."""
    stored = stored_size(image) or image.size
    return stored if (stored[0] > stored[1]) == (image.width > image.height) else (stored[1], stored[0])


def _header(data: bytes, decoded: tuple[int, int]) -> tuple[int, int, str, frozenset[str]]:
    """The upright size, the format and the traits; ``decoded`` is the upright size after a JPEG's decoder may have shrunk it."""
    traits = set()
    width, height = decoded
    kind = "SVG" if is_svg(data) else ""
    # The bytes have just been decoded in full, so what fails here is metadata, and only costs a trait.
    with contextlib.suppress(Exception), Image.open(BytesIO(data)) as image:
        kind = image.format or kind
        orientation = image.getexif().get(0x0112, 1)
        if image.format in ("JPEG", "MPO"):
            width, height = image.size if orientation not in _TURNED else image.size[::-1]
        if orientation in range(2, 9):
            traits.add("turned")
        if image.format != "MPO" and getattr(image, "n_frames", 1) > 1:
            traits.add("moving")
        if image.has_transparency_data:
            traits |= {"clear", _GROUNDED}
        if image.mode in ("I", "F") or image.mode.startswith("I;"):
            traits.add("deep")
        if image.mode == "CMYK":
            traits.add("ink")
    return width, height, kind, frozenset(traits)


_Key = tuple[str, int, int, int, int]


def _key(path: Path) -> _Key | None:
    """What changes whenever a file's content may have: also the time of the last change to its entry (ctime) and its
    number, since a copying tool can bring another file of the same size and time to the same name."""
    try:
        stat = path.stat()
        return (os.path.abspath(path), stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino % 2**63)
    except (OSError, ValueError):
        return None


def _is_within(facts: Facts, size: int, limits: Limits) -> bool:
    return facts.width * facts.height <= limits.max_pixels and size <= limits.max_bytes


def _is_settled(key: _Key) -> bool:
    return time.time_ns() - max(key[2], key[3]) > _SETTLED_NS


class _Memory:
    """The SQLite file; every failure of it is silence, for all it holds can be read again."""

    def __init__(self, file: Path | None) -> None:
        self._file = file
        self._connection: sqlite3.Connection | None = None

    def __enter__(self) -> _Memory:
        if self._file is not None:
            try:
                self._open()
            except sqlite3.DatabaseError as error:
                self._close()
                # A file that is no database is thrown away; one that is merely locked is left to its owner.
                if not isinstance(error, sqlite3.OperationalError):
                    with contextlib.suppress(OSError, sqlite3.Error):
                        self._file.unlink(missing_ok=True)
                        self._open()
            except OSError:
                self._close()
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def _open(self) -> None:
        assert self._file is not None
        self._file.parent.mkdir(parents=True, exist_ok=True)
        self._connection = sqlite3.connect(self._file, timeout=10, isolation_level=None)
        self._connection.execute(
            f"CREATE TABLE IF NOT EXISTS photos_{_VERSION} (path TEXT PRIMARY KEY, size INTEGER, mtime INTEGER,"
            " ctime INTEGER, inode INTEGER, sha256 TEXT, width INTEGER, height INTEGER, aspect1 REAL, aspect2 REAL,"
            " kind TEXT, blur REAL, spread REAL, traits TEXT, thumbs BLOB, points BLOB)"
        )

    def _close(self) -> None:
        if self._connection is not None:
            with contextlib.suppress(sqlite3.Error):
                self._connection.close()
        self._connection = None

    def recall(self, keys: Sequence[_Key]) -> dict[_Key, Facts]:
        found: dict[_Key, Facts] = {}
        if self._connection is None:
            return found
        try:
            for start in range(0, len(keys), 500):
                part = keys[start : start + 500]
                marks = ",".join("?" * len(part))
                rows = self._connection.execute(
                    f"SELECT * FROM photos_{_VERSION} WHERE path IN ({marks})", [_text(key[0]) for key in part]
                )
                of_path = {_text(key[0]): key for key in part}
                for row in rows:
                    key = of_path[row[0]]
                    if tuple(row[1:5]) == key[1:] and (facts := _facts(row[5:])) is not None:
                        found[key] = facts
        except sqlite3.DatabaseError as error:
            self._close()
            if not isinstance(error, sqlite3.OperationalError) and self._file is not None:
                with contextlib.suppress(OSError):
                    self._file.unlink(missing_ok=True)
        return found

    def keep(self, fresh: Sequence[tuple[_Key, Facts]]) -> None:
        if self._connection is None or not fresh:
            return
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            self._connection.executemany(
                f"INSERT OR REPLACE INTO photos_{_VERSION} VALUES ({','.join('?' * 16)})", list(_rows(fresh))
            )
            self._connection.execute(
                f"DELETE FROM photos_{_VERSION} WHERE rowid <= (SELECT max(rowid) FROM photos_{_VERSION}) - ?", [_ROWS]
            )
            self._connection.execute("COMMIT")
        except sqlite3.Error:
            self._close()


def _rows(fresh: Sequence[tuple[_Key, Facts]]) -> Iterator[tuple[object, ...]]:
    for key, facts in fresh:
        same = np.array_equal(facts.thumbs[0], facts.thumbs[1])
        blob = (facts.thumbs[:1] if same else facts.thumbs).tobytes()
        traits = " ".join(sorted(facts.traits))
        measured = (facts.kind, facts.blur, facts.spread, traits, blob, facts.points.tobytes())
        yield (_text(key[0]), *key[1:], facts.sha256, facts.width, facts.height, *facts.aspects, *measured)


def _facts(row: Sequence[object]) -> Facts | None:
    sha256, width, height, aspect1, aspect2, kind, blur, spread, traits, blob, found = row
    one = THUMB * THUMB
    if not isinstance(blob, bytes) or len(blob) not in (one, 2 * one) or not isinstance(sha256, str):
        return None
    if not isinstance(found, bytes) or len(found) % ROW:
        return None
    # Of most photos both are the same, and the memory of one is enough for 100,000 of them.
    thumbs = np.broadcast_to(np.frombuffer(blob, np.uint8).reshape(-1, THUMB, THUMB), (2, THUMB, THUMB))
    try:
        size = int(str(width)), int(str(height))
        aspects = float(str(aspect1)), float(str(aspect2))
        measured = float(str(blur)), float(str(spread))
    except ValueError:
        return None
    known = frozenset(str(traits).split())
    if "clear" in known and _GROUNDED not in known:
        return None
    return Facts(
        sha256, *size, thumbs, aspects, str(kind), *measured, known, np.frombuffer(found, np.uint8).reshape(-1, ROW)
    )


def _text(path: str) -> str:
    """A path that SQLite takes: names that are no valid Unicode are escaped."""
    return path.encode("utf-8", "backslashreplace").decode()
