"""Everything but the web that a scan can be pointed at: folders, lists, archives, PDF files, drawings."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import struct
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from website import Reply, Server, picture, serving

from logolens.config import Limits, SourceSettings
from logolens.errors import ImageError, UsageError
from logolens.io.images import open_rgb
from logolens.io.sources import Gaps, Source, Stamp, gather, reopen

SVG = b'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 20 10"><rect width="20" height="10" fill="#00f"/></svg>'


def collect(*arguments: Any, limits: Limits = Limits(), **changes: Any) -> tuple[dict[str, bytes], dict[str, str]]:
    """What can be read, and what cannot with the reason."""
    images, problems = {}, {}
    for source in gather([str(each) for each in arguments], SourceSettings(**changes), limits=limits):
        try:
            images[source.name] = source.read(limits)
        except ImageError as error:
            problems[source.name] = str(error)
    return images, problems


def write(path: Path, data: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def pack(path: Path, members: dict[str, bytes]) -> Path:
    """An archive of the kind that the path's ending says."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix in (".zip", ".docx"):
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, data in members.items():
                archive.writestr(name, data)
        return path
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w") as tar:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    packers: dict[str, Any] = {".gz": gzip.compress, ".bz2": bz2.compress, ".xz": lzma.compress}
    path.write_bytes(packers.get(path.suffix, bytes)(plain.getvalue()))
    return path


ARCHIVES = ["a.zip", "a.tar", "a.tar.gz", "a.tar.bz2", "a.tar.xz"]
MEMBERS = {"one.png": picture(1), "in/two.jpg": picture(2, "JPEG"), "readme.txt": b"hello", "__MACOSX/._one.png": b"x"}


# Folders


def test_a_folder_and_all_that_is_inside_it(tmp_path: Path) -> None:
    write(tmp_path / "f/a.png", picture(1))
    write(tmp_path / "f/b.svg", SVG)
    write(tmp_path / "f/notes.txt", b"a.png")
    pack(tmp_path / "f/in/a.zip", MEMBERS)
    images, problems = collect(tmp_path / "f")
    folder = tmp_path / "f"
    names = [
        folder / "a.png",
        folder / "b.svg",
        f"{folder / 'in/a.zip'}!/one.png",
        f"{folder / 'in/a.zip'}!/in/two.jpg",
    ]
    assert list(images) == [str(name) for name in names]
    assert not problems
    assert list(collect(folder, inside=False)[0]) == [str(name) for name in names[:2]]


@pytest.mark.skipif(os.name == "nt", reason="links need rights on Windows")
def test_links_are_followed_only_when_asked_and_loops_have_an_end(tmp_path: Path) -> None:
    write(tmp_path / "f/a.png", picture(1))
    write(tmp_path / "g/b.png", picture(2))
    (tmp_path / "f/loop").symlink_to(tmp_path / "f")
    (tmp_path / "f/up").symlink_to(tmp_path)
    (tmp_path / "f/out").symlink_to(tmp_path / "g")
    (tmp_path / "f/c.png").symlink_to(tmp_path / "g/b.png")
    (tmp_path / "f/broken.png").symlink_to(tmp_path / "nothing")
    images, problems = collect(tmp_path / "f")
    assert [Path(name).name for name in images] == ["a.png", "c.png"]
    assert [Path(name).name for name in problems] == ["broken.png"]
    images, problems = collect(tmp_path / "f", follow_links=True)
    assert sorted(Path(name).name for name in images) == ["a.png", "b.png", "c.png"]
    assert "no such file" in next(iter(problems.values()))


def test_what_is_not_there_is_said_and_the_rest_goes_on(tmp_path: Path) -> None:
    good = write(tmp_path / "a.png", picture(1))
    (tmp_path / "empty").mkdir()
    images, problems = collect(tmp_path / "none.png", tmp_path / "*.xyz", tmp_path / "empty", good)
    assert list(images) == [str(good)]
    assert len(problems) == 3
    for wrong in ([], [" "], ["-", "-"]):
        with pytest.raises(UsageError):
            gather(wrong)


