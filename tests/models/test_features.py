"""Features are computed once, are never stale, and survive whatever happens to the process or the file."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from logolens.config import CacheSettings, Preprocessing
from logolens.errors import ImageError, UsageError
from logolens.io.images import content_hash
from logolens.io.views import WHOLE, View
from logolens.models.features import FeatureCache, Sight, extract, feature_key
from logolens.models.session import Session

SQUARE = Preprocessing(size=64)
BACKBONE = "b" * 64


@pytest.fixture
def photos(tmp_path: Path, draw_photo: Any) -> list[Path]:
    paths = []
    for number in range(6):
        paths.append(tmp_path / f"{number}.png")
        draw_photo("acme", number, (80, 60)).save(paths[-1])
    return paths


@pytest.fixture
def session(small_network: bytes) -> Session:
    return Session(small_network, SQUARE, threads=2)


def sights(paths: list[Path], *views: View) -> list[Sight]:
    return [Sight(path, content_hash(path.read_bytes()), views or (WHOLE,)) for path in paths]


def test_rows_stand_in_the_order_of_sights_and_views(photos: list[Path], session: Session) -> None:
    half = View((0, 0, 0.5, 1))
    both = extract(sights(photos, WHOLE, half), session, BACKBONE)
    assert both.shape == (12, 12)
    assert both.dtype == np.float32
    assert np.array_equal(both[0::2], extract(sights(photos), session, BACKBONE))
    assert np.array_equal(both[1::2], extract(sights(photos, half), session, BACKBONE))
    backwards = extract(sights(photos[::-1], WHOLE, half), session, BACKBONE)
    assert np.array_equal(backwards[0], both[10])
    assert extract([], session, BACKBONE).shape[0] == 0


def test_a_hit_gives_the_same_bits_and_needs_no_photo(photos: list[Path], session: Session, tmp_path: Path) -> None:
    wanted = sights(photos, WHOLE, View((0.2, 0.2, 0.9, 0.9)))
    plain = extract(wanted, session, BACKBONE)
    with FeatureCache(tmp_path / "f.sqlite") as cache:
        assert np.array_equal(extract(wanted, session, BACKBONE, cache=cache), plain)
        assert cache.state().features == 12
    for path in photos:
        path.unlink()
    with FeatureCache(tmp_path / "f.sqlite") as cache:
        assert np.array_equal(extract(wanted, session, BACKBONE, cache=cache), plain)
        assert cache.state().features == 12


def test_any_change_of_what_the_network_would_see_is_a_miss(
    photos: list[Path], session: Session, small_network: bytes, tmp_path: Path, draw_photo: Any
) -> None:
    first = sights(photos[:1])
    with FeatureCache(tmp_path / "f.sqlite") as cache:

        def added(*arguments: Any) -> int:
            before = cache.state().features
            extract(*arguments, cache=cache)
            return cache.state().features - before

        assert added(first, session, BACKBONE) == 1
        assert added(first, session, BACKBONE) == 0
        assert added(first, session, "c" * 64) == 1
        assert added(sights(photos[:1], View((0, 0, 1, 0.9))), session, BACKBONE) == 1
        for changed in (
            Preprocessing(size=64, resize="pad"),
            Preprocessing(size=64, interpolation="bicubic"),
            Preprocessing(size=64, mean=(0.0, 0.0, 0.0)),
            Preprocessing(size=64, std=(1.0, 1.0, 1.0)),
        ):
            assert added(first, Session(small_network, changed), BACKBONE) == 1
        old = extract(first, session, BACKBONE, cache=cache)
        draw_photo("bolt", 9, (80, 60)).save(photos[0])
        assert added(sights(photos[:1]), session, BACKBONE) == 1
        assert not np.array_equal(extract(sights(photos[:1]), session, BACKBONE, cache=cache), old)
        # The same bytes under another name are the same photo.
        copy = tmp_path / "copy.png"
        copy.write_bytes(photos[1].read_bytes())
        assert added(sights([photos[1]]), session, BACKBONE) == 1
        assert added(sights([copy]), session, BACKBONE) == 0


def test_keys_differ_in_every_part() -> None:
    base = ("a" * 64, WHOLE, SQUARE, BACKBONE)
    other = ("c" * 64, View((0, 0, 1, 1)), Preprocessing(size=96), "d" * 64)
    keys = {feature_key(*base)}
    for place in range(4):
        keys.add(feature_key(*(other[i] if i == place else base[i] for i in range(4))))  # type: ignore[arg-type]
    assert len(keys) == 5


def test_one_content_under_several_names_is_computed_once(photos: list[Path], session: Session, tmp_path: Path) -> None:
    copy = tmp_path / "copy.png"
    copy.write_bytes(photos[0].read_bytes())
    with FeatureCache(tmp_path / "f.sqlite") as cache:
        rows = extract(sights([photos[0], copy, photos[0]]), session, BACKBONE, cache=cache)
        assert cache.state().features == 1
    assert np.array_equal(rows[0], rows[1])
    assert np.array_equal(rows[0], rows[2])


def test_a_photo_that_changes_or_goes_or_breaks_under_way_is_named(
    photos: list[Path], session: Session, tmp_path: Path
) -> None:
    wanted = sights(photos)
    photos[4].write_bytes(photos[3].read_bytes())
    with FeatureCache(tmp_path / "f.sqlite") as cache:
        with pytest.raises(ImageError, match=r"4\.png: it changed while it was being used"):
            extract(wanted, session, BACKBONE, cache=cache)
        assert cache.state().features == 4  # What came before is kept.
        photos[4].unlink()
        with pytest.raises(ImageError, match=r"4\.png.*no such file"):
            extract(wanted, session, BACKBONE, cache=cache)
        photos[4].write_bytes(b"broken")
        with pytest.raises(ImageError, match=r"4\.png.*not an image"):
            extract(sights(photos), session, BACKBONE, cache=cache)


def test_the_message_names_the_file_once(photos: list[Path], session: Session) -> None:
    wanted = sights(photos)
    photos[4].unlink()
    with pytest.raises(ImageError) as caught:
        extract(wanted, session, BACKBONE)
    assert str(caught.value).count(str(photos[4])) == 1


def test_progress_counts_to_the_end_with_and_without_a_cache(
    photos: list[Path], session: Session, tmp_path: Path
) -> None:
    calls: list[tuple[int, int]] = []
    with FeatureCache(tmp_path / "f.sqlite") as cache:
        extract(sights(photos[:4]), session, BACKBONE, cache=cache)
        extract(
            sights(photos), session, BACKBONE, cache=cache, progress=lambda done, total: calls.append((done, total))
        )
    assert calls == [(4, 6), (5, 6), (6, 6)]


# Several processes, and processes that die

_CHILD = """
import sys
from pathlib import Path
from logolens.config import Preprocessing
from logolens.models.features import FeatureCache, Sight, extract
from logolens.io.images import content_hash
from logolens.models.session import Session
from logolens.io.views import View

