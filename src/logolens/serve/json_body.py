"""JSON bodies, read from the first byte to the last and no further than what may stand there.

A general reader first builds all that a body holds: 64 MB of `{},{},...` are 1.8 GB of objects. This one knows the two shapes
that are taken and stops at the first byte that belongs to neither, so it builds nothing but images and addresses. It runs on a
thread, and every step that it takes is short, since the thread that speaks HTTP waits for it meanwhile.
"""

from __future__ import annotations

import binascii
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NoReturn

from logolens.serve.refusal import Refusal

__all__ = ["Item", "read_json"]

_HOW = 'send {"urls": ["https://..."]} or {"images": [{"base64": "...", "name": "..."}]}'

_STEP = 1 << 18
"""Bytes that one call of C code is given."""

_SMALL = 250_000
"""Bytes of a body that may be parsed as a whole to tell apart what is no JSON and what is JSON of another shape."""

_LONGEST_KEY = 100
_LONGEST_NAME = 65_536
_LONGEST_URL = 8_192
_LONGEST_TYPE = 1_000
"""Bytes of strings as they are sent: keys, names of images, addresses, and what a data URL says before its comma."""

_BLANK = re.compile(rb"[ \t\n\r]*")
_ESCAPES = {
    rb"\/": b"/", rb"\n": b"", rb"\r": b"", rb"\t": b"", rb"\u002b": b"+", rb"\u002B": b"+", rb"\u002f": b"/",
    rb"\u002F": b"/", rb"\u003d": b"=", rb"\u003D": b"=",
}  # fmt: skip
"""What base64 may be escaped as: PHP writes `/` so, .NET `+`, and some break lines."""
_ESCAPE = re.compile(rb"\\(?:[/nrt]|u00(?:2[bBfF]|3[dD]))")
_BLANKS = b" \t\r\n"


@dataclass(frozen=True)
class Item:
    """One member of the list.

    Attributes:
        name: of an image.
        data: its bytes; None where they are too many.
        url: an address instead.
    """

    name: str = ""
    data: bytes | None = b""
    url: str | None = None


def read_json(
    body: bytes, most: int, max_bytes: int, too_many: Callable[[], Refusal], check: Callable[[], object]
) -> list[Item]:
    """The images or addresses of a JSON body, in their order; at least one.

    Args:
        body: in UTF-8.
        most: images that are taken.
        max_bytes: of one image.
        too_many: what is said where there are more.
        check: is called often, and raises when there is no time left.

    Raises:
        Refusal: the body is no JSON, of no shape that is taken, or holds too many images.
    """
    return _Reader(body, most, max_bytes, too_many, check).read()


