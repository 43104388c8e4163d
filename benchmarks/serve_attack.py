"""Does the service stay useful to a normal client while others attack it?

Starts the service on loopback and has a normal client send photos, one after the other: first alone, then beside attackers, in a
process of their own. They send header lines without an end, bodies of many megabytes made of empty objects, empty parts or
brackets, bodies at one byte a second on 200 connections, heaps of requests at once, chunks of one byte, half-closed and broken
connections, and what is no HTTP at all. Told are the share of the normal client's answers that were right, how long they took
against how long they took in quiet, how long /healthz took, and the memory of the service and its processes.

All of it is bounded: so many requests, then it ends.

python benchmarks/serve_attack.py BUNDLE [PHOTOS]
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import multiprocessing
import random
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from common import FLICKR27, busy, photo_files
from serve_load import free_port
from serve_soak import memory

_HEAD = b"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\n"
_LARGE = 20_000_000
"""Bytes of the attackers' large bodies. The service takes up to 64 MB; what matters grows with their number as well."""

_DRIPPERS = 200


class Normal:
    """A client that asks about one photo after the other, and holds the answers against what they must be."""

    def __init__(self, port: int, photos: list[bytes], answers: list[dict[str, object]]) -> None:
        self._port, self._photos, self._answers = port, photos, answers
        self.good = 0
        self.seconds: list[float] = []
        self.bad: Counter[str] = Counter()
        self._connection: http.client.HTTPConnection | None = None

    def ask(self, number: int) -> None:
        number %= len(self._photos)
        began = time.perf_counter()
        try:
            if self._connection is None:
                self._connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)
            self._connection.request("POST", "/v1/predict", self._photos[number], {"Content-Type": "image/jpeg"})
            answer = self._connection.getresponse()
            body = answer.read()
            if answer.will_close:
                self.drop()
            if answer.status != 200:
                self.bad[f"{answer.status} {body[:80]!r}"] += 1
            elif json.loads(body)["results"][0]["label"] != self._answers[number]["label"]:
                self.bad["another label"] += 1
            else:
                self.good += 1
        except (OSError, http.client.HTTPException) as error:
            self.bad[type(error).__name__] += 1
            self.drop()
        self.seconds.append(time.perf_counter() - began)

    def drop(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


class Prober(threading.Thread):
    """Asks /healthz ten times a second, on a new connection each time."""

    def __init__(self, port: int, ended: threading.Event) -> None:
        super().__init__(daemon=True)
        self._port, self._ended = port, ended
        self.seconds: list[float] = []
        self.failed = 0

    def run(self) -> None:
        while not self._ended.wait(0.1):
            began = time.perf_counter()
            connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)
            try:
                connection.request("GET", "/healthz")
                self.failed += connection.getresponse().status != 200
            except (OSError, http.client.HTTPException):
                self.failed += 1
            finally:
                connection.close()
            self.seconds.append(time.perf_counter() - began)


