"""What is decided where the bytes arrive: heads, what is no HTTP, requests in one another's back, clients that end their side."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import threading
from collections.abc import Iterator

import pytest
from service import Service, eventually, picture, received, serving, slow_picture, write_colours

from logolens.serve.protocol import MOST_HEAD, Protocol

pytest.importorskip("fastapi")

RED = picture("red")
HEALTH = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, small_network: bytes) -> Iterator[Service]:
    colours = write_colours(tmp_path_factory.mktemp("served") / "colours", small_network)
    with serving({"colours": colours}, "s3cret", deadline=20.0) as running:
        yield running


@pytest.fixture(scope="module")
def open_service(tmp_path_factory: pytest.TempPathFactory, small_network: bytes) -> Iterator[Service]:
    colours = write_colours(tmp_path_factory.mktemp("served") / "colours", small_network)
    with serving({"colours": colours}, deadline=20.0) as running:
        yield running


def everything(connection: socket.socket) -> bytes:
    """All that comes until the other side closes."""
    data = b""
    with contextlib.suppress(ConnectionResetError):
        while more := connection.recv(65536):
            data += more
    return data


def said(service: Service, data: bytes) -> bytes:
    """What the service answers to bytes, until it closes; a service that stops to read is not waited for."""
    with service.raw() as connection:
        connection.settimeout(20)
        with contextlib.suppress(OSError):
            connection.sendall(data)
        return everything(connection)


def check_refusal(answer: bytes, status: int) -> str:
    """That an answer is one refusal as all others are, and nothing behind it; gives its sentence."""
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 %d " % status), answer[:300]
    lines = head.lower().split(b"\r\n")
    assert b"content-type: application/json" in lines
    assert b"connection: close" in lines
    assert b"x-content-type-options: nosniff" in lines
    assert b"content-length: %d" % len(body) in lines
    (sentence,) = json.loads(body).values()
    assert list(json.loads(body)) == ["error"]
    assert sentence.endswith(".")
    return str(sentence)


POST = b"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/jpeg\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
TOO_MUCH = {
    "a line without an end": (HEALTH + b"X-Long: " + b"a" * 1_000_000, 431),
    "a name without an end": (HEALTH + b"a" * 1_000_000, 431),
    "a long line": (HEALTH + b"X-Long: " + b"a" * 70_000 + b"\r\n\r\n", 431),
    "many bytes in all": (HEALTH + b"".join(b"X-%d: %s\r\n" % (n, b"a" * 900) for n in range(80)) + b"\r\n", 431),
    "fields without an end": (HEALTH + b"a: b\r\n" * 100_000, 431),
    "too many fields": (HEALTH + b"".join(b"x-%d: 1\r\n" % n for n in range(100)) + b"\r\n", 431),
    "the same field": (HEALTH + b"a:\r\n" * 101 + b"\r\n", 431),
    "after a length": (POST + b"Content-Length: 50000000\r\nX: " + b"a" * 1_000_000, 431),
    "empty lines": (b"\r\n" * 100_000, 431),
    "an address": (b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n", 414),
    "an address without an end": (b"GET /" + b"a" * 1_000_000, 414),
    "no HTTP": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(100), 400),
    "words": (b"hello, world\r\n\r\n", 400),
    "HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
    "two lengths": (POST + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd", 400),
    "a length and chunks": (POST + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    "a name with a blank": (HEALTH + b"a b: c\r\n\r\n", 400),
    "two hosts": (HEALTH + b"Host: example.org\r\n\r\n", 400),
    "a tunnel": (b"CONNECT example.org:443 HTTP/1.1\r\nHost: example.org\r\n\r\n", 400),
}


@pytest.mark.parametrize("case", TOO_MUCH)
def test_what_is_more_than_a_head_is_refused_without_a_token(service: Service, case: str) -> None:
    data, status = TOO_MUCH[case]
    sentence = check_refusal(said(service, data), status)
    assert "token" not in sentence


BODIES = {
    "a chunk that is none": (CHUNKED + b"zz\r\n", 400),
    "chunks of a byte": (CHUNKED + b"1\r\na\r\n" * 100_000, 431),
    "a long extension": (CHUNKED + b"1;" + b"a" * 200_000, 431),
    "a long trailer": (CHUNKED + b"1\r\na\r\n0\r\nX: " + b"a" * 200_000, 431),
    "many trailers": (CHUNKED + b"1\r\na\r\n0\r\n" + b"a: b\r\n" * 200, 431),
}


@pytest.mark.parametrize("case", BODIES)
def test_what_frames_a_body_is_bounded(open_service: Service, case: str) -> None:
    data, status = BODIES[case]
    check_refusal(said(open_service, data), status)
    eventually(lambda: open_service.figure("logolens_in_flight_requests") == 0)


def test_a_head_of_just_the_bounds_is_answered(open_service: Service) -> None:
    fields = b"".join(b"x-%d: 1\r\n" % n for n in range(98)) + b"Connection: close\r\n"
    assert said(open_service, HEALTH + fields + b"\r\n").startswith(b"HTTP/1.1 200")
    large = b"".join(b"x-%d: %s\r\n" % (n, b"a" * 6_000) for n in range(10)) + b"Connection: close\r\n"
    assert said(open_service, HEALTH + large + b"\r\n").startswith(b"HTTP/1.1 200")
    body = b"".join(b"%x\r\n%s\r\n" % (len(RED[at : at + 5]), RED[at : at + 5]) for at in range(0, len(RED), 5))
    trailer = b"0\r\nAuthorization: x\r\n\r\n"
    with open_service.raw() as connection:
        connection.sendall(CHUNKED + body + trailer)
        assert received(connection).startswith(b"HTTP/1.1 200")
        connection.sendall(HEALTH + b"\r\n")  # The next request's fields are counted anew.
        assert received(connection).startswith(b"HTTP/1.1 200")
    assert open_service.figure("logolens_rejected_total", reason="protocol") > 0


def test_heads_without_an_end_hold_nobody_up(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    parsed: list[int] = []
    made: list[Protocol] = []
    parse, make = Protocol._parse, Protocol.connection_made

    def counted(self: Protocol, piece: bytes) -> None:
        parsed.append(len(piece))
        parse(self, piece)

    def noted(self: Protocol, transport: object) -> None:
        made.append(self)
        make(self, transport)

    monkeypatch.setattr(Protocol, "_parse", counted)
    monkeypatch.setattr(Protocol, "connection_made", noted)
    ended = threading.Event()
    sent: list[int] = []

    def attack() -> None:
        while not ended.is_set():
            with contextlib.suppress(OSError), service.raw() as connection:
                connection.sendall(HEALTH + b"X-Long: ")
                for _ in range(1000):
                    connection.sendall(b"a" * 65536)
                    sent.append(65536)
                    if ended.is_set():
                        return

    threads = [threading.Thread(target=attack) for _ in range(8)]
    for thread in threads:
        thread.start()
    try:
        eventually(lambda: len(sent) > 100)
        before = len(sent)
        assert all(service.ask("/healthz").status == 200 for _ in range(20))
        eventually(lambda: len(sent) > before + 100)
    finally:
        ended.set()
        for thread in threads:
            thread.join()
    # No more of a head is looked at, however much is sent, and none of it twice.
    assert len(made) > 8
    assert sum(parsed) <= len(made) * (MOST_HEAD + 8_192)


def test_requests_in_one_anothers_back_are_answered_in_turn(open_service: Service) -> None:
    count = 3_000
    asked = b"".join(b"GET /v1/nothing?%d HTTP/1.1\r\nHost: localhost\r\n\r\n" % n for n in range(count - 1))
    with open_service.raw() as connection:
        sending = threading.Thread(target=connection.sendall, args=(asked + HEALTH + b"Connection: close\r\n\r\n",))
        sending.start()
        answer = everything(connection)
        sending.join()
    found = re.findall(rb"HTTP/1\.1 (\d+)", answer)
    assert found == [b"404"] * (count - 1) + [b"200"]


def test_what_is_refused_waits_for_the_answers_before_it(open_service: Service) -> None:
    answer = said(open_service, POST + b"Content-Length: %d\r\n\r\n" % len(RED) + RED + b"hello\r\n\r\n")
    first, second = answer.split(b"HTTP/1.1 ")[1:]
    assert first.startswith(b"200")
    assert json.loads(first.partition(b"\r\n\r\n")[2])["results"][0]["label"] == "red"
    check_refusal(b"HTTP/1.1 " + second, 400)


# Clients that send no more


def half_closed(service: Service, data: bytes) -> bytes:
    with service.raw() as connection:
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        return everything(connection)


def test_a_client_that_ends_its_side_gets_its_answer(open_service: Service) -> None:
    for data, kind in ((RED, b"image/jpeg"), (slow_picture(), b"image/png")):
        head = POST.replace(b"image/jpeg", kind) + b"Content-Length: %d\r\n\r\n" % len(data)
        answer = half_closed(open_service, head + data)
        assert answer.count(b"HTTP/1.1 ") == 1
        assert answer.startswith(b"HTTP/1.1 200 OK\r\n"), answer[:200]
        assert len(json.loads(answer.partition(b"\r\n\r\n")[2])["results"]) == 1
    both = half_closed(open_service, HEALTH + b"\r\n" + head + data)
    assert re.findall(rb"HTTP/1\.1 (\d+)", both) == [b"200", b"200"]


@pytest.mark.parametrize(
    "part", [b"GET /healthz HT", HEALTH, POST + b"Content-Length: 900\r\n\r\nabc", CHUNKED + b"5\r\nab"]
)
def test_a_request_that_ends_too_early_is_told_so(open_service: Service, part: bytes) -> None:
    assert "cut off" in check_refusal(half_closed(open_service, part), 400)
    eventually(lambda: open_service.figure("logolens_in_flight_requests") == 0)


def test_a_client_that_says_nothing_is_told_nothing(open_service: Service) -> None:
    before = open_service.figure("logolens_rejected_total", reason="protocol")
    assert half_closed(open_service, b"") == b""
    with open_service.raw() as connection:  # Nor is one that has had its answer, and goes.
        connection.sendall(HEALTH + b"\r\n")
        assert received(connection).startswith(b"HTTP/1.1 200")
        connection.shutdown(socket.SHUT_WR)
        assert everything(connection) == b""
    assert open_service.figure("logolens_rejected_total", reason="protocol") == before
