"""Shards: each done once and none lost, whoever is killed; here and on a real Ray cluster of two nodes on this machine."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from conftest import names_in
from website import Reply, Server, picture, serving

from logolens.config import ScanSettings, SourceSettings
from logolens.errors import ImageError, WorkerError
from logolens.scan import Store, scan
from logolens.scan.runners import Shard, Work, cut, run_local, run_ray, standing

# Ray's own warnings are not ours to heed.
pytestmark = pytest.mark.filterwarnings("default")

HERE = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Doubling:
    """Work that doubles numbers, says in a log which ones it took up, and can be slow, also to end, or fail."""

    log: str
    seconds: float = 0.0
    failing: int = -1
    parting: float = 0.0

    @contextmanager
    def __call__(self) -> Iterator[Work]:
        def work(lines: Iterator[bytes]) -> Iterator[bytes]:
            for line in lines:
                number = json.loads(line)
                with open(self.log, "a", encoding="ascii") as log:
                    log.write(f"{number}\n")
                if number == self.failing:
                    raise ImageError(f"{number} cannot be doubled.")
                try:
                    time.sleep(self.seconds)
                except BaseException:
                    time.sleep(self.parting)
                    raise
                yield b"%d\n" % (2 * number)

        yield work

    def taken(self) -> Counter[int]:
        """How often each number was taken up."""
        path = Path(self.log)
        return Counter(map(int, path.read_text("ascii").split())) if path.exists() else Counter()


@dataclass
class Nodes:
    """A cluster on this machine: a head, and a node that can be lost."""

    cluster: Any
    address: str

    def add(self) -> Any:
        return self.cluster.add_node(num_cpus=1, object_store_memory=80_000_000)

    def kill(self, node: Any) -> None:
        """As if its power were cut."""
        self.cluster.remove_node(node, allow_graceful=False)


@pytest.fixture(scope="module")
def nodes() -> Iterator[Nodes]:
    if importlib.util.find_spec("ray") is None:
        pytest.skip("needs the extra ray")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join([str(HERE), *(entry for entry in sys.path if entry)]))
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("RAY_prestart_worker_first_driver", "0")
        patch.setenv("RAY_ENABLE_UV_RUN_RUNTIME_ENV", "0")
        patch.setenv("RAY_health_check_period_ms", "500")
        patch.setenv("RAY_health_check_failure_threshold", "4")
        from ray.cluster_utils import Cluster

        options = {"num_cpus": 1, "object_store_memory": 80_000_000, "include_dashboard": False}
        cluster = Cluster(initialize_head=True, head_node_args=options)
        try:
            yield Nodes(cluster, cluster.address)
        finally:
            cluster.shutdown()


Run = Callable[..., Iterator[Shard]]


@pytest.fixture(params=["local", "ray"])
def run(request: pytest.FixtureRequest) -> Run:
    if request.param == "local":
        return run_local
    nodes: Nodes = request.getfixturevalue("nodes")
    return lambda build, shards: run_ray(build, shards, address=nodes.address)


def numbers(count: int) -> Iterator[bytes]:
    return (b"%d\n" % number for number in range(count))


def doubled(shards: list[Shard]) -> list[int]:
    return sorted(int(line) for shard in shards for line in shard.lines())


def test_every_item_is_answered_once_and_again_not_at_all(run: Run, tmp_path: Path) -> None:
    build = Doubling(str(tmp_path / "log"))
    done = list(run(build, cut(numbers(25), tmp_path / "shards", 4, "key")))
    assert sorted(shard.number for shard in done) == list(range(7))
    assert doubled(done) == [2 * number for number in range(25)]
    assert set(build.taken().values()) == {1}
    receipt = json.loads(done[0].receipt.read_bytes())
    assert receipt["count"] == 4
    again = list(run(build, standing(tmp_path / "shards", "key")))
    assert doubled(again) == doubled(done)
    assert set(build.taken().values()) == {1}


def test_a_shard_is_done_only_if_its_receipt_stands(run: Run, tmp_path: Path) -> None:
    """Each shard but the first is harmed in its own way; then all are asked for under another key."""
    build = Doubling(str(tmp_path / "log"))
    done = sorted(run(build, cut(numbers(15), tmp_path / "shards", 3, "key")), key=lambda shard: shard.number)
    done[1].receipt.unlink()
    done[2].result.write_bytes(done[2].result.read_bytes()[:-3])
    done[3].items.write_bytes(b"9\n10\n50\n")
    done[4].receipt.write_bytes(done[4].receipt.read_bytes()[:20])
    again = list(run(build, standing(tmp_path / "shards", "key")))
    now = [*range(11), 50, 12, 13, 14]
    assert doubled(again) == sorted(2 * number for number in now)
    assert {number for number, times in build.taken().items() if times == 2} == set(range(3, 15)) - {11}
    assert all(build.taken()[number] == 1 for number in (0, 1, 2, 11, 50))
    other = list(run(build, standing(tmp_path / "shards", "other")))
    assert doubled(other) == doubled(again)
    assert all(build.taken()[number] == 2 for number in (0, 1, 2, 50))


def test_what_the_work_raises_arrives_as_it_is(run: Run, tmp_path: Path) -> None:
    build = Doubling(str(tmp_path / "log"), seconds=0.2, failing=5, parting=1.0)  # The next shard is in hand by then.
    with pytest.raises(ImageError, match="5 cannot be doubled"):
        list(run(build, cut(numbers(9), tmp_path / "shards", 3, "key")))
    assert not Shard(str(tmp_path / "shards"), 1, "key").is_done()
    assert not list((tmp_path / "shards").glob(".*"))


def test_a_removed_shard_takes_along_what_killed_writers_left(tmp_path: Path) -> None:
    first, second = cut(numbers(6), tmp_path, 3, "key")
    for shard in (first, second):
        shard.result.with_name(f".{shard.result.name}-0123456789ab.tmp").write_bytes(b"0\n")
        shard.result.with_name(f"{shard.result.name}.host.1.part").write_bytes(b"0\n")  # As earlier releases called it.
    first.remove()
    left = sorted(path.name for path in tmp_path.iterdir())
    assert left == [".000001.result-0123456789ab.tmp", "000001.items", "000001.result.host.1.part"]


def test_a_cluster_that_is_not_there_is_a_sentence(tmp_path: Path) -> None:
    pytest.importorskip("ray")
    with pytest.raises(WorkerError, match="cannot be reached"):
        list(run_ray(Doubling(str(tmp_path / "log")), [], address="127.0.0.1:9"))


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="this system knows no SIGKILL")
def test_a_node_killed_half_way_loses_and_repeats_nothing(nodes: Nodes, tmp_path: Path) -> None:
    node = nodes.add()
    build = Doubling(str(tmp_path / "log"), seconds=0.05)
    shards = cut(numbers(160), tmp_path / "shards", 8, "key")
    done: list[Shard] = []
    for shard in run_ray(build, shards, address=nodes.address):
        done.append(shard)
        if len(done) == 7:
            nodes.kill(node)
    assert sorted(shard.number for shard in done) == list(range(20))
    assert doubled(done) == [2 * number for number in range(160)]


_DRIVER = """
import sys
from pathlib import Path
from logolens.scan.runners import cut, run_ray
from test_runners import Doubling, numbers
folder, address = sys.argv[1:]
build = Doubling(folder + "/log", seconds=0.05)
for shard in run_ray(build, cut(numbers(80), Path(folder, "shards"), 8, "key"), address=address):
    print(shard.number, flush=True)
