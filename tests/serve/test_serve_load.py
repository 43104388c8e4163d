"""Among slow, broken and greedy clients the service stays useful; it ends and reloads without dropping a request."""

from __future__ import annotations

import contextlib
import re
import shutil
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from service import Service, eventually, form, picture, received, serving, slow_picture, write_colours

pytest.importorskip("fastapi")

RED = picture("red")


@pytest.fixture(scope="module")
def colours(tmp_path_factory: pytest.TempPathFactory, small_network: bytes) -> Path:
    return write_colours(tmp_path_factory.mktemp("served") / "colours", small_network)


@pytest.fixture(scope="module")
def narrow(colours: Path) -> Iterator[Service]:
    """A service with room for one request at a time, in which nobody waits long for anything."""
    with serving(
        {"colours": colours},
        queue=1,
        patience=0.0,
        body_seconds=0.5,
        header_seconds=0.5,
        max_body=1_000_000,
    ) as running:
        yield running


def is_free(service: Service) -> bool:
    return service.figure("logolens_in_flight_requests") == 0


def test_a_large_body_is_refused_before_it_is_sent(narrow: Service) -> None:
    with narrow.raw() as connection:
        connection.sendall(narrow.head(1_000_001))
        answer = received(connection)
    assert answer.startswith(b"HTTP/1.1 413")
    assert b"larger than 1,000,000 bytes" in answer
    assert narrow.predict(RED).status == 200


def test_a_body_of_unknown_length_is_cut_at_the_limit(narrow: Service) -> None:
    with narrow.raw() as connection:
        connection.sendall(narrow.head("chunked"))
        sent = 0
        try:
            while sent < 100_000_000:
                connection.sendall(b"10000\r\n" + bytes(0x10000) + b"\r\n")
                sent += 0x10000
        except OSError:
            pass
        assert sent < 50_000_000  # Some is read and forgotten, so that who listens hears why.
    eventually(lambda: is_free(narrow))
    # A client that stops to listen when it is told hears it.
    with narrow.raw() as connection:
        connection.sendall(narrow.head("chunked"))
        for _ in range(17):
            connection.sendall(b"10000\r\n" + bytes(0x10000) + b"\r\n")
        assert received(connection).startswith(b"HTTP/1.1 413")
    body = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (RED[:100], RED[100:])) + b"0\r\n\r\n"
    with narrow.raw() as connection:
        connection.sendall(narrow.head("chunked") + body)
        assert received(connection).startswith(b"HTTP/1.1 200")


def test_past_its_room_the_service_says_when_to_come_back(colours: Path) -> None:
    with serving({"colours": colours}, queue=1, patience=0.0) as service, service.raw() as slow, service.raw() as other:
        slow.sendall(service.head(len(RED)) + RED[:10])
        eventually(lambda: not is_free(service))
        other.sendall(service.head(900_000))  # Not a byte of the body: the answer does not wait for it.
        answer = received(other)
        assert answer.startswith(b"HTTP/1.1 503")
        assert int(re.search(rb"retry-after: (\d+)", answer)[1]) >= 1
        assert b"busy" in answer
        # What is not about images is answered all the same.
        assert service.ask("/healthz").status == 200
        slow.sendall(RED[10:])
        assert received(slow).startswith(b"HTTP/1.1 200")
        eventually(lambda: is_free(service))
        assert service.predict(RED).status == 200
        assert service.figure("logolens_rejected_total", reason="queue") >= 1


def test_a_slow_body_is_cut(narrow: Service) -> None:
    with narrow.raw() as connection:
        connection.sendall(narrow.head(len(RED)) + RED[:10])
        answer = received(connection)  # Neither the deadline nor the client ends it: both wait far longer.
        assert answer.startswith(b"HTTP/1.1 408")
    eventually(lambda: is_free(narrow))


