"""What predict is given: files, folders, patterns, standard input."""

from __future__ import annotations

import io
import os
import socket
import subprocess
from pathlib import Path

import pytest

from logolens.config import Limits
from logolens.errors import ImageError, UsageError
from logolens.io.sources import expand, gather, left_note, walk


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in (
        "a/photo10.jpg",
        "a/photo2.JPG",
        "a/deep/er/x.png",
        "a/notes.txt",
        "a/._photo2.JPG",
        "a/.hidden.jpg",
        "a/.thumbs/t.jpg",
        "a/__MACOSX/m.jpg",
        "b/one.webp",
        "plain.dat",
        "odd[1].jpg",
    ):
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(name.encode())
    return tmp_path


def names(*arguments: str) -> list[str]:
    return [Path(source.name).as_posix() for source in expand(arguments)]


def test_a_folder_is_walked_in_counting_order_without_hidden_and_foreign_files(tree: Path) -> None:
    assert names("a") == ["a/photo2.JPG", "a/photo10.jpg", "a/deep/er/x.png"]


def test_arguments_keep_their_order_and_repeat(tree: Path) -> None:
    assert names("b", "plain.dat", "b/one.webp", "a/deep") == [
        "b/one.webp",
        "plain.dat",
        "b/one.webp",
        "a/deep/er/x.png",
    ]


def test_bytes_are_those_of_the_file_whatever_its_ending(tree: Path) -> None:
    (source,) = expand(["plain.dat"])
    assert source.read() == b"plain.dat"


def test_patterns(tree: Path) -> None:
    assert names("a/*.[jJ][pP][gG]") == ["a/photo2.JPG", "a/photo10.jpg"]
    assert names("a/**") == ["a/photo2.JPG", "a/photo10.jpg", "a/deep/er/x.png"]
    assert names("**/*.jpg") == ["odd[1].jpg", "a/photo10.jpg"]
    assert names("**/er/*") == names("a/**/x.*") == ["a/deep/er/x.png"]
    assert names("?") == ["a/photo2.JPG", "a/photo10.jpg", "a/deep/er/x.png", "b/one.webp"]


def test_a_file_whose_name_looks_like_a_pattern_is_that_file(tree: Path) -> None:
    assert names("odd[1].jpg") == ["odd[1].jpg"]


def test_what_is_not_there_is_a_source_that_says_so_and_the_rest_goes_on(tree: Path) -> None:
    (tree / "empty").mkdir()
    sources = list(expand(["gone.jpg", "*.xyz", "empty", "b/one.webp"]))
    messages = []
    for source in sources[:3]:
        with pytest.raises(ImageError) as caught:
            source.read()
        messages.append(str(caught.value))
    assert "gone.jpg" in messages[0]
    assert "*.xyz" in messages[1]
    assert "pattern" in messages[1]
    assert "empty" in messages[2]
    assert "folder" in messages[2]
    assert sources[3].read() == b"b/one.webp"


def test_files_are_read_only_when_asked_for(tree: Path) -> None:
    (source,) = expand(["plain.dat"])
    (tree / "plain.dat").write_bytes(b"later")
    assert source.read() == b"later"


def test_an_empty_file_and_a_large_one_are_refused(tree: Path) -> None:
    (tree / "zero.jpg").touch()
    for source, limits in zip(expand(["zero.jpg", "plain.dat"]), (Limits(), Limits(max_bytes=3)), strict=True):
        with pytest.raises(ImageError):
            source.read(limits)


def test_standard_input() -> None:
    (source,) = expand(["-"], stdin=io.BytesIO(b"abc"))
    assert (source.name, source.read(), source.read()) == ("-", b"abc", b"abc")


@pytest.mark.parametrize(("data", "word"), [(b"", "empty"), (b"abcdef", "more than 5")])
def test_standard_input_that_is_no_image(data: bytes, word: str) -> None:
    (source,) = expand(["-"], stdin=io.BytesIO(data), limits=Limits(max_bytes=5))
    with pytest.raises(ImageError, match=word):
        source.read()


@pytest.mark.parametrize("arguments", [[], ["-", "-"], ["a.jpg", ""]])
def test_wrong_usage_is_said_at_once(arguments: list[str]) -> None:
    with pytest.raises(UsageError):
        expand(arguments)


