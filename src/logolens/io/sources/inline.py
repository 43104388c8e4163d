"""Images that stand in a page itself, and those that a web app's manifest names."""

from __future__ import annotations

import base64
import binascii
import html
import json
import re
from urllib.parse import unquote_to_bytes

from logolens.io.sources.css import Sheet

_TAG = re.compile(r"""<[A-Za-z](?:[^<>"']|"[^"<]*"|'[^'<]*'){0,20000}>""")
_VALUE = re.compile(r"""("[^"]*"|'[^']*')|=\s*([^\s"'<>=`/](?:[^\s"'<>`/]|/(?!>))*)""")
_NAMED = re.compile(r"&(?!(?:amp|lt|gt|quot|apos);)([A-Za-z]\w{1,30});")
_STRAY = re.compile(r"&(?!#|\w{1,31};)")

__all__ = ["data_of", "drawing_file", "read_manifest"]


def data_of(address: str) -> bytes:
    """What a ``data:`` address holds, or nothing where it is broken."""
    head, _, body = address[5:].partition(",")
    if not body:
        return b""
    data = unquote_to_bytes(body)
    if head.lower().rstrip().endswith(";base64"):
        data = re.sub(rb"[^A-Za-z0-9+/_-]", b"", data)
        try:
            return base64.b64decode(
                data + b"=" * (-len(data) % 4), altchars=b"-_" if b"-" in data or b"_" in data else None
            )
        except binascii.Error:
            return b""
    return data


def drawing_file(text: str) -> bytes:
    """An SVG element of a page as a file of its own: namespaces named, and attributes quoted as XML wants it."""
    head, mark, rest = text.partition(">")
    spaces = ""
    if "xmlns=" not in head:
        spaces += ' xmlns="http://www.w3.org/2000/svg"'
    if "xlink:" in text and "xmlns:xlink" not in head:
        spaces += ' xmlns:xlink="http://www.w3.org/1999/xlink"'
    text = "<svg" + spaces + head[4:] + mark + rest
    text = _TAG.sub(lambda tag: _VALUE.sub(lambda value: value[1] or f'="{value[2]}"', tag[0]), text)
    text = _STRAY.sub("&amp;", _NAMED.sub(lambda found: html.unescape(found[0]).replace("&", "&amp;"), text))
    return text.encode("utf-8", "replace")


def read_manifest(text: str) -> Sheet | None:
    """The icons of a web app's manifest, or None where the text is none."""
    if not text.lstrip("\ufeff \t\r\n").startswith("{"):
        return None
    try:
        value = json.loads(text.lstrip("\ufeff"))
        shown = [*(value.get("icons") or []), *(value.get("screenshots") or [])]
        shown += [icon for each in value.get("shortcuts") or [] for icon in each.get("icons") or []]
        return Sheet(images=[each["src"] for each in shown if isinstance(each.get("src"), str)])
    except (ValueError, RecursionError, AttributeError, TypeError, KeyError):
        return None