class Attack:
    """The kinds of attacks; each call is one request, or as much of one as is taken."""

    def __init__(self, port: int, photo: bytes) -> None:
        self._port, self._photo = port, photo
        self.done: Counter[str] = Counter()
        self.statuses: Counter[str] = Counter()
        form = b"\r\n--b\r\n\r\n"
        member = b'\r\n--b\r\nContent-Disposition: form-data; name="x"\r\n\r\n'
        self._bodies = {
            "empty objects": ("application/json", b'{"images":[' + b"{}," * (_LARGE // 3)),
            "many images": ("application/json", b'{"images":[' + b'{"base64":""},' * (_LARGE // 14)),
            "deep JSON": ("application/json", b"[" * _LARGE),
            "many keys": ("application/json", b'{"images":[{' + b'"base64":"",' * (_LARGE // 12)),
            "blanks": ("application/json", b'{"images":' + b" " * _LARGE),
            "quotes": ("application/json", b'{"urls":["' + b'\\"' * (_LARGE // 2)),
            "long base64": ("application/json", b'{"images":[{"base64":"' + b"AAAA" * (_LARGE // 4) + b'"}]}'),
            "empty parts": ("multipart/form-data; boundary=b", form * (_LARGE // len(form))),
            "small parts": ("multipart/form-data; boundary=b", member * (_LARGE // len(member))),
            "line ends": ("multipart/form-data; boundary=b", b"--b\r\n\r\n\r\n" + b"\r\n--" * (_LARGE // 4)),
            "near boundaries": ("multipart/form-data; boundary=b", b"--b\r\n\r\n\r\n" + b"\r\n--bx" * (_LARGE // 6)),
        }
        self.kinds: dict[str, tuple[int, Callable[[random.Random], None]]] = {
            "endless header": (30, self._endless_header),
            "many fields": (30, lambda _: self._raw(_HEAD + b"a: b\r\n" * 50_000)),
            "no HTTP": (100, lambda rng: self._raw(rng.randbytes(rng.randrange(1, 3000)))),
            "pipelined": (20, lambda _: self._raw(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n" * 2000)),
            "one-byte chunks": (10, lambda _: self._raw(self._head("chunked") + b"1\r\na\r\n" * 100_000)),
            "long trailer": (10, lambda _: self._raw(self._head("chunked") + b"1\r\na\r\n0\r\na: " + b"b" * 1_000_000)),
            "walks away": (200, self._walk_away),
            "half-closed": (100, self._half_closed),
            "cut image": (300, lambda rng: self._post("image/jpeg", photo[: rng.randrange(1, len(photo))])),
            "no image": (300, lambda rng: self._post("image/jpeg", rng.randbytes(rng.randrange(1, 5000)))),
            "no form": (200, lambda rng: self._post("multipart/form-data; boundary=x", rng.randbytes(2000))),
            "no JSON": (200, lambda rng: self._post("application/json", rng.randbytes(2000))),
            **{name: (2, lambda _, name=name: self._post(*self._bodies[name])) for name in self._bodies},  # type: ignore[misc]
        }

    def one(self, number: int) -> None:
        rng = random.Random(number)
        (kind,) = rng.choices(list(self.kinds), [weight for weight, _ in self.kinds.values()])
        with contextlib.suppress(OSError):
            self.kinds[kind][1](rng)
        self.done[kind] += 1

    def drip(self, number: int, ended: threading.Event) -> None:
        """Hold a connection with a body of one byte a second, again and again."""
        while not ended.is_set():
            with contextlib.suppress(OSError), self._open() as connection:
                connection.sendall(self._head(len(self._photo) if number % 2 else 60_000_000))
                while not ended.wait(1.0):
                    connection.sendall(b"\xff")
            ended.wait(0.2)

    def _open(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self._port), timeout=20)

    def _head(self, length: int | str, kind: str = "image/jpeg") -> bytes:
        how = f"Content-Length: {length}" if isinstance(length, int) else f"Transfer-Encoding: {length}"
        return _HEAD + f"Content-Type: {kind}\r\n{how}\r\n\r\n".encode()

    def _heard(self, connection: socket.socket) -> None:
        heard = b""
        while len(heard) < 12 and (more := connection.recv(65536)):
            heard += more
        self.statuses[heard[9:12].decode("latin-1") or "closed"] += 1

    def _raw(self, data: bytes) -> None:
        with self._open() as connection:
            try:
                connection.sendall(data)
            finally:
                self._heard(connection)

    def _post(self, kind: str, body: bytes) -> None:
        self._raw(self._head(len(body), kind) + body)

    def _endless_header(self, _: random.Random) -> None:
        line = b"a" * 65536
        with self._open() as connection:
            try:
                connection.sendall(_HEAD + b"X-Long: ")
                for _again in range(200):
                    connection.sendall(line)
            finally:
                self._heard(connection)

    def _walk_away(self, rng: random.Random) -> None:
        with self._open() as connection:
            connection.sendall(self._head(len(self._photo)) + self._photo[: rng.randrange(len(self._photo) + 1)])

    def _half_closed(self, _: random.Random) -> None:
        with self._open() as connection:
            connection.sendall(self._head(len(self._photo)) + self._photo)
            connection.shutdown(socket.SHUT_WR)
            self._heard(connection)


def attackers(port: int, photo: bytes, threads: int, pause: float, only: str, made: Any, ended: Any, told: Any) -> None:
    """Attack until told to end; what a process of its own runs."""
    attack = Attack(port, photo)
    if only:
        attack.kinds = {only: attack.kinds[only]}
    lock = threading.Lock()

    def go_on(first: int) -> None:
        number = first
        while not ended.wait(pause):
            attack.one(number)
            number += threads
            with lock:
                made.value += 1

    running = [threading.Thread(target=go_on, args=(number,), daemon=True) for number in range(threads)]
    over = threading.Event()
    if not only:
        running += [
            threading.Thread(target=attack.drip, args=(number, over), daemon=True) for number in range(_DRIPPERS)
        ]
    for thread in running:
        thread.start()
    ended.wait()
    over.set()
    for thread in running:
        thread.join(30)
    told.put((attack.done, attack.statuses))


def percentile(values: list[float], part: float) -> float:
    """The value that so large a part of the others does not exceed."""
    return sorted(values)[min(len(values) - 1, int(len(values) * part))]


def told(name: str, normal: Normal, prober: Prober) -> None:
    """One line of figures."""
    asked = len(normal.seconds)
    print(
        f"{name}: {asked} photos, {normal.good / asked:.3f} answered right, median "
        f"{1000 * statistics.median(normal.seconds):.0f} ms, p99 {1000 * percentile(normal.seconds, 0.99):.0f} ms; /healthz "
        f"{len(prober.seconds)} times, p99 {1000 * percentile(prober.seconds, 0.99):.0f} ms, longest "
        f"{1000 * max(prober.seconds):.0f} ms, {prober.failed} failed",
        flush=True,
    )
    for what, count in normal.bad.most_common(5):
        print(f"  {count} x {what}")


def main() -> None:
    """Attack."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("photos", type=Path, nargs="?", default=FLICKR27)
    parser.add_argument("--made", action="store_true", help="made photos of 500 x 375 instead")
    parser.add_argument("--requests", type=int, default=20_000, help="of attackers and the normal client together")
    parser.add_argument("--quiet", type=int, default=1_000, help="photos that the normal client sends alone")
    parser.add_argument("--attackers", type=int, default=4, help="attackers at a time, beside those that drip")
    parser.add_argument("--pause", type=float, default=0.02, help="seconds between two requests of an attacker")
    parser.add_argument("--views", default="whole")
    parser.add_argument("--only", default="", help="one kind of attack alone")
    options = parser.parse_args()
    from logolens import Classifier

    busy()
    with tempfile.TemporaryDirectory() as work:
        files = photo_files(None if options.made else options.photos, 50, Path(work))
        photos = [file.read_bytes() for file in files]
    answers = [found.to_json() for found in Classifier.load(options.bundle, views=options.views).predict(photos)]
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "logolens", "serve", str(options.bundle), "--views", options.views, "--port", str(port)]
    )
    try:
        while True:
            with contextlib.suppress(OSError):
                connection = http.client.HTTPConnection("127.0.0.1", port)
                connection.request("GET", "/readyz")
                if connection.getresponse().status == 200:
                    break
            time.sleep(0.2)
        quiet = run_quiet(port, photos, answers, options.quiet)
        sizes, loud, prober = run_loud(process.pid, port, photos, answers, options)
    finally:
        process.send_signal(signal.SIGTERM)
        code = process.wait(90)
    half = len(sizes) // 2
    early, late = (sum(part) / len(part) for part in (sizes[1 : half + 1] or sizes, sizes[half:]))
    ratio = percentile(loud.seconds, 0.99) / percentile(quiet.seconds, 0.99)
    print(f"Good answers {loud.good / len(loud.seconds):.3f} (at least 0.9), p99 {ratio:.2f} times quiet (under 4).")
    print(f"/healthz at most {1000 * max(prober.seconds):.0f} ms.")
    print(f"Memory in the second half over the first: {late / early:.3f} ({early / 1e6:.0f} to {late / 1e6:.0f} MB)")
    print(f"It ended with {code}.")


def run_quiet(port: int, photos: list[bytes], answers: list[dict[str, object]], count: int) -> Normal:
    """The normal client alone."""
    normal, ended = Normal(port, photos, answers), threading.Event()
    prober = Prober(port, ended)
    prober.start()
    for number in range(count):
        normal.ask(number)
    ended.set()
    prober.join()
    normal.drop()
    told("In quiet", normal, prober)
    return normal


def run_loud(
    pid: int, port: int, photos: list[bytes], answers: list[dict[str, object]], options: argparse.Namespace
) -> tuple[list[int], Normal, Prober]:
    """The normal client beside the attackers, until so many requests were made by all of them."""
    normal, ended = Normal(port, photos, answers), threading.Event()
    prober = Prober(port, ended)
    context = multiprocessing.get_context("spawn")
    attacked, over, heard = context.Value("q", 0), context.Event(), context.Queue()
    process = context.Process(
        target=attackers,
        args=(port, photos[0], options.attackers, options.pause, options.only, attacked, over, heard),
        daemon=True,
    )
    process.start()
    while not attacked.value:
        time.sleep(0.05)
    prober.start()
    sizes: list[int] = []
    began = time.monotonic()
    while (made := len(normal.seconds) + attacked.value) < options.requests:
        normal.ask(len(normal.seconds))
        if made >= len(sizes) * options.requests / 20:
            sizes.append(memory(pid))
            print(f"{made:6} requests, {sizes[-1] / 1e6:.0f} MB, {time.monotonic() - began:.0f} s", flush=True)
    ended.set()
    over.set()
    done, statuses = heard.get(timeout=60)
    process.join(60)
    prober.join()
    normal.drop()
    told("Beside attackers", normal, prober)
    print(", ".join(f"{count} {kind}" for kind, count in done.most_common()))
    print("They heard " + ", ".join(f"{count} x {status}" for status, count in statuses.most_common()))
    return sizes, normal, prober


if __name__ == "__main__":
    main()