def test_a_client_that_goes_frees_its_room(colours: Path) -> None:
    """Its going alone can free it: for what is missing of its body, an hour would be waited."""
    with serving({"colours": colours}, queue=1, patience=0.0, body_seconds=3600.0) as service:
        with service.raw() as connection:
            connection.sendall(service.head(len(RED)) + RED[:10])
            eventually(lambda: not is_free(service))
        eventually(lambda: is_free(service))
        assert service.predict(RED).status == 200


def test_a_client_that_goes_while_its_picture_is_looked_at_frees_its_room(narrow: Service) -> None:
    big = slow_picture()
    with narrow.raw() as connection:
        connection.sendall(narrow.head(len(big), kind="image/png") + big)
        eventually(lambda: not is_free(narrow))
    eventually(lambda: is_free(narrow))
    assert narrow.predict(RED).status == 200


@pytest.mark.parametrize(
    "said", [b"", b"POST /v1/predict HTTP/1.1\r\nHost: loc", b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"]
)
def test_a_connection_that_says_nothing_more_is_closed(narrow: Service, said: bytes) -> None:
    with narrow.raw() as connection:
        connection.sendall(said)
        if said.endswith(b"\r\n\r\n"):
            assert received(connection).startswith(b"HTTP/1.1 200")
        assert received(connection) == b""


def test_answers_that_nobody_takes_end_the_connection(
    narrow: Service, colours: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with serving({"colours": colours}):
        pass  # Bounds of another service in this process are its own.
    with narrow.raw() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.settimeout(0.5)
        asked = b"GET /v1/openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n" * 50
        ended = False
        try:
            for _ in range(100):  # Until no more is read, since none of the answers is.
                connection.sendall(asked)
        except TimeoutError:
            pass
        except ConnectionError:  # It is told once: here, if the end came so soon.
            ended = True
        assert narrow.predict(RED).status == 200
        connection.setblocking(False)

        def is_reset() -> bool:
            # An end that left nothing unread is told only after the answers that nobody takes, or to who sends more.
            try:
                connection.send(asked)
            except BlockingIOError:
                return ended
            except ConnectionError:
                return True
            return ended

        eventually(is_reset)
    assert narrow.predict(RED).status == 200
    assert not [record for record in caplog.records if record.exc_info]


def test_who_waits_for_room_is_let_in_when_there_is_some(colours: Path) -> None:
    with serving({"colours": colours}, queue=1, patience=60.0) as service, service.raw() as slow:
        slow.sendall(service.head(len(RED)) + RED[:10])
        eventually(lambda: not is_free(service))
        with ThreadPoolExecutor(8) as pool:
            waiting = [pool.submit(service.predict, RED) for _ in range(8)]
            time.sleep(0.2)
            assert not any(each.done() for each in waiting)
            slow.sendall(RED[10:])
            assert received(slow).startswith(b"HTTP/1.1 200")
            assert [each.result().status for each in waiting] == [200] * 8
        eventually(lambda: is_free(service))


def test_images_beyond_the_room_are_not_taken_on(colours: Path) -> None:
    with serving({"colours": colours}, queue=4, patience=0.0) as service, service.raw() as slow:
        slow.sendall(service.head(len(RED)) + RED[:10])
        eventually(lambda: not is_free(service))
        assert service.predict(*form(*[("a", RED)] * 3)).status == 200
        assert service.predict(*form(*[("a", RED)] * 5)).status == 503
        slow.sendall(RED[10:])
        assert received(slow).startswith(b"HTTP/1.1 200")
        eventually(lambda: is_free(service))
        assert service.predict(*form(*[("a", RED)] * 9)).status == 200  # Alone it may.


def test_bodies_that_do_not_come_hold_nobody_up(colours: Path) -> None:
    with serving({"colours": colours}, queue=4, patience=5.0) as service, contextlib.ExitStack() as stack:
        dripping = [stack.enter_context(service.raw()) for _ in range(200)]
        for number, connection in enumerate(dripping):
            connection.sendall(service.head(len(RED) if number % 2 else 60_000_000) + RED[:10])
        with ThreadPoolExecutor(4) as pool:
            answers = list(pool.map(lambda _: service.predict(RED).status, range(100)))
        assert answers == [200] * 100
        # One that comes to its end is answered all the same.
        dripping[1].sendall(RED[10:])
        assert received(dripping[1]).startswith(b"HTTP/1.1 200")


def test_a_body_must_keep_a_rate(colours: Path) -> None:
    with serving({"colours": colours}, body_rate=10_000, body_seconds=3600.0) as service:
        with service.raw() as slow, service.raw() as fast:
            slow.sendall(service.head(1_000_000))
            fast.sendall(service.head(1_000_000) + bytes(900_000))  # Ahead of its rate for a minute and a half.
            while not (answer := heard(slow, 0.2)):
                slow.sendall(b"a")
            assert answer.startswith(b"HTTP/1.1 408")  # Of its rate alone: it may take an hour.
            fast.sendall(bytes(100_000))
            assert fast.recv(65536).startswith(b"HTTP/1.1 415")  # It is no image, and was read whole.
        eventually(lambda: is_free(service))


def heard(connection: socket.socket, seconds: float) -> bytes:
    """What has come, if anything does within so long."""
    connection.settimeout(seconds)
    try:
        return connection.recv(65536)
    except (TimeoutError, BlockingIOError):
        return b""
    finally:
        connection.settimeout(60)


def test_a_slow_body_gives_way_when_its_bytes_are_needed(colours: Path) -> None:
    with serving({"colours": colours}, queue_bytes=1_000_000, max_body=900_000, body_rate=0) as service:
        with service.raw() as slow, service.raw() as trickling:
            slow.sendall(service.head(900_000) + bytes(800_000))
            trickling.sendall(service.head(len(RED)) + RED[:10])
            eventually(lambda: service.figure("logolens_in_flight_bytes") > 800_000)
            time.sleep(1.1)
            # Small ones find their room beside it; for a large one it has to go.
            assert service.predict(RED).status == 200
            assert service.figure("logolens_in_flight_bytes") > 800_000
            assert service.predict(RED + bytes(500_000)).status == 200
            answer = received(slow)
            assert answer.startswith(b"HTTP/1.1 503")
            assert b"retry-after" in answer
            trickling.sendall(RED[10:])
            assert received(trickling).startswith(b"HTTP/1.1 200")
        eventually(lambda: is_free(service) and service.figure("logolens_in_flight_bytes") == 0)


@pytest.mark.parametrize(
    ("kind", "begin", "member", "status"),
    [
        ("application/json", b'{"images":[', b"{},", 422),
        ("application/json", b'{"images":[{"base64":"', b"AAAA", 400),
        ("application/json", b"", b" ", 400),
        ("multipart/form-data; boundary=b", b"", b"\r\n--b\r\n\r\n", 413),
        ("multipart/form-data; boundary=b", b"--b\r\n\r\n", b"\r\n--", 400),
    ],
)
def test_while_large_bodies_are_taken_apart_others_are_answered(
    colours: Path, kind: str, begin: bytes, member: bytes, status: int
) -> None:
    body = begin + member * (30_000_000 // len(member))
    with serving({"colours": colours}) as service, ThreadPoolExecutor(2) as pool:
        large = [pool.submit(service.predict, body, kind) for _ in range(2)]
        asked = 0
        while not all(each.done() for each in large):
            assert service.ask("/healthz").status == 200
            asked += 1
        assert {each.result().status for each in large} == {status}
        # What takes a body apart in one go lets one or two through.
        assert asked >= 5
        eventually(lambda: is_free(service))


def test_past_the_deadline_nobody_waits(colours: Path) -> None:
    with serving({"colours": colours}, deadline=0.2) as service:
        # One is decoded within the deadline by some machines; twenty, one after the other, by none.
        answer = service.predict(*form(*[("slow", slow_picture())] * 20))
        assert answer.status == 504
        assert "0.2 seconds" in answer.error
        eventually(lambda: service.predict(RED).status == 200)


def test_no_answer_is_lost_or_mixed_up_under_load(colours: Path) -> None:
    images = {name: picture(name) for name in ("red", "lime", "blue")}
    labels = {"red": "red", "lime": "green", "blue": "blue"}

    def ask(number: int) -> bool:
        name = list(images)[number % 3]
        if number % 7 == 0:
            return service.predict(b"no image").status == 415
        if number % 5 == 0:
            answer = service.predict(*form((name, images[name]), ("broken", images[name][:90]), ("red", images["red"])))
            found = [(row["image"], row["label"]) for row in answer.json["results"]]
            return found == [(name, labels[name]), ("broken", None), ("red", "red")]
        return bool(service.predict(images[name]).json["results"][0]["label"] == labels[name])

    with serving({"colours": colours}, queue=64, threads=2) as service, ThreadPoolExecutor(24) as pool:
        assert all(pool.map(ask, range(400)))


def test_a_changed_bundle_is_loaded_without_a_dropped_request(tmp_path: Path, small_network: bytes) -> None:
    path = write_colours(tmp_path / "colours", small_network)
    ended = threading.Event()
    answers: list[tuple[int, str]] = []

    def hammer() -> None:
        while not ended.is_set():
            answer = service.predict(RED)
            answers.append((answer.status, answer.json["results"][0]["label"]))

    with serving({"colours": path}) as service:
        before = service.ask("/v1/model").json["sha256"]
        threads = [threading.Thread(target=hammer) for _ in range(4)]
        for thread in threads:
            thread.start()
        try:
            write_colours(path, small_network, ("rouge", "vert", "bleu"), force=True)
            eventually(lambda: service.ask("/v1/model").json["sha256"] != before)
            time.sleep(0.1)
            # Half a copy: the old one goes on, and the service says so.
            (path / "labels.txt").write_text("eins\nzwei\ndrei\n")
            manifest = (path / "manifest.json").read_text()
            (path / "manifest.json").write_text(manifest + "\n")
            eventually(lambda: service.ask("/readyz").json["bundles"]["colours"]["problem"] is not None)
            told = service.ask("/readyz")
            assert told.status == 200
            assert "altered" in told.json["bundles"]["colours"]["problem"]
            assert str(tmp_path) not in told.body.decode()
            assert service.predict(RED).json["results"][0]["label"] == "rouge"
            # The rest of it comes, without the manifest changing again.
            (path / "labels.txt").write_text("rouge\nvert\nbleu\n")
            eventually(lambda: service.ask("/readyz").json["bundles"]["colours"]["problem"] is None)
            shutil.rmtree(path)
            eventually(lambda: service.ask("/readyz").json["bundles"]["colours"]["problem"] is not None)
            write_colours(path, small_network, ("uno", "dos", "tres"))
            eventually(lambda: service.ask("/v1/model").json["labels"] == ["uno", "dos", "tres"])
            eventually(lambda: answers[-1][1] == "uno")
        finally:
            ended.set()
            for thread in threads:
                thread.join()
    assert {status for status, _ in answers} == {200}
    seen = [label for _, label in answers]
    assert list(dict.fromkeys(seen)) == ["red", "rouge", "uno"]


def test_until_it_is_warm_it_is_not_ready(tmp_path: Path, small_network: bytes) -> None:
    path = write_colours(tmp_path / "colours", small_network)
    hidden = path.rename(tmp_path / "hidden")
    with serving({"colours": path}, ready=False) as service:
        eventually(service.is_alive)
        ready = service.ask("/readyz")
        assert (ready.status, ready.json["ready"]) == (503, False)
        answer = service.predict(RED)
        assert (answer.status, answer.headers["retry-after"]) == (503, "1")
        assert service.ask("/v1/model").status == 503
        hidden.rename(path)
        eventually(lambda: service.ask("/readyz").status == 200)
        assert service.predict(RED).status == 200
