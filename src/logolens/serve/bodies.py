"""What a request's body holds: images as they are, in a form, in JSON, or the addresses of some."""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass, replace
from typing import Any

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from logolens.config import ServeSettings
from logolens.serve.refusal import Refusal

__all__ = ["Upload", "check_type", "uploads"]

_HOW = (
    "send an image with its type (Content-Type: image/jpeg), several as multipart/form-data in fields called files, or JSON; "
    "see /v1/openapi.json"
)
_LONGEST_NAME = 255
_FORM, _JSON = "multipart/form-data", "application/json"


@dataclass(frozen=True)
class Upload:
    """One image of a request.

    Attributes:
        name: what the answer calls it.
        data: its bytes; empty of what is still to be fetched.
        url: where it is to be fetched.
        error: why it is not looked at.
        status: what is answered where it is the only image.
    """

    name: str
    data: bytes = b""
    url: str | None = None
    error: str | None = None
    status: int = 422


def check_type(content_type: str) -> str:
    """The media type of a body, lower case without its parameters.

    Raises:
        Refusal: it is none that is taken.
    """
    kind = content_type.partition(";")[0].strip().lower()
    if kind in (_FORM, _JSON, "application/octet-stream") or (kind.startswith("image/") and len(kind) > len("image/")):
        return kind
    given = f"{kind[:80]} is not taken" if kind else "The body's type is not given"
    raise Refusal(415, f"{given}; {_HOW}.", reason="type")


def uploads(content_type: str, body: bytes, settings: ServeSettings) -> list[Upload]:
    """The images of a body, in their order; at least one.

    Raises:
        Refusal: the body is not what its type says, holds no image, or more than are taken.
    """
    kind = check_type(content_type)
    if not body:
        raise Refusal(400, f"The body is empty; {_HOW}.", reason="body")
    if kind == _FORM:
        found = _of_form(content_type, body, settings.max_images)
    elif kind == _JSON:
        found = _of_json(body, settings.allow_urls)
    else:
        found = [Upload("", body)]
    if len(found) > settings.max_images:
        raise _too_many(settings.max_images)
    return [_checked(upload, number, settings.max_bytes) for number, upload in enumerate(found, 1)]


def _too_many(most: int) -> Refusal:
    return Refusal(
        413, f"There are more than {most} images in the body; send them in several requests.", reason="too_many"
    )


def _checked(upload: Upload, number: int, max_bytes: int) -> Upload:
    name = "".join(character for character in upload.name if character.isprintable())[:_LONGEST_NAME]
    upload = replace(upload, name=name or f"image {number}")
    if len(upload.data) > max_bytes:
        return replace(upload, data=b"", error=f"The image is larger than {max_bytes:,} bytes; shrink it.", status=413)
    return upload


def _of_form(content_type: str, body: bytes, most: int) -> list[Upload]:
    _, options = parse_options_header(content_type)
    boundary = options.get(b"boundary")
    if not boundary:
        raise Refusal(
            400, "The form's type names no boundary; let the program that sends it set Content-Type.", reason="body"
        )
    form = _Form(most)
    try:
        parser = MultipartParser(boundary, form.callbacks())
        parser.write(body)
        parser.finalize()
    except (FormParserError, ValueError) as error:
        raise Refusal(400, "The form is damaged or cut off; send it again.", reason="body") from error
    if not form.is_ended:
        raise Refusal(400, "The form is cut off; send it again.", reason="body")
    if not form.found:
        raise Refusal(400, "The form holds no field called files; name the images' field so.", reason="body")
    return form.found


class _Form:
    """Collects the files of a form in memory: bodies are bounded, and nothing is written to a disk."""

    def __init__(self, most: int) -> None:
        self.found: list[Upload] = []
        self.is_ended = False
        self._most = most
        self._headers: dict[bytes, bytes] = {}
        self._key, self._value = bytearray(), bytearray()
        self._parts: list[bytes] = []

    def callbacks(self) -> Any:
        return {
            "on_part_begin": self._begin,
            "on_header_field": lambda data, start, end: self._key.extend(data[start:end]),
            "on_header_value": lambda data, start, end: self._value.extend(data[start:end]),
            "on_header_end": self._header,
            "on_part_data": lambda data, start, end: self._parts.append(bytes(data[start:end])),
            "on_part_end": self._end,
            "on_end": self._finish,
        }

    def _begin(self) -> None:
        self._headers, self._parts = {}, []

    def _header(self) -> None:
        self._headers[bytes(self._key).lower()] = bytes(self._value)
        self._key, self._value = bytearray(), bytearray()

    def _end(self) -> None:
        _, options = parse_options_header(self._headers.get(b"content-disposition", b""))
        if options.get(b"name") != b"files":
            return
        if len(self.found) >= self._most:
            raise _too_many(self._most)
        data = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
        self.found.append(Upload(options.get(b"filename", b"").decode("utf-8", "replace"), data))

    def _finish(self) -> None:
        self.is_ended = True


def _of_json(body: bytes, allow_urls: bool) -> list[Upload]:
    how = 'send {"urls": ["https://..."]} or {"images": [{"base64": "...", "name": "..."}]}'
    try:
        given = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise Refusal(400, f"The body is not JSON; {how}.", reason="body") from error
    if not isinstance(given, dict) or len(given.keys() & {"urls", "images"}) != 1 or len(given) != 1:
        raise Refusal(422, f"The JSON is not what is taken; {how}.", reason="body")
    ((key, listed),) = given.items()
    if not isinstance(listed, list) or not listed:
        raise Refusal(422, f"{key} must be a list of at least one; {how}.", reason="body")
    if key == "urls":
        if any(not isinstance(url, str) for url in listed):
            raise Refusal(422, f"Each of urls must be a text; {how}.", reason="body")
        if not allow_urls:
            raise Refusal(
                403,
                "This service fetches no images; send the image itself, or start it with --allow-urls.",
                reason="urls",
            )
        return [Upload(url, url=url) for url in listed]
    return [_of_object(item, number, how) for number, item in enumerate(listed, 1)]


def _of_object(item: Any, number: int, how: str) -> Upload:
    if not isinstance(item, dict) or not item.keys() <= {"base64", "name"} or not isinstance(item.get("base64"), str):
        raise Refusal(422, f"Image {number} is not an object with base64; {how}.", reason="body")
    name = item.get("name", "")
    if not isinstance(name, str):
        raise Refusal(422, f"The name of image {number} is not a text; {how}.", reason="body")
    text = item["base64"]
    if text.startswith("data:"):  # As browsers write it.
        text = text.partition(",")[2]
    try:
        return Upload(name, base64.b64decode("".join(text.split()), validate=True))
    except (binascii.Error, ValueError) as error:
        raise Refusal(400, f"Image {number} is not base64; encode the file's bytes so.", reason="body") from error
