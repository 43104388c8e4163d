"""The service answers as the Classifier does, whichever way images come, and says of each that it cannot read why."""

from __future__ import annotations

import base64
import gzip
import io
import json
import os
import random
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from processes import children
from service import COLOURS, Service, eventually, form, picture, serving, write_colours

from logolens.inference.classifier import Classifier

pytest.importorskip("fastapi")


@pytest.fixture(scope="module")
def colours(tmp_path_factory: pytest.TempPathFactory, small_network: bytes) -> Path:
    return write_colours(tmp_path_factory.mktemp("served") / "colours", small_network)


@pytest.fixture(scope="module")
def service(colours: Path) -> Iterator[Service]:
    with serving({"colours": colours}, max_body=2_000_000, max_bytes=300_000, max_images=8) as running:
        yield running


@pytest.fixture(scope="module")
def closer(boxed: Any) -> Iterator[Service]:
    """A service of a bundle that looks closer."""
    with serving({"boxed": boxed.path}) as running:
        yield running


def expected(bundle: Path, *images: bytes, **how: Any) -> list[dict[str, Any]]:
    """What `logolens predict --json` would print, but for the names."""
    return [found.to_json() for found in Classifier.load(bundle, threads=1, **how).predict(list(images))]


IMAGES = [picture("red"), picture("lime", "PNG"), picture("blue", "WEBP")]


def as_json(*images: bytes) -> bytes:
    return json.dumps({"images": [{"base64": base64.b64encode(image).decode()} for image in images]}).encode()


def test_all_ways_to_send_images_give_what_the_classifier_gives(service: Service, colours: Path) -> None:
    wanted = expected(colours, *IMAGES)
    assert [found["label"] for found in wanted] == list(COLOURS)
    for answer in (
        service.predict(*form(*((f"image {number}", data) for number, data in enumerate(IMAGES, 1)))),
        service.predict(as_json(*IMAGES), "application/json"),
    ):
        assert answer.status == 200, answer.body
        assert answer.json == {"bundle": "colours", "results": wanted}
    for data, found in zip(IMAGES, wanted, strict=True):
        for kind in ("image/jpeg", "application/octet-stream", "image/x-anything"):
            answer = service.predict(data, kind)
            assert (answer.status, answer.json["results"]) == (200, [{**found, "image": "image 1"}])


def test_names_come_back_as_they_were_sent(service: Service) -> None:
    names = ["photo.jpg", "Füße 日本.png", "../../etc/passwd", "a\x01b"]
    answer = service.predict(*form(*((name, IMAGES[0]) for name in names)))
    assert [found["image"] for found in answer.json["results"]] == [*names[:3], "ab"]
    body = json.dumps({"images": [{"base64": base64.b64encode(IMAGES[0]).decode(), "name": "n" * 300}]}).encode()
    assert service.predict(body, "application/json").json["results"][0]["image"] == "n" * 255


def test_top_and_threshold(service: Service) -> None:
    mixed = picture("#ff8000")
    (found,) = service.predict(mixed, query="?top=2").json["results"]
    assert list(found["scores"]) == ["red", "green"]
    assert found["label"] == "red"
    least = found["confidence"]
    (above,) = service.predict(mixed, query=f"?threshold={least - 0.01}").json["results"]
    assert (above["label"], above["confidence"]) == ("red", least)
    (below,) = service.predict(mixed, query=f"?threshold={least + 0.01}").json["results"]
    assert (below["label"], below["confidence"]) == ("none", pytest.approx(1 - least))


def test_a_broken_image_among_several_is_a_record(service: Service) -> None:
    broken = picture("red")[:100]
    answer = service.predict(*form(("a", IMAGES[0]), ("b", broken), ("c", b"no image"), ("d", IMAGES[2])))
    assert answer.status == 200
    results = answer.json["results"]
    assert [found["label"] for found in results] == ["red", None, None, "blue"]
    assert all(found["error"].endswith(".") and not found["scores"] for found in results[1:3])
    assert [found["error"] for found in (results[0], results[3])] == [None, None]


def png_of(size: tuple[int, int]) -> bytes:
    out = io.BytesIO()
    Image.new("1", size).save(out, "PNG")
    return out.getvalue()


