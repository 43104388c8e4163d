"""The application: what it is made of, its routes, and the one place where errors become answers."""

from __future__ import annotations

import asyncio
import difflib
import importlib
import importlib.util
import json
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import ExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, FastAPI, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.security import HTTPBearer
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware

from logolens._version import __version__
from logolens.config import ServeSettings
from logolens.io.decoder_pool import Decoder
from logolens.io.images import open_rgb
from logolens.io.threads import processors
from logolens.serve.admission import Admission
from logolens.serve.batcher import Batcher
from logolens.serve.bodies import check_encoding
from logolens.serve.bundles import Shelf, about
from logolens.serve.fetcher import Fetcher
from logolens.serve.gate import SLOT, Gate
from logolens.serve.logs import log_request
from logolens.serve.metrics import Metrics
from logolens.serve.predicting import Answering, Asked
from logolens.serve.protocol import REFUSED
from logolens.serve.refusal import Refusal
from logolens.serve.schemas import BODY, ERRORS, Answers, Error, Model, Models, Ready
from logolens.serve.security import Front, Token
from logolens.serve.warm import warm_decoder

__all__ = ["build"]

_LOG = logging.getLogger(__name__)

_PREDICT = "/v1/predict"
_ROUTES = frozenset({_PREDICT, "/v1/model", "/v1/models", "/v1/openapi.json", "/healthz", "/readyz", "/metrics", "/"})


def build(bundles: Mapping[str, Path], settings: ServeSettings, token: str) -> FastAPI:
    """See `logolens.serve.create_app`."""
    metrics = Metrics()
    service = _Service(bundles, settings, metrics)
    app = FastAPI(
        title="logolens",
        version=__version__,
        summary="Says which brand's logo an image shows, where, and how sure it is.",
        openapi_url="/v1/openapi.json",
        docs_url=None,
        redoc_url=None,
        lifespan=service.lifespan,
    )
    app.include_router(_api(service, metrics, guarded=bool(token)))
    # The page has a module of its own.
    if importlib.util.find_spec("logolens.serve.web_pages") is not None:
        app.include_router(importlib.import_module("logolens.serve.web_pages").routes(settings))
    app.state.reload = service.reload
    _translate(app, metrics)
    # The last that is added stands in front.
    app.add_middleware(Admission, gate=Gate(settings, metrics), path=_PREDICT, metrics=metrics)
    if token:
        app.add_middleware(Token, token=token, metrics=metrics)
    if settings.cors:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(settings.cors),
            allow_methods=["GET", "POST"],
            allow_headers=["authorization", "content-type"],
            max_age=600,
        )
    app.add_middleware(Front, settings=settings, metrics=metrics, routes=_ROUTES)
    return app


