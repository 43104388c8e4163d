"""Does the service stay right, alive and of one size over many requests, good and bad, and over files that are broken on purpose?

Sends requests of a dozen kinds by chance, 16 at a time: photos one by one and in forms and JSON, damaged ones, no images, bodies
that are too large, cut off, slow, not what they say, wrong parameters, clients that go away. Each answer is held against what the
Classifier says of the photo, or against the status that the kind must get. The memory of the service and its processes (each
shared page by its share) is looked at on the way. Then every file of an archive, if one is named, is posted once.

python benchmarks/serve_soak.py BUNDLE [PHOTOS] --archive pillow-13.0.0.tar.gz

Pillow's source archive, whose Tests/images holds over a thousand files: pip download --no-deps --no-binary pillow pillow
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import http.client
import json
import random
import signal
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from common import FLICKR27, busy, photo_files
from serve_load import free_port

_MAX_BODY = 8_000_000

_Answer = tuple[int, bytes]


def processes(pid: int) -> list[int]:
    """A process and those that it started."""
    found = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True, check=False)
    return [pid, *map(int, found.stdout.split())]


def memory(pid: int) -> int:
    """Bytes of a process and those that it started, pages that several share counted by their share."""
    total = 0
    for each in processes(pid):
        with contextlib.suppress(OSError):
            for line in Path(f"/proc/{each}/smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    total += int(line.split()[1]) * 1024
    return total


class Client:
    """Asks over a connection that is kept."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._own = threading.local()

    def post(self, body: bytes, kind: str, query: str = "") -> _Answer:
        """One request, again on a new connection where the kept one was closed meanwhile."""
        for attempt in range(2):
            connection = getattr(self._own, "connection", None)
            is_new = connection is None
            if connection is None:
                connection = self._own.connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=120)
            try:
                connection.request("POST", f"/v1/predict{query}", body, {"Content-Type": kind})
                answer = connection.getresponse()
                found = answer.status, answer.read()
                if answer.will_close:
                    self.drop()
                return found
            except (http.client.HTTPException, OSError):
                self.drop()
                if is_new or attempt:
                    raise
        raise AssertionError

    def drop(self) -> None:
        """Let the connection go."""
        if (connection := getattr(self._own, "connection", None)) is not None:
            connection.close()
            self._own.connection = None

    def walk_away(self, body: bytes, rng: random.Random) -> None:
        """Send part of a request, or all of it, and do not wait for the answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=120)
        with contextlib.closing(connection), contextlib.suppress(OSError):
            connection.putrequest("POST", "/v1/predict")
            connection.putheader("Content-Type", "image/jpeg")
            connection.putheader("Content-Length", str(len(body)))
            connection.endheaders()
            connection.send(body[: rng.randrange(len(body) + 1)])


class Soak:
    """The kinds of requests, and what each must get."""

    def __init__(self, client: Client, photos: list[bytes], answers: list[dict[str, object]]) -> None:
        self._client, self._photos, self._answers = client, photos, answers
        self.wrong: list[str] = []
        self.done: Counter[str] = Counter()
        self._kinds: dict[str, tuple[int, Callable[[random.Random], str | None]]] = {
            "a photo": (40, self._one),
            "a form": (8, self._form),
            "JSON": (5, self._json),
            "cut off": (8, lambda rng: self._bad(rng, (415, 422), self._photo(rng)[: rng.randrange(2, 2000)])),
            "no image": (8, lambda rng: self._bad(rng, (415,), b"\x00" + rng.randbytes(rng.randrange(1, 5000)))),
            "a wrong type": (5, lambda rng: self._bad(rng, (415,), self._photo(rng), "text/plain")),
            "no form": (4, lambda rng: self._bad(rng, (400,), rng.randbytes(500), "multipart/form-data; boundary=x")),
            "no JSON": (4, lambda rng: self._bad(rng, (400, 422), rng.randbytes(50), "application/json")),
            "a parameter": (4, lambda rng: self._bad(rng, (422,), self._photo(rng), query="?top=none")),
            "no bundle": (2, lambda rng: self._bad(rng, (404,), self._photo(rng), query="?bundle=none")),
            "too large": (2, lambda rng: self._bad(rng, (413,), bytes(_MAX_BODY + 1))),
            "walks away": (10, self._walk_away),
        }

    def _photo(self, rng: random.Random) -> bytes:
        return rng.choice(self._photos)

    def ask(self, number: int) -> None:
        """One request, of a kind that its number decides."""
        rng = random.Random(number)
        (kind,) = rng.choices(list(self._kinds), [weight for weight, _ in self._kinds.values()])
        try:
            problem = self._kinds[kind][1](rng)
        except (http.client.HTTPException, OSError) as error:
            problem = f"{type(error).__name__}: {error}"
        self.done[kind] += 1
        if problem is not None:
            self.wrong.append(f"{kind}: {problem}")

    def _is_right(self, found: dict[str, object], number: int) -> bool:
        wanted = self._answers[number]
        if found["label"] != wanted["label"] or found["error"] is not None:
            return False
        scores, others = found["scores"], wanted["scores"]
        assert isinstance(scores, dict)
        assert isinstance(others, dict)
        return scores.keys() == others.keys() and all(abs(scores[name] - others[name]) < 1e-3 for name in scores)

    def _one(self, rng: random.Random) -> str | None:
        number = rng.randrange(len(self._photos))
        status, body = self._client.post(self._photos[number], "image/jpeg")
        if status != 200 or not self._is_right(json.loads(body)["results"][0], number):
            return f"photo {number}: {status} {body[:200]!r}"
        return None

    def _several(self, rng: random.Random, send: Callable[[list[bytes]], _Answer]) -> str | None:
        numbers = [rng.randrange(len(self._photos)) if rng.random() < 0.8 else None for _ in range(rng.randrange(2, 5))]
        status, body = send([b"no image" if number is None else self._photos[number] for number in numbers])
        if status != 200:
            return f"{status} {body[:200]!r}"
        for found, number in zip(json.loads(body)["results"], numbers, strict=True):
            if (found["error"] is None) != (number is not None) or (
                number is not None and not self._is_right(found, number)
            ):
                return f"photo {number}: {found}"
        return None

    def _form(self, rng: random.Random) -> str | None:
        def send(images: list[bytes]) -> _Answer:
            parts = [
                b'--bound\r\nContent-Disposition: form-data; name="files"; filename="a.jpg"\r\n\r\n' + image + b"\r\n"
                for image in images
            ]
            return self._client.post(b"".join(parts) + b"--bound--\r\n", "multipart/form-data; boundary=bound")

        return self._several(rng, send)

    def _json(self, rng: random.Random) -> str | None:
        def send(images: list[bytes]) -> _Answer:
            listed = [{"base64": base64.b64encode(image).decode()} for image in images]
            return self._client.post(json.dumps({"images": listed}).encode(), "application/json")

        return self._several(rng, send)

    def _bad(
        self, _: random.Random, wanted: tuple[int, ...], body: bytes, kind: str = "image/jpeg", query: str = ""
    ) -> str | None:
        status, answer = self._client.post(body, kind, query)
        if status not in wanted or list(json.loads(answer)) != ["error"] or b"Traceback" in answer:
            return f"{status} instead of {wanted}: {answer[:200]!r}"
        return None

    def _walk_away(self, rng: random.Random) -> str | None:
        self._client.walk_away(self._photo(rng), rng)
        return None


def post_all(archive: Path, client: Client, *, quiet: bool = False) -> None:
    """Post every file of an archive's Tests/images once, or of all of it where there is no such folder."""
    with tarfile.open(archive) as files:
        members = [member for member in files if member.isfile()]
        images = [member for member in members if "/Tests/images/" in member.name] or members
        counts: Counter[int] = Counter()
        slowest, odd = (0.0, ""), []
        for member in images:
            data = files.extractfile(member)
            assert data is not None
            began = time.monotonic()
            try:
                status, answer = client.post(data.read(), "application/octet-stream")
            except (http.client.HTTPException, OSError) as error:
                odd.append(f"{member.name}: {error}")
                continue
            slowest = max(slowest, (time.monotonic() - began, member.name))
            counts[status] += 1
            if status not in (200, 400, 413, 415, 422) or b"Traceback" in answer:
                odd.append(f"{member.name}: {status} {answer[:200]!r}")
    if quiet and not odd:
        return
    told = ", ".join(f"{count} with {status}" for status, count in sorted(counts.items()))
    print(f"\n{len(images)} files of {archive.name}, each posted once: {sum(counts.values())} answers: {told}.")
    print(f"The slowest took {slowest[0]:.1f} s: {slowest[1]}")
    print(*(odd or ["None without an answer, and none with another status."]), sep="\n")


