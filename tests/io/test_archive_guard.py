"""Archives made to end a run, or never to end: whatever they hold, they give sources or one ArchiveError."""

from __future__ import annotations

import bz2
import contextlib
import gzip
import io
import lzma
import random
import struct
import tarfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from website import picture

from logolens.config import SourceSettings
from logolens.errors import ArchiveError, ImageError
from logolens.io.sources.archives import archive_images
from logolens.io.sources.source import Source
from logolens.io.unpack import ArchiveLimits, unpack

PICTURE = picture(1)


def tar(*, format: int = tarfile.PAX_FORMAT, count: int = 3) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=format) as archive:
        for number in range(count):
            info = tarfile.TarInfo(f"folder/{number}.png")
            info.size = len(PICTURE)
            archive.addfile(info, io.BytesIO(PICTURE))
    return out.getvalue()


def header(name: str, size: bytes, kind: bytes = b"0") -> bytes:
    """A tar header with any size field."""
    block = bytearray(512)
    block[: len(name)] = name.encode()
    block[100:108], block[108:116], block[116:124] = b"0000644\0", b"0000000\0", b"0000000\0"
    block[124:136], block[136:148] = size.ljust(12, b"\0"), b"00000000000\0"
    block[156:157], block[257:265] = kind, b"ustar\x0000"
    block[148:156] = b"        "
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def negative(size: int) -> bytes:
    return b"\xff" + (256**11 + size).to_bytes(11, "big")