def test_a_rescan_reads_only_what_changed(tmp_path: Path) -> None:
    file = write(tmp_path / "a.png", picture(1))
    pack(tmp_path / "a.zip", MEMBERS)
    pack(tmp_path / "b.tar", MEMBERS)
    known: dict[str, Stamp] = {}
    for source in gather([str(tmp_path)]):
        read = source.read_if_changed(Limits(), None)
        assert read is not None
        known[source.name] = read[1]
    assert len(known) == 5
    assert all(each.read_if_changed(Limits(), known[each.name]) is None for each in gather([str(tmp_path)]))
    file.write_bytes(picture(7))
    os.utime(file, (1, 1))
    pack(tmp_path / "a.zip", {**MEMBERS, "one.png": picture(8)})
    changed = [s.name for s in gather([str(tmp_path)]) if s.read_if_changed(Limits(), known[s.name]) is not None]
    assert changed == [str(file), f"{tmp_path / 'a.zip'}!/one.png"]


# Lists


def test_lists_of_every_kind(tmp_path: Path) -> None:
    write(tmp_path / "a.png", picture(1))
    write(tmp_path / "b c.png", picture(2))
    write(tmp_path / "l.txt", "\ufeff# mine\na.png\r\n\n  b c.png \ngone.png\n".encode())
    write(tmp_path / "l.csv", b'id,image\n1,a.png\n2,"b c.png"\n3,\n\n')
    write(tmp_path / "o.csv", b"where;x\n")
    write(tmp_path / "l.tsv", b"PATH\tn\na.png\t1\n")
    write(tmp_path / "l.jsonl", b'{"file": "a.png"}\n"b c.png"\n{"x": 1}\nnot json\n')
    a, b = str(tmp_path / "a.png"), str(tmp_path / "b c.png")
    for name, wanted, wrong in (("l.txt", [a, b], 1), ("l.csv", [a, b], 1), ("l.tsv", [a], 0), ("l.jsonl", [a, b], 2)):
        images, problems = collect(tmp_path / name)
        assert (list(images), len(problems)) == (wanted, wrong), name
    assert "row 4" in next(iter(collect(tmp_path / "l.csv")[1].values()))
    assert list(collect(tmp_path / "l.csv", column="IMAGE")[0]) == [a, b]
    with pytest.raises(UsageError, match="--column"):
        collect(tmp_path / "l.csv", column="photo")


def test_a_list_of_any_name_is_marked_as_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "a.png", picture(1))
    write(tmp_path / "todo", b"a.png\n")
    assert collect("@todo") == ({"a.png": picture(1)}, {})
    assert collect(f"@{tmp_path / 'todo'}") == ({str(tmp_path / "a.png"): picture(1)}, {})
    assert list(collect("@gone")[1]) == ["@gone"]
    write(tmp_path / "@todo", picture(2))
    assert collect("@todo")[0] == {"@todo": picture(2)}, "a file that is really called so is that file"


def test_lists_may_name_urls_archives_and_folders(tmp_path: Path) -> None:
    write(tmp_path / "f/a.png", picture(1))
    pack(tmp_path / "a.zip", MEMBERS)
    with serving(Server()) as server:
        server.replies["/x"] = Reply(picture(3), "text/plain")
        server.replies["/page"] = Reply(b"<img src=/x>")
        write(tmp_path / "l.txt", f"{server.url}/x\n{server.url}/page\na.zip\nf\nnope://x/y\n".encode())
        images, problems = collect(tmp_path / "l.txt", allow_private=True)
        assert images[f"{server.url}/x"] == picture(3)
        assert images[f"{server.url}/page"] == b"<img src=/x>"  # It is no image, which decoding says.
        assert "/robots.txt" not in server.asked
    assert len(images) == 5
    assert list(problems) == ["nope://x/y"]


# Archives


@pytest.mark.parametrize("name", ARCHIVES)
def test_archives_are_read_in_place(tmp_path: Path, name: str) -> None:
    path = pack(tmp_path / name, MEMBERS | {"inner.zip": b"PK\3\4", "d.pdf": b"%PDF-broken"})
    before = sorted(tmp_path.rglob("*"))
    images, problems = collect(path)
    assert images == {f"{path}!/one.png": MEMBERS["one.png"], f"{path}!/in/two.jpg": MEMBERS["in/two.jpg"]}
    assert set(problems) == {f"{path}!/inner.zip", f"{path}!/d.pdf"}
    assert sorted(tmp_path.rglob("*")) == before