folder, count = Path(sys.argv[1]), int(sys.argv[2])
photo = folder / "photo.jpg"
digest = content_hash(photo.read_bytes())
sights = [Sight(photo, digest, (View((0.0, 0.0, 1.0, (n + 1) / count)),)) for n in range(count)]
session = Session(folder / "network.onnx", Preprocessing(size=64), threads=1)
with FeatureCache(folder / "f.sqlite") as cache:
    print("ready", flush=True)
    sys.stdin.readline()
    extract(sights, session, "b" * 64, cache=cache)
"""


@pytest.fixture
def workplace(tmp_path: Path, small_network: bytes, draw_photo: Any) -> Path:
    (tmp_path / "network.onnx").write_bytes(small_network)
    draw_photo("acme", 5, (400, 300)).save(tmp_path / "photo.jpg")
    (tmp_path / "child.py").write_text(_CHILD)
    return tmp_path


def _child(folder: Path, count: int) -> subprocess.Popen[str]:
    child = subprocess.Popen(
        [sys.executable, str(folder / "child.py"), str(folder), str(count)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "ready\n"
    return child


def _wanted(folder: Path, count: int) -> list[Sight]:
    photo = folder / "photo.jpg"
    digest = content_hash(photo.read_bytes())
    return [Sight(photo, digest, (View((0.0, 0.0, 1.0, (n + 1) / count)),)) for n in range(count)]


def test_two_processes_at_once_share_one_file(workplace: Path, session: Session) -> None:
    children = [_child(workplace, 300) for _ in range(2)]
    for child in children:
        assert child.stdin is not None
        child.stdin.write("go\n")
        child.stdin.flush()
    for child in children:
        child.communicate(timeout=240)
        assert child.returncode == 0
    with FeatureCache(workplace / "f.sqlite") as cache:
        assert cache.state().features == 300
        kept = extract(_wanted(workplace, 300), session, BACKBONE, cache=cache)
    assert np.array_equal(kept, extract(_wanted(workplace, 300), session, BACKBONE))
    with sqlite3.connect(workplace / "f.sqlite") as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    db.close()


@pytest.mark.skipif(os.name == "nt", reason="this system has no SIGKILL")
def test_a_killed_run_leaves_what_it_had_done(workplace: Path, session: Session) -> None:
    count = 4000
    child = _child(workplace, count)
    assert child.stdin is not None
    child.stdin.write("go\n")
    child.stdin.flush()
    with FeatureCache(workplace / "f.sqlite") as cache:
        deadline = time.monotonic() + 240
        while cache.state().features < 256:
            assert time.monotonic() < deadline
            assert child.poll() is None
            time.sleep(0.02)
    child.kill()
    assert child.wait() == -signal.SIGKILL
    child.stdin.close()
    assert child.stdout is not None
    child.stdout.close()
    with FeatureCache(workplace / "f.sqlite") as cache:
        done = cache.state().features
        assert 256 <= done < count
        wanted = _wanted(workplace, count)[:done]
        fresh = extract(wanted, session, BACKBONE)
        (workplace / "photo.jpg").unlink()
        # With the photo gone, only the cache can answer.
        assert np.array_equal(extract(wanted, session, BACKBONE, cache=cache), fresh)


def _put(path: str, first: int) -> None:
    with FeatureCache(Path(path)) as cache:
        for number in range(first, first + 40):
            cache.put([(bytes([number]) * 32, np.full(50, number, np.float32))])


def test_writers_that_commit_against_each_other_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "f.sqlite"
    workers = [
        multiprocessing.get_context("spawn").Process(target=_put, args=(str(path), 40 * number)) for number in range(2)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(240)
        assert worker.exitcode == 0
    with FeatureCache(path) as cache:
        found = cache.get([bytes([number]) * 32 for number in range(80)])
    assert len(found) == 80
    assert all((value == key[0]).all() for key, value in found.items())


# The file


def _age(path: Path, seconds: int) -> None:
    with sqlite3.connect(path) as db:
        db.execute("UPDATE features SET used = used - ?", (seconds,))
    db.close()


def test_the_limit_holds_and_what_was_used_longest_ago_goes_first(tmp_path: Path) -> None:
    path, settings = tmp_path / "f.sqlite", CacheSettings(max_bytes=1_000_000)
    keys = [number.to_bytes(32, "big") for number in range(110)]
    value = np.ones(2784, np.float32)  # About 12 KB with its row, so that some 80 of them fit.
    with FeatureCache(path, settings) as cache:
        cache.put([(key, value) for key in keys[:60]])
    _age(path, 100_000)
    with FeatureCache(path, settings) as cache:
        assert len(cache.get(keys[:10])) == 10  # These are used again.
        cache.put([(key, value) for key in keys[60:]])
    with FeatureCache(path, settings) as cache:
        assert cache.state().bytes <= 1_000_000
        left = cache.get(keys)
        assert set(keys[:10]) <= set(left)
        assert set(keys[60:]) <= set(left)
        assert 60 <= len(left) < 90
    assert path.stat().st_size <= 1_100_000


def test_reading_does_not_rewrite_the_date_each_time(tmp_path: Path) -> None:
    path = tmp_path / "f.sqlite"
    with FeatureCache(path) as cache:
        cache.put([(b"k" * 32, np.ones(4, np.float32))])
    _age(path, 600)
    with FeatureCache(path) as cache:
        before = cache._db.total_changes
        cache.get([b"k" * 32])
        assert cache._db.total_changes == before


@pytest.mark.parametrize("damage", ["garbage", "half", "middle"])
def test_a_damaged_file_is_set_aside_and_begun_anew(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "f.sqlite"
    with FeatureCache(path) as cache:
        cache.put([(number.to_bytes(32, "big"), np.ones(500, np.float32)) for number in range(300)])
    whole = path.read_bytes()
    path.write_bytes(
        {
            "garbage": b"this is no database" * 100,
            "half": whole[: len(whole) // 2],
            "middle": whole[:4096] + os.urandom(40_000) + whole[44_096:],
        }[damage]
    )
    with FeatureCache(path) as cache:
        assert cache.state().features == 0
        cache.put([(b"k" * 32, np.ones(4, np.float32))])
    with FeatureCache(path) as cache:
        assert list(cache.get([b"k" * 32])) == [b"k" * 32]
    aside = list(tmp_path.glob("f.damaged-*"))
    assert len(aside) == 1


def test_a_value_that_was_cut_short_is_a_miss(tmp_path: Path) -> None:
    path = tmp_path / "f.sqlite"
    with FeatureCache(path) as cache:
        cache.put([(b"a" * 32, np.ones(4, np.float32)), (b"b" * 32, np.ones(4, np.float32))])
    with sqlite3.connect(path) as db:
        db.execute("UPDATE features SET value = x'000102' WHERE key = ?", (b"a" * 32,))
    db.close()
    with FeatureCache(path) as cache:
        assert list(cache.get([b"a" * 32, b"b" * 32])) == [b"b" * 32]


def test_a_folder_that_cannot_be_written_to_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "taken.sqlite").mkdir()
    for path in (tmp_path / "file" / "f.sqlite", tmp_path / "file" / "below" / "f.sqlite", tmp_path / "taken.sqlite"):
        with pytest.raises(UsageError, match="LOGOLENS_CACHE"):
            FeatureCache(path)


def test_clear_empties_and_gives_the_room_back(tmp_path: Path) -> None:
    path = tmp_path / "f.sqlite"
    with FeatureCache(path) as cache:
        cache.put([(number.to_bytes(32, "big"), np.ones(2784, np.float32)) for number in range(100)])
        assert cache.state().bytes > 1_000_000
        assert cache.clear() == 100
        assert cache.clear() == 0
        assert cache.state().features == 0
        assert cache.get([bytes(32)]) == {}
    assert path.stat().st_size < 100_000


def test_by_default_the_cache_lies_in_the_cache_folder(own_cache: Path) -> None:
    with FeatureCache() as cache:
        assert cache.path == own_cache / "features.sqlite"
    assert (own_cache / "features.sqlite").is_file()
