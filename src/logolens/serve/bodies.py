"""What a request's body holds: images as they are, in a form, in JSON, or the addresses of some."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from logolens.config import ServeSettings
from logolens.serve.form_body import read_form
from logolens.serve.json_body import read_json
from logolens.serve.refusal import Refusal

__all__ = ["Upload", "check_encoding", "check_type", "uploads"]

_HOW = (
    "send an image with its type (Content-Type: image/jpeg), several as multipart/form-data in fields called files, or JSON; "
    "see /v1/openapi.json"
)
_LONGEST_NAME = 255
_MOST_NAME = 4_096
"""Characters of an image's name that are told, and that are looked at for it."""
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


def check_encoding(encoding: str) -> None:
    """Hold what a request says of how its body is packed against what is taken: nothing is unpacked.

    Raises:
        Refusal: it is packed.
    """
    if encoding.strip().lower() not in ("", "identity"):
        raise Refusal(
            415,
            f"A body packed with {encoding.strip()[:40]!r} is not taken; send it as it is, without Content-Encoding.",
            reason="type",
        )


def uploads(
    content_type: str, body: bytes, settings: ServeSettings, check: Callable[[], object] = lambda: None
) -> list[Upload]:
    """The images of a body, in their order; at least one.

    Args:
        content_type: of the body.
        body: as it came.
        settings: what is taken.
        check: is called often, and raises when there is no time left.

    Raises:
        Refusal: the body is not what its type says, holds no image, or more than are taken.
    """
    kind = check_type(content_type)
    if not body:
        raise Refusal(400, f"The body is empty; {_HOW}.", reason="body")
    if kind == _FORM:
        found = _of_form(content_type, body, settings, check)
    elif kind == _JSON:
        found = _of_json(body, settings, check)
    else:
        found = [_upload("", body, settings.max_bytes)]
    return [_named(upload, number) for number, upload in enumerate(found, 1)]


def _too_many(most: int) -> Refusal:
    return Refusal(
        413, f"There are more than {most} images in the body; send them in several requests.", reason="too_many"
    )


def _named(upload: Upload, number: int) -> Upload:
    name = "".join(character for character in upload.name[:_MOST_NAME] if character.isprintable())[:_LONGEST_NAME]
    return replace(upload, name=name or f"image {number}")


def _of_form(content_type: str, body: bytes, settings: ServeSettings, check: Callable[[], object]) -> list[Upload]:
    most = settings.max_images
    parts = read_form(content_type, body, most, settings.max_bytes, lambda: _too_many(most), check)
    return [_upload(part.name, part.data, settings.max_bytes) for part in parts]


def _of_json(body: bytes, settings: ServeSettings, check: Callable[[], object]) -> list[Upload]:
    most = settings.max_images
    items = read_json(body, most, settings.max_bytes, lambda: _too_many(most), check)
    if any(item.url is not None for item in items) and not settings.allow_urls:
        raise Refusal(
            403,
            "This service fetches no images; send the image itself, or start it with --allow-urls.",
            reason="urls",
        )
    return [
        Upload(item.url, url=item.url) if item.url is not None else _upload(item.name, item.data, settings.max_bytes)
        for item in items
    ]


def _upload(name: str, data: bytes | None, max_bytes: int) -> Upload:
    if data is None or len(data) > max_bytes:
        return Upload(name, error=f"The image is larger than {max_bytes:,} bytes; shrink it.", status=413)
    return Upload(name, data)