class _Reader:
    def __init__(
        self, body: bytes, most: int, max_bytes: int, too_many: Callable[[], Refusal], check: Callable[[], object]
    ) -> None:
        self._body, self._most, self._max_bytes, self._too_many, self._check = body, most, max_bytes, too_many, check
        self._at = 3 if body.startswith(b"\xef\xbb\xbf") else 0

    def read(self) -> list[Item]:
        if self._next() != b"{":
            self._misshapen()
        self._at += 1
        if self._next() != b'"':
            self._misshapen()
        key = self._string(_LONGEST_KEY, "A key")
        if key not in ("urls", "images"):
            self._misshapen()
        self._expect(b":")
        found = self._list(key, self._url if key == "urls" else self._image)
        if self._next() != b"}":
            self._misshapen()
        self._at += 1
        if self._next():
            self._misshapen()
        if not found:
            self._refuse(f"{key} must be a list of at least one")
        return found

    def _list(self, key: str, member: Callable[[int], Item]) -> list[Item]:
        if self._next() != b"[":
            self._misshapen(f"{key} must be a list of at least one")
        self._at += 1
        found: list[Item] = []
        if self._next() == b"]":
            self._at += 1
            return found
        while True:
            if len(found) >= self._most:
                raise self._too_many()
            found.append(member(len(found) + 1))
            mark = self._next()
            self._at += 1
            if mark == b"]":
                return found
            if mark != b",":
                self._misshapen()

    def _url(self, _: int) -> Item:
        if self._next() != b'"':
            self._misshapen("Each of urls must be a text")
        return Item(url=self._string(_LONGEST_URL, "An address"))

    def _image(self, number: int) -> Item:
        wanted = f"Image {number} is not an object with base64"
        if self._next() != b"{":
            self._misshapen(wanted)
        found: dict[str, Any] = {}
        mark = b","
        while mark == b",":
            self._at += 1
            if self._next() != b'"':
                self._misshapen(wanted)
            key = self._string(_LONGEST_KEY, "A key")
            if key not in ("base64", "name") or key in found:
                self._misshapen(wanted)
            self._expect(b":")
            if self._next() != b'"':
                self._misshapen(wanted if key == "base64" else f"The name of image {number} is not a text")
            found[key] = self._base64(number) if key == "base64" else self._string(_LONGEST_NAME, "A name")
            mark = self._next()
        if mark != b"}" or "base64" not in found:
            self._misshapen(wanted)
        self._at += 1
        return Item(found.get("name", ""), found["base64"])

    # What JSON is made of

    def _next(self) -> bytes:
        """The next byte that is not blank, or none at the end."""
        while True:
            found = _BLANK.match(self._body, self._at, self._at + _STEP)
            assert found is not None
            self._at = found.end()
            if found.end() - found.start() < _STEP:
                return self._body[self._at : self._at + 1]
            self._check()

    def _expect(self, mark: bytes) -> None:
        if self._next() != mark:
            self._misshapen()
        self._at += 1

    def _string(self, longest: int, what: str) -> str:
        """The string that begins here, which may be so many bytes long."""
        end = at = self._at + 1
        limit = at + longest
        while True:
            end = self._body.find(b'"', at, limit + 1)
            if end < 0:
                if len(self._body) <= limit:
                    self._no_json()
                self._refuse(f"{what} is longer than {longest:,} bytes")
            slashes = end
            while self._body[slashes - 1 : slashes] == b"\\":
                slashes -= 1
            if (end - slashes) % 2 == 0:
                break
            at = end + 1
        try:
            text = json.loads(self._body[self._at : end + 1])
        except ValueError:
            self._no_json()
        self._at = end + 1
        assert isinstance(text, str)
        return text

    def _base64(self, number: int) -> bytes | None:
        """What the base64 in the string that begins here stands for; None where it is too much."""
        self._at += 1
        if self._body.startswith(b"data:", self._at):  # As browsers write it.
            comma = self._body.find(b",", self._at, self._at + _LONGEST_TYPE)
            if comma < 0 or b'"' in self._body[self._at : comma]:
                self._no_base64(number)
            self._at = comma + 1
        decoded, size, rest = [], 0, b""
        is_last = is_padded = False
        while not is_last:
            self._check()
            end = self._body.find(b'"', self._at, self._at + _STEP)
            is_last = end >= 0
            if not is_last and self._at + _STEP >= len(self._body):
                self._no_json()
            raw = rest + self._body[self._at : end if is_last else self._at + _STEP]
            self._at = end + 1 if is_last else self._at + _STEP
            raw, rest = (raw, b"") if is_last else _whole_escapes(raw)
            text = _unescaped(raw)
            if not is_last:
                whole = len(text) // 4 * 4
                text, rest = text[:whole], text[whole:] + rest
            if is_padded and text:
                self._no_base64(number)
            is_padded = is_padded or text.endswith(b"=")
            try:
                part = binascii.a2b_base64(text, strict_mode=True)
            except binascii.Error:
                self._no_base64(number)
            size += len(part)
            if size <= self._max_bytes:
                decoded.append(part)
            else:
                decoded.clear()
        return b"".join(decoded) if size <= self._max_bytes else None

    # What is wrong

    def _misshapen(self, what: str = "The JSON is not what is taken") -> NoReturn:
        """Refuse what stands here: as no JSON, where that can be told in a moment, else as JSON of another shape."""
        if len(self._body) <= _SMALL:
            try:
                json.loads(self._body.decode("utf-8-sig"))
            except (ValueError, RecursionError):
                self._no_json()
        elif not self._next():
            self._no_json()
        self._refuse(what)

    def _refuse(self, what: str) -> NoReturn:
        raise Refusal(422, f"{what}; {_HOW}.", reason="body")

    def _no_json(self) -> NoReturn:
        raise Refusal(400, f"The body is not JSON; {_HOW}.", reason="body")

    def _no_base64(self, number: int) -> NoReturn:
        raise Refusal(400, f"Image {number} is not base64; encode the file's bytes so.", reason="body")


def _whole_escapes(raw: bytes) -> tuple[bytes, bytes]:
    """Bytes up to an escape that may go on behind them, and the rest."""
    cut = raw.rfind(b"\\", max(0, len(raw) - 6))
    return (raw, b"") if cut < 0 else (raw[:cut], raw[cut:])


def _unescaped(raw: bytes) -> bytes:
    """Base64 without blanks and JSON's escapes; what cannot be base64 is left to whoever decodes it."""
    if b"\\" in raw:
        raw = _ESCAPE.sub(lambda found: _ESCAPES[found[0]], raw)
    return raw.translate(None, b" ")
