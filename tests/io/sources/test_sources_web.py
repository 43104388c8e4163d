"""Fetching from servers that mean no good, and being a guest of those that do."""

from __future__ import annotations

import email.utils
import gzip
import socket
import ssl
import time
import zlib
from collections.abc import Iterator
from typing import Any

import pytest
from website import Reply, Server, picture, serving

from logolens.config import Limits, SourceSettings
from logolens.errors import ImageError, UsageError
from logolens.io.sources.client import Client
from logolens.io.sources.source import Stamp
from logolens.io.sources.ssrf_guard import is_public
from logolens.io.sources.throttle import backoff, retry_after
from logolens.io.sources.urls import Url

PNG = picture(1)
LIMITS = Limits(max_bytes=100_000)


@pytest.fixture
def server() -> Iterator[Server]:
    with serving(Server()) as running:
        yield running


def client(**changes: Any) -> Client:
    given: dict[str, Any] = {"allow_private": True, "rate": 10_000.0, "timeout": 5.0, "retries": 2, "max_wait": 0.2}
    return Client(SourceSettings(**(given | changes)))


def url(text: str) -> Url:
    parsed = Url.parse(text)
    assert parsed is not None
    return parsed


# Addresses


@pytest.mark.parametrize(
    "address",
    [
        *(
            "127.0.0.1",
            "127.9.9.9",
            "10.0.0.1",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "0.0.0.0",
        ),
        *("224.0.0.1", "239.255.255.250", "255.255.255.255", "240.0.0.1", "198.18.0.1", "192.0.2.1", "168.63.129.16"),
        *("::1", "::", "fe80::1", "fe80::1%eth0", "fc00::1", "fd00:ec2::254", "fec0::1", "ff02::1", "2001:db8::1"),
        *("::ffff:127.0.0.1", "::ffff:10.0.0.1", "::127.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::", "64:ff9b:1::1"),
        *("2001:0:4136:e378:8000:63bf:80ff:fffe", "nonsense", ""),
    ],
)
def test_addresses_that_are_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize(
    "address", ["8.8.8.8", "1.1.1.1", "2606:4700:4700::1111", "::ffff:8.8.8.8", "2a00:1450:4001::1"]
)
def test_addresses_that_are_public(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    "host",
    [
        *("127.0.0.1", "localhost", "LOCALHOST.", "2130706433", "0x7f000001", "0x7f.1", "0177.0.0.1", "127.1", "0"),
        *("017700000001", "[::1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[0:0:0:0:0:0:0:1]", "0.0.0.0", "[::]"),
        *("127.0.0.%31", "１２７.0.0.1"),
    ],
)
def test_no_way_of_writing_this_machine_gets_through(server: Server, host: str) -> None:
    server.replies["/x.png"] = Reply(PNG, "image/png")
    target = Url.parse(f"http://{host}:{server.port}/x.png")
    if target is not None:
        with pytest.raises(ImageError, match=r"not a public address|no host named|cannot be looked up"):
            client(allow_private=False).image(target, LIMITS)
    assert not server.asked


def test_a_private_address_is_fetched_from_where_it_is_allowed(server: Server) -> None:
    server.replies["/x.png"] = Reply(PNG, "image/png")
    for host in ("127.0.0.1", "localhost", "127.1"):
        found = client().image(url(f"http://{host}:{server.port}/x.png"), LIMITS)
        assert found is not None
        assert found.data == PNG


