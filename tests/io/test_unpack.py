"""Archives that were made to do harm, and those that were cut short."""

from __future__ import annotations

import gzip
import io
import os
import random
import stat
import sys
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from logolens.errors import ArchiveError
from logolens.io.unpack import ArchiveLimits, unpack

KEEPS_BYTES = os.name != "nt" and sys.platform != "darwin"
"""Whether a file may have any bytes for a name."""


def entry(name: str, data: bytes = b"x", **fields: object) -> tuple[tarfile.TarInfo, bytes]:
    member = tarfile.TarInfo(name)
    member.size = len(data)
    for key, value in fields.items():
        setattr(member, key, value)
    return member, data


def tar(
    path: Path, *members: tuple[tarfile.TarInfo, bytes], mode: str = "w:gz", format: int = tarfile.PAX_FORMAT
) -> Path:
    with tarfile.open(path, mode, format=format) as archive:  # type: ignore[call-overload]
        for member, data in members:
            archive.addfile(member, io.BytesIO(data) if member.isreg() else None)
    return path


def refused(archive: Path, match: str, limits: ArchiveLimits = ArchiveLimits()) -> None:
    """It is refused, and nothing is left: not the target, not a temporary folder, nothing outside."""
    before = sorted(archive.parent.rglob("*"))
    with pytest.raises(ArchiveError, match=match):
        unpack(archive, archive.parent / "out" / "target", limits=limits)
    assert not any((archive.parent / "out").rglob("*"))
    (archive.parent / "out").rmdir()
    assert sorted(archive.parent.rglob("*")) == before


@pytest.mark.parametrize("mode", ["w", "w:gz"])
@pytest.mark.parametrize("format", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_a_good_tar(tmp_path: Path, mode: str, format: int) -> None:
    big = random.Random(0).randbytes(700_001)
    long = "/".join(["d" * 40] * 3) + "/" + "n" * 60 + ".jpg"
    members = [
        entry("top", b"", type=tarfile.DIRTYPE),
        entry("top/a.jpg", big),
        entry("./top/e.txt", b""),
        entry(long, b"l"),
    ]
    members += [entry("top/block", b"b" * 1024), entry("top/._a.jpg"), entry("__MACOSX/x"), entry("top/last", b"z")]
    if format != tarfile.USTAR_FORMAT:
        members.append(entry("top/Müller 写真.jpg", b"u"))
    written = unpack(tar(tmp_path / "a.bin", *members, mode=mode, format=format), tmp_path / "t")
    found = {path.relative_to(tmp_path / "t").as_posix() for path in (tmp_path / "t").rglob("*") if path.is_file()}
    assert found == {path.as_posix() for path in written}
    assert (tmp_path / "t/top/a.jpg").read_bytes() == big
    assert (tmp_path / "t" / long).read_bytes() == b"l"
    assert (tmp_path / "t/top/block").read_bytes() == b"b" * 1024
    assert not any("._" in name or "MACOSX" in name for name in found)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.bin", "t"]


def test_a_good_zip(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.mkdir("d")
        archive.writestr("d/a.jpg", b"abc" * 1000)
    assert unpack(tmp_path / "a.zip", tmp_path / "t") == [Path("d/a.jpg")]
    assert (tmp_path / "t/d/a.jpg").read_bytes() == b"abc" * 1000


@pytest.mark.parametrize(
    ("name", "match"),
    [
        ("../evil", "climbs"),
        ("a/../../evil", "climbs"),
        ("/tmp/logolens-evil", "absolute"),
        ("C:/evil", "absolute"),
        ("C:evil", "absolute"),
        ("a\\..\\evil", "character"),
        ("a\nb", "character"),
        ("a/file:stream", "character"),
        ("n" * 300, "too long"),
        ("./.", "empty"),
        ("d/" * 2000 + "x", "more than 100 folders"),
        pytest.param(
            "bad\udcff", "UTF-8", marks=pytest.mark.skipif(KEEPS_BYTES, reason="this system keeps such names")
        ),
    ],
)
def test_names_that_lead_elsewhere(tmp_path: Path, name: str, match: str) -> None:
    refused(tar(tmp_path / "a.tgz", entry("fine.jpg"), entry(name), format=tarfile.GNU_FORMAT), match)


@pytest.mark.skipif(not KEEPS_BYTES, reason="this system takes no such names")
def test_names_that_are_no_text_are_kept(tmp_path: Path) -> None:
    name = os.fsdecode(b"caf\xe9/a\xff.jpg")
    written = unpack(tar(tmp_path / "a.tgz", entry(name, b"x"), format=tarfile.GNU_FORMAT), tmp_path / "kept")
    assert written == [Path(name)]
    assert (tmp_path / "kept" / name).read_bytes() == b"x"
    refused(tar(tmp_path / "b.tgz", entry("\udcff" * 256), format=tarfile.GNU_FORMAT), "too long")


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE])
def test_what_is_no_plain_file(tmp_path: Path, kind: bytes) -> None:
    match = "is a link" if kind in (tarfile.SYMTYPE, tarfile.LNKTYPE) else "no regular file"
    refused(tar(tmp_path / "a.tgz", entry("x", b"", type=kind, linkname="../outside")), match)


def test_writing_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    link = entry("d", b"", type=tarfile.SYMTYPE, linkname=str(tmp_path / "outside"))
    refused(tar(tmp_path / "a.tgz", link, entry("d/planted", b"evil")), "is a link")


@pytest.mark.parametrize(
    "names", [("a.jpg", "a.jpg"), ("A.jpg", "a.jpg"), ("é.jpg", "e\u0301.jpg"), ("a.jpg", "./a.jpg")]
)
def test_names_that_stand_twice(tmp_path: Path, names: tuple[str, str]) -> None:
    refused(tar(tmp_path / "a.tgz", *(entry(name) for name in names)), "twice")


