"""What predict is given: files, folders, patterns, standard input."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest

from logolens.config import Limits
from logolens.errors import ImageError, UsageError
from logolens.io.sources import expand, walk


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
def test_links_below_a_folder_are_not_followed(tree: Path) -> None:
    (tree / "b" / "loop").symlink_to(tree / "b")
    (tree / "b" / "two.jpg").symlink_to(tree / "a" / "photo10.jpg")
    assert names("b") == ["b/one.webp"]
    assert names("b/two.jpg") == ["b/two.jpg"]
    assert [path.name for path in walk(tree / "b", file_links=True)] == ["one.webp", "two.jpg"]


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