def test_a_redirect_to_a_private_address_is_refused(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first host counts as public, as the guard sees it; where it redirects to does not."""
    import logolens.io.sources.ssrf_guard as addresses

    genuine = addresses._resolve
    server.replies["/go"] = Reply(status=302, headers={"Location": f"http://localhost:{server.port}/secret.png"})
    server.replies["/secret.png"] = Reply(PNG, "image/png")
    monkeypatch.setattr(addresses, "is_public", lambda address: address == "127.0.0.1" and asked[-1] == "public.test")
    asked: list[str] = []

    def resolve(host: str, port: int) -> list[str]:
        asked.append(host)
        return ["127.0.0.1"] if host == "public.test" else genuine(host, port)

    monkeypatch.setattr(addresses, "_resolve", resolve)
    with pytest.raises(ImageError, match="not a public address"):
        client(allow_private=False).image(url(f"http://public.test:{server.port}/go"), LIMITS)
    assert asked == ["public.test", "localhost"]
    assert list(server.asked) == ["/go"]


def test_one_private_address_among_public_ones_refuses_the_host(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    def getaddrinfo(*_: Any, **__: Any) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 80)) for address in ("8.8.8.8", "127.0.0.1")]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    with pytest.raises(ImageError, match="not a public address"):
        client(allow_private=False).image(url("http://both.test/x.png"), LIMITS)


def test_the_name_is_resolved_once_and_the_connection_made_to_what_was_checked(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name that stands for another address the second time (DNS rebinding) is not asked a second time."""
    import logolens.io.sources.ssrf_guard as addresses

    answers = iter([["127.0.0.1"], ["127.0.0.2"]])
    checked: list[str] = []
    server.replies["/x.png"] = Reply(PNG, "image/png")
    monkeypatch.setattr(addresses, "_resolve", lambda host, port: next(answers))
    monkeypatch.setattr(addresses, "is_public", lambda address: checked.append(address) is None)
    connected: list[Any] = []
    genuine = socket.create_connection
    monkeypatch.setattr(socket, "create_connection", lambda to, *a, **k: connected.append(to) or genuine(to, *a, **k))
    client(allow_private=False).image(url(f"http://rebound.test:{server.port}/x.png"), LIMITS)
    assert checked == ["127.0.0.1"]
    assert connected == [("127.0.0.1", server.port)]
    assert server.seen[0][1]["host"] == f"rebound.test:{server.port}"


def test_tls_verifies_the_name_and_not_the_address(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    names: list[Any] = []
    genuine = ssl.SSLContext.wrap_socket

    def wrap(self: ssl.SSLContext, sock: Any, **given: Any) -> Any:
        names.append((given.get("server_hostname"), self.check_hostname, self.verify_mode))
        return genuine(self, sock, **given)

    monkeypatch.setattr(ssl.SSLContext, "wrap_socket", wrap)
    import truststore

    monkeypatch.setattr(truststore.SSLContext, "wrap_socket", lambda self, sock, **k: wrap(self._ctx, sock, **k))
    with pytest.raises(ImageError):  # The server speaks no TLS; that it was asked for by name is what counts.
        client(retries=0).image(url(f"https://localhost:{server.port}/x.png"), LIMITS)
    assert names == [("localhost", True, ssl.CERT_REQUIRED)]


@pytest.mark.parametrize("location", ["file:///etc/passwd", "ftp://127.0.0.1/x", "gopher://127.0.0.1/", "http://[bad/"])
def test_redirects_to_other_schemes_are_refused(server: Server, location: str) -> None:
    server.replies["/go"] = Reply(status=302, headers={"Location": location})
    with pytest.raises(ImageError, match="no http or https address"):
        client().image(url(server.url + "/go"), LIMITS)


def test_the_environments_proxy_is_used_only_when_asked_for(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("https_proxy", server.url)
    server.replies["/x.png"] = Reply(PNG, "image/png")
    server.replies["http://elsewhere.invalid:80/y.png"] = Reply(PNG, "image/png")
    assert client().image(url(server.url + "/x.png"), LIMITS) is not None
    assert client(proxy="env").image(url("http://elsewhere.invalid/y.png"), LIMITS) is not None
    for host in ("127.0.0.1", "2130706433", "localhost", "[::1]", "[::ffff:10.0.0.1]"):
        with pytest.raises(ImageError, match="the proxy is not asked"):
            client(proxy="env", allow_private=False).image(url(f"http://{host}/"), LIMITS)
    with pytest.raises(UsageError, match="proxy"):
        client(proxy="socks9://x y")


# Bounds


def test_size_is_bounded_as_announced_as_sent_and_as_unpacked(server: Server) -> None:
    server.replies["/announced"] = Reply(b"x" * 10, headers={"Content-Length": "999999999"}, cut=10)
    server.replies["/endless"] = Reply(endless=True)
    bomb = gzip.compress(bytes(50_000_000))
    server.replies["/bomb"] = Reply(bomb, headers={"Content-Encoding": "gzip"})
    for path in ("/announced", "/endless", "/bomb"):
        with pytest.raises(ImageError, match="limit of 100,000"):
            client().image(url(server.url + path), LIMITS)


def test_packed_answers_are_unpacked(server: Server) -> None:
    raw = zlib.compressobj(wbits=-15)
    forms = {
        "gzip": gzip.compress(PNG),
        "deflate": zlib.compress(PNG),
        "DEFLATE": raw.compress(PNG) + raw.flush(),
        "x-gzip": PNG,  # It says so, and is not.
    }
    for encoding, body in forms.items():
        server.replies["/x"] = Reply(body, headers={"Content-Encoding": encoding})
        found = client().image(url(server.url + "/x"), LIMITS)
        assert found is not None
        assert found.data == PNG, encoding
    server.replies["/x"] = Reply(PNG, headers={"Content-Encoding": "br"})
    with pytest.raises(ImageError, match="'br'"):
        client().image(url(server.url + "/x"), LIMITS)


def test_a_slow_drip_ends_at_the_time_limit(server: Server) -> None:
    server.replies["/drip"] = Reply(b"x" * 100_000, drip=0.05)
    begun = time.monotonic()
    with pytest.raises(ImageError, match="longer than 1 seconds"):
        client(max_time=1.0).image(url(server.url + "/drip"), LIMITS)
    assert time.monotonic() - begun < 60  # Dripping all of it would take 5,000 s; the machine may be slow.


def test_headers_that_drip_without_end_are_cut_off_too() -> None:
    import threading

    with socket.create_server(("127.0.0.1", 0)) as listener:
        stop = threading.Event()

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.sendall(b"HTTP/1.1 200 OK\r\n")
                while not stop.wait(0.05):
                    try:
                        connection.sendall(b"X: y\r\n")
                    except OSError:
                        return

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            with pytest.raises(ImageError, match="longer than 1 seconds"):
                client(max_time=1.0).image(url(f"http://127.0.0.1:{listener.getsockname()[1]}/"), LIMITS)
        finally:
            stop.set()
            thread.join()


def test_headers_have_a_largest_size(server: Server) -> None:
    server.replies["/x"] = Reply(PNG, headers={f"X-{number}": "y" * 1000 for number in range(2000)})
    with pytest.raises(ImageError, match="the connection broke"):
        client(retries=0).image(url(server.url + "/x"), LIMITS)


def test_silence_is_said(server: Server) -> None:
    server.replies["/x"] = Reply(PNG, delay=30)
    with pytest.raises(ImageError, match=r"nothing came for 0.3 seconds \(2 attempts\)"):
        client(timeout=0.3, retries=1).image(url(server.url + "/x"), LIMITS)


def test_redirects_have_an_end(server: Server) -> None:
    server.replies["/a"] = Reply(status=302, headers={"Location": "/b"})
    server.replies["/b"] = Reply(status=302, headers={"Location": "/a"})
    for number in range(30):
        server.replies[f"/n{number}"] = Reply(status=308, headers={"Location": f"n{number + 1}"})
    with pytest.raises(ImageError, match="circle"):
        client().image(url(server.url + "/a"), LIMITS)
    with pytest.raises(ImageError, match="more than 10 times"):
        client().image(url(server.url + "/n0"), LIMITS)


# Manners


@pytest.mark.parametrize(
    "failure",
    [Reply(status=429), Reply(status=503), Reply(status=500), Reply(reset=True), Reply(PNG, cut=5)],
    ids=["429", "503", "500", "reset", "cut"],
)
def test_what_may_pass_is_tried_again(server: Server, failure: Reply) -> None:
    server.replies["/x"] = Reply(PNG, first=[failure, failure])
    found = client().image(url(server.url + "/x"), LIMITS)
    assert found is not None
    assert found.data == PNG
    assert server.asked["/x"] == 3


def test_what_will_not_pass_is_not_tried_again(server: Server) -> None:
    for status in (400, 401, 403, 404, 410):
        server.replies[f"/{status}"] = Reply(status=status)
        with pytest.raises(ImageError, match=str(status)):
            client().image(url(f"{server.url}/{status}"), LIMITS)
        assert server.asked[f"/{status}"] == 1
    server.replies["/500"] = Reply(status=500)
    with pytest.raises(ImageError, match="500 Internal Server Error"):
        client().image(url(server.url + "/500"), LIMITS)
    assert server.asked["/500"] == 3


def test_retry_after_is_waited_for(server: Server) -> None:
    server.replies["/x"] = Reply(PNG, first=[Reply(status=429, headers={"Retry-After": "1"})])
    client(max_wait=30.0).image(url(server.url + "/x"), LIMITS)
    assert server.seen[1][2] - server.seen[0][2] >= 0.95


def test_retry_after_in_its_forms() -> None:
    assert retry_after("7") == 7
    later = retry_after(email.utils.formatdate(time.time() + 100, usegmt=True))
    assert later is not None
    assert 90 < later <= 100
    assert retry_after(email.utils.formatdate(0)) == 0
    assert [retry_after(value) for value in (None, "", "soon", "-3", "Mon, 99 Foo 2020")] == [None] * 5
    assert backoff(1, 9e9, 60.0) < 61
    assert all(backoff(count, None, 60.0) <= 60 for count in range(1, 2000, 100))
    assert backoff(3, None, 60.0) >= 1.0


def test_a_host_is_asked_no_more_often_than_the_rate(server: Server) -> None:
    from concurrent.futures import ThreadPoolExecutor

    server.replies["/x"] = Reply(PNG)
    polite = client(rate=20.0)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: polite.image(url(server.url + "/x"), LIMITS), range(12)))
    times = [moment for _, _, moment in server.seen]
    assert times[-1] - times[0] >= 11 / 20 * 0.9


def test_it_says_who_asks_and_sends_nothing_else_of_this_machine(server: Server) -> None:
    server.replies["/x"] = Reply(PNG)
    client().image(url(server.url + "/x"), LIMITS)
    headers = server.seen[0][1]
    assert headers["user-agent"].startswith("logolens/")
    assert set(headers) == {"host", "user-agent", "accept", "accept-encoding"}
    with pytest.raises(UsageError, match="user-agent"):
        SourceSettings(user_agent="a\r\nX: y")


def test_a_rescan_asks_whether_anything_changed(server: Server) -> None:
    server.replies["/x"] = Reply(PNG, headers={"ETag": '"one"', "Last-Modified": "Wed, 01 Jan 2025 00:00:00 GMT"})
    fetched = client().image(url(server.url + "/x"), LIMITS)
    assert fetched is not None
    assert fetched.stamp == Stamp(len(PNG), None, '"one"', "Wed, 01 Jan 2025 00:00:00 GMT")
    assert client().image(url(server.url + "/x"), LIMITS, fetched.stamp) is None
    assert server.seen[1][1]["if-none-match"] == '"one"'
    assert server.seen[1][1]["if-modified-since"] == "Wed, 01 Jan 2025 00:00:00 GMT"
    server.replies["/x"].headers["ETag"] = '"two"'
    assert client().image(url(server.url + "/x"), LIMITS, fetched.stamp) is not None
    # What a store was made to hold cannot add a header.
    client().image(url(server.url + "/x"), LIMITS, Stamp(etag='"a"\r\nX-Evil: 1'))
    assert "x-evil" not in server.seen[-1][1]


def test_credentials_go_to_their_own_host_alone_and_into_no_message(server: Server) -> None:
    with serving(Server()) as other:
        other.replies["/there.png"] = Reply(PNG)
        server.replies["/go"] = Reply(status=302, headers={"Location": other.url + "/there.png"})
        secret = url(f"http://me:hunter%32@127.0.0.1:{server.port}/go")
        visitor = client()
        visitor.remember(secret)
        assert visitor.image(secret, LIMITS) is not None
        assert server.seen[0][1]["authorization"] == "Basic bWU6aHVudGVyMg=="
        assert "authorization" not in other.seen[0][1]
        assert "hunter" not in secret.name + secret.text
        with pytest.raises(ImageError) as caught:
            visitor.image(url(f"http://me:hunter2@127.0.0.1:{server.port}/none"), LIMITS)
        assert "hunter" not in str(caught.value)


def test_a_closed_client_wakes_whoever_waits(server: Server) -> None:
    import threading

    server.replies["/x"] = Reply(PNG, first=[Reply(status=503, headers={"Retry-After": "300"})])
    waiting = client(max_wait=300.0)
    threading.Timer(0.5, waiting.close).start()
    with pytest.raises(ImageError, match="ended before"):
        waiting.image(url(server.url + "/x"), LIMITS)
