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


schema = schemathesis.pytest.from_fixture("api")


@schema.parametrize()
@hypothesis.settings(max_examples=25, deadline=None, derandomize=True, database=None)
def test_it_does_what_it_describes(case: Any) -> None:
    case.call_and_validate()
