"""The shape of what the service takes and answers, as its OpenAPI description tells it."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field

__all__ = ["BODY", "ERRORS", "Answers", "Error", "Model", "Models", "Ready"]


class Error(BaseModel):
    """Why a request is not answered."""

    error: str = Field(description="One sentence that says what is wrong and what to do.")


class LogoAt(BaseModel):
    """One place of one logo in an image."""

    label: str
    confidence: float = Field(ge=0, le=1)
    box: list[float] = Field(description="x1, y1, x2, y2 in fractions of width and height.", min_length=4, max_length=4)
    place: float = Field(ge=0, le=1, description="How likely it is at this place, given that it is there.")


class Word(BaseModel):
    """A word that was read in an image and speaks for a label."""

    word: str = Field(description="As it was read.")
    label: str
    name: str = Field(description="The label's name, or a word learned for it, that it was taken for.")
    similarity: float = Field(ge=0, le=1)
    confidence: float = Field(description="Of the reading.", ge=0, le=1)
    evidence: float = Field(description="How much it speaks for the label, in nats.", ge=0)
    box: list[float] = Field(description="x1, y1, x2, y2 in fractions of width and height.", min_length=4, max_length=4)


class Heat(BaseModel):
    """What speaks for a label where."""

    label: str = Field(description="The answer, or the likeliest label where the answer is none.")
    cells: list[list[float]] = Field(description="Rows of numbers that cover the image evenly, in logits.")


class Result(BaseModel):
    """The answer for one image, as `logolens predict --json` prints it."""

    image: str = Field(description="The file's name as it was sent, the URL, or `image 1`, `image 2`, ...")
    label: str | None = Field(description="The answer, which may be none; null of an image that cannot be read.")
    confidence: float | None = Field(ge=0, le=1)
    scores: dict[str, float] = Field(description="The probability of each label, highest first.")
    box: list[float] | None = Field(description="x1, y1, x2, y2 in fractions of width and height, where asked for.")
    error: str | None = Field(description="Why the image cannot be read.")
    logos: list[LogoAt] | None = Field(
        default=None, description="Every place of every label that the image shows, where asked for."
    )
    words: list[Word] | None = Field(default=None, description="Words that were read and speak for labels, if any.")
    read: bool | None = Field(default=None, description="Whether the answer rests on words alone: read, not seen.")
    heat: Heat | None = Field(default=None, description="What speaks for the label where, if asked for.")


class Answers(BaseModel):
    """One result an image, in their order."""

    bundle: str = Field(description="The bundle that answered.")
    results: list[Result]


class Model(BaseModel):
    """A bundle, and how it may be asked."""

    name: str
    sha256: str = Field(description="Of its manifest, which names the hashes of its files.")
    created: str | None
    logolens: str | None
    labels: list[str]
    background: bool = Field(description="Whether it answers none.")
    views: list[str] = Field(description="Where it can be told to look.")
    default_views: str
    where: bool = Field(description="Whether it can tell where a label is.")
    heat: bool = Field(description="Whether it can show a heat-map.")
    threshold: float | None = Field(
        description="The score, in logits, from which a whole image is given a label; null where it knows no none."
    )
    thresholds: dict[str, float] | None = Field(
        description="Of a gallery: for each label, how far its cosine must stand above the background's; null of other bundles."
    )
    urls: bool = Field(description="Whether images may be named by URL.")
    preprocessing: dict[str, Any]
    backbone: dict[str, Any]
    data: dict[str, Any]
    metrics: dict[str, Any]
    files: dict[str, str] = Field(description="The SHA-256 of each of its files.")
    limits: dict[str, int]


class Listed(BaseModel):
    """A bundle in the list of those that are served."""

    name: str
    sha256: str | None
    labels: int | None
    default: bool
    ready: bool
    problem: str | None = Field(description="Why the folder's present content is not served.")


class Models(BaseModel):
    """The bundles that are served."""

    models: list[Listed]


class Ready(BaseModel):
    """Whether requests are answered."""

    ready: bool
    bundles: dict[str, Listed]


ERRORS: dict[int, str] = {
    400: "The body is not what its type says.",
    401: "The token is missing or wrong.",
    403: "An image by URL, and the service fetches none.",
    404: "No bundle of this name is served.",
    408: "The body took too long to arrive.",
    409: "The bundle was not trained for what is asked of it.",
    413: "The body or an image is too large, or there are too many images.",
    415: "The body's type is not taken, or the one image that was sent is no image.",
    421: "The service does not go by this host name.",
    422: "A parameter cannot be, or the one image that was sent is damaged or has too many pixels.",
    500: "The service failed.",
    503: "Not ready, ending, or busy: ask again after the seconds that Retry-After names.",
    504: "The answer took too long.",
}

_BINARY = {"type": "string", "format": "binary"}

BODY: dict[str, Any] = {
    "required": True,
    "content": {
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "required": ["files"],
                "properties": {"files": {"type": "array", "items": _BINARY, "minItems": 1}},
            },
        },
        "image/*": {"schema": _BINARY},
        "application/octet-stream": {"schema": _BINARY},
        "application/json": {
            "schema": {
                "oneOf": [
                    {
                        "type": "object",
                        "required": ["images"],
                        "additionalProperties": False,
                        "properties": {
                            "images": {
                                "type": "array",
                                "minItems": 1,
                                "items": {
                                    "type": "object",
                                    "required": ["base64"],
                                    "additionalProperties": False,
                                    "properties": {
                                        "base64": {"type": "string", "format": "byte"},
                                        "name": {"type": "string"},
                                    },
                                },
                            }
                        },
                    },
                    {
                        "type": "object",
                        "required": ["urls"],
                        "additionalProperties": False,
                        "properties": {
                            "urls": {"type": "array", "minItems": 1, "items": {"type": "string", "format": "uri"}}
                        },
                    },
                ]
            }
        },
    },
}
