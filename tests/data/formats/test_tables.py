"""Tables as competitions, spreadsheets and notebooks have them, and data sets that come as one file."""

from __future__ import annotations

import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import draw_boxed

from logolens.data import Dataset, load
from logolens.errors import ArchiveError, DataError

LABELS = ("acme", "bolt")


def photos(folder: Path, *names: str) -> None:
    """Photos of acme and bolt in turn."""
    for number, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        draw_boxed(LABELS[number % 2], sum(name.encode()) + number, (64, 48))[0].save(folder / name, "PNG")


def rows(header: str, *names: str, sign: str = ",") -> str:
    return "\n".join([header, *(f"{name}{sign}{LABELS[number % 2]}" for number, name in enumerate(names))]) + "\n"


def read(place: Path) -> Dataset:
    return load(place, training=False, remember=False)


def found(place: Path, below: Path | None = None) -> dict[str, str]:
    """The label of each photo's file."""
    return {photo.path.relative_to(below or place).as_posix(): photo.label for photo in read(place).photos}


def kinds(dataset: Dataset) -> set[str]:
    return {note.kind for note in dataset.notes}


@pytest.mark.parametrize(
    ("table", "text", "files"),
    [
        # A competition's: names without endings, beside a flat test and a file that is to be handed in.
        ("labels.csv", rows("id,breed", "0a1", "0b2"), ("train/0a1.png", "train/0b2.png")),
        ("trainLabels.csv", rows("id,label", "7", "8"), ("train/7.png", "train/8.png", "test/7.png")),
        ("t.csv", rows("filename,class", "a.png", "b.png"), ("pics/a.png", "pics/b.png")),
        ("t.csv", rows("filename,class", "a.png", "b.png"), ("acme/a.png", "acme/b.png", "acme/c.png")),
        # A notebook's, from elsewhere.
        ("t.csv", rows("filepaths,labels", "/content/drive/pics/a.png", r"C:\pics\b.png"), ("pics/a.png", "pics/b.png")),
        ("t.csv", "sep=;\r\n" + rows("image_path;label", "a.png", "b.png", sign=";"), ("a.png", "b.png")),
        ("t.csv", rows("name|brand", "a.png", "b.png", sign="|"), ("images/a.png", "images/b.png")),
        ("t.csv", "image,label,class_name\na.png,0,acme\nb.png,1,bolt\n", ("a.png", "b.png")),
    ],
)  # fmt: skip
def test_a_folder_s_only_table_says_what_its_photos_show(
    tmp_path: Path, table: str, text: str, files: tuple[str, ...]
) -> None:
    photos(tmp_path, *files)
    (tmp_path / "sample_submission.csv").write_text(rows("id,label", "x", "y"))
    (tmp_path / table).write_text(text, newline="")
    assert found(tmp_path) == {files[0]: "acme", files[1]: "bolt"}
    named = read(tmp_path / table)
    assert {photo.path.name: photo.label for photo in named.photos} == {
        Path(name).name: label for name, label in zip(files, LABELS, strict=False)
    }


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("name", ["t.csv", "t.txt"])
def test_tables_as_spreadsheets_save_them(tmp_path: Path, name: str, encoding: str) -> None:
    photos(tmp_path, "ä.png", "b.png")
    (tmp_path / name).write_bytes(rows("filename\tlabel", "ä.png", "b.png", sign="\t").encode(encoding))
    assert read(tmp_path / name).counts() == {"acme": 1, "bolt": 1}


def test_a_table_for_each_part(tmp_path: Path) -> None:
    photos(tmp_path, "images/a.png", "images/b.png", "images/c.png", "images/d.png")
    (tmp_path / "train.csv").write_text(rows("id,label", "a", "b"))
    (tmp_path / "test.csv").write_text(rows("id,label", "c", "d"))
    assert {photo.name: photo.split for photo in read(tmp_path).photos} == {
        "a": "train", "b": "train", "c": "test", "d": "test",
    }  # fmt: skip
    (tmp_path / "test.csv").rename(tmp_path / "more.csv")
    with pytest.raises(
        DataError, match=r"several tables name photos and labels \(more.csv, train.csv\).*Give that table"
    ):
        read(tmp_path)


