"""Full disks, damaged stores and caches, and interrupts: each is a sentence that says where, and what to do."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from logolens.cli import main
from logolens.data.builtin_backgrounds import builtin_photos
from logolens.errors import RoomError, StoreError
from logolens.io.atomic import check_room, write_atomically
from logolens.io.images import open_rgb
from logolens.scan import StoreReader


def test_a_full_disk_is_told_with_path_and_what_to_set(own_cache: Path, tmp_path: Path, monkeypatch: Any) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("needs /dev/full")

    # The one device that is always full: what is written there fails as on a full disk.
    def full(self: Path, data: bytes) -> int:
        with open("/dev/full", "wb", buffering=0) as file:
            return file.write(data)

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(RoomError, match=r"table.csv: there is no room .* name a place on another disk"):
        write_atomically(tmp_path / "table.csv", b"x")
    cache = Path(os.environ["LOGOLENS_CACHE"])
    with pytest.raises(RoomError, match="set LOGOLENS_CACHE"):
        write_atomically(cache / "backgrounds" / "x.jpg", b"x")
    assert not list(tmp_path.glob("*.tmp"))


def test_room_is_looked_for_before_training(bundle: Any, tmp_path: Path, monkeypatch: Any, capsys: Any) -> None:
    there = shutil.disk_usage(tmp_path)
    check_room(tmp_path / "new" / "bundle", 1, "the bundle")
    with pytest.raises(RoomError, match=r"new/bundle: its disk has .* MB of room, and the bundle takes"):
        check_room(tmp_path / "new" / "bundle", there.total * 2, "the bundle")
    monkeypatch.setattr("logolens.bundle.format._LEAST_ROOM", there.total * 2)
    start = time.monotonic()
    assert main(["train", str(bundle.data), "--out", str(tmp_path / "b")]) == 1
    assert "the bundle takes" in capsys.readouterr().err
    assert time.monotonic() - start < 10


def test_other_complaints_of_the_system_stay_what_they_are(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises((NotADirectoryError, FileExistsError)):
        write_atomically(tmp_path / "file" / "below", b"x")


@pytest.fixture(scope="module")
def scanned(bundle: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    store = tmp_path_factory.mktemp("store") / "s.db"
    assert main(["scan", str(bundle.path), str(bundle.data / "acme"), "--store", str(store)]) == 0
    return store


@pytest.mark.parametrize("seed", range(40))
def test_a_store_with_flipped_bytes_is_read_or_called_damaged(seed: int, scanned: Path, tmp_path: Path) -> None:
    rng = random.Random(seed)
    data = bytearray(scanned.read_bytes())
    start = rng.choice((0, 24, 100, 4096, rng.randrange(len(data))))
    for _ in range(rng.choice((1, 16, 400))):
        data[min(len(data) - 1, start + rng.randrange(4096))] ^= rng.randrange(1, 256)
    path = tmp_path / "s.db"
    path.write_bytes(data)
    said = ""
    try:
        with StoreReader(path) as store:
            store.facts()
            list(store.rows())
    except StoreError as error:
        said = str(error)
    assert "room" not in said


def test_garbage_in_kept_backgrounds_is_drawn_over(own_cache: Path) -> None:
    first = builtin_photos(1)
    for photo, garbage in zip(first, (b"", b"garbage", first[0].path.read_bytes()[:200]), strict=False):
        photo.path.write_bytes(garbage)
    again = builtin_photos(1)
    assert [photo.sha256 for photo in again] == [photo.sha256 for photo in first]
    assert all(open_rgb(photo.path.read_bytes()).width == photo.width for photo in again)


def test_an_audit_of_one_label_checks_the_files_and_says_what_it_could_not(
    bundle: Any, tmp_path: Path, capsys: Any
) -> None:
    shutil.copytree(bundle.data / "acme", tmp_path / "data" / "acme")
    assert main(["audit", str(tmp_path / "data")]) == 0
    assert "Wrong labels were not sought. There is one label that can be checked, acme" in capsys.readouterr().err


def test_an_interrupt_while_the_command_line_is_loaded_ends_quietly() -> None:
    code = (
        "import sys, os, signal, builtins; real = builtins.__import__\n"
        "def slow(name, *rest, **more):\n"
        "    if name == 'logolens.cli.audit': os.kill(os.getpid(), signal.SIGINT)\n"
        "    return real(name, *rest, **more)\n"
        "from logolens.__main__ import run\n"
        "builtins.__import__ = slow\n"
        "sys.argv = ['logolens', '--version']\nsys.exit(run())"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (told.returncode, told.stderr) == (130, "Stopped.\n")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes with names")
def test_a_pipe_that_nobody_writes_to_keeps_no_command_waiting(bundle: Any, tmp_path: Path, capsys: Any) -> None:
    photo = str(next((bundle.data / "acme").iterdir()))
    pipe = tmp_path / "pipe.jpg"
    os.mkfifo(pipe)
    for command, code in (
        (["predict", str(bundle.path), str(pipe)], 1),
        (["scan", str(bundle.path), photo, "--store", str(tmp_path / "s.db"), "--csv", str(pipe)], 2),
        (["classify", "--graph", str(pipe), "--image", photo], 1),
        (["gallery", "add", str(tmp_path / "g"), str(pipe), "--label", "acme"], 1),
        (["train", str(bundle.data), "--out", str(tmp_path / "b"), "--config", str(pipe)], 2),
    ):
        assert main(command) == code, command
        assert "pipe.jpg" in capsys.readouterr().err