def test_archives_are_known_by_their_bytes(tmp_path: Path) -> None:
    pack(tmp_path / "a.zip", MEMBERS).rename(tmp_path / "backup.bin")
    assert len(collect(tmp_path / "backup.bin")[0]) == 2
    write(tmp_path / "fake.zip", b"not an archive")
    assert "no archive" in collect(tmp_path / "fake.zip")[1][str(tmp_path / "fake.zip")]
    pack(tmp_path / "letter.docx", {"word/media/image1.png": picture(1)})
    assert list(collect(tmp_path / "letter.docx")[0]) == [f"{tmp_path / 'letter.docx'}!/word/media/image1.png"]


@pytest.mark.parametrize("name", ARCHIVES)
def test_names_that_climb_are_only_names(tmp_path: Path, name: str) -> None:
    path = pack(
        tmp_path / "in" / name, {"../../evil.png": picture(1), "/etc/evil.png": picture(2), "C:\\evil.png": picture(3)}
    )
    images, _ = collect(path)
    assert sorted(images.values()) == sorted(picture(number) for number in (1, 2, 3))
    assert list(tmp_path.rglob("evil*")) == []


@pytest.mark.parametrize("name", ARCHIVES)
def test_bombs_are_refused(tmp_path: Path, name: str) -> None:
    path = pack(tmp_path / name, {"small.png": picture(1), "bomb.png": bytes(60_000_000)})
    images, problems = collect(path)
    if name == "a.tar":
        assert len(images) == 2  # It is as large as it says: no bomb.
    else:
        assert list(images) == [f"{path}!/small.png"]
        assert "fill a disk" in next(iter(problems.values()))
    images, problems = collect(path, limits=Limits(max_bytes=1000))
    assert list(images) == [f"{path}!/small.png"]
    assert any("limit of 1,000" in problem or "fill a disk" in problem for problem in problems.values())


def test_a_zip_file_whose_members_overlap_is_refused(tmp_path: Path) -> None:
    path = pack(tmp_path / "a.zip", {"a.png": picture(1), "b.png": picture(2)})
    data = bytearray(path.read_bytes())
    second = data.rindex(b"PK\1\2")
    data[second + 42 : second + 46] = struct.pack("<L", 0)  # The second member starts where the first does.
    path.write_bytes(data)
    assert "overlap" in collect(path)[1][str(path)]


def test_a_zip_file_that_lies_about_sizes_costs_one_record(tmp_path: Path) -> None:
    path = pack(tmp_path / "a.zip", {"a.png": bytes(100_000), "b.png": picture(2)})
    data = bytearray(path.read_bytes())
    first = data.index(b"PK\1\2")
    data[first + 24 : first + 28] = struct.pack("<L", 10)  # It says 10 bytes and has 100,000.
    path.write_bytes(data)
    images, problems = collect(path, limits=Limits(max_bytes=50_000))
    assert f"{path}!/b.png" in images
    assert len(images.get(f"{path}!/a.png", b"")) <= 10
    assert len(images) + len(problems) == 2


@pytest.mark.parametrize("name", ARCHIVES)
def test_damaged_archives_are_one_problem_after_what_could_be_read(tmp_path: Path, name: str) -> None:
    noise = os.urandom(200_000)
    path = pack(tmp_path / name, {"one.png": picture(1), "two.png": noise, "three.png": noise[::-1]})
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    images, problems = collect(path)
    assert problems
    assert set(images.values()) <= {picture(1), noise}


