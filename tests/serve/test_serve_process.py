"""`logolens serve` as a process: how it ends, loads its bundles anew, shares its port, and what it writes to its log."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from service import Service, eventually, form, picture, received, slow_picture, write_colours

pytest.importorskip("fastapi")

RED = picture("red")


@pytest.fixture(scope="module")
def colours(tmp_path_factory: pytest.TempPathFactory, small_network: bytes) -> Path:
    return write_colours(tmp_path_factory.mktemp("served") / "colours", small_network)


def is_free(service: Service) -> bool:
    return service.figure("logolens_in_flight_requests") == 0


class Command:
    """`logolens serve` as a process."""

    def __init__(self, *arguments: object, env: dict[str, str] | None = None) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "logolens", "serve", "--port", "0", "--threads", "1", *map(str, arguments)],
            stderr=subprocess.PIPE, text=True, env={**os.environ, **(env or {})},
        )  # fmt: skip
        assert self.process.stderr is not None
        self.said: list[str] = []
        for line in self.process.stderr:
            self.said.append(line)
            if found := re.search(r"http://[\d.:]+:(\d+)", line):
                self.service = Service(int(found[1]))
                break
        # A pipe that nobody reads would hold the service up one day.
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        eventually(lambda: self.service.is_alive("/readyz"), 240)

    def _read(self) -> None:
        assert self.process.stderr is not None
        self.said.extend(self.process.stderr)

    def wait_until_ready(self, processes: int) -> None:
        """Until so many processes have said that they are."""
        eventually(lambda: sum("Ready." in line for line in self.said) == processes, 240)

    def end(self) -> int:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(240)
        self._reader.join(240)
        assert self.process.stderr is not None
        self.process.stderr.close()
        return code


@pytest.mark.skipif(sys.platform == "win32", reason="needs signals")
def test_told_to_end_it_answers_what_it_took_on(colours: Path) -> None:
    command = Command(colours, "--drain-seconds", "20")
    service = command.service
    try:
        with service.raw() as slow:
            slow.sendall(service.head(len(RED)) + RED[:10])
            eventually(lambda: not is_free(service))
            command.process.send_signal(signal.SIGTERM)
            eventually(lambda: not service.is_alive())
            slow.sendall(RED[10:])
            assert received(slow).startswith(b"HTTP/1.1 200")
    finally:
        code = command.end()
    assert code == 0, command.said
    assert "Ended" in command.said[-1]
    assert not any("Traceback" in line for line in command.said)


@pytest.mark.skipif(sys.platform == "win32", reason="needs signals")
@pytest.mark.parametrize("processes", [1, 2])
def test_what_outlasts_the_end_is_told_so(colours: Path, processes: int) -> None:
    command = Command(
        colours, "--drain-seconds", "1", "--decode-seconds", "60", "--body-rate", "0", "--workers", processes
    )
    service = command.service
    command.wait_until_ready(processes)
    big = form(*[("a", slow_picture())] * 40)
    with service.raw() as coming, ThreadPoolExecutor(2) as pool:
        working = pool.submit(service.predict, *big)
        coming.sendall(service.head(len(RED)) + RED[:10])
        eventually(lambda: service.figure("logolens_in_flight_requests") == 2)
        time.sleep(0.3)
        command.process.send_signal(signal.SIGTERM)
        answer = working.result()
        assert (answer.status, "ending" in answer.error) == (503, True)
        assert int(answer.headers["retry-after"]) > 0
        assert received(coming).startswith(b"HTTP/1.1 503")
    assert command.end() == 0, command.said
    assert "Ended" in command.said[-1]
    assert not any("Traceback" in line or "terminate" in line for line in command.said)


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="needs SIGHUP")
@pytest.mark.parametrize("processes", [1, 2])
def test_a_hangup_loads_the_bundles_anew(tmp_path: Path, small_network: bytes, processes: int) -> None:
    path = write_colours(tmp_path / "colours", small_network)
    command = Command(path, "--reload-seconds", "0", "--workers", processes)
    service = command.service
    try:
        command.wait_until_ready(processes)
        pid = command.process.pid
        write_colours(path, small_network, ("rouge", "vert", "bleu"), force=True)
        time.sleep(0.3)
        assert service.predict(RED).json["results"][0]["label"] == "red"
        command.process.send_signal(signal.SIGHUP)
        eventually(lambda: {service.predict(RED).json["results"][0]["label"] for _ in range(8)} == {"rouge"})
        # A bundle that is broken leaves the one before it in its place.
        (path / "labels.txt").write_text("eins\n")
        command.process.send_signal(signal.SIGHUP)
        eventually(lambda: service.ask("/readyz").json["bundles"]["colours"]["problem"] is not None)
        assert service.predict(RED).json["results"][0]["label"] == "rouge"
        assert (command.process.poll(), command.process.pid) == (None, pid)
    finally:
        code = command.end()
    assert code == 0, command.said


@pytest.mark.skipif(sys.platform == "win32", reason="needs signals")
def test_several_processes_share_a_port_and_their_figures(colours: Path) -> None:
    command = Command(colours, "--workers", "2", env={"LOGOLENS_TOKEN": "secret"})
    service = command.service
    bearer: dict[str, Any] = {"authorization": "Bearer secret"}
    try:
        assert service.ask("/v1/predict", RED).status == 401
        # Whichever process takes a connection answers for itself, and one may take all while the other is only starting.
        command.wait_until_ready(2)
        for _ in range(30):
            assert service.ask("/v1/predict", RED, **bearer).status == 200
        text = service.ask("/metrics", **bearer).body.decode()
        (line,) = re.findall(r"^logolens_images_total\{outcome=\"answered\"\} (\S+)$", text, re.MULTILINE)
        assert float(line) == 30
    finally:
        code = command.end()
    assert code == 0, command.said
    assert "secret" not in "".join(command.said)


def test_the_log_is_for_programs_where_that_is_asked_for(colours: Path) -> None:
    command = Command(colours, "--log-format", "json", env={"LOGOLENS_TOKEN": "s3cret"})
    service = command.service
    bearer: dict[str, Any] = {"authorization": "Bearer s3cret"}
    try:
        body, kind = form(("private.jpg", RED), ("other.jpg", b"no image"))
        assert service.ask("/v1/predict?top=1&bundle=hidden", body, kind, **bearer).status == 404
        assert service.ask("/v1/predict?top=1", body, kind, **bearer).status == 200
        assert service.ask("/v1/predict", RED).status == 401
        assert service.ask("/v1/private", **bearer).status == 404
        with service.raw() as connection:
            connection.sendall(b"private\r\n\r\n")
            assert received(connection).startswith(b"HTTP/1.1 400")
    finally:
        code = command.end()
    assert code == 0
    lines = [json.loads(line) for line in command.said]
    assert all({"time", "level", "logger", "message"} <= line.keys() for line in lines)
    assert lines[0]["message"].startswith("Serving colours on http://127.0.0.1:")
    assert lines[-1]["message"] == "Ended."
    told = [line for line in lines if "route" in line and line["route"] != "/readyz"]
    assert [(line["method"], line["route"], line["status"]) for line in told] == [
        ("POST", "/v1/predict", 404), ("POST", "/v1/predict", 200), ("POST", "/v1/predict", 401), ("GET", "other", 404),
        ("", "other", 400),
    ]  # fmt: skip
    assert (told[1]["images"], told[1]["bytes"], told[1]["client"]) == (2, len(body), "127.0.0.1")
    assert 0 < told[1]["seconds"] < 60
    assert not re.search("s3cret|private|other.jpg|hidden|top=", "".join(command.said))