def pax(text: bytes, kind: bytes = b"x") -> bytes:
    return header("pax", b"%011o" % len(text), kind) + text.ljust(-(-len(text) // 512) * 512, b"\0")


def mapped(blocks: int) -> bytes:
    """A sparse file of GNU's old kind, with so many blocks of its map behind its header."""
    block = bytearray(header("a.png", b"0", b"S"))
    block[482], block[148:156] = 1, b"        "
    block[148:156] = b"%06o\0 " % sum(block)
    more = b"00000000777\0" * 42 + b"\1" * 8
    return bytes(block) + more * blocks + bytes(512)


def record(key: str, value: str) -> bytes:
    body = f" {key}={value}\n"
    length = len(body) + 1
    while len(str(length)) + len(body) != length:
        length = len(str(length)) + len(body)
    return f"{length}{body}".encode()


END = bytes(1024)
FILE = PICTURE.ljust(-(-len(PICTURE) // 512) * 512, b"\0")
PLAIN = header("a.png", b"%011o" % len(PICTURE)) + FILE
HARMFUL = {
    "a negative size": header("a.png", negative(-512)) + END,
    "a negative size after a file": PLAIN + header("b.png", negative(-1024)) + END,
    "a negative size far back": PLAIN + header("b.png", negative(-(2**60))) + END,
    "a negative size in an extended header": PLAIN + pax(record("size", "-1024")) + header("b.png", b"0") + END,
    "a negative size of a sparse file": PLAIN + header("b.png", negative(-2048), b"S") + END,
    "a negative size of a link": PLAIN + header("b.png", negative(-1024), b"2") + END,
    "a negative size of a folder": PLAIN + header("b", negative(-1024), b"5") + END,
    "a negative size of a long name": PLAIN + header("b", negative(-1024), b"L") + END,
    "a negative size of an extended header": PLAIN + header("b", negative(-1024), b"x") + END,
    "a negative size of a kind that is not known": PLAIN + header("b", negative(-1024), b"Z") + END,
    "a size beyond every file": PLAIN + header("b.png", b"\x80" + (2**80).to_bytes(11, "big")) + END,
    "a size beyond this file": PLAIN + header("b.png", b"77777777777") + END,
    "an extended header of digits": PLAIN + pax(b"1" * 500_000) + header("b.png", b"0") + END,
    "an extended header without a file": PLAIN + pax(record("path", "x.png")),
    "a global header of digits": pax(b"9" * 500_000, b"g") + PLAIN + END,
    "long names without end": header("././@LongLink", b"%011o" % 512, b"L") * 4_000 + END,
    "extended headers without end": pax(record("path", "b.png")) * 4_000 + PLAIN + END,
    "a time that is no number": pax(record("mtime", "nan")) + PLAIN + pax(record("mtime", "inf")) + PLAIN + END,
    "a sparse map that is cut": header("a.png", b"0", b"S")[:482] + b"\1" + header("a.png", b"0", b"S")[483:],
    "a sparse map of the other kind": pax(record("GNU.sparse.major", "1") + record("GNU.sparse.minor", "0")
                                          + record("GNU.sparse.realsize", "9")) + header("a.png", b"%011o" % 512)
                                      + b"99999999\n" + bytes(503) + END,
    "a sparse map of digits": pax(record("GNU.sparse.size", "9") + b"7" * 300_000) + PLAIN + END,
    "records within one another": pax(b"2 " * 400_000 + b"=") + PLAIN + END,
    "records within one another for all members": pax(b"2 " * 400_000 + b"=", b"g") + PLAIN + END,
    "records that begin in the one before": pax(b"30 a=5 b=4 c=\n" * 60_000) + PLAIN + END,
    "a key without end": pax(b"900000 " + b"k" * 900_000) + PLAIN + END,
    "a value of digits": pax(record("comment", "8" * 900_000)) + PLAIN + END,
    "values of many digits": pax(record("comment", "8" * 5_000 + " ") * 200) + PLAIN + END,
    "records for all members, again and again":
        b"".join(pax(record(f"k{n}", "v" * 1_000_000), b"g") + PLAIN for n in range(4)) + END,
    "a sparse map without end": mapped(3_000) + PLAIN + END,
}  # fmt: skip
PACKED: dict[str, Callable[[bytes], bytes]] = {
    "tar": bytes,
    "gzip": lambda data: gzip.compress(data, 1),
    "bzip2": lambda data: bz2.compress(data, 1),
    "xz": lambda data: lzma.compress(data, preset=0),
}


def found(data: bytes) -> list[Source]:
    return list(archive_images("x.tar", lambda: io.BytesIO(data), len(data), SourceSettings(max_members=10_000)))


def answered(data: bytes, place: Path) -> None:
    """That both readers come to an end, with sources or one error."""
    began = time.process_time()
    for source in found(data):
        with contextlib.suppress(ImageError):
            source.read()
    archive = place / f"{abs(hash(data))}.tar"
    archive.write_bytes(data)
    try:
        unpack(archive, place / f"{archive.stem}-out")
    except ArchiveError:
        assert not (place / f"{archive.stem}-out").exists()
    assert time.process_time() - began < 5


@pytest.mark.parametrize("packed", PACKED)
@pytest.mark.parametrize("name", HARMFUL)
def test_a_tar_that_goes_back_or_promises_too_much_comes_to_an_end(name: str, packed: str, tmp_path: Path) -> None:
    answered(PACKED[packed](HARMFUL[name]), tmp_path)


@pytest.mark.parametrize(
    "name",
    [name for name in HARMFUL if name.startswith(("records", "a value", "values", "a key", "a sparse map without"))],
)
def test_an_extended_header_that_costs_its_square_is_refused_before_it_is_taken_apart(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[int] = []
    inner = tarfile.TarInfo._decode_pax_field  # type: ignore[attr-defined]

    def counted(self: tarfile.TarInfo, value: bytes, *rest: str) -> str:
        read.append(len(value))
        return str(inner(self, value, *rest))

    monkeypatch.setattr(tarfile.TarInfo, "_decode_pax_field", counted)
    problem = found(HARMFUL[name])[-1].problem
    assert problem is not None
    assert "header" in problem
    assert sum(read) <= len(HARMFUL[name])


def test_digits_are_honest_in_contents_and_names(tmp_path: Path) -> None:
    out = io.BytesIO()
    deep = "/".join(["7" * 250] * 15) + "/1.png"
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, data in ((deep, PICTURE), ("list.txt", b"3" * 700_000), ("2.png", PICTURE)):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    assert [source.read() for source in found(out.getvalue())] == [PICTURE] * 2
    (tmp_path / "a.tgz").write_bytes(gzip.compress(out.getvalue()))
    (path,) = (each for each in unpack(tmp_path / "a.tgz", tmp_path / "out") if each.name == "list.txt")
    assert (tmp_path / "out" / path).read_bytes() == b"3" * 700_000


@pytest.mark.parametrize("name", [name for name in HARMFUL if "negative" in name])
def test_a_negative_size_is_one_record(name: str) -> None:
    sources = found(HARMFUL[name])
    (problem,) = (source for source in sources if source.name == "x.tar")
    assert problem.problem
    assert problem.hides
    assert len(sources) <= 3


@pytest.mark.parametrize("format", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT])
@pytest.mark.parametrize("packed", PACKED)
def test_honest_archives_are_read(format: int, packed: str, tmp_path: Path) -> None:
    data = PACKED[packed](tar(format=format))
    assert [source.read() for source in found(data)] == [PICTURE] * 3
    if packed in ("tar", "gzip"):
        (tmp_path / "a.tar").write_bytes(data)
        assert len(unpack(tmp_path / "a.tar", tmp_path / "out")) == 3


def test_mutants_of_archives_give_sources_or_one_error(tmp_path: Path) -> None:
    zipped = io.BytesIO()
    with zipfile.ZipFile(zipped, "w") as archive:
        for number in range(3):
            archive.writestr(f"{number}.png", PICTURE, zipfile.ZIP_DEFLATED if number else zipfile.ZIP_STORED)
    seeds = [tar(), tar(format=tarfile.GNU_FORMAT), gzip.compress(tar()), zipped.getvalue(), *HARMFUL.values()]
    rng = random.Random(17)
    for _ in range(400):
        data = bytearray(rng.choice(seeds))
        for _ in range(rng.randint(1, 8)):
            at = rng.randrange(len(data))
            data[at : at + rng.choice((0, 1, 1, 1, 8))] = rng.randbytes(rng.choice((0, 1, 1, 1, 8)))
        answered(bytes(data[: rng.randrange(1, len(data))] if rng.random() < 0.2 else data), tmp_path)


@pytest.mark.parametrize("sign", "xgX")
def test_a_long_name_is_no_header_whatever_its_letters(sign: str, tmp_path: Path) -> None:
    # GNU tar writes names of more than 100 bytes as a member's content; an extended header's kind stands at 156.
    name = "/".join(["photos", sign * 200, "1.png"])
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT) as archive:
        info = tarfile.TarInfo(name)
        info.size = len(PICTURE)
        archive.addfile(info, io.BytesIO(PICTURE))
    assert [source.read() for source in found(out.getvalue())] == [PICTURE]
    (tmp_path / "a.tar").write_bytes(out.getvalue())
    assert unpack(tmp_path / "a.tar", tmp_path / "out") == [Path(name)]


def test_a_zip_member_whose_name_hides_behind_a_nul_is_told() -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("a/0.png", PICTURE)
        archive.writestr("b/1.png", PICTURE)
    hidden, shown = found(out.getvalue().replace(b"a/0.png", b"a/\x00.png"))
    assert "NUL" in str(hidden.problem)
    assert shown.read() == PICTURE


def test_a_zip_whose_directory_is_too_long_is_refused_before_it_is_read() -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for number in range(300):
            archive.writestr(f"folder-of-a-name-as-long-as-they-are/{number:06}.png", b"x")
    data = out.getvalue()
    settings = SourceSettings(max_members=100)
    (source,) = archive_images("x.zip", lambda: io.BytesIO(data), len(data), settings)
    assert "more members than the limit of 100" in str(source.problem)
    end = data.rindex(b"PK\5\6")
    lying = data[: end + 8] + struct.pack("<HH", 1, 1) + data[end + 12 :]
    (source,) = archive_images("x.zip", lambda: io.BytesIO(lying), len(lying), settings)
    assert "more members than the limit of 100" in str(source.problem)


def zipped(count: int, *, sharing: bool = False) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(count):
            archive.writestr(f"{number:030}.png", PICTURE)
        if sharing:
            for member in archive.filelist:
                member.header_offset = 0
    return out.getvalue()


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (zipped(3, sharing=True), "members overlap"),
        (zipped(900), "its directory holds more members than the limit of 500"),
    ],
    ids=["sharing", "many"],
)
def test_both_readers_hold_a_zip_file_to_the_same(tmp_path: Path, data: bytes, reason: str) -> None:
    (source,) = archive_images("x.zip", lambda: io.BytesIO(data), len(data), SourceSettings(max_members=500))
    assert source.problem is not None
    assert reason in source.problem
    (tmp_path / "x.zip").write_bytes(data)
    with pytest.raises(ArchiveError, match=reason):
        unpack(tmp_path / "x.zip", tmp_path / "out", limits=ArchiveLimits(max_members=500))
    assert [path.name for path in tmp_path.iterdir()] == ["x.zip"]