def main() -> None:
    """Soak."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("photos", type=Path, nargs="?", default=FLICKR27)
    parser.add_argument("--made", action="store_true", help="made photos of 500 x 375 instead")
    parser.add_argument("--requests", type=int, default=20_000)
    parser.add_argument("--count", type=int, default=100, help="photos that are sent")
    parser.add_argument("--views", default="whole")
    parser.add_argument("--archive", type=Path, help="archive whose files are each posted once")
    parser.add_argument("--times", type=int, default=3, help="how often, to see whether memory grows each time")
    options = parser.parse_args()
    from logolens import Classifier

    busy()
    with tempfile.TemporaryDirectory() as work:
        photos = [
            file.read_bytes()
            for file in photo_files(None if options.made else options.photos, options.count, Path(work))
        ]
    answers = [found.to_json() for found in Classifier.load(options.bundle, views=options.views).predict(photos)]
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "logolens", "serve", str(options.bundle), "--views", options.views, "--port", str(port),
         "--max-body", str(_MAX_BODY)]
    )  # fmt: skip
    try:
        while True:
            with contextlib.suppress(OSError):
                connection = http.client.HTTPConnection("127.0.0.1", port)
                connection.request("GET", "/readyz")
                if connection.getresponse().status == 200:
                    break
            time.sleep(0.2)
        client = Client(port)
        soak = Soak(client, photos, answers)
        sizes: list[int] = []
        began = time.monotonic()
        step = max(1, options.requests // 20)
        with ThreadPoolExecutor(16) as pool:
            for start in range(0, options.requests, step):
                list(pool.map(soak.ask, range(start, min(start + step, options.requests))))
                sizes.append(memory(process.pid))
                print(
                    f"{min(start + step, options.requests):6} requests, {len(soak.wrong)} wrong, "
                    f"{sizes[-1] / 1e6:.0f} MB, {time.monotonic() - began:.0f} s",
                    flush=True,
                )
        print(", ".join(f"{count} {kind}" for kind, count in soak.done.most_common()))
        print(*soak.wrong[:20], sep="\n")
        half = len(sizes) // 2
        early, late = (sum(part) / len(part) for part in (sizes[1 : half + 1] or sizes, sizes[half:]))
        print(f"{len(soak.wrong)} of {sum(soak.done.values())} answers were wrong.")
        print(
            f"Memory in the second half over the first: {late / early:.3f} ({early / 1e6:.0f} to {late / 1e6:.0f} MB)"
        )
        for again in range(options.times if options.archive is not None else 0):
            post_all(options.archive, client, quiet=again > 0)
            status, _ = client.post(photos[0], "image/jpeg")
            size, workers = memory(process.pid) / 1e6, len(processes(process.pid)) - 1
            print(f"A photo after that: {status}; memory {size:.0f} MB, {workers} decoding processes.", flush=True)
        client.drop()
    finally:
        process.send_signal(signal.SIGTERM)
        code = process.wait(60)
    print(f"It ended with {code}.")
    if soak.wrong:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
