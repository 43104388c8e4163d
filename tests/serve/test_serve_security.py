"""Who may ask, what a browser may do with the answer, and what may be fetched: nothing is open that was not opened."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from service import Service, eventually, picture, serving, write_colours

from logolens.cli import main
from logolens.config import ServeSettings, SourceSettings
from logolens.errors import UsageError

pytest.importorskip("fastapi")

RED = picture("red")


@pytest.fixture(scope="module")
def colours(tmp_path_factory: pytest.TempPathFactory, small_network: bytes) -> Path:
    return write_colours(tmp_path_factory.mktemp("served") / "colours", small_network)


def test_without_the_token_nothing_is_answered(colours: Path) -> None:
    with serving({"colours": colours}, "s3cret", max_body=2_000) as service:
        for path in ("/v1/model", "/v1/models", "/v1/openapi.json", "/metrics", "/v1/anything"):
            assert service.ask(path).status == 401, path
            assert service.ask(path, authorization="Bearer wrong!").status == 401
            assert service.ask(path, authorization="Bearer s3cret").status in (200, 404)
        for path in ("/healthz", "/readyz"):
            assert service.ask(path).status == 200
        for wrong in ("", "s3cret", "Basic s3cret", "Bearer", "Bearer s3cre", "Bearer s3cret2", "Bearer S3CRET"):
            answer = service.predict(RED, authorization=wrong)
            assert (answer.status, answer.headers["www-authenticate"]) == (401, "Bearer")
            assert "Authorization: Bearer" in answer.error
        assert service.predict(RED, authorization="bearer s3cret").status == 200
        # Who has no token learns nothing, not even that the body would be too large.
        assert service.predict(bytes(3_000)).status == 401
        described = service.ask("/v1/openapi.json", authorization="Bearer s3cret").json
        assert described["paths"]["/v1/predict"]["post"]["security"] == [{"HTTPBearer": []}]
        assert "security" not in described["paths"]["/healthz"]["get"]


@pytest.fixture(scope="module")
def service(colours: Path) -> Any:
    with serving({"colours": colours}, max_body=2_000_000) as running:
        yield running


@pytest.mark.parametrize(
    "path", ["/v1/model", "/healthz", "/metrics", "/v1/nothing", "/v1/predict?top=0", "/v1/predict?bundle=none"]
)
def test_every_answer_has_the_headers_that_bind_a_browser(service: Service, path: str) -> None:
    answer = service.ask(path, RED if "predict" in path else None)
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "img-src 'self' blob: data:" in policy
    assert "unsafe" not in policy
    assert "http" not in policy
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["x-frame-options"] == "DENY"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["cross-origin-resource-policy"] == "same-origin"
    assert "server" not in answer.headers
    assert "access-control-allow-origin" not in answer.headers


def test_a_refusal_before_the_body_has_them_too(service: Service) -> None:
    with service.raw() as connection:
        connection.sendall(service.head(3_000_000))
        answer = connection.recv(65536).lower()
    assert answer.startswith(b"http/1.1 413")
    assert b"content-security-policy" in answer


def test_other_origins_are_let_in_one_by_one(colours: Path) -> None:
    with serving({"colours": colours}, "s3cret", cors=("https://good.example",)) as service:
        asked: dict[str, Any] = {
            "method": "OPTIONS", "access_control_request_method": "POST",
            "access_control_request_headers": "authorization,content-type",
        }  # fmt: skip
        good = service.ask("/v1/predict", origin="https://good.example", **asked)
        assert (good.status, good.headers["access-control-allow-origin"]) == (200, "https://good.example")
        assert (
            "access-control-allow-origin"
            not in service.ask("/v1/predict", origin="https://bad.example", **asked).headers
        )
        answer = service.predict(RED, origin="https://good.example", authorization="Bearer s3cret")
        assert (answer.status, answer.headers["access-control-allow-origin"]) == (200, "https://good.example")
        assert "access-control-allow-credentials" not in answer.headers
        # A page must be able to read why it is refused.
        assert "access-control-allow-origin" in service.predict(RED, origin="https://good.example").headers


def test_another_host_name_is_refused_on_loopback(colours: Path, service: Service) -> None:
    for host in ("localhost", f"localhost:{service.port}", "127.0.0.1", "[::1]:80", "LOCALHOST"):
        assert service.ask("/healthz", host=host).status == 200, host
    for host in ("evil.example", "localhost.evil.example", "127.0.0.1.evil.example:80", ""):
        answer = service.ask("/healthz", host=host)
        assert (answer.status, "--allow-host" in answer.error) == (421, True), host
    with serving({"colours": colours}, allow_host=("logos.example",)) as named:
        assert named.ask("/healthz", host="logos.example:8000").status == 200
        assert named.ask("/healthz").status == 200
        assert named.ask("/healthz", host="evil.example").status == 421


def urls(*texts: str) -> bytes:
    return json.dumps({"urls": texts}).encode()


def test_addresses_that_are_not_public_are_not_fetched(colours: Path) -> None:
    pytest.importorskip("httpcore2")
    with serving({"colours": colours}, allow_urls=True) as service, socket.create_server(("127.0.0.1", 0)) as inside:
        port = inside.getsockname()[1]
        inside.settimeout(0.2)
        for url in (
            f"http://127.0.0.1:{port}/a.jpg", f"http://localhost:{port}/", f"http://[::1]:{port}/", "http://169.254.169.254/",
            f"http://[::ffff:127.0.0.1]:{port}/", f"http://2130706433:{port}/", f"http://0.0.0.0:{port}/",
        ):  # fmt: skip
            answer = service.predict(urls(url), "application/json")
            assert answer.status == 422, (url, answer.body)
            # Neither what a name leads to in this network, nor an option that the service does not have.
            assert answer.error == "This is no public address; the service fetches from no other."
        with pytest.raises(TimeoutError):
            inside.accept()
        for url in ("file:///etc/passwd", "ftp://example.org/a", "a.jpg", "", "data:image/png;base64,AA"):
            answer = service.predict(urls(url), "application/json")
            assert (answer.status, "http or https" in answer.error) == (422, True), url
        several = service.predict(urls("http://u:p@127.0.0.1/a?token=abc", "nothing"), "application/json")
        assert several.status == 200
        named = [row["image"] for row in several.json["results"]]
        assert named == ["http://127.0.0.1/a?token=***", "nothing"]
        assert service.ask("/v1/model").json["urls"] is True


def test_images_are_fetched() -> None:
    pytest.importorskip("httpcore2")
    from website import Reply, Server
    from website import serving as website

    from logolens.serve.bodies import Upload
    from logolens.serve.fetcher import Fetcher

    server = Server()
    server.replies = {"/red.jpg": Reply(body=RED, type="image/jpeg"), "/gone": Reply(status=404)}
    address = f"http://127.0.0.1:{server.port}"
    with website(server):
        fetcher = Fetcher(ServeSettings(), SourceSettings(allow_private=True, retries=0))
        try:
            found = asyncio.run(fetcher.fetch([Upload("x", url=f"{address}{path}") for path in ("/red.jpg", "/gone")]))
        finally:
            fetcher.close()
    assert [each.data for each in found] == [RED, b""]
    assert found[0].name == f"{address}/red.jpg"
    assert "404" in str(found[1].error)


def test_one_request_does_not_take_all_fetches() -> None:
    pytest.importorskip("httpcore2")
    from website import Reply, Server
    from website import serving as website

    from logolens.serve.bodies import Upload
    from logolens.serve.fetcher import Fetcher
    from logolens.serve.refusal import Refusal

    dripping, quick = Server(), Server()
    dripping.replies = {f"/{number}.jpg": Reply(body=RED, type="image/jpeg", drip=0.5) for number in range(64)}
    quick.replies = {"/red.jpg": Reply(body=RED, type="image/jpeg")}
    sources = SourceSettings(allow_private=True, retries=0, timeout=5.0, max_time=10.0)

    async def ask() -> None:
        slow = asyncio.ensure_future(fetcher.fetch([Upload("x", url=f"{dripping.url}/{n}.jpg") for n in range(40)]))
        while sum(dripping.asked.values()) < 2:
            await asyncio.sleep(0.02)
        good = [Upload("y", url=f"{quick.url}/red.jpg")] * 10
        async with asyncio.timeout(8):
            found = await fetcher.fetch(good)
        assert [each.data for each in found] == [RED] * 10
        assert sum(dripping.asked.values()) <= 4
        with pytest.raises(Refusal) as refused:
            await fetcher.fetch([Upload("z", url=f"{quick.url}/red.jpg")] * 25)
        assert (refused.value.status, refused.value.reason) == (503, "fetch")
        slow.cancel()
        await asyncio.wait({slow})
        # What nobody waits for is not asked for any more, and its room is free.
        await fetcher.fetch([Upload("z", url=f"{quick.url}/red.jpg")] * 64)
        assert sum(dripping.asked.values()) <= 4

    with website(dripping), website(quick):
        fetcher = Fetcher(ServeSettings(), sources)
        try:
            asyncio.run(ask())
        finally:
            dripping.stop.set()
            fetcher.close()


def test_fetched_images_are_bounded_together() -> None:
    pytest.importorskip("httpcore2")
    from website import Reply, Server
    from website import serving as website

    from logolens.serve.bodies import Upload
    from logolens.serve.fetcher import Fetcher

    server = Server()
    server.replies = {"/a": Reply(body=RED + bytes(400_000), type="image/jpeg")}
    held: list[int] = []
    with website(server):
        fetcher = Fetcher(ServeSettings(max_body=1_000_000), SourceSettings(allow_private=True, retries=0))
        try:
            found = asyncio.run(fetcher.fetch([Upload("x", url=f"{server.url}/a")] * 5, held.append))
        finally:
            fetcher.close()
    assert sorted(len(each.data) > 0 for each in found) == [False] * 3 + [True] * 2
    assert {each.error for each in found if not each.data} == {
        "The images are larger than 1,000,000 bytes together; ask for fewer at a time."
    }
    assert held == sorted(held)
    assert held[-1] <= 1_000_000


def test_a_request_that_waits_for_other_servers_keeps_nobody_out(
    colours: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("httpcore2")
    from website import Reply, Server
    from website import serving as website

    from logolens.serve import app
    from logolens.serve.fetcher import Fetcher

    sources = SourceSettings(allow_private=True, retries=0, timeout=5.0, max_time=10.0)
    monkeypatch.setattr(app, "Fetcher", lambda settings: Fetcher(settings, sources))
    server = Server()
    server.replies = {"/slow": Reply(body=RED, type="image/jpeg", delay=60), "/a": Reply(body=RED, type="image/jpeg")}
    with website(server), serving({"colours": colours}, allow_urls=True, queue=4, patience=0.0) as service:
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(service.predict, urls(*[f"{server.url}/slow"] * 64), "application/json")
            eventually(lambda: sum(server.asked.values()) >= 4)
            assert [service.predict(RED).status for _ in range(8)] == [200] * 8
            assert service.predict(urls(f"{server.url}/a"), "application/json").status == 503  # Their room is full.
            server.stop.set()
            assert waiting.result().status in (200, 504)
        with service.raw() as gone:
            body = urls(*[f"{server.url}/slow"] * 64)
            gone.sendall(service.head(len(body), kind="application/json") + body)
            eventually(lambda: service.figure("logolens_in_flight_requests") > 0)
        eventually(lambda: service.figure("logolens_in_flight_requests") == 0)
        answer = service.predict(urls(f"{server.url}/a", f"{server.url}/gone"), "application/json")
        assert [row["label"] for row in answer.json["results"]] == ["red", None]


# The command's own answers


def test_wrong_command_lines_say_what_to_do(
    colours: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    empty = tmp_path / "token"
    empty.write_text("\n")
    spaced = tmp_path / "spaced"
    spaced.write_text("two words")
    log = logging.getLogger("logolens")
    before = log.propagate, logging.getLogger("uvicorn").handlers[:]
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        for arguments, code, words in (
            ([tmp_path / "nothing"], 1, "is not a bundle"),
            ([colours, "--views", "auto"], 1, "train it again with --views auto"),
            ([colours, colours], 2, "NAME=FOLDER"),
            ([f"a b={colours}"], 2, "letters, digits"),
            ([f"a={tmp_path / 'nothing'}"], 1, "is not a bundle"),
            (["a="], 2, "NAME=FOLDER"),
            ([], 2, "BUNDLE"),
            ([colours, "--port", "70000"], 2, "from 0 to 65535"),
            ([colours, "--port", port], 2, "give another --port"),
            ([colours, "--host", "no such host"], 2, "no address of this machine"),
            ([colours, "--cors", "example.org"], 2, "https://example.org"),
            ([colours, "--allow-host", "http://a/"], 2, "bare host name"),
            ([colours, "--queue", "0"], 2, "from 1 to"),
            ([colours, "--token-file", tmp_path / "gone"], 2, "cannot be read"),
            ([colours, "--token-file", empty], 2, "is empty"),
            ([colours, "--token-file", spaced], 2, "without spaces"),
        ):
            assert main(["serve", *map(str, arguments)]) == code, arguments
            said = capsys.readouterr()
            assert words in said.err, said.err
            assert "Traceback" not in said.err
            assert said.out == ""
    assert (log.propagate, logging.getLogger("uvicorn").handlers) == before, "who called the command logs as it does"


def test_settings_that_cannot_be_are_refused() -> None:
    with pytest.raises(UsageError, match="origin without a path"):
        ServeSettings(cors=("https://example.org/page",))
    with pytest.raises(UsageError, match="deadline"):
        ServeSettings(deadline=0)
    assert ServeSettings(cors=("*", "http://localhost:3000")).cors == ("*", "http://localhost:3000")
