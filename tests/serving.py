"""A service for the tests of its page: `logolens serve` as a process of its own, on a free port of this machine."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from email.message import Message
from typing import Any

__all__ = ["TOKEN", "Service", "serving"]

TOKEN = "a-token-for-tests"


class Service:
    """Where it listens, and what it has said."""

    def __init__(self, base: str, said: list[str]) -> None:
        self.base, self.said = base, said

    def get(self, path: str, **headers: str) -> tuple[int, Message, bytes]:
        """Status, headers and body; nothing of the path is tidied up on the way."""
        request = urllib.request.Request(self.base + path, headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, answer.headers, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.headers, error.read()

    def is_ready(self) -> bool:
        try:
            return self.get("/readyz")[0] == 200
        except urllib.error.URLError:
            return False  # It says where it will listen a moment before it does.

    def json(self, path: str, **headers: str) -> Any:
        status, _, body = self.get(path, **headers)
        assert status == 200, body
        return json.loads(body)

    def error(self, path: str, **headers: str) -> tuple[int, str]:
        status, _, body = self.get(path, **headers)
        return status, str(json.loads(body)["error"])


@contextmanager
def serving(*arguments: object, token: str = "") -> Iterator[Service]:
    """`logolens serve` with these arguments, until the block is left; it must then end as it is told to."""
    environment = {**os.environ, "LOGOLENS_TOKEN": token}
    command = [sys.executable, "-m", "logolens", "serve", *map(str, arguments), "--port", "0", "--threads", "1"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)
    said: list[str] = []
    address = threading.Event()

    def listen() -> None:
        assert process.stderr is not None
        for line in process.stderr:
            said.append(line)
            if " on http" in line:
                address.set()
        address.set()

    listener = threading.Thread(target=listen)
    listener.start()
    try:
        assert address.wait(60), said
        (base,) = re.findall(r"on (http://[^;\s]+);", "".join(said)) or [""]
        assert base, said
        service = Service(base, said)
        end = time.monotonic() + 60
        while not service.is_ready():
            assert time.monotonic() < end, said
            assert process.poll() is None, said
            time.sleep(0.05)
        yield service
    finally:
        process.terminate()
        try:
            process.wait(30)
        finally:
            process.kill()
            process.wait()
            listener.join()
            assert process.stderr is not None
            process.stderr.close()
    assert not [line for line in said if "Traceback" in line]
