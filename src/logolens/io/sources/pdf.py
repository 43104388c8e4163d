"""The images in PDF files: each page as it looks, and the pictures that stand on it.

A page is drawn whole, for a logo in a PDF file is more often drawn than pasted. The file is taken apart in a process of
its own, with limits on memory and time: one that is made to crash or to take for ever costs itself alone.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
import os
import queue
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import IO, Any

from logolens.config import Limits
from logolens.errors import ImageError, require
from logolens.io.images import content_hash
from logolens.io.sources.source import Source, Stamp

__all__ = ["clear_pages", "pdf_images"]

_ORDER = struct.Struct("<QQ?")  # most pixels, length of the data that follow, whether pages stay clear
_HEADER = struct.Struct("<cIIQ")  # kind, page, picture (0: the page itself), length of what follows
_SIDE = 1600
_LEAST = 32
_MOST_PAGES = 5_000
_MOST_PICTURES = 200
_MEMORY = 2_000_000_000
_SECONDS_A_PAGE = 60.0
_CODE = "from logolens.io.sources.pdf import _serve; _serve()"


def pdf_images(
    name: str, data: bytes, stamp: Stamp | None, limits: Limits, places: tuple[str, ...] = ()
) -> Iterator[Source]:
    """The pages of a PDF file and the pictures on them, as sources named ``NAME!/page-1`` and ``NAME!/page-1-picture-1``.

    A picture that stands on many pages comes once, named after the first.

    Args:
        name: what the file is called.
        data: its bytes.
        stamp: the file's own; its images are as new or as old as it is.
        limits: how large an image may be.
        places: the pages of a web site that lead to the file.
    """
    if importlib.util.find_spec("pypdfium2") is None:
        yield Source(
            name, problem=f"{name} is a PDF file. To look into it, run: pip install 'logolens[pdf]'", places=places
        )
        return
    seen: set[str] = set()
    try:
        for kind, page, picture, found in _taken_apart(data, limits):
            if kind == b"E":
                where = f"{name}!/page-{page}" if page else name
                problem = f"{where}: this PDF file cannot be read ({found.decode('utf-8', 'replace')})."
                yield Source(where, problem=problem, places=places, hides=True)
                continue
            digest = content_hash(found)
            if digest in seen:
                continue
            seen.add(digest)
            inner = f"{name}!/page-{page}" + (f"-picture-{picture}" if picture else "")
            yield Source(inner, data=found, stamp=stamp or Stamp(size=len(found), etag=digest), places=places)
    except _BrokenError as error:
        yield Source(name, problem=f"{name}: this PDF file cannot be read ({error}).", places=places, hides=True)


def clear_pages(data: bytes, limits: Limits) -> list[bytes]:
    """Each page of a PDF file as a PNG that is transparent where nothing is drawn.

    Args:
        data: the file's bytes.
        limits: how large an image may be.

    Raises:
        MissingExtraError: the extra ``pdf`` is not installed.
        ImageError: the file cannot be read.
    """
    require("pypdfium2", "pdf")
    pages = []
    try:
        for kind, page, _, found in _taken_apart(data, limits, clear=True):
            if kind == b"E":
                raise ImageError(
                    f"This PDF file cannot be read ({found.decode('utf-8', 'replace')}"
                    + (f", page {page})." if page else ").")
                )
            pages.append(found)
    except _BrokenError as error:
        raise ImageError(f"This PDF file cannot be read ({error}).") from error
    return pages


class _BrokenError(Exception):
    """The process that took the file apart did not come to its end."""


def _taken_apart(data: bytes, limits: Limits, clear: bool = False) -> Iterator[tuple[bytes, int, int, bytes]]:
    # The child finds this package where it was found here; the folder that it is started in has no say (-P).
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(Path(str(files("logolens"))).parent), *filter(None, sys.path)])
    }
    child = subprocess.Popen(
        [sys.executable, "-P", "-c", _CODE],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environment,
    )
    assert child.stdin is not None
    assert child.stdout is not None
    # A thread of its own writes and one reads, so that a child that does neither can be left waiting for and ended.
    frames: queue.Queue[tuple[bytes, int, int, bytes] | None] = queue.Queue(maxsize=2)
    stopped = threading.Event()
    threads = [
        threading.Thread(target=_send, args=(child.stdin, data, limits, clear), daemon=True),
        threading.Thread(target=_receive, args=(child.stdout, frames, stopped, limits), daemon=True),
    ]
    for thread in threads:
        thread.start()
    try:
        while True:
            try:
                frame = frames.get(timeout=_SECONDS_A_PAGE)
            except queue.Empty:
                raise _BrokenError(f"one of its pages takes longer than {_SECONDS_A_PAGE:g} seconds") from None
            if frame is None:
                raise _BrokenError("it ends the process that tries, or takes too much memory")
            if frame[0] == b"D":
                return
            yield frame
    finally:
        stopped.set()
        child.kill()
        child.wait()
        for thread in threads:
            thread.join(10.0)
        for pipe in (child.stdin, child.stdout):
            with contextlib.suppress(OSError):
                pipe.close()


def _send(pipe: IO[bytes], data: bytes, limits: Limits, clear: bool) -> None:
    with contextlib.suppress(OSError, ValueError):
        pipe.write(_ORDER.pack(limits.max_pixels, len(data), clear))
        pipe.write(data)
        pipe.flush()


def _receive(
    pipe: IO[bytes],
    frames: queue.Queue[tuple[bytes, int, int, bytes] | None],
    stopped: threading.Event,
    limits: Limits,
) -> None:
    frame: tuple[bytes, int, int, bytes] | None = (b"", 0, 0, b"")
    while frame is not None and not stopped.is_set():
        frame = None
        with contextlib.suppress(OSError, ValueError):
            header = pipe.read(_HEADER.size)
            if len(header) == _HEADER.size:
                kind, page, picture, length = _HEADER.unpack(header)
                # The child may have been taken over by what it read: it cannot make this process take any amount.
                if length <= max(limits.max_bytes, 1 << 20):
                    found = pipe.read(length)
                    frame = (kind, page, picture, found) if len(found) == length else None
        while not stopped.is_set():
            with contextlib.suppress(queue.Full):
                frames.put(frame, timeout=0.2)
                break


def _serve() -> None:
    """The child: reads one PDF file from standard input, writes its images to standard output."""
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    pixels, length, clear = _ORDER.unpack(sys.stdin.buffer.read(_ORDER.size))
    data = sys.stdin.buffer.read(length)
    out = sys.stdout.buffer

    def write(kind: bytes, page: int, picture: int, found: bytes) -> None:
        out.write(_HEADER.pack(kind, page, picture, len(found)) + found)
        out.flush()

    import pypdfium2

    try:
        document = pypdfium2.PdfDocument(data)
    except pypdfium2.PdfiumError as error:
        secret = "password" in str(error).lower()
        write(b"E", 0, 0, b"it asks for a password" if secret else str(error).encode("utf-8", "replace")[:200])
        write(b"D", 0, 0, b"")
        return
    for index in range(min(len(document), _MOST_PAGES)):
        try:
            page = document[index]
            _write_page(page, index + 1, write, pixels, clear)
            page.close()
        except Exception as error:  # Whatever a damaged page does, the next may be whole.
            write(b"E", index + 1, 0, f"page {index + 1}: {error}".encode("utf-8", "replace")[:200])
    if len(document) > _MOST_PAGES:
        write(b"E", 0, 0, f"it has {len(document):,} pages; only the first {_MOST_PAGES:,} were looked at".encode())
    write(b"D", 0, 0, b"")


def _write_page(page: Any, number: int, write: Any, pixels: int, clear: bool) -> None:
    import pypdfium2.raw as raw

    width, height = page.get_size()
    scale = min(_SIDE / max(width, height, 1.0), (pixels / max(width * height, 1.0)) ** 0.5)
    if clear:
        # Without forms, whose fields pdfium lays under a tint.
        bitmap = page.render(scale=scale, fill_color=(255, 255, 255, 0), may_draw_forms=False)
        write(b"I", number, 0, _png(bitmap.to_pil().convert("RGBA")))
        return
    write(b"I", number, 0, _png(page.render(scale=scale).to_pil().convert("RGB")))
    objects = page.get_objects(filter=(raw.FPDF_PAGEOBJ_IMAGE,), max_depth=5)
    for picture, each in enumerate(objects, 1):
        if picture > _MOST_PICTURES:
            break
        with contextlib.suppress(Exception):  # A picture of a kind that cannot be had alone is seen on the page.
            wide, high = each.get_px_size() if hasattr(each, "get_px_size") else each.get_size()
            if min(wide, high) >= _LEAST and wide * high <= pixels:
                write(b"I", number, picture, _png(each.get_bitmap(render=False).to_pil().convert("RGB")))


def _png(image: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, "PNG", compress_level=1)
    return out.getvalue()
