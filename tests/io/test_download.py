"""Downloads from a real server on loopback that does what servers do."""

from __future__ import annotations

import hashlib
import http.server
import io
import json
import random
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from logolens.data import get, load
from logolens.errors import ArchiveError, DownloadError, UsageError
from logolens.io.download import FetchSettings, fetch

FAST = FetchSettings(attempts=3, timeout=60.0, pause=0.01)
DATA = random.Random(7).randbytes(1_500_000)
HASH = hashlib.sha256(DATA).hexdigest()


class Server(http.server.ThreadingHTTPServer):
    """Serves ``files``; ``plan`` holds one word for each coming request that shall go wrong."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files: dict[str, bytes] = {"/data": DATA}
        self.tags: dict[str, str] = {"/data": '"one"'}
        self.plan: list[str] = []
        self.seen: list[dict[str, str]] = []
        self.ranges = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Broken pipes are part of the play."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/data"


class Handler(http.server.BaseHTTPRequestHandler):
    server: Server

    def log_message(self, format: str, *args: Any) -> None:
        """Quiet."""

    def do_GET(self) -> None:
        server = self.server
        server.seen.append({key.lower(): value for key, value in self.headers.items()})
        step = server.plan.pop(0) if server.plan else ""
        if step.isdigit():
            self.send_error(int(step))
            return
        if step.startswith("to "):
            self.send_response(302)
            self.send_header("Location", step[3:])
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        if step == "silent":
            threading.Event().wait(1.0)
            return
        data, tag = server.files[self.path], server.tags.get(self.path)
        begin = 0
        wanted = self.headers.get("Range")
        if wanted and server.ranges and self.headers.get("If-Range") == tag:
            begin = int(wanted.removeprefix("bytes=").removesuffix("-"))
            self.send_response(206)
            start = begin + 1 if step == "shifted" else begin
            self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        else:
            self.send_response(200)
        body = data[begin:]
        if step == "long":
            self.send_header("Content-Length", str(len(body) - 100))
        elif step != "unknown":
            self.send_header("Content-Length", str(len(body) + (100 if step == "short" else 0)))
        if tag:
            self.send_header("ETag", tag)
        self.end_headers()
        if step == "drop":
            body = body[: len(body) // 2]
        self.wfile.write(body)
        self.wfile.flush()
        self.close_connection = True


@pytest.fixture
def server() -> Iterator[Server]:
    instance = Server()
    thread = threading.Thread(target=instance.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield instance
    instance.shutdown()
    thread.join()
    instance.server_close()


def clean(folder: Path) -> bool:
    return not [path for path in folder.iterdir() if ".part" in path.name]


def test_a_plain_download(server: Server, tmp_path: Path) -> None:
    steps: list[tuple[int, int | None]] = []
    digest = fetch(server.url, tmp_path / "new" / "f", sha256=HASH.upper(), progress=lambda n, t: steps.append((n, t)))
    assert digest == HASH
    assert (tmp_path / "new" / "f").read_bytes() == DATA
    assert steps[-1] == (len(DATA), len(DATA))
    assert clean(tmp_path / "new")


def test_a_dropped_connection_goes_on_where_it_stopped(server: Server, tmp_path: Path) -> None:
    server.plan = ["drop", "drop"]
    assert fetch(server.url, tmp_path / "f", settings=FAST) == HASH
    assert [request.get("range") for request in server.seen] == [None, "bytes=750000-", "bytes=1125000-"]
    assert server.seen[1]["if-range"] == '"one"'
    assert clean(tmp_path)


def test_a_later_run_goes_on(server: Server, tmp_path: Path) -> None:
    server.plan = ["drop", "503", "503", "503"]
    with pytest.raises(DownloadError, match=r"503.*750,000 bytes are kept"):
        fetch(server.url, tmp_path / "f", settings=FAST)
    assert not (tmp_path / "f").exists()
    assert fetch(server.url, tmp_path / "f", settings=FAST) == HASH
    assert server.seen[-1]["range"] == "bytes=750000-"


def test_a_server_without_ranges(server: Server, tmp_path: Path) -> None:
    server.ranges = False
    server.plan = ["drop"]
    assert fetch(server.url, tmp_path / "f", settings=FAST) == HASH


def test_a_file_that_changes_in_between(server: Server, tmp_path: Path) -> None:
    server.plan = ["drop", "503", "503", "503"]
    with pytest.raises(DownloadError):
        fetch(server.url, tmp_path / "f", settings=FAST)
    server.files["/data"] = DATA[::-1] + b"more"
    server.tags["/data"] = '"two"'
    fetch(server.url, tmp_path / "f", settings=FAST)
    assert (tmp_path / "f").read_bytes() == DATA[::-1] + b"more"


def test_without_a_strong_mark_it_begins_again(server: Server, tmp_path: Path) -> None:
    server.tags["/data"] = 'W/"weak"'
    server.plan = ["drop"]
    assert fetch(server.url, tmp_path / "f", settings=FAST) == HASH
    assert server.seen[1].get("range") is None


def test_a_spoilt_part_is_found_by_its_hash_and_fetched_anew(server: Server, tmp_path: Path) -> None:
    (tmp_path / "f.part").write_bytes(b"x" * 1000)
    (tmp_path / "f.part.json").write_text(json.dumps({"url": server.url, "mark": '"one"'}))
    assert fetch(server.url, tmp_path / "f", sha256=HASH, settings=FAST) == HASH
    assert len(server.seen) == 2


def test_a_part_of_another_address_is_not_continued(server: Server, tmp_path: Path) -> None:
    (tmp_path / "f.part").write_bytes(b"x" * 1000)
    (tmp_path / "f.part.json").write_text(json.dumps({"url": "http://elsewhere/data", "mark": '"one"'}))
    assert fetch(server.url, tmp_path / "f", settings=FAST) == HASH


def test_a_wrong_range_is_not_taken(server: Server, tmp_path: Path) -> None:
    server.plan = ["drop", "shifted"]
    assert fetch(server.url, tmp_path / "f", settings=FAST) == HASH


def test_a_complete_part_and_416(server: Server, tmp_path: Path) -> None:
    (tmp_path / "f.part").write_bytes(DATA)
    (tmp_path / "f.part.json").write_text(json.dumps({"url": server.url, "mark": '"one"'}))
    server.plan = ["416"]
    assert fetch(server.url, tmp_path / "f", settings=FAST) == HASH


@pytest.mark.parametrize("plan", [["500", "503"], ["429"], ["silent"]])
def test_what_passes_is_tried_again(server: Server, tmp_path: Path, plan: list[str]) -> None:
    server.plan = plan
    # Short where silence is to be noticed; with attempts to spare, since a busy machine may be as silent.
    patience = FetchSettings(attempts=100, timeout=0.3, pause=0.01) if plan == ["silent"] else FAST
    assert fetch(server.url, tmp_path / "f", settings=patience) == HASH


@pytest.mark.parametrize("code", ["404", "403", "410"])
def test_what_stays_is_said_at_once(server: Server, tmp_path: Path, code: str) -> None:
    server.plan = [code]
    with pytest.raises(DownloadError, match=code):
        fetch(server.url, tmp_path / "f", settings=FAST)
    assert len(server.seen) == 1
    assert not any(tmp_path.iterdir())


def test_a_length_that_is_never_reached(server: Server, tmp_path: Path) -> None:
    server.ranges = False
    server.plan = ["short"] * 10
    with pytest.raises(DownloadError, match="of 1,500,100 bytes"):
        fetch(server.url, tmp_path / "f", settings=FAST)
    assert not (tmp_path / "f").exists()


def test_a_length_that_is_too_small_is_found_by_the_hash(server: Server, tmp_path: Path) -> None:
    server.plan = ["long"]
    with pytest.raises(DownloadError, match="SHA-256"):
        fetch(server.url, tmp_path / "f", sha256=HASH, settings=FAST)
    assert not any(tmp_path.iterdir())


def test_no_length(server: Server, tmp_path: Path) -> None:
    server.plan = ["unknown"]
    assert fetch(server.url, tmp_path / "f", settings=FAST) == HASH


def test_another_file_than_promised_is_not_kept(server: Server, tmp_path: Path) -> None:
    (tmp_path / "f").write_text("older, good")
    with pytest.raises(DownloadError, match="expected was " + "0" * 64):
        fetch(server.url, tmp_path / "f", sha256="0" * 64, settings=FAST)
    assert (tmp_path / "f").read_text() == "older, good"
    assert clean(tmp_path)


@pytest.mark.parametrize("plan", [[], ["unknown"]])
def test_too_large(server: Server, tmp_path: Path, plan: list[str]) -> None:
    server.plan = plan
    with pytest.raises(DownloadError, match="limit"):
        fetch(server.url, tmp_path / "f", max_bytes=1_000_000, settings=FAST)
    assert not (tmp_path / "f").exists()


def test_redirects(server: Server, tmp_path: Path) -> None:
    server.plan = [f"to {server.url}"]
    assert fetch(server.url, tmp_path / "f", settings=FAST) == HASH
    for target in ("file:///etc/passwd", "ftp://127.0.0.1/x"):
        server.plan = [f"to {target}"]
        with pytest.raises(DownloadError, match=r"not allowed|refused"):
            fetch(server.url, tmp_path / "g", settings=FAST)
    server.plan = [f"to {server.url}"] * 30
    with pytest.raises(DownloadError):
        fetch(server.url, tmp_path / "g", settings=FAST)


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "ftp://host/x", "data:,x", "host/x", "", "http://", "http://a b/"]
)
def test_addresses_that_are_none(tmp_path: Path, url: str) -> None:
    with pytest.raises(DownloadError, match="http"):
        fetch(url, tmp_path / "f")


def test_a_wrong_hash_is_wrong_usage(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="64"):
        fetch("http://127.0.0.1:1/", tmp_path / "f", sha256="abc")


def test_nobody_listens(server: Server, tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match="cannot be reached"):
        fetch("http://127.0.0.1:1/x", tmp_path / "f", settings=FAST)


def test_a_place_that_cannot_be_written(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DownloadError, match="cannot be written"):
        fetch(server.url, tmp_path / "file" / "f", settings=FAST)


def test_settings_are_bounded() -> None:
    with pytest.raises(UsageError):
        FetchSettings(attempts=0)


def published(*, lose: int = 0, inner: bool = True) -> bytes:
    """A small archive in the published layout: a tar.gz that holds another."""
    rows, photos = [], {}
    for label in ("Adidas", "Apple"):
        for number in range(4):
            name = f"{label}{number}.jpg"
            noise = random.Random(name).randbytes(40 * 30 * 3)
            out = io.BytesIO()
            Image.frombytes("RGB", (40, 30), noise).save(out, "JPEG")
            photos[name] = out.getvalue()
            rows += [f"{name} {label} {subset} 5 5 20 25" for subset in (1, 2)]

    def pack(files: dict[str, bytes]) -> bytes:
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w:gz") as archive:
            for name, data in files.items():
                member = tarfile.TarInfo(name)
                member.size = len(data)
                archive.addfile(member, io.BytesIO(data))
        return out.getvalue()

    base = "flickr_logos_27_dataset"
    kept = dict(list(photos.items())[lose:])
    images = pack({f"{base}_images/{name}": data for name, data in kept.items()})
    text = "\n".join(rows).encode()
    files = {
        f"{base}/{base}_training_set_annotation.txt": text,
        f"{base}/{base}_distractor_set_urls.txt": b"http://x\n",
    }
    return pack(files | ({f"{base}/{base}_images.tar.gz": images} if inner else {}))


def test_get_brings_verifies_and_unpacks(server: Server, tmp_path: Path) -> None:
    server.files["/data"] = archive = published()
    server.plan = ["drop"]
    receipt = get("flickr27", tmp_path / "d", url=server.url, settings=FAST)
    assert (receipt.photos, receipt.labels, receipt.source) == (8, 2, server.url)
    assert receipt.sha256 == hashlib.sha256(archive).hexdigest()
    assert [path.name for path in (tmp_path / "d").iterdir()] == ["flickr_logos_27_dataset"]
    assert len(load(receipt.folder, remember=False)) == 8
    # What is there is not fetched again.
    asked = len(server.seen)
    assert get("flickr27", tmp_path / "d", url=server.url) == receipt
    assert len(server.seen) == asked
    (tmp_path / "d/flickr_logos_27_dataset/extra").touch()
    get("flickr27", tmp_path / "d", url=server.url, force=True, settings=FAST)
    assert not (tmp_path / "d/flickr_logos_27_dataset/extra").exists()
    assert len(server.seen) == asked + 1


def test_get_from_a_local_archive(tmp_path: Path) -> None:
    (tmp_path / "mine.tar.gz").write_bytes(published())
    receipt = get("flickr27", tmp_path / "d", archive=tmp_path / "mine.tar.gz")
    assert receipt.photos == 8
    assert (tmp_path / "mine.tar.gz").exists()
    assert (
        json.loads((tmp_path / "d/flickr_logos_27_dataset/logolens-receipt.json").read_text())["sha256"]
        == receipt.sha256
    )
    with pytest.raises(DownloadError, match="SHA-256"):
        get("flickr27", tmp_path / "e", archive=tmp_path / "mine.tar.gz", sha256="0" * 64)


@pytest.mark.parametrize(
    ("archive", "match"),
    [
        (b"<html>moved</html>", "no .tar"),
        (published()[:-3000], "cut short|damaged"),
        (published(lose=3), "3 of 8 listed photos"),
        (published(inner=False), "neither"),
    ],
)
def test_get_refuses_what_is_not_the_data_set(server: Server, tmp_path: Path, archive: bytes, match: str) -> None:
    server.files["/data"] = archive
    with pytest.raises(ArchiveError, match=match):
        get("flickr27", tmp_path / "d", url=server.url, settings=FAST)
    assert not any((tmp_path / "d").iterdir())


def test_get_leaves_what_is_not_its_own(tmp_path: Path) -> None:
    (tmp_path / "flickr_logos_27_dataset").mkdir()
    (tmp_path / "flickr_logos_27_dataset/mine").touch()
    (tmp_path / "mine.tar.gz").write_bytes(published())
    with pytest.raises(ArchiveError, match="is not the flickr27"):
        get("flickr27", tmp_path, archive=tmp_path / "mine.tar.gz")
    assert (tmp_path / "flickr_logos_27_dataset/mine").exists()


def test_get_knows_its_names(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="flickr27"):
        get("flickr32", tmp_path)
    with pytest.raises(UsageError, match="not both"):
        get("flickr27", tmp_path, archive="a", url="http://x/")
    with pytest.raises(ArchiveError, match="no such archive"):
        get("flickr27", tmp_path, archive=tmp_path / "gone")


def test_load_reads_the_archive_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGOLENS_CACHE", str(tmp_path / "cache"))
    (tmp_path / "flickr_logos_27_dataset.tar.gz").write_bytes(published())
    first = load(tmp_path / "flickr_logos_27_dataset.tar.gz")
    stamp = first.photos[0].path.stat().st_mtime_ns
    second = load(tmp_path / "flickr_logos_27_dataset.tar.gz")
    assert (len(second), second.labels, second.data_hash) == (8, ("Adidas", "Apple"), first.data_hash)
    assert second.photos[0].path.stat().st_mtime_ns == stamp