def test_a_file_that_is_also_a_folder(tmp_path: Path) -> None:
    refused(tar(tmp_path / "a.tgz", entry("a"), entry("a/b")), "cannot be unpacked")


def test_too_many_members(tmp_path: Path) -> None:
    archive = tar(tmp_path / "a.tgz", *(entry(str(number)) for number in range(11)))
    refused(archive, "more than 10 members", ArchiveLimits(max_members=10))
    assert len(unpack(archive, tmp_path / "t", limits=ArchiveLimits(max_members=11))) == 11


def test_too_much_in_all(tmp_path: Path) -> None:
    archive = tar(tmp_path / "a.tgz", entry("a", random.Random(0).randbytes(200_000)))
    refused(archive, "more than 100,000 bytes", ArchiveLimits(max_total=100_000))


def test_a_bomb(tmp_path: Path) -> None:
    refused(tar(tmp_path / "a.tgz", entry("zeros", bytes(40_000_000))), "times its size")
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("zeros", bytes(40_000_000))
    refused(tmp_path / "a.zip", "times its size")


def test_a_bomb_in_an_extended_header(tmp_path: Path) -> None:
    """tarfile would take such a header into memory whole."""
    header = tarfile.TarInfo("pax")
    header.type, header.size = tarfile.XHDTYPE, 30_000_000
    with gzip.open(tmp_path / "a.tgz", "wb") as out:
        out.write(header.tobuf(tarfile.USTAR_FORMAT) + bytes(30_000_256))
    refused(tmp_path / "a.tgz", "header claims")


def test_a_sparse_member(tmp_path: Path) -> None:
    """A sparse file of a few bytes can stand for terabytes."""
    header = tarfile.TarInfo("holes")
    header.type = tarfile.GNUTYPE_SPARSE
    (tmp_path / "a.tar").write_bytes(header.tobuf(tarfile.GNU_FORMAT) + bytes(10240))
    refused(tmp_path / "a.tar", "no regular file|damaged")


@pytest.mark.parametrize("share", [0.02, 0.5, 0.99])
@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_cut_short(tmp_path: Path, share: float, mode: str) -> None:
    random_bytes = random.Random(0).randbytes
    whole = tar(
        tmp_path / "whole", *(entry(f"{n}.jpg", random_bytes(30_000)) for n in range(20)), mode=mode
    ).read_bytes()
    end = len(whole) if mode == "w:gz" else 20 * (512 + 30_208)
    (tmp_path / "a.tar").write_bytes(whole[: int(end * share)])
    (tmp_path / "whole").unlink()
    refused(tmp_path / "a.tar", "cut short|damaged")


def test_a_flipped_bit(tmp_path: Path) -> None:
    archive = tar(tmp_path / "a.tgz", entry("a", random.Random(0).randbytes(100_000)))
    data = bytearray(archive.read_bytes())
    data[50_000] ^= 1
    archive.write_bytes(data)
    refused(archive, "damaged")


@pytest.mark.parametrize(
    "data", [b"", b"\x1f\x8b", b"PK\x03\x04 no zip", b"hello" * 300, bytes(2048), gzip.compress(b"no tar", mtime=0)]
)
def test_what_is_no_archive(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a.tar.gz").write_bytes(data)
    refused(tmp_path / "a.tar.gz", "archive")


def test_a_missing_archive(tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match="No such file"):
        unpack(tmp_path / "gone.tar", tmp_path / "t")


def _zip(change: Callable[[zipfile.ZipInfo], None], name: str = "a.jpg") -> Callable[[Path], None]:
    def write(path: Path) -> None:
        member = zipfile.ZipInfo(name)
        change(member)
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr(member, b"data")

    return write


def _link(member: zipfile.ZipInfo) -> None:
    member.external_attr = (stat.S_IFLNK | 0o777) << 16


@pytest.mark.parametrize(
    ("write", "match"),
    [
        (_zip(lambda member: None, "../evil"), "climbs"),
        (_zip(lambda member: None, "/evil"), "absolute"),
        (_zip(_link), "is a link"),
    ],
)
def test_hostile_zips(tmp_path: Path, write: Callable[[Path], None], match: str) -> None:
    write(tmp_path / "a.zip")
    refused(tmp_path / "a.zip", match)


def test_a_zip_whose_name_hides_behind_a_nul(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("a.jpgX.exe", b"data")
    data = (tmp_path / "a.zip").read_bytes().replace(b"a.jpgX.exe", b"a.jpg\0.exe")
    (tmp_path / "a.zip").write_bytes(data)
    refused(tmp_path / "a.zip", "character|damaged")


def test_an_existing_target_is_left_alone(tmp_path: Path) -> None:
    archive = tar(tmp_path / "a.tgz", entry("a"))
    (tmp_path / "t").mkdir()
    (tmp_path / "t" / "mine").write_text("precious")
    with pytest.raises(ArchiveError, match="exists already"):
        unpack(archive, tmp_path / "t")
    assert (tmp_path / "t" / "mine").read_text() == "precious"
    (tmp_path / "t" / "mine").unlink()
    assert unpack(archive, tmp_path / "t") == [Path("a")]


@pytest.mark.skipif(os.name == "nt", reason="links need rights on Windows")
def test_a_target_that_is_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "t").symlink_to(tmp_path / "real")
    with pytest.raises(ArchiveError, match="exists already"):
        unpack(tar(tmp_path / "a.tgz", entry("a")), tmp_path / "t")