WRONG = {
    "text": (b"hello, world", "image/png", "", 415, "format is not known"),
    "no bytes": (b"", "image/png", "", 400, "empty"),
    "cut off": (picture()[:300], "image/jpeg", "", 422, "cannot be read|can be read"),
    "a bomb": (png_of((10_000, 10_000)), "image/png", "", 422, "more than the limit"),
    "a large file": (picture() + bytes(300_000), "image/jpeg", "", 413, "larger than 300,000 bytes"),
    "a form's default": (picture(), "application/x-www-form-urlencoded", "", 415, "is not taken"),
    "no type": (picture(), "", "", 415, "not given"),
    "no form": (b"--x\r\n", "multipart/form-data; boundary=y", "", 400, "damaged or cut off"),
    "no boundary": (b"--x\r\n", "multipart/form-data", "", 400, "boundary"),
    "a cut form": (form(("a", picture()))[0][:-30], form()[1], "", 400, "cut off"),
    "another field": (*form(("a", picture()), field="file"), "", 400, "called files"),
    "many files": (*form(*[("a", picture())] * 9), "", 413, "more than 8 images"),
    "no JSON": (b"{", "application/json", "", 400, "not JSON"),
    "deep JSON": (b"[" * 100_000, "application/json", "", 400, "not JSON"),
    "another JSON": (b'{"image": 1}', "application/json", "", 422, "urls"),
    "an empty list": (b'{"images": []}', "application/json", "", 422, "at least one"),
    "a number": (b'{"images": [1]}', "application/json", "", 422, "base64"),
    "no base64": (b'{"images": [{"base64": "***"}]}', "application/json", "", 400, "not base64"),
    "a name that is none": (b'{"images": [{"base64": "", "name": 1}]}', "application/json", "", 422, "not a text"),
    "by address": (b'{"urls": ["https://example.org/a.jpg"]}', "application/json", "", 403, "--allow-urls"),
    "no bundle": (picture(), "image/jpeg", "?bundle=other", 404, "choose one of: colours"),
    "top": (picture(), "image/jpeg", "?top=0", 422, "top cannot be '0'"),
    "threshold": (picture(), "image/jpeg", "?threshold=2", 422, "threshold cannot be '2'"),
    "no number": (picture(), "image/jpeg", "?threshold=nan", 422, "threshold cannot be 'nan'"),
    "views": (picture(), "image/jpeg", "?views=all", 422, "views cannot be 'all'"),
    "a word amiss": (picture(), "image/jpeg", "?treshold=1", 422, "did you mean threshold"),
    "closer": (picture(), "image/jpeg", "?views=auto", 409, "whole images only"),
    "where": (picture(), "image/jpeg", "?where=true", 409, "whole images only"),
    "heat": (picture(), "image/jpeg", "?heat=true", 409, "whole images only"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_said(service: Service, colours: Path, case: str) -> None:
    body, kind, query, status, words = WRONG[case]
    answer = service.predict(body, kind, query)
    assert answer.status == status, answer.body
    assert any(word in answer.error for word in words.split("|")), answer.error
    assert answer.error.endswith((".", "?"))
    text = answer.body.decode()
    assert "Traceback" not in text
    assert str(colours.parent) not in text
    assert 'File "' not in text


def test_images_that_are_broken_by_chance_are_answered_one_way_or_another(service: Service) -> None:
    rng = random.Random(0)
    known = {200, 415, 422}
    for number in range(60):
        data = bytearray(picture(rng.choice(["red", "blue"]), rng.choice(["JPEG", "PNG", "GIF", "TIFF", "BMP"])))
        for _ in range(rng.randrange(1, 20)):
            data[rng.randrange(len(data))] = rng.randrange(256)
        cut = rng.randrange(1, len(data)) if number % 3 == 0 else len(data)
        assert service.predict(bytes(data[:cut]), "application/octet-stream").status in known
    assert service.predict(IMAGES[0]).json["results"][0]["label"] == "red"


def test_looking_closer_is_asked_for_by_request(closer: Service, boxed: Any) -> None:
    data = next(boxed.data.parent.glob("*.png")).read_bytes()

    def asked(query: str) -> dict[str, Any]:
        answer = closer.predict(data, "image/png", query)
        assert answer.status == 200, answer.body
        (found,) = answer.json["results"]
        return dict(found)

    asking: dict[str, dict[str, Any]] = {
        "": {},
        "?views=whole": {"views": "whole"},
        "?views=tiles": {"views": "tiles"},
        "?where=1": {"where": True},
        "?all=1": {"every": True},
        "?views=whole&where=true": {"views": "whole", "where": True},
    }
    for query, how in asking.items():
        (wanted,) = expected(boxed.path, data, **how)
        found = asked(query)
        assert found["scores"] == pytest.approx(wanted["scores"], abs=1e-5), query
        assert {**found, "scores": 0, "confidence": 0, "logos": 0} == {
            **wanted, "scores": 0, "confidence": 0, "logos": 0}, query  # fmt: skip
        assert ("logos" in found) == ("logos" in wanted)
    assert asked("?where=1")["box"] is not None
    before = [closer.figure(f"logolens_{name}") for name in ("image_views_sum", "image_views_count")]
    asked("?views=tiles")
    after = [closer.figure(f"logolens_{name}") for name in ("image_views_sum", "image_views_count")]
    assert after[1] - before[1] == 1
    assert after[0] - before[0] > 5
    assert closer.figure("logolens_stage_seconds_sum", stage="evidence") > 0


def test_a_heat_map_is_that_of_the_explanation(closer: Service, boxed: Any) -> None:
    data = next(boxed.data.parent.glob("*.png")).read_bytes()
    answer = closer.predict(*form(("a", data), ("b", b"no image")), query="?heat=true")
    good, bad = answer.json["results"]
    _, wanted = Classifier.load(boxed.path, threads=1, where=True).explain(data)
    assert wanted is not None
    assert good["heat"]["label"] == wanted.label
    assert good["heat"]["cells"] == [pytest.approx(row, abs=2e-3) for row in wanted.heat.tolist()]
    assert bad["heat"] is None
    assert "heat" not in closer.predict(data, "image/png").json["results"][0]


def test_several_bundles(colours: Path, tmp_path: Path, small_network: bytes) -> None:
    other = write_colours(tmp_path / "other", small_network, ("rouge", "vert", "bleu"))
    with serving({"colours": colours, "french": other}) as service:
        assert service.predict(IMAGES[0]).json["results"][0]["label"] == "red"
        answer = service.predict(IMAGES[0], query="?bundle=french")
        assert (answer.json["bundle"], answer.json["results"][0]["label"]) == ("french", "rouge")
        listed = service.ask("/v1/models").json["models"]
        assert [(row["name"], row["default"], row["labels"], row["ready"]) for row in listed] == [
            ("colours", True, 3, True), ("french", False, 3, True)]  # fmt: skip
        assert service.ask("/v1/model?bundle=french").json["labels"] == ["rouge", "vert", "bleu"]
        assert service.ask("/v1/model?bundle=german").status == 404


def test_a_model_is_told_without_where_it_came_from(service: Service, colours: Path) -> None:
    answer = service.ask("/v1/model")
    told = answer.json
    assert told["labels"] == list(COLOURS)
    assert (told["background"], told["views"], told["where"], told["heat"]) == (False, ["whole"], False, False)
    assert told["files"] == json.loads((colours / "manifest.json").read_text())["files"]
    assert told["limits"]["max_bytes"] == 300_000
    assert told["metrics"] == {"test": {"n": 1}}
    assert "secret" not in answer.body.decode()


def test_figures_are_for_prometheus(service: Service) -> None:
    def figures() -> list[float]:
        return [
            service.figure("logolens_images_total", outcome="answered"),
            service.figure("logolens_images_total", outcome="unreadable"),
            service.figure("logolens_requests_total", route="/v1/predict", status="200"),
            service.figure("logolens_stage_seconds_count", stage="network"),
            service.figure("logolens_request_seconds_count", route="/v1/predict"),
        ]

    before = figures()
    service.predict(*form(("a", IMAGES[0]), ("b", b"no image")))
    assert [after - earlier for earlier, after in zip(before, figures(), strict=True)] == [1, 1, 1, 1, 1]
    eventually(lambda: service.figure("logolens_in_flight_requests") == 0)
    assert service.figure("logolens_in_flight_bytes") == 0
    assert service.ask("/metrics").headers["content-type"].startswith("text/plain")


def test_other_addresses_and_methods(service: Service) -> None:
    assert service.ask("/healthz").json == {"alive": True}
    missing = service.ask("/v1/nothing")
    assert (missing.status, "no such address" in missing.error) == (404, True)
    wrong = service.ask("/v1/predict", method="DELETE")
    assert (wrong.status, wrong.headers["allow"]) == (405, "POST")
    assert service.ask("/docs").status == 404  # It would load scripts from elsewhere.


@pytest.mark.skipif(sys.platform != "linux", reason="/proc tells which process decodes")
def test_a_decoding_process_that_dies_is_replaced(colours: Path) -> None:
    with serving({"colours": colours}) as service:
        pids = children("logolens.io.decoder_worker")
        assert pids
        for pid in pids:
            os.kill(pid, 9)
        for _ in range(4):
            assert service.predict(IMAGES[0]).json["results"][0]["label"] == "red"


def test_a_packed_body_is_refused_with_what_to_do(service: Service) -> None:
    answer = service.ask("/v1/predict", gzip.compress(picture()), content_encoding="gzip")
    assert answer.status == 415
    assert "without Content-Encoding" in answer.error
    assert service.ask("/v1/predict", picture(), content_encoding="identity").status == 200
