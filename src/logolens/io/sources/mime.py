"""What bytes are, told by the bytes: neither a name's ending nor a server's word is trusted."""

from __future__ import annotations

import codecs
import re

from logolens.io.heif import is_heif
from logolens.io.images import IMAGE_SUFFIXES

__all__ = ["ARCHIVE_SUFFIXES", "HEAD", "SCANNED_SUFFIXES", "decoded", "kind_of", "suffix_of"]

HEAD = 1024
"""How many bytes tell what a file is."""

SCANNED_SUFFIXES = IMAGE_SUFFIXES | {".svg", ".svgz"}
"""The endings of images that a scan looks at."""

ARCHIVE_SUFFIXES = (
    *(".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz", ".cbz"),
    *(
        ".docx",
        ".pptx",
        ".xlsx",
        ".odt",
        ".odp",
        ".ods",
        ".epub",
    ),  # Office files and books are zip files of images too.
)
"""The endings of files that are looked into."""

_STARTS = (
    (b"\xff\xd8\xff", "image"),
    (b"\x89PNG\r\n\x1a\n", "image"),
    (b"GIF87a", "image"),
    (b"GIF89a", "image"),
    (b"BM", "image"),
    (b"II*\0", "image"),
    (b"MM\0*", "image"),
    (b"\0\0\1\0", "image"),
    (b"\0\0\0\x0cjP  ", "image"),
    (b"\xff\x4f\xff\x51", "image"),
    (b"%PDF-", "pdf"),
    (b"PK\3\4", "zip"),
    (b"PK\5\6", "zip"),
    (b"\x1f\x8b", "gzip"),
    (b"BZh", "bzip2"),
    (b"\xfd7zXZ\0", "xz"),
)
_BOMS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
_CHARSET = re.compile(rb"""charset\s*=\s*["']?\s*([A-Za-z0-9._:-]{2,40})""", re.IGNORECASE)
_SVG = re.compile(rb"<(?:[A-Za-z]{1,20}:)?svg[\s>/]", re.IGNORECASE)
_HTML = re.compile(rb"<(?:!doctype\s+html|html|head|body|script|div|meta|title|a|p|table)[\s>]", re.IGNORECASE)


def kind_of(head: bytes) -> str:
    """One of image, svg, pdf, zip, tar, gzip, bzip2, xz, text and other, from a file's first `HEAD` bytes."""
    for start, kind in _STARTS:
        if head.startswith(start):
            return kind
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "image"
    if is_heif(head) or (head[4:8] == b"ftyp" and head[8:12] in (b"avif", b"avis", b"mif1", b"miaf")):
        return "image"
    if re.match(rb"P[1-6]\s", head):
        return "image"
    if head[257:262] == b"ustar":
        return "tar"
    if any(head.startswith(bom) for bom, _ in _BOMS[1:]):
        head = head.decode("utf-16", "replace").encode("utf-8", "replace").replace(b"\0", b"")
    if b"\0" in head:
        return "other"
    drawing, page = _SVG.search(head), _HTML.search(head)
    if drawing and (page is None or drawing.start() < page.start()):
        return "svg"
    return "text"


def decoded(data: bytes, charset: str | None = None) -> str:
    """A page's text: by its byte order mark, by what the server says, by what it says of itself, or as UTF-8.

    What is none of these is read as Windows-1252, in which any bytes can be read.
    """
    for bom, name in _BOMS:
        if data.startswith(bom):
            return data.decode(name, "replace")
    declared = _CHARSET.search(data[:HEAD])
    for named in (charset, declared[1].decode("ascii") if declared else None):
        try:
            codec = codecs.lookup(named or "")
        except (LookupError, ValueError):
            continue
        # A codec such as base64 or rot13 is no charset, and UTF-16 without its mark is a page's mistake about itself.
        if getattr(codec, "_is_text_encoding", True) and not codec.name.startswith(
            ("utf-16", "utf-32", "punycode", "idna")
        ):
            try:
                return data.decode("windows-1252" if codec.name in ("ascii", "iso8859-1") else codec.name)
            except UnicodeError:
                break
    try:
        return data.decode("utf-8")
    except UnicodeError:
        return data.decode("windows-1252", "replace")


def suffix_of(path: str) -> str:
    """The ending of a URL's path or of a file's name, lower case with the dot, or nothing."""
    name = path.rpartition("/")[2]
    dot = name.rfind(".")
    return name[dot:].lower() if dot > 0 else ""
