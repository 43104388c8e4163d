"""Forms (multipart/form-data), taken apart by looking for their boundary, with a bound to all that there may be of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from python_multipart.multipart import parse_options_header

from logolens.serve.refusal import Refusal

__all__ = ["Part", "options_of", "read_form"]

_STEP = 1 << 20
"""Bytes that one call of C code is given."""

_OTHERS = 64
"""Most parts that are no file, such as the fields of a page's form."""

_LONGEST_HEAD = 16_384
_LONGEST_FIELD = 4_096
_LONGEST_BOUNDARY = 200
"""Bytes of a part's head, of one of its header fields, and of the boundary (the standard says 70)."""

_MOST_OPTIONS = 64
"""Most semicolons in a header field."""

_NEAR_BOUNDARIES = 1_000
"""Most places that begin as the boundary does and go on otherwise. They are content; each costs a step."""

_BLANKS = b" \t"


@dataclass(frozen=True)
class Part:
    """One file of a form.

    Attributes:
        name: as the form says.
        data: its bytes; None where they are too many.
    """

    name: str
    data: bytes | None


def options_of(field: bytes) -> dict[bytes, bytes]:
    """The parameters of a header field; none of one that is longer, or has more of them, than any should.

    Reading them takes time that grows with the square of their number.
    """
    if len(field) > _LONGEST_FIELD or field.count(b";") > _MOST_OPTIONS:
        return {}
    return parse_options_header(field)[1]


def read_form(
    content_type: str,
    body: bytes,
    most: int,
    max_bytes: int,
    too_many: Callable[[], Refusal],
    check: Callable[[], object],
) -> list[Part]:
    """The files of a form's fields called files, in their order; at least one.

    Args:
        content_type: of the body, with the boundary.
        body: the form.
        most: files that are taken.
        max_bytes: of one file.
        too_many: what is said where there are more.
        check: is called often, and raises when there is no time left.

    Raises:
        Refusal: the body is no form, holds no file, too many of them, or too many other parts.
    """
    boundary = options_of(content_type.encode("latin-1", "replace")).get(b"boundary", b"")
    if not boundary or len(boundary) > _LONGEST_BOUNDARY:
        raise Refusal(
            400, "The form's type names no boundary; let the program that sends it set Content-Type.", reason="body"
        )
    seeker = _Seeker(body, boundary, check)
    found: list[Part] = []
    others = 0
    # What stands before the first boundary means nothing.
    begin, is_last = seeker.next(0)[1:]
    while not is_last:
        end, after, is_last = seeker.next(begin)
        name, file_name, data_at = _head(body, begin, end)
        if name == b"files":
            if len(found) >= most:
                raise too_many()
            data = body[data_at:end] if end - data_at <= max_bytes else None
            found.append(Part(file_name.decode("utf-8", "replace"), data))
        else:
            others += 1
            if others > _OTHERS:
                raise Refusal(
                    413,
                    f"The form has more than {_OTHERS} parts that are no files; send the images alone.",
                    reason="body",
                )
        begin = after
    if not found:
        raise Refusal(400, "The form holds no field called files; name the images' field so.", reason="body")
    return found


class _Seeker:
    """Finds the boundaries of a form one after the other."""

    def __init__(self, body: bytes, boundary: bytes, check: Callable[[], object]) -> None:
        self._body, self._mark, self._check = body, b"\r\n--" + boundary, check
        self._near = 0

    def next(self, at: int) -> tuple[int, int, bool]:
        """Where the content before the next boundary ends, where what follows it begins, and whether it is the last.

        Raises:
            Refusal: there is none.
        """
        body, mark = self._body, self._mark
        found = -2 if at == 0 and body.startswith(mark[2:]) else self._find(at)
        while True:
            after = found + len(mark)
            if body.startswith(b"--", after):
                return found, len(body), True
            line_end = body.find(b"\r\n", after, after + 100)
            if line_end >= 0 and not body[after:line_end].strip(_BLANKS):
                # The line's end is left: a part without content begins its boundary with it.
                return found, line_end, False
            self._near += 1
            if self._near > _NEAR_BOUNDARIES:
                raise _damaged()
            found = self._find(found + 2)

    def _find(self, at: int) -> int:
        """The next place where the boundary's bytes stand; looked for a step at a time, since others wait."""
        while at < len(self._body):
            self._check()
            found = self._body.find(self._mark, at, at + _STEP + len(self._mark))
            if found >= 0:
                return found
            at += _STEP
        raise _damaged()


def _head(body: bytes, begin: int, end: int) -> tuple[bytes, bytes, int]:
    """What a part's head says that it is called, as a field and as a file; and where its content begins.

    Args:
        body: the form.
        begin: of the part: the end of the boundary's line.
        end: of the part.

    Raises:
        Refusal: it has no head.
    """
    if end - begin <= 2:
        return b"", b"", end  # It has neither head nor content.
    blank = body.find(b"\r\n\r\n", begin, min(end, begin + _LONGEST_HEAD))
    if blank < 0:
        raise _damaged()
    for line in body[begin + 2 : blank].split(b"\r\n"):
        field, _, value = line.partition(b":")
        if field.strip().lower() == b"content-disposition":
            options = options_of(value.strip())
            return options.get(b"name", b""), options.get(b"filename", b""), blank + 4
    return b"", b"", blank + 4


def _damaged() -> Refusal:
    return Refusal(400, "The form is damaged or cut off; send it again.", reason="body")