class _Service:
    """What lives as long as the application does."""

    def __init__(self, bundles: Mapping[str, Path], settings: ServeSettings, metrics: Metrics) -> None:
        self._bundles, self.settings, self._metrics = bundles, settings, metrics
        self.is_warm = False
        self.shelf: Shelf | None = None
        self.answering: Answering | None = None

    @asynccontextmanager
    async def lifespan(self, _: FastAPI) -> AsyncIterator[dict[str, Any]]:
        """Start threads and processes; at the end, finish what was taken on and end them."""
        settings = self.settings
        lookers = settings.threads or max(1, processors() // settings.workers) + 1
        openers = lookers
        with ExitStack() as stack:
            decoder = stack.enter_context(Decoder(openers, settings.decode_settings())) if settings.isolate else None
            fetcher = Fetcher(settings) if settings.allow_urls else None
            if fetcher is not None:
                stack.callback(fetcher.close)
            shelf = Shelf(self._bundles, settings, decoder or open_rgb, self._metrics)
            batcher = Batcher(openers, lookers, settings.batch, self._metrics.batches.observe)
            stack.callback(batcher.close)
            stack.callback(shelf.close)
            self.answering = Answering(settings, shelf, batcher, self._metrics, fetcher)
            stack.callback(self.answering.close)
            self.shelf = shelf
            shelf.start(partial(self._warm, decoder))
            yield {REFUSED: self._refused}
            # Off the event loop, on which what is still answered must be told.
            await asyncio.to_thread(stack.close)

    def _warm(self, decoder: Decoder | None) -> None:
        if decoder is not None:
            warm_decoder(decoder)
        self.is_warm = True
        _LOG.info("Ready.")

    def _refused(self, refusal: Refusal) -> None:
        """Count and tell what was refused before it was a request."""
        self._metrics.refused(refusal)
        log_request("", "other", refusal.status)

    def reload(self) -> None:
        """Have all bundles loaded anew; may be called from a handler of a signal."""
        if self.shelf is not None:
            self.shelf.reload()

    def started(self) -> tuple[Answering, Shelf]:
        """What answers, and with what.

        Raises:
            Refusal: the application is not running.
        """
        if self.answering is None or self.shelf is None:
            raise Refusal(503, "The service is starting; ask again in a moment.", reason="not_ready", retry_after=1)
        return self.answering, self.shelf

    def listed(self) -> list[dict[str, Any]]:
        """The bundles, as `/v1/models` lists them."""
        _, shelf = self.started()
        return [
            {
                "name": name,
                "sha256": None if served is None else served.sha256,
                "labels": None if served is None else len(served.labels),
                "default": name == shelf.names[0],
                "ready": served is not None,
                "problem": problem,
            }
            for name, served, problem in shelf.each()
        ]


def _api(service: _Service, metrics: Metrics, *, guarded: bool) -> APIRouter:
    """The routes; ``guarded`` says in their description that they want a token, which `security.Token` sees to."""
    settings = service.settings
    token = [Depends(HTTPBearer(auto_error=False))] if guarded else []
    router = APIRouter()

    def errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
        always = (421, 500, *((401,) if guarded else ()))
        return {status: {"model": Error, "description": ERRORS[status]} for status in sorted({*statuses, *always})}

    @router.post(
        _PREDICT, response_model=Answers, dependencies=token, openapi_extra={"requestBody": BODY},
        responses=errors(400, 403, 404, 408, 409, 413, 415, 422, 503, 504), summary="Say which logo each image shows.",
    )  # fmt: skip
    async def predict(
        request: Request,
        bundle: Annotated[str | None, Query(description="Which bundle answers; the first if not given.")] = None,
        top: Annotated[int | None, Query(ge=1, description="Give only the best scores, so many.")] = None,
        threshold: Annotated[
            float | None,
            Query(ge=0, le=1, description="Answer the label with the best score if it reaches this, else none."),
        ] = None,
        views: Annotated[
            Literal["whole", "auto", "tiles"] | None, Query(description="Where images are looked at.")
        ] = None,
        where: Annotated[bool, Query(description="Tell where the label is.")] = False,
        every: Annotated[bool, Query(alias="all", description="Tell every label that an image shows.")] = False,
        heat: Annotated[bool, Query(description="Tell what speaks for the label where.")] = False,
    ) -> Response:
        _known(request, "bundle", "top", "threshold", "views", "where", "all", "heat")
        answering, _ = service.started()
        asked = Asked(bundle, top, threshold, views, where, every, heat)
        content_type = request.headers.get("content-type", "")
        check_encoding(request.headers.get("content-encoding", ""))
        answer = await answering.answer(asked, content_type, request.receive, request.scope[SLOT])
        if answer is None:
            return Response(status_code=408)  # Nobody is there to read it.
        return _json(answer)

    @router.get("/v1/model", response_model=Model, dependencies=token, responses=errors(404, 422, 503),
                summary="Tell what a bundle is.")  # fmt: skip
    async def model(
        request: Request,
        bundle: Annotated[str | None, Query(description="Which bundle; the first if not given.")] = None,
    ) -> Response:
        _known(request, "bundle")
        answering, _ = service.started()
        limits = {name: getattr(settings, name) for name in ("max_body", "max_bytes", "max_pixels", "max_images")}
        return _json({**about(answering.served(bundle)), "urls": settings.allow_urls, "limits": limits})

    @router.get("/v1/models", response_model=Models, dependencies=token, responses=errors(503),
                summary="List the bundles that are served.")  # fmt: skip
    async def models() -> Response:
        return _json({"models": service.listed()})

    @router.get("/healthz", responses=errors(), summary="Say that the process lives.")
    async def healthz() -> dict[str, bool]:
        return {"alive": True}

    @router.get("/readyz", response_model=Ready,
                responses=errors() | {503: {"model": Ready, "description": "Not ready."}},
                summary="Say whether requests are answered.")  # fmt: skip
    async def readyz() -> Response:
        is_ready = service.is_warm
        listed = service.listed() if service.shelf is not None else []
        return _json({"ready": is_ready, "bundles": {row["name"]: row for row in listed}}, 200 if is_ready else 503)

    @router.get("/metrics", dependencies=token, response_class=Response,
                responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}, **errors()},
                summary="Figures for Prometheus.")  # fmt: skip
    async def figures() -> Response:
        return Response(metrics.text(), media_type=metrics.type)

    return router


def _json(answer: Any, status: int = 200) -> Response:
    return Response(json.dumps(answer, ensure_ascii=False), status, media_type="application/json")


def _known(request: Request, *names: str) -> None:
    """Hold the names of a request's parameters against those that there are."""
    for name in request.query_params:
        if name not in names:
            near = difflib.get_close_matches(name, names, 1)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(names)}."
            raise Refusal(422, f"There is no parameter {name[:80]}; {hint}", reason="parameter")


def _translate(app: FastAPI, metrics: Metrics) -> None:
    """Every way to fail becomes one sentence; what only the log may know stays there."""

    async def refused(_: Request, error: Exception) -> Response:
        assert isinstance(error, Refusal)
        if error.reason:
            metrics.rejected.labels(error.reason).inc()
        return Response(error.body, error.status, error.headers, media_type="application/json")

    async def invalid(_: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        first = error.errors()[0]
        name = [part for part in first["loc"] if isinstance(part, str)][-1]  # Of several values the place is told, too.
        return _json({"error": f"{name} cannot be {str(first.get('input'))[:80]!r}: {first['msg'].lower()}."}, 422)

    async def http(_: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        sentence = {
            404: "There is no such address; /v1/openapi.json lists those that there are.",
            405: "This address does not take this method; /v1/openapi.json says which it takes.",
        }.get(error.status_code, str(error.detail))
        answer = _json({"error": sentence}, error.status_code)
        answer.headers.update(error.headers or {})
        return answer

    app.add_exception_handler(Refusal, refused)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(HTTPException, http)
