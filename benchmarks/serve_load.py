"""What the service gives under load: good answers a second at 16 and at 256 connections, beside peers in the same run.

The peers: the Classifier asked about one photo after another in a loop; the same given all photos at once, so that it uses all
processors (the harder one); and plain FastAPI handlers that call the model for each request: the Classifier on the event loop, as
tutorials write it, the Classifier on the framework's threads, and there too ONNX Runtime and Pillow as their manuals show them
(whole photos only, whatever the views). The load comes from wrk (Debian's package), on this machine; it takes a share of the
processors and sends the photos by turns.

python benchmarks/serve_load.py BUNDLE [PHOTOS]
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from common import FLICKR27, busy, photo_files, table, verdict

_LUA = """
local bodies, answered, refused, other = {}, 0, 0, 0
for line in io.lines("@LIST@") do
  local file = io.open(line, "rb"); bodies[#bodies + 1] = file:read("*a"); file:close()
end
wrk.method = "POST"
wrk.headers["Content-Type"] = "image/jpeg"
local at, threads = 0, {}
function setup(thread) table.insert(threads, thread) end
function init() ok = 0; busy = 0; bad = 0 end
function request() at = at % #bodies + 1; return wrk.format(nil, nil, nil, bodies[at]) end
function response(status)
  if status == 200 then ok = ok + 1 elseif status == 503 or status == 429 then busy = busy + 1 else bad = bad + 1 end
end
function done(summary, latency)
  local ok, busy, bad = 0, 0, 0
  for _, thread in ipairs(threads) do
    ok = ok + thread:get("ok"); busy = busy + thread:get("busy"); bad = bad + thread:get("bad")
  end
  local errors = summary.errors
  io.write(string.format('{"ok": %d, "busy": %d, "bad": %d, "broken": %d, "seconds": %f, "p50": %f, "p99": %f}',
    ok, busy, bad, errors.connect + errors.read + errors.write + errors.timeout, summary.duration / 1e6,
    latency:percentile(50) / 1e3, latency:percentile(99) / 1e3))
end
"""

_PLAIN = """
import io
import sys
import numpy as np
import onnxruntime as ort
import uvicorn
from fastapi import FastAPI, Request
from PIL import Image
from starlette.concurrency import run_in_threadpool
from logolens import Classifier

classifier = Classifier.load(sys.argv[1], views=sys.argv[2])
session = ort.InferenceSession(sys.argv[1] + "/model.onnx")
labels = open(sys.argv[1] + "/labels.txt").read().split()
side = session.get_inputs()[0].shape[1]
app = FastAPI()

def classified(body):
    return classifier.predict(body)[0].to_json()

def bare(body):
    image = Image.open(io.BytesIO(body)).convert("RGB").resize((side, side))
    (found,) = session.run(["probabilities"], {"image": np.asarray(image)[None]})
    return dict(zip(labels, found[0].tolist()))

@app.get("/readyz")
def ready():
    return {}

@app.post("/loop")
async def loop(request: Request):
    return classified(await request.body())

@app.post("/threads")
async def threads(request: Request):
    return await run_in_threadpool(classified, await request.body())

@app.post("/bare")
async def bare_threads(request: Request):
    return await run_in_threadpool(bare, await request.body())

uvicorn.run(app, port=int(sys.argv[3]), log_level="error", access_log=False)
"""


@dataclass(frozen=True)
class Load:
    """What wrk counted.

    Attributes:
        rate: good answers a second.
        busy: requests that were turned away.
        bad: answers that are neither, and broken connections.
        p50: milliseconds.
        p99: milliseconds, of all answers.
        cpu: good answers a second of processor time that the service and its processes took; other programs disturb it less.
    """

    rate: float
    busy: int
    bad: int
    p50: float
    p99: float
    cpu: float


@dataclass(frozen=True)
class Server:
    """A service that runs.

    Attributes:
        address: of it.
        pid: of its first process.
    """

    address: str
    pid: int


def cpu_seconds(pid: int) -> float:
    """Processor seconds of a process and of those that it started."""
    parents: dict[int, int] = {}
    used: dict[int, float] = {}
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError, ValueError):
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
            parents[int(entry.name)] = int(fields[1])
            used[int(entry.name)] = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def below(child: int) -> bool:
        while child in parents and child != pid:
            child = parents[child]
        return child == pid

    return sum(seconds for child, seconds in used.items() if below(child))


def load(server: Server, path: str, script: Path, connections: int, seconds: int) -> Load:
    """Put a service under load for some seconds."""
    url, before = server.address + path, cpu_seconds(server.pid)
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "60s", "-s", str(script), url]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found = json.loads(done.stdout[done.stdout.index("{") :])
    return Load(
        found["ok"] / found["seconds"],
        found["busy"],
        found["bad"] + found["broken"],
        found["p50"],
        found["p99"],
        found["ok"] / (cpu_seconds(server.pid) - before),
    )


class Group:
    """A control group of Linux, as containers are: the system shares out time among groups, then within each among its threads.

    Without it a service with many threads takes more from other programs on the machine than one with few, and seems faster.
    """

    _BASE = next((path for path in (Path("/sys/fs/cgroup/cpu"), Path("/sys/fs/cgroup")) if path.is_dir()), Path())

    def __init__(self, name: str) -> None:
        self._folder = self._BASE / f"serve-load-{os.getpid()}-{name}"
        self._folder.mkdir()
        for file, weight in (("cpu.shares", 8 * 1024), ("cpu.weight", 8 * 100)):
            if (self._folder / file).exists():
                (self._folder / file).write_text(str(weight))

    def take(self, pid: int) -> None:
        """Take a process in; what it starts from then on belongs to the group too."""
        (self._folder / "cgroup.procs").write_text(str(pid))

    def let_go(self, pid: int) -> None:
        """Put a process back among all others."""
        (self._BASE / "cgroup.procs").write_text(str(pid))

    def close(self) -> None:
        """Remove the group; whatever was in it has ended or was let go."""
        with contextlib.suppress(OSError):
            self._folder.rmdir()


def free_port() -> int:
    """A port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def service(command: list[str], port: int, group: Group | None) -> Iterator[Server]:
    """A service as a process of its own, from when it is ready."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    if group is not None:
        group.take(process.pid)
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(600):
            with contextlib.suppress(OSError), urllib.request.urlopen(f"{address}/readyz") as answer:
                if answer.status == 200:
                    break
            if process.poll() is not None:
                raise SystemExit(f"{command[0]} ended with {process.returncode}.")
            time.sleep(0.1)
        yield Server(address, process.pid)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)
        if group is not None:
            group.close()


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("photos", type=Path, nargs="?", default=FLICKR27)
    parser.add_argument("--made", action="store_true", help="made photos of 500 x 375 instead")
    parser.add_argument("--count", type=int, default=200, help="photos that are sent by turns")
    parser.add_argument("--seconds", type=int, default=10, help="of each load")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--views", default="whole")
    parser.add_argument("--serve", default="", help="further flags of logolens serve")
    parser.add_argument(
        "--groups", action="store_true", help="each contestant in a control group of the same weight (Linux, as root)"
    )
    options = parser.parse_args()
    if shutil.which("wrk") is None:
        raise SystemExit("This needs wrk: apt-get install wrk")
    from logolens import Classifier

    busy()
    with tempfile.TemporaryDirectory() as work, contextlib.ExitStack() as stack:
        folder = Path(work)
        files = photo_files(None if options.made else options.photos, options.count, folder)
        data = [file.read_bytes() for file in files]
        (folder / "list").write_text("".join(f"{file}\n" for file in files))
        script = folder / "load.lua"
        script.write_text(_LUA.replace("@LIST@", str(folder / "list")))
        (folder / "plain.py").write_text(_PLAIN)
        ports = free_port(), free_port()
        groups = [Group(name) if options.groups else None for name in ("own", "plain", "loop")]
        own = stack.enter_context(
            service(
                [sys.executable, "-m", "logolens", "serve", str(options.bundle), "--views", options.views, "--port",
                 str(ports[0]), *options.serve.split()],
                ports[0],
                groups[0],
            )
        )  # fmt: skip
        plain = stack.enter_context(
            service(
                [sys.executable, str(folder / "plain.py"), str(options.bundle), options.views, str(ports[1])],
                ports[1],
                groups[1],
            )
        )
        classifier = Classifier.load(options.bundle, views=options.views)

        def looped(several: bool) -> Load:
            if groups[2] is not None:
                groups[2].take(os.getpid())
            start, used, done = time.perf_counter(), time.process_time(), 0
            while time.perf_counter() - start < options.seconds:
                done += len(classifier.predict(data if several else data[done % len(data)]))
            seconds, used = time.perf_counter() - start, time.process_time() - used
            if groups[2] is not None:
                groups[2].let_go(os.getpid())
            return Load(done / seconds, 0, 0, 0.0, 0.0, done / used)

        def at(server: Server, path: str, connections: int) -> Callable[[], Load]:
            return lambda: load(server, path, script, connections, options.seconds)

        contestants = {
            "logolens serve, 16 connections": at(own, "/v1/predict", 16),
            "logolens serve, 256 connections": at(own, "/v1/predict", 256),
            "Classifier, one photo after another": lambda: looped(False),
            "Classifier, all photos at once": lambda: looped(True),
            "plain handler on the loop, 16": at(plain, "/loop", 16),
            "plain handler on threads, 16": at(plain, "/threads", 16),
            "plain handler, ONNX Runtime alone, 16": at(plain, "/bare", 16),
        }
        for server, path in ((own, "/v1/predict"), (plain, "/loop"), (plain, "/threads"), (plain, "/bare")):
            load(server, path, script, 16, 2)
        looped(False)
        found: dict[str, list[Load]] = {name: [] for name in contestants}
        for _ in range(options.rounds):
            for name, run in contestants.items():
                found[name].append(run())
    print(
        f"{len(data)} photos, views={options.views}, {os.cpu_count()} processors, {options.rounds} rounds of {options.seconds} s"
    )
    if groups[2] is not None:
        groups[2].close()
    rate = {name: median(each.rate for each in loads) for name, loads in found.items()}
    cpu = {name: median(each.cpu for each in loads) for name, loads in found.items()}
    columns = ("p50", "p99", "busy", "bad")
    table(
        ["", "good answers/s", "of processor time", *columns],
        [
            [name, f"{rate[name]:.0f}", f"{cpu[name]:.0f}"]
            + [f"{median(getattr(each, column) for each in loads):.0f}" for column in columns]
            for name, loads in found.items()
        ],
    )
    for what, figures in (("on the clock", rate), ("of processor time", cpu)):
        ours, many, loop, at_once, plain_loop, plain_threads, bare = figures.values()
        print(f"\nGood answers a second {what}:")
        verdict("256 connections over 16", many / ours, 0.85)
        verdict("the service over the Classifier in a loop", ours / loop, 0.85)
        verdict("the service over the Classifier given all at once", ours / at_once, 0.85)
        verdict("the service over a plain handler on the loop", ours / plain_loop, 1.3)
        verdict("the service over a plain handler on threads", ours / plain_threads, 1.3)
        verdict("the service over a plain handler with ONNX Runtime alone", ours / bare, 1.3)


if __name__ == "__main__":
    main()