def test_links_devices_and_encrypted_members(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    with tarfile.open(path, "w") as tar:
        for kind, name in ((tarfile.SYMTYPE, "s.png"), (tarfile.LNKTYPE, "h.png"), (tarfile.CHRTYPE, "d.png")):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, "/etc/passwd"
            tar.addfile(info)
        info = tarfile.TarInfo("a.png")
        info.size = len(picture(1))
        tar.addfile(info, io.BytesIO(picture(1)))
    assert collect(path) == ({f"{path}!/a.png": picture(1)}, {})
    packed = pack(tmp_path / "a.zip", {"a.png": picture(1)})
    data = bytearray(packed.read_bytes())
    data[data.index(b"PK\1\2") + 8] |= 1
    packed.write_bytes(data)
    assert "encrypted" in collect(packed)[1][f"{packed}!/a.png"]


def test_a_header_that_claims_gigabytes_takes_none(tmp_path: Path) -> None:
    info = tarfile.TarInfo("pax")
    info.type, info.size = tarfile.XHDTYPE, 1 << 31
    header = info.tobuf(tarfile.USTAR_FORMAT)
    path = write(tmp_path / "a.tar.gz", gzip.compress(header + bytes(3_000_000)))
    assert "far too large" in collect(path)[1][str(path)]


def test_more_members_than_the_limit_are_refused(tmp_path: Path) -> None:
    for name in ("a.zip", "a.tar.gz"):
        path = pack(tmp_path / name, {f"{n}.png": picture(n) for n in range(5)})
        assert "limit" in collect(path, max_members=3)[1][str(path)]


def test_two_members_of_one_name_are_two_images(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.png", picture(1))
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("a.png", picture(2))
    assert sorted(collect(path)[0].values()) == sorted([picture(1), picture(2)])


def test_members_can_be_read_from_many_threads(tmp_path: Path) -> None:
    from concurrent.futures import ThreadPoolExecutor

    members = {f"{number}.png": picture(number) for number in range(200)}
    for name in ("a.zip", "a.tar"):
        path = pack(tmp_path / name, members)
        with ThreadPoolExecutor(8) as pool:
            read = list(pool.map(Source.read, gather([str(path)])))
        assert read == list(members.values())


# PDF files


@pytest.fixture
def pdf() -> bytes:
    pytest.importorskip("pypdfium2")
    out = io.BytesIO()
    pages = [Image.new("RGB", (300, 200), colour) for colour in ("red", "lime", "red")]
    pages[0].save(out, "PDF", save_all=True, append_images=pages[1:])
    return out.getvalue()


def test_pdf_files_give_pages_and_pictures(tmp_path: Path, pdf: bytes) -> None:
    path = write(tmp_path / "f/a.pdf", pdf)
    write(tmp_path / "f/b.pdf", b"%PDF-1.7\nbroken")
    images, problems = collect(tmp_path / "f")
    assert list(images) == [f"{path}!/page-{page}{kind}" for page in (1, 2) for kind in ("", "-picture-1")]
    assert open_rgb(images[f"{path}!/page-2-picture-1"]).size == (300, 200)
    assert list(problems) == [str(tmp_path / "f/b.pdf")]
    known = {s.name: s.stamp for s in gather([str(path)])}
    assert all(s.read_if_changed(Limits(), known[s.name]) is None for s in gather([str(path)]))


def test_pdf_files_inside_an_archive(tmp_path: Path, pdf: bytes) -> None:
    path = pack(tmp_path / "a.zip", {"d.pdf": pdf})
    assert f"{path}!/d.pdf!/page-1" in collect(path)[0]


def test_a_pdf_that_ends_its_process_costs_itself(tmp_path: Path, pdf: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    import logolens.io.sources.pdf as module

    path = write(tmp_path / "a.pdf", pdf)
    monkeypatch.setattr(module, "_CODE", "import os; os.abort()")
    assert "ends the process" in collect(path)[1][str(path)]
    monkeypatch.setattr(module, "_CODE", "import time; time.sleep(600)")
    monkeypatch.setattr(module, "_SECONDS_A_PAGE", 1.0)
    assert "takes longer" in collect(path)[1][str(path)]


# Again by name


def test_an_image_is_had_again_by_its_name(tmp_path: Path, pdf: bytes) -> None:
    write(tmp_path / "a.png", picture(1))
    write(tmp_path / "b.pdf", pdf)
    for name in ARCHIVES:
        pack(tmp_path / name, MEMBERS)
    for source in gather([str(tmp_path)]):
        assert reopen(source.name).read() == source.read()
    with serving(Server()) as server:
        server.replies["/x?a=1"] = Reply(picture(3))
        settings = SourceSettings(allow_private=True)
        assert reopen(f"{server.url}/x?a=1", settings).read() == picture(3)
    for name in ("inline:svg/00", str(tmp_path / "a.zip!/none.png"), str(tmp_path / "none.png")):
        with pytest.raises(ImageError):
            reopen(name).read()


def test_what_is_hidden_lies_below_what_could_not_be_read_and_nowhere_else() -> None:
    gaps = Gaps()
    hidden = ("/data/a[1]", "old.zip", "s3://site/logos/*.png")
    assert len(list(gaps.watched(Source(name, problem="It fails.", hides=True) for name in hidden))) == 3
    for name in ("/data/a[1]/x.jpg", "/data/a[1]/b/x.jpg", "old.zip!/x.png", "s3://site/logos/x.png"):
        assert gaps.hold(name, ()) == (True, ())
    for name in ("/data/b/x.jpg", "/data/a[1]x/x.jpg", "old.zip2!/x.png", "s3://site/x.png", "x.jpg"):
        assert gaps.hold(name, ()) == (False, ())
