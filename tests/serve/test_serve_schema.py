"""The service does what its OpenAPI description says, and describes all that it does."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

import pytest
from service import Service, picture, serving, write_colours

pytest.importorskip("fastapi")
schemathesis: Any = pytest.importorskip("schemathesis")
hypothesis: Any = pytest.importorskip("hypothesis")


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, small_network: bytes) -> Iterator[Service]:
    path = write_colours(tmp_path_factory.mktemp("served") / "colours", small_network)
    with serving({"colours": path}) as running:
        yield running


@pytest.fixture(scope="module")
def api(service: Service) -> Any:
    # Bytes by chance are no image: what may be sent as one is.
    images = hypothesis.strategies.sampled_from([picture("red"), picture("blue", "PNG")])
    schemathesis.openapi.format("binary", images)
    schemathesis.openapi.format("byte", images.map(lambda data: base64.b64encode(data).decode()))
    for kind in ("image/*", "application/octet-stream"):
        schemathesis.openapi.media_type(kind, images)
    return schemathesis.openapi.from_url(f"{service.address}/v1/openapi.json")


PATHS = {
    "/v1/predict": "POST",
    **dict.fromkeys(("/v1/model", "/v1/models", "/healthz", "/readyz", "/metrics"), "GET"),
}


CASES = [(path, "positive") for path in PATHS] + [(path, "negative") for path in ("/v1/predict", "/v1/model")]
"""What is described, sent right and sent wrong; the other addresses take nothing that could be wrong."""


@pytest.mark.parametrize(("path", "mode"), CASES)
def test_it_does_what_it_describes(api: Any, path: str, mode: str) -> None:
    operation = api[path][PATHS[path]]
    generated = operation.as_strategy(generation_mode=schemathesis.GenerationMode(mode))

    @hypothesis.given(case=generated)
    @hypothesis.settings(
        max_examples=40, deadline=None, derandomize=True, database=None,
        suppress_health_check=list(hypothesis.HealthCheck),
    )  # fmt: skip
    def holds(case: Any) -> None:
        case.call_and_validate(timeout=240)

    holds()


def test_every_address_is_described(api: Any) -> None:
    described = {result.ok().path for result in api.get_all_operations()}
    assert set(PATHS) <= described
