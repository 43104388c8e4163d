"""A service on loopback for the tests, a bundle that is made in a moment, and a client that sees what is on the wire."""

from __future__ import annotations

import contextlib
import http.client
import io
import json
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from logolens.bundle.format import FORMAT, attach_head, write_bundle
from logolens.config import ServeSettings
from logolens.models.calibration import Calibration
from logolens.models.head import Head

COLOURS = ("red", "green", "blue")


def write_colours(folder: Path, network: bytes, labels: tuple[str, ...] = COLOURS, *, force: bool = False) -> Path:
    """A bundle that says which of three colours an image has most of; ``network`` is conftest's `small_network`."""
    weights = np.zeros((12, 3), np.float32)
    for plane in range(3):
        weights[4 * plane : 4 * plane + 4, plane] = 1 / 128
    head = Head(((weights, np.zeros(3, np.float32)),))
    network_file = folder.parent / f"{folder.name}.onnx"
    network_file.write_bytes(network)
    write_bundle(
        folder,
        manifest={
            "format": FORMAT,
            "created": "2026-01-01T00:00:00+00:00",
            "logolens": "0.1.0",
            "preprocessing": {"size": 64},
            "calibration": {},
            "data": {"path": str(folder.parent / "secret"), "name": "colours", "photos": 3},
            "metrics": {"test": {"n": 1, "misclassified": [{"image": str(folder.parent / "secret" / "a.jpg")}]}},
        },
        classes=labels,
        model=attach_head(network_file, head, Calibration()),
        head=head,
        extras=lambda _: None,
        force=force,
    )
    return folder


def picture(colour: str = "red", kind: str = "JPEG", size: tuple[int, int] = (120, 80)) -> bytes:
    """An image of one colour."""
    out = io.BytesIO()
    Image.new("RGB", size, colour).save(out, kind)
    return out.getvalue()


def slow_picture() -> bytes:
    """A small file of many pixels, which take a while to be decoded."""
    out = io.BytesIO()
    Image.new("L", (7000, 7000)).save(out, "PNG", compress_level=1)
    return out.getvalue()


def form(*files: tuple[str, bytes], field: str = "files") -> tuple[bytes, str]:
    """A form of files, and its content type."""
    boundary = "0123456789abcdef"
    parts = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="{field}"; filename="{name}"\r\n\r\n'.encode()
        + data
        + b"\r\n"
        for name, data in files
    ]
    return b"".join(parts) + f"--{boundary}--\r\n".encode(), f"multipart/form-data; boundary={boundary}"


@dataclass(frozen=True)
class Reply:
    """What the service answered."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> str:
        """The sentence of an answer that is none."""
        (key,) = self.json
        assert key == "error"
        return str(self.json["error"])


class Service:
    """A running service."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.address = f"http://127.0.0.1:{port}"

    def ask(
        self, path: str, body: bytes | None = None, kind: str = "image/jpeg", *, method: str = "", **headers: str
    ) -> Reply:
        """One request on a connection of its own; underscores in the names of headers stand for dashes."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if body is not None and kind:
            sent.setdefault("content-type", kind)
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=240)
        with contextlib.closing(connection):
            connection.request(method or ("GET" if body is None else "POST"), path, body, sent)
            answer = connection.getresponse()
            return Reply(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())

    def predict(self, body: bytes, kind: str = "image/jpeg", query: str = "", **headers: str) -> Reply:
        return self.ask(f"/v1/predict{query}", body, kind, **headers)

    def is_alive(self, path: str = "/healthz") -> bool:
        """Whether it takes connections and says so."""
        try:
            return self.ask(path).status == 200
        except OSError:
            return False

    @contextlib.contextmanager
    def raw(self) -> Iterator[socket.socket]:
        """A bare connection."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=240) as connection:
            yield connection

    def head(self, length: int | str, path: str = "/v1/predict", kind: str = "image/jpeg") -> bytes:
        """The head of a request whose body is to come."""
        how = f"Content-Length: {length}" if isinstance(length, int) else f"Transfer-Encoding: {length}"
        return f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {kind}\r\n{how}\r\n\r\n".encode()

    def figure(self, name: str, **labels: str) -> float:
        """One of the figures for Prometheus."""
        from prometheus_client.parser import text_string_to_metric_families

        text = self.ask("/metrics").body.decode()
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                if sample.name == name and labels.items() <= sample.labels.items():
                    return float(sample.value)
        return 0.0


def received(connection: socket.socket) -> bytes:
    """All that comes until the other side closes, or one answer is whole."""
    data = b""
    while True:
        try:
            chunk = connection.recv(65536)
        except ConnectionResetError:
            return data
        data += chunk
        head, mark, body = data.partition(b"\r\n\r\n")
        if not chunk:
            return data
        for line in head.split(b"\r\n"):
            if mark and line.lower().startswith(b"content-length:") and len(body) >= int(line.partition(b":")[2]):
                return data


@contextlib.contextmanager
def serving(bundles: Mapping[str, Path], token: str = "", *, ready: bool = True, **settings: Any) -> Iterator[Service]:
    """A service in a thread of this process, from when it is ready."""
    from logolens.serve.running import address_of, listen, server

    # Where a limit is not what a test is about, a busy machine must not come to it.
    given = ServeSettings(
        **{"port": 0, "threads": 1, "reload_seconds": 0.1, "deadline": 600.0, "body_seconds": 600.0, **settings}
    )
    with listen(given.host, given.port) as bound:
        service = Service(int(address_of(bound).rpartition(":")[2]))
        runner = server(bundles, given, token)
        thread = threading.Thread(target=runner.run, args=([bound],), daemon=True)
        thread.start()
        try:
            until = time.monotonic() + 240
            while ready and not service.is_alive("/readyz"):
                assert time.monotonic() < until, "the service does not get ready"
                time.sleep(0.02)
            yield service
        finally:
            runner.should_exit = True
            thread.join(240)
            assert not thread.is_alive(), "the service does not end"


def eventually(check: Any, seconds: float = 240.0) -> None:
    """Wait for something to be so."""
    until = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < until, "it did not come to be"
        time.sleep(0.02)