@pytest.mark.skipif(os.name == "nt", reason="links need rights on Windows")
def test_linked_files_are_read_and_linked_folders_told(tree: Path) -> None:
    (tree / "b" / "loop").symlink_to(tree / "b")
    (tree / "b" / "more").symlink_to(tree / "a")
    (tree / "b" / "two.jpg").symlink_to(tree / "a" / "photo10.jpg")
    left: list[str] = []
    assert [source.name for source in expand(["b"], left=left.append)] == ["b/one.webp", "b/two.jpg"]
    assert left == ["b/loop", "b/more"]
    assert names("b/two.jpg") == ["b/two.jpg"]
    assert [path.name for path in walk(tree / "b")] == ["one.webp", "two.jpg"]
    note = left_note(left, "name one to have it read")
    assert note == "Linked folders that were not followed: 2; name one to have it read. (b/loop, b/more)"
    assert left_note([], "") is None


@pytest.mark.skipif(os.name == "nt", reason="links need rights on Windows")
def test_linked_folders_are_followed_once_and_never_back(tmp_path: Path) -> None:
    for name in ("set/acme/a.jpg", "set/bolt/b.jpg", "set/.kept/h.jpg", "far/c.jpg", "far/deep/d.jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    links = {
        "set/acme/loop": "set/acme", "set/acme/root": "set", "set/acme/top": "", "set/acme/other": "set/bolt",
        "set/acme/far": "far", "set/acme/far-again": "far", "set/acme/hidden": "set/.kept", "far/back": "set/acme",
    }  # fmt: skip
    for name, target in links.items():
        (tmp_path / name).symlink_to(tmp_path / target)
    (tmp_path / "set/acme/self").symlink_to(tmp_path / "set/acme/self")
    left: list[str] = []
    label = tmp_path / "set/acme"
    found = walk(label, folder_links=True, within=tmp_path / "set", left=left.append)
    assert [path.relative_to(label).as_posix() for path in found] == [
        "a.jpg",
        "far/c.jpg",
        "far/deep/d.jpg",
        "hidden/h.jpg",
    ]
    assert [os.path.relpath(path, label) for path in left] == ["loop", "other", "root", "top", "far/back"]


def test_folders_as_deep_as_a_path_can_be_are_walked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for _ in range(1_200):  # Deeper than calls can be nested; each step is relative, for paths have an end.
        os.mkdir("d")
        os.chdir("d")
    Path("x.jpg").touch()
    os.chdir(tmp_path)
    refused: list[OSError] = []
    assert [path.name for path in walk("d", on_error=refused.append)] == ["x.jpg"]
    assert not refused
    subprocess.run(["rm", "-rf", "d"], check=True)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes in folders")
def test_what_is_no_file_is_one_record_and_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(os.path.relpath(tmp_path / "socket.png"))
        (tmp_path / "zero.jpg").symlink_to("/dev/zero")
        (tmp_path / "folder.jpg").mkdir()
        (tmp_path / "list.txt").symlink_to(tmp_path / "pipe.jpg")
        sources = list(expand([str(tmp_path), str(tmp_path / "pipe.jpg")]))
        gathered = list(gather([str(tmp_path), str(tmp_path / "list.txt"), f"@{tmp_path / 'list.txt'}"]))
        for source in (*sources, *gathered):
            with pytest.raises(ImageError, match=r"a pipe \(FIFO\)|a socket|a device|no such file"):
                source.read()
    assert [os.path.basename(source.name) for source in sources] == ["pipe.jpg", "socket.png", "zero.jpg", "pipe.jpg"]
    assert len(gathered) == 5


@pytest.mark.skipif(
    os.name == "nt" or not hasattr(os, "geteuid") or os.geteuid() == 0, reason="needs a user without rights"
)
def test_a_folder_that_cannot_be_listed_is_said(tree: Path) -> None:
    (tree / "b").chmod(0)
    try:
        (source,) = expand(["b"])
        with pytest.raises(ImageError, match="cannot be read"):
            source.read()
    finally:
        (tree / "b").chmod(0o755)


@pytest.mark.parametrize(
    "address", ["https://example.org/a.jpg", "http://example.org/*.jpg?x=[1]", "s3://bucket/a.jpg"]
)
def test_an_address_is_told_from_a_file_that_is_missing(address: str) -> None:
    (source,) = expand([address])
    assert source.name == address
    assert "this is an address" in str(source.problem)
