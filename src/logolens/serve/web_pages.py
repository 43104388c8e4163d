"""The page at `/`, its files, and a scan's results for it to browse.

The page's files are read once and served from memory by their names, so no request reaches the disk by a path of its own.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from importlib.resources import files
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query, Request, Response

from logolens.config import ScanSettings, ServeSettings
from logolens.errors import StoreError
from logolens.io.images import IMAGE_SUFFIXES
from logolens.scan import Wanted
from logolens.serve.browsing import Listed, Results
from logolens.serve.refusal import Refusal
from logolens.serve.schemas import Error

__all__ = ["routes"]

_TYPES = {"html": "text/html", "css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}

_MOST = 200
"""Most results in one answer."""

_PARAMETERS = ("verdict", "label", "change", "text", "order", "offset", "limit")

_REFUSED: dict[int | str, dict[str, Any]] = {
    401: {"model": Error, "description": "The token is missing or wrong, where one is asked for."},
    404: {
        "model": Error,
        "description": "No store is browsed here, no scan was made into it, or it has no such picture.",
    },
    422: {"model": Error, "description": "A parameter cannot be."},
    503: {"model": Error, "description": "The store cannot be read now."},
}


def routes(settings: ServeSettings) -> APIRouter:
    """The page and what belongs to it.

    Args:
        settings: name the scan's store, if one is to be browsed.

    Raises:
        StoreError: the store is not there, or is none.
    """
    router = APIRouter()
    results = None if settings.store is None else Results(settings.store)
    page = _read(browsed=results is not None)

    @router.api_route("/", methods=["GET", "HEAD"], include_in_schema=False)
    def index(request: Request) -> Response:
        return page["index.html"].respond(request)

    @router.api_route("/page/{name}", methods=["GET", "HEAD"], include_in_schema=False)
    def file(request: Request, name: str) -> Response:
        if name not in page or name == "index.html":
            raise Refusal(404, "The page has no such file; open / instead.")
        return page[name].respond(request)

    @router.get("/v1/results", summary="Browse a scan's results", response_model=Listed, responses=_REFUSED)
    def browse(
        request: Request,
        verdict: Annotated[
            list[Literal["match", "unsure", "clear", "error"]], Query(description="only these; may be repeated")
        ] = [],  # noqa: B006 - FastAPI copies it.
        label: Annotated[str | None, Query(description="only this label")] = None,
        change: Annotated[
            Literal["new", "changed", "same", "gone"] | None, Query(description="since the last scan")
        ] = None,
        text: Annotated[
            str | None, Query(max_length=500, description="in a name, a place or the reason of an error")
        ] = None,
        order: Annotated[
            Literal["confidence", "name"], Query(description="the surest first, or by name")
        ] = "confidence",
        offset: Annotated[int, Query(ge=0, le=1_000_000_000, description="leave out so many")] = 0,
        limit: Annotated[int, Query(ge=1, le=_MOST, description="at most so many")] = 60,
    ) -> Response:
        for name in request.query_params:
            if name not in _PARAMETERS:
                raise Refusal(422, f"There is no parameter {name[:80]}; there are {', '.join(_PARAMETERS)}.")
        with _asked(results) as store:
            wanted = Wanted(verdict or None, label, change, text=text)
            listed = store.page(wanted, order=order, offset=offset, limit=limit)
        # Names of files may hold what UTF-8 cannot; as ASCII with escapes any of them arrives.
        return Response(json.dumps(asdict(listed)), media_type="application/json")

    @router.get(
        "/v1/results/{sha256}/thumbnail",
        summary="The small picture that a scan kept",
        responses=_REFUSED | {200: {"content": {"image/jpeg": {}}, "description": "A small JPEG."}},
        response_class=Response,
    )
    def thumbnail(
        sha256: Annotated[str, Path(pattern="^[0-9a-f]{64}$", description="of the picture's bytes")],
    ) -> Response:
        with _asked(results) as store:
            found = store.thumbnail(sha256)
        if found is None:
            raise Refusal(
                404, "The scan kept no small picture of this content; scan with --thumbnails all to have them."
            )
        return Response(found, media_type="image/jpeg", headers={"cache-control": "private, max-age=3600"})

    return router


class _File:
    """A file of the page, as it is served."""

    def __init__(self, data: bytes, kind: str) -> None:
        self._data, self._kind = data, kind
        self._headers = {"etag": f'"{hashlib.sha256(data).hexdigest()[:32]}"', "cache-control": "no-cache"}

    def respond(self, request: Request) -> Response:
        if request.headers.get("if-none-match") == self._headers["etag"]:
            return Response(status_code=304, headers=self._headers)
        return Response(self._data, media_type=self._kind, headers=self._headers)


def _read(*, browsed: bool) -> dict[str, _File]:
    """The page's files by their names."""
    scan = ScanSettings()
    values = {"browsed": "yes" if browsed else "no", "match": f"{scan.threshold}", "unsure": f"{scan.unsure}"}
    values["suffixes"] = ",".join(sorted(IMAGE_SUFFIXES))
    found = {}
    for entry in (files("logolens.serve") / "page").iterdir():
        kind = _TYPES.get(entry.name.rpartition(".")[2])
        if kind is None:
            continue
        text = entry.read_text(encoding="utf-8")
        if entry.name == "index.html":
            for name, value in values.items():
                text = text.replace("{{" + name + "}}", value)
        found[entry.name] = _File(text.encode(), kind)
    return found


@contextmanager
def _asked(results: Results | None) -> Iterator[Results]:
    """The store, if there is one, and its complaints as refusals that name no folder of this machine."""
    if results is None:
        raise Refusal(404, "No scan's results are served here; start the service with --store and the file of a scan.")
    try:
        yield results
    except StoreError as error:
        status = 404 if "holds no scan yet" in str(error) else 503
        raise Refusal(status, str(error).replace(str(results.path), results.path.name)) from error