"""


@pytest.mark.skipif(os.name == "nt", reason="this system knows no SIGKILL")
def test_a_killed_driver_runs_only_open_shards_again(nodes: Nodes, tmp_path: Path) -> None:
    command = [sys.executable, "-c", _DRIVER, str(tmp_path), nodes.address]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert process.stdout is not None
    for _ in range(3):
        process.stdout.readline()
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    # What the lost driver had begun may end later, beside who does it again: results come by one rename.
    shards = standing(tmp_path / "shards", "key")
    before = [shard.number for shard in shards if shard.is_done()]
    assert 3 <= len(before) < 10
    times = {number: Shard(str(tmp_path / "shards"), number, "key").result.stat().st_mtime_ns for number in before}
    build = Doubling(str(tmp_path / "log"), seconds=0.0)
    rest = cut(
        (b"%d\n" % number for number in range(8 * len(shards), 80)), tmp_path / "shards", 8, "key", first=len(shards)
    )
    done = [*run_ray(build, shards, address=nodes.address), *run_ray(build, rest, address=nodes.address)]
    assert doubled(done) == [2 * number for number in range(80)]
    assert times == {
        number: Shard(str(tmp_path / "shards"), number, "key").result.stat().st_mtime_ns for number in before
    }
    assert {number for number, taken in build.taken().items() if taken > 1 and number // 8 in before} == set()


# Scans in shards


@pytest.fixture
def photos(tmp_path: Path, draw_photo: Any) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(40):
        draw_photo(("acme", "bolt", "none")[number % 3], number).save(folder / f"{number:02}.jpg")
    (folder / "copy.jpg").write_bytes((folder / "07.jpg").read_bytes())
    (folder / "broken.jpg").write_text("no image")
    for path in folder.iterdir():
        os.utime(path, (1e9, 1e9))
    return folder


def rows_of(bundle: Any, photos: Path, store: Path, **options: Any) -> tuple[list[Any], int]:
    settings = ScanSettings(find=("acme",), **{"isolate": False, **options})
    with Store(store) as results:
        result = scan(bundle.path, [photos], results, settings)
        assert not (store.parent / f"{store.name}.shards").exists() or not list(
            (store.parent / f"{store.name}.shards").iterdir()
        )
        return [(row, row.sha256 and results.thumbnail(row.sha256)) for row in results.rows()], result.classified


@pytest.mark.slow
def test_local_shards_and_ray_give_identical_rows(bundle: Any, photos: Path, nodes: Nodes, tmp_path: Path) -> None:
    whole, classified = rows_of(bundle, photos, tmp_path / "whole.db")
    assert classified == 41
    shards, classified = rows_of(bundle, photos, tmp_path / "shards.db", shard=10)
    assert classified >= 41
    assert shards == whole
    ray, _ = rows_of(bundle, photos, tmp_path / "ray.db", engine="ray", address=nodes.address, shard=10)
    assert ray == whole
    again, classified = rows_of(bundle, photos, tmp_path / "ray.db", engine="ray", address=nodes.address, shard=10)
    assert classified == 1  # The broken one is tried again.
    assert [row.change for row, _ in again] == ["same"] * len(again)


@pytest.mark.slow
def test_what_needs_a_login_is_found_on_a_cluster_too_and_the_login_stands_nowhere(
    bundle: Any, nodes: Nodes, tmp_path: Path
) -> None:
    pytest.importorskip("lxml")
    with serving(Server()) as server:
        pages = "".join(f"<img src=/{number}.png>" for number in range(5)).encode()
        server.replies["/"] = Reply(pages, login="me:hunter2")
        for number in range(5):
            server.replies[f"/{number}.png"] = Reply(picture(number), "image/png", login="me:hunter2")
        site = f"http://me:hunter2@127.0.0.1:{server.port}/"
        listed = tmp_path / "list.txt"
        listed.write_text(f"{site}0.png\n{site}1.png\n")
        told = []
        for name, options in (
            ("whole", {}),
            ("shards", {"shard": 2}),
            ("ray", {"shard": 2, "engine": "ray", "address": nodes.address}),
        ):
            for source in (site, str(listed)):
                settings = ScanSettings(find=("acme",), isolate=False, allow=(f"{site}4.png",), **options)
                with Store(tmp_path / f"{name}.db") as store:
                    result = scan(
                        bundle.path,
                        [source],
                        store,
                        settings,
                        source_settings=SourceSettings(allow_private=True, rate=10_000.0),
                    )
                    assert result.facts.verdicts["error"] == 0, [row.error for row in store.rows()]
                    assert result.facts.sources == (source.replace("me:hunter2@", ""),)
                    told.append((source, list(store.rows())))
                    kept = b"".join(path.read_bytes() for path in tmp_path.rglob("*.db*") if path.is_file())
                    assert b"hunter2" not in kept
    assert [rows for _, rows in told[2:]] == [rows for _, rows in told[:2]] * 2


@pytest.mark.skipif(os.name == "nt", reason="this system knows no SIGKILL")
def test_a_scan_on_a_cluster_whose_node_and_driver_are_killed(
    bundle: Any, photos: Path, nodes: Nodes, tmp_path: Path
) -> None:
    whole, _ = rows_of(bundle, photos, tmp_path / "whole.db")
    node = nodes.add()
    command = [
        *(sys.executable, "-m", "logolens", "scan", str(bundle.path), str(photos), "--find", "acme"),
        *("--store", str(tmp_path / "ray.db"), "--engine", "ray", "--address", nodes.address, "--shard", "4"),
        "--no-isolate",
    ]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    give_up = time.monotonic() + 600
    while time.monotonic() < give_up and not names_in(tmp_path / "ray.db") and process.poll() is None:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    threading.Timer(1.0, nodes.kill, [node]).start()
    rows, classified = rows_of(
        bundle, photos, tmp_path / "ray.db", engine="ray", address=nodes.address, shard=4, isolate=False
    )
    assert rows == whole
    assert classified <= 42
