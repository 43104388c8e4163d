"""Tables whose photos are addresses: fetched from a real server, kept, and refused where they lead inside."""

from __future__ import annotations

from pathlib import Path

import pytest

from logolens.config import Limits, SourceSettings
from logolens.data import load
from logolens.data.convert import convert
from logolens.errors import DataError
from logolens.io.sources import reopen


def test_photos_of_addresses_are_fetched_once_and_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("httpcore2")
    from website import Reply, Server, picture, serving

    monkeypatch.setenv("LOGOLENS_CACHE", str(tmp_path / "cache"))
    server = Server()
    server.replies = {
        "/my%20a.png?sign=1": Reply(picture(1), type="image/png"),
        "/b": Reply(picture(2, "JPEG"), type="image/jpeg"),
        "/page.jpg": Reply(b"<html>", type="text/html"),
    }
    rows = [f"{server.url}/my%20a.png?sign=1,acme", f"{server.url}/b,bolt".replace("://", ":/")]
    rows += [f"{server.url}/page.jpg,acme", f"{server.url}/gone.jpg,bolt"]
    (tmp_path / "t.csv").write_text("\n".join(["image_url,label", *rows]))

    def fetch(address: str) -> bytes:
        return reopen(address, SourceSettings(allow_private=True, retries=0)).read(Limits())

    with serving(server):
        datasets = [load(tmp_path / "t.csv", training=False, fetch=fetch) for _ in range(2)]
    assert [dataset.counts() for dataset in datasets] == [{"acme": 1, "bolt": 1}] * 2
    assert server.asked["/b"] == 1
    notes = {note.kind: str(note) for note in datasets[0].notes}
    assert "/gone.jpg" in notes["unreachable"]
    assert "/page.jpg" in notes["unreadable"]
    assert "sign=1" not in " ".join(photo.name for photo in datasets[0].photos)
    convert(datasets[0], tmp_path / "out", "folder")
    assert {path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*.*")} == {
        "acme/my-a.png", "bolt/b.jpg",
    }  # fmt: skip


def test_addresses_that_lead_inside_are_not_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("httpcore2")
    from website import Server, serving

    monkeypatch.setenv("LOGOLENS_CACHE", str(tmp_path / "cache"))
    with serving(Server()) as server:
        (tmp_path / "t.csv").write_text(f"url,label\n{server.url}/a.png,acme\n")
        with pytest.raises(DataError, match=r"gave no image, left out: 1.*not a public address"):
            load(tmp_path / "t.csv", fetch=lambda address: reopen(address, SourceSettings()).read(Limits()))
        assert not server.asked


def test_the_command_fetches_what_it_is_allowed_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("httpcore2")
    from website import Reply, Server, picture, serving

    from logolens.cli import main

    monkeypatch.setenv("LOGOLENS_CACHE", str(tmp_path / "cache"))
    server = Server()
    server.replies = {"/a.png": Reply(picture(1)), "/b.png": Reply(picture(2))}
    (tmp_path / "t.csv").write_text(f"url,label\n{server.url}/a.png,acme\n{server.url}/b.png,bolt\n")
    asked = ["datasets", "convert", str(tmp_path / "t.csv"), str(tmp_path / "out"), "--format", "csv"]
    with serving(server):
        codes = [main([*asked, *more]) for more in ([], ["--allow-urls"], ["--allow-urls", "--allow-private"])]
    assert codes[:2] != [0, 0]
    assert codes[2] == 0
    told = capsys.readouterr().err
    assert "--allow-urls` fetches" in told
    assert "allow it with --allow-private" in told
    assert load(tmp_path / "out", training=False).counts() == {"acme": 1, "bolt": 1}