def test_what_is_ambiguous_or_absent_is_not_guessed(tmp_path: Path) -> None:
    photos(tmp_path, "x/a.png", "y/a.png", "x/b.png", "test/c.png", "train/d.png")
    text = rows("path,label", "a.png", "b.png", "train/c.png", "test/d.png")
    (tmp_path / "t.csv").write_text(text)
    dataset = read(tmp_path / "t.csv")
    assert [photo.path for photo in dataset.photos] == [tmp_path / "x" / "b.png"]
    assert {note.kind: note.count for note in dataset.notes if note.kind in ("several-files", "missing")} == {
        "several-files": 1, "missing": 2,
    }  # fmt: skip


def test_a_table_called_test_may_be_about_photos_in_train(tmp_path: Path) -> None:
    photos(tmp_path, "train/a.png", "train/b.png", "test/b.png")
    (tmp_path / "test.csv").write_text(rows("id,label", "a", "b"))
    assert found(tmp_path / "test.csv", tmp_path) == {"train/a.png": "acme", "test/b.png": "bolt"}
    (tmp_path / "all.csv").write_text("id,label,split\na,acme,test\n")
    assert [photo.split for photo in read(tmp_path / "all.csv").photos] == ["test"]


def test_a_table_beside_labels_folders_is_told(tmp_path: Path) -> None:
    photos(tmp_path, "acme/a.png", "bolt/b.png")
    (tmp_path / "t.csv").write_text(rows("path,label", "b.png", "a.png"))
    dataset = read(tmp_path)
    assert "table-aside" in kinds(dataset)
    assert found(tmp_path)["acme/a.png"] == "acme"
    assert {photo.path.name: photo.label for photo in read(tmp_path / "t.csv").photos}["a.png"] == "bolt"


def zipped(folder: Path, out: Path) -> Path:
    with zipfile.ZipFile(out, "w") as archive:
        for path in sorted(folder.rglob("*")):
            archive.write(path, path.relative_to(folder))
    return out


def tarred(folder: Path, out: Path) -> Path:
    with tarfile.open(out, "w:gz") as archive:
        archive.add(folder, arcname=".")
    return out


@pytest.mark.parametrize(("name", "pack"), [("set.zip", zipped), ("set.tar.gz", tarred)])
def test_a_data_set_in_an_archive(tmp_path: Path, name: str, pack: Callable[[Path, Path], Path]) -> None:
    inner = tmp_path / "made" / "my set"
    photos(inner, "acme/a.png", "bolt/b.png")
    for junk in ("made/__MACOSX/my set/acme/._a.png", "made/my set/.DS_Store", "made/my set/acme/Thumbs.db"):
        (tmp_path / junk).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / junk).write_bytes(b"junk")
    dataset = read(pack(tmp_path / "made", tmp_path / name))
    assert dataset.counts() == {"acme": 1, "bolt": 1}
    assert dataset.data_hash == read(inner).data_hash
    assert "unpacked" in kinds(dataset)
    assert dataset.name == name


@pytest.mark.parametrize(
    ("name", "data", "error", "match"),
    [
        ("set.zip", b"PK\3\4 cut short", ArchiveError, "damaged or cut short"),
        ("set.rar", b"Rar!", DataError, "unpack it and give the folder"),
        ("set.xlsx", b"PK\3\4", DataError, 'save it as "CSV UTF-8"'),
    ],
)
def test_what_is_packed_otherwise_is_named(
    tmp_path: Path, name: str, data: bytes, error: type[Exception], match: str
) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(error, match=match):
        read(tmp_path / name)
