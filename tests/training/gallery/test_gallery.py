"""A gallery: labels in, out and under another name without training, and what is refused with nothing changed."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from conftest import Trained, draw, draw_boxed, needs_training
from PIL import Image, ImageDraw

from logolens import Classifier
from logolens.bundle.format import load_bundle
from logolens.cli import main
from logolens.config import GallerySettings, TrainSettings
from logolens.errors import BundleError, DataError, UsageError
from logolens.training.gallery import LEDGER, add, open_gallery, remove, rename

SETTINGS = GallerySettings(size=96, threads=2)


@pytest.fixture(scope="session")
def trained_gallery(tmp_path_factory: pytest.TempPathFactory, make_photos: Callable[..., Path]) -> Trained:
    """A gallery with acme, bolt and the background, trained from folders. Tests copy it to change it."""
    needs_training()
    from logolens.training.train import train

    folder = tmp_path_factory.mktemp("gallery")
    data = make_photos(folder / "photos", labels=("acme", "bolt"), count=12, none=40)
    settings = TrainSettings(size=96, val=0.25, test=0.0, threads=2, head="gallery")
    train(data, folder / "gallery", settings)
    return Trained(folder / "gallery", data, settings)


@pytest.fixture(scope="session")
def crests(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six photos of a label that the trained gallery lacks, and a list of their boxes."""
    folder = tmp_path_factory.mktemp("crests")
    rows = ["path,label,x1,y1,x2,y2"]
    for number in range(6):
        photo, box = draw_boxed("crest", 700 + number)
        photo.save(folder / f"crest-{number}.png")
        rows.append(",".join([f"crest-{number}.png", "crest", *map(str, box)]))
    (folder / "crests.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return folder


@pytest.fixture
def gallery(trained_gallery: Trained, tmp_path: Path) -> Path:
    return Path(shutil.copytree(trained_gallery.path, tmp_path / "gallery"))


@pytest.fixture(scope="session")
def begun(tmp_path_factory: pytest.TempPathFactory, crests: Path) -> Path:
    """A gallery begun from references alone. Tests copy it to change it."""
    needs_training()
    folder = tmp_path_factory.mktemp("begun")
    table = folder / "list.csv"
    rows = [f"{crests / f'crest-{number}.png'},crest" for number in range(3)]
    for number in range(3):
        draw("acme", 720 + number).save(folder / f"acme-{number}.png")
        rows.append(f"{folder / f'acme-{number}.png'},acme")
    table.write_text("path,label\n" + "\n".join(rows) + "\n", encoding="utf-8")
    (folder / "gallery").mkdir()  # An empty folder is none that is in the way.
    done = add(folder / "gallery", [str(table)], settings=SETTINGS)
    assert done.begun
    assert done.labels == ("acme", "crest")
    return folder / "gallery"


def content(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in sorted(folder.iterdir())}


def photos_of(label: str, count: int = 12, seed: int = 900) -> list[Image.Image]:
    return [draw(label, seed + number) for number in range(count)]


def right(path: Path, *labels: str, views: str | None = None) -> float:
    """The share of unseen photos of these labels that are answered rightly."""
    classifier = Classifier.load(path, threads=2, views=views)
    answers = [(label, classifier.predict(photos_of(label))) for label in labels]
    return float(np.mean([one.label == label for label, found in answers for one in found]))


def test_a_trained_gallery_is_a_bundle_like_any_other(trained_gallery: Trained) -> None:
    bundle = load_bundle(trained_gallery.path)
    assert bundle.classes == ("acme", "bolt", "none")
    assert bundle.manifest["head"]["kind"] == "gallery"
    assert right(trained_gallery.path, "acme", "bolt") > 0.8
    found = open_gallery(trained_gallery.path)
    assert {one.label for one in found.references} == {"acme", "bolt"}
    assert sum(one.views for one in found.references) == len(found.head.references)
    # All photos but those of `none`; each whole, and twice framed closer.
    assert len(found.references) == 24
    assert {one.views for one in found.references} == {3}
    card = (trained_gallery.path / "README.md").read_text(encoding="utf-8")
    assert "## References" in card


def test_a_label_is_added_without_training(gallery: Path, crests: Path) -> None:
    before = right(gallery, "acme", "bolt")
    done = add(gallery, [str(crests / "*.png")], "crest", SETTINGS)
    assert done.fresh == ("crest",)
    assert len(done.references) == 6
    assert not done.skipped
    assert done.labels == ("acme", "bolt", "crest")
    assert load_bundle(gallery).classes == ("acme", "bolt", "crest", "none")
    assert right(gallery, "crest") > 0.8
    assert right(gallery, "acme", "bolt") >= before - 0.15
    assert right(gallery, "crest", views="whole") > 0.5
    assert right(gallery, "crest", views="tiles") > 0.5


def test_what_was_there_keeps_its_references_and_its_other_files(gallery: Path, crests: Path) -> None:
    there = open_gallery(gallery)
    split = (gallery / "split.csv").read_bytes()
    add(gallery, [str(crests / "crest-0.png")], "crest", SETTINGS)
    now = open_gallery(gallery)
    assert [one for one in now.references if one.label != "crest"] == list(there.references)
    assert np.array_equal(now.head.references[: len(there.head.references)], there.head.references)
    assert (gallery / "split.csv").read_bytes() == split
    assert sorted(now.bundle.manifest["files"]) == sorted({*(name for name in content(gallery))} - {"manifest.json"})
    assert now.bundle.manifest["gallery"]["changes"][-1]["what"] == "1 references of crest were added."


def test_adding_and_removing_leaves_what_was(gallery: Path, crests: Path) -> None:
    there = open_gallery(gallery)
    add(gallery, [str(crests / "*.png")], "crest", SETTINGS)
    assert remove(gallery, "crest").labels == ("acme", "bolt")
    again = open_gallery(gallery)
    assert again.references == there.references
    assert np.array_equal(again.head.references, there.head.references)
    assert again.bundle.calibration == there.bundle.calibration
    assert again.bundle.closer is not None
    assert there.bundle.closer is not None
    assert again.bundle.closer.calibration == there.bundle.closer.calibration
    images = photos_of("acme", 3)
    was, now = (Classifier(one.bundle, threads=1, views="whole").predict(images) for one in (there, again))
    for one, other in zip(was, now, strict=True):
        assert one.label == other.label
        assert one.scores == pytest.approx(other.scores, abs=1e-5)


def test_more_labels_never_ask_for_less(gallery: Path, crests: Path) -> None:
    before = load_bundle(gallery).calibration.threshold
    add(gallery, [str(crests / "*.png")], "crest", SETTINGS)
    after = load_bundle(gallery).calibration.threshold
    assert before is not None
    assert after is not None
    assert after >= before


def test_a_label_is_renamed_and_merged(gallery: Path, crests: Path) -> None:
    add(gallery, [str(crests / "crest-0.png")], "crest", SETTINGS)
    add(gallery, [str(crests / "crest-1.png")], "shield", SETTINGS)
    assert rename(gallery, "crest", "arms").labels == ("acme", "arms", "bolt", "shield")
    done = rename(gallery, "shield", "arms", merge=True)
    assert done.labels == ("acme", "arms", "bolt")
    assert [one.label for one in open_gallery(gallery).references].count("arms") == 2


def test_boxes_are_looked_at_and_kept(gallery: Path, crests: Path) -> None:
    done = add(gallery, [str(crests / "crests.csv")], settings=SETTINGS)
    assert [len(one.boxes) for one in done.references] == [1] * 6
    # The whole, two closer framings, two crops around the box.
    assert {one.views for one in done.references} == {5}
    with (crests / "crests.csv").open(encoding="utf-8") as file:
        listed = [tuple(float(row[name]) for name in ("x1", "y1", "x2", "y2")) for row in csv.DictReader(file)]
    assert [one.boxes[0] for one in open_gallery(gallery).references if one.label == "crest"] == listed


def test_the_same_image_is_added_once(gallery: Path, crests: Path) -> None:
    shutil.copy(crests / "crest-0.png", gallery.parent / "copy.png")
    done = add(gallery, [str(crests / "crest-0.png"), str(gallery.parent / "copy.png")], "crest", SETTINGS)
    assert len(done.references) == 1
    assert "already" in done.skipped[0][1]
    with pytest.raises(DataError, match="already"):
        add(gallery, [str(gallery.parent / "copy.png")], "crest", SETTINGS)
    with pytest.raises(DataError, match=r"reference of crest .* remove it there"):
        add(gallery, [str(gallery.parent / "copy.png")], "shield", SETTINGS)
    assert load_bundle(gallery).classes == ("acme", "bolt", "crest", "none")


def test_what_cannot_be_taken_is_counted_and_the_rest_added(gallery: Path, crests: Path, tmp_path: Path) -> None:
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8 no image")
    Image.new("RGB", (100, 100), "grey").save(tmp_path / "plain.png")
    names = [str(tmp_path / "broken.jpg"), str(tmp_path / "plain.png"), str(tmp_path / "absent.png")]
    done = add(gallery, [*names, str(crests / "crest-0.png")], "crest", SETTINGS)
    assert len(done.references) == 1
    assert [name for name, _ in done.skipped] == names
    reasons = " | ".join(reason for _, reason in done.skipped)
    assert "not an image" in reasons
    assert "nothing but one plain colour" in reasons
    assert "no such file" in reasons


def test_artwork_becomes_views_on_several_grounds(gallery: Path, tmp_path: Path) -> None:
    logo = Image.new("RGBA", (200, 200))
    pen = ImageDraw.Draw(logo)
    pen.rectangle((70, 10, 130, 190), fill="green")
    pen.rectangle((10, 70, 190, 130), fill="green")
    logo.save(tmp_path / "crest.png")
    Image.new("RGBA", (50, 50)).save(tmp_path / "clear.png")
    done = add(gallery, [str(tmp_path / "crest.png"), str(tmp_path / "clear.png")], "crest", SETTINGS)
    assert "all of it is transparent" in done.skipped[0][1]
    assert [one.kind for one in done.references] == ["artwork"]
    assert done.references[0].views >= 8
    assert right(gallery, "crest") > 0.5


def test_an_svg_is_artwork(gallery: Path, tmp_path: Path) -> None:
    pytest.importorskip("resvg_py", reason="needs the extra svg")
    path = '<path fill="#080" d="M3 0h3v3h3v3H6v3H3V6H0V3h3z"/>'
    drawing = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9">{path}</svg>'
    (tmp_path / "crest.svg").write_text(drawing, encoding="utf-8")
    (tmp_path / "broken.svg").write_text("<svg><path", encoding="utf-8")
    done = add(gallery, [str(tmp_path / "crest.svg"), str(tmp_path / "broken.svg")], "crest", SETTINGS)
    assert done.references[0].kind == "artwork"
    assert "cannot be drawn" in done.skipped[0][1]


def test_backgrounds_are_added_and_raise_what_is_asked(gallery: Path, tmp_path: Path) -> None:
    """Pictures that show half of a logo, given as showing none, make that label ask for more."""
    (tmp_path / "none").mkdir()
    for number in range(8):
        draw("acme", 1500 + number).crop((0, 0, 64, 128)).save(tmp_path / "none" / f"{number}.png")
    before = open_gallery(gallery)
    done = add(gallery, [], None, SETTINGS, backgrounds=[str(tmp_path / "none")])
    after = open_gallery(gallery)
    assert done.backgrounds == 8
    assert len(after.head.backgrounds) == len(before.head.backgrounds) + 24
    assert after.head.thresholds.max() > before.head.thresholds.max()


def test_labels_that_look_alike_are_told(gallery: Path) -> None:
    for number in range(4):
        draw("acme", 1600 + number).save(gallery.parent / f"{number}.png")
    done = add(gallery, [str(gallery.parent / "*.png")], "acme copy", SETTINGS)
    assert [(like.label, like.other) for like in done.like] == [("acme copy", "acme")]


@pytest.mark.parametrize(
    ("label", "words"),
    [("", "empty"), ("  ", "empty"), ("none", "--backgrounds"), ("NONE", "--backgrounds"), ("a\nb", "line")],
)
def test_labels_that_cannot_be_are_refused(gallery: Path, crests: Path, label: str, words: str) -> None:
    before = content(gallery)
    with pytest.raises(UsageError, match=words):
        add(gallery, [str(crests / "crest-0.png")], label, SETTINGS)
    with pytest.raises(UsageError, match=words):
        rename(gallery, "acme", label)
    assert content(gallery) == before


def test_what_is_not_there_or_cannot_go_is_refused(gallery: Path) -> None:
    before = content(gallery)
    with pytest.raises(UsageError, match="did you mean acme"):
        remove(gallery, "acne")
    with pytest.raises(UsageError, match="it has acme, bolt"):
        rename(gallery, "zzz", "other")
    with pytest.raises(UsageError, match=r"has a label bolt already.*--merge"):
        rename(gallery, "acme", "bolt")
    with pytest.raises(UsageError, match="no label other to merge"):
        rename(gallery, "acme", "other", merge=True)
    with pytest.raises(UsageError, match="is called that already"):
        rename(gallery, "acme", "acme")
    assert content(gallery) == before
    remove(gallery, "acme")
    with pytest.raises(UsageError, match="last label"):
        remove(gallery, "bolt")


def test_a_bundle_that_is_no_gallery_is_refused(bundle: Trained, crests: Path, tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="linear head and no gallery"):
        add(bundle.path, [str(crests / "crest-0.png")], "crest", SETTINGS)
    (tmp_path / "notes.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(BundleError, match="not a bundle"):
        add(tmp_path, [str(crests / "crest-0.png")], "crest", SETTINGS)
    assert (tmp_path / "notes.txt").read_text(encoding="utf-8") == "mine"


@pytest.mark.parametrize("name", [LEDGER, "head.safetensors", "model.onnx", "labels.txt"])
def test_a_gallery_that_was_altered_is_refused(gallery: Path, crests: Path, name: str) -> None:
    data = bytearray((gallery / name).read_bytes())
    data[len(data) // 2] ^= 1
    (gallery / name).write_bytes(bytes(data))
    with pytest.raises(BundleError, match="altered"):
        add(gallery, [str(crests / "crest-0.png")], "crest", SETTINGS)


def test_a_gallery_is_begun_from_references_alone(begun: Path) -> None:
    found = load_bundle(begun)
    assert found.classes == ("acme", "crest", "none")
    assert found.closer is not None
    assert right(begun, "acme", "crest") > 0.6
    plain = Classifier.load(begun, threads=1).predict(Image.new("RGB", (200, 200), "white"))
    assert plain[0].label is not None


def test_a_begun_gallery_takes_another_label_and_gives_one_back(begun: Path, tmp_path: Path) -> None:
    path = Path(shutil.copytree(begun, tmp_path / "gallery"))
    for number in range(3):
        draw("bolt", 760 + number).save(tmp_path / f"bolt-{number}.png")
    done = add(path, [str(tmp_path / "bolt-*.png")], "bolt", SETTINGS)
    assert done.labels == ("acme", "bolt", "crest")
    assert not done.begun
    assert right(path, "bolt", "acme") > 0.6
    assert remove(path, "acme").labels == ("bolt", "crest")


def test_nothing_is_begun_of_nothing(tmp_path: Path, crests: Path) -> None:
    with pytest.raises(DataError, match="Nothing was added"):
        add(tmp_path / "new", [str(tmp_path / "absent.png")], "crest", SETTINGS)
    with pytest.raises(UsageError, match="no gallery in"):
        add(tmp_path / "new", [], None, SETTINGS, backgrounds=[str(crests / "crest-0.png")])
    with pytest.raises(UsageError, match="not a folder that can be written to"):
        add(crests / "crest-0.png" / "new", [str(crests / "crest-1.png")], "crest", SETTINGS)
    assert list(tmp_path.iterdir()) == []


def test_a_killed_add_leaves_a_whole_gallery(gallery: Path, crests: Path) -> None:
    """Killed while the new gallery is written beside the old one, or is put in its place."""
    for number, delay in enumerate((0.0, 0.03)):
        command = [sys.executable, "-m", "logolens", "gallery", "add", str(gallery), str(crests / "crest-0.png")]
        run = subprocess.Popen([*command, "--label", f"crest {number}"], stdout=subprocess.DEVNULL)
        left = set(gallery.parent.glob(".gallery-*"))
        while run.poll() is None and set(gallery.parent.glob(".gallery-*")) == left:
            time.sleep(0.002)
        time.sleep(delay)
        run.send_signal(signal.SIGKILL)
        run.wait()
        assert {"acme", "bolt"} <= set(open_gallery(gallery).bundle.labels)


def test_the_command_line(gallery: Path, crests: Path, capsys: pytest.CaptureFixture[str]) -> None:
    photo = str(crests / "crest-0.png")
    assert (
        main(["gallery", "add", str(gallery), photo, "--label", "crest", "--box", "10,10,90,90", "--threads", "1"]) == 0
    )
    out = capsys.readouterr().out
    assert "1 added (5 views)" in out
    assert "crest" in out
    assert main(["gallery", "list", str(gallery)]) == 0
    rows = capsys.readouterr().out.splitlines()
    assert rows[0].split() == ["label", "references", "views", "threshold"]
    assert [row.split()[0] for row in rows[1:]] == ["acme", "bolt", "crest"]
    assert main(["gallery", "list", str(gallery), "--label", "crest", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["references"][0]["boxes"] == [[10.0, 10.0, 90.0, 90.0]]
    assert list(told["thresholds"]) == ["crest"]
    assert main(["gallery", "rename", str(gallery), "crest", "arms"]) == 0
    assert main(["gallery", "remove", str(gallery), "arms"]) == 0
    assert main(["summary", str(gallery)]) == 0
    assert "cosine with" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["{photo}"], "Say which brand"),
        ([], "Name images"),
        (["{photo}", "--label", "crest", "--box", "1,2,3"], "not four numbers"),
        (["{photo}", "--label", "crest", "--box", "90,10,10,90"], "is no box"),
        (["{photo}", "--label", "crest", "--box", "500,500,900,900"], "lies outside the image, which has 128 x 128"),
        (["{photo}", "--label", "crest", "--box", "10,10,12,12"], "smaller than 4 pixels"),
        (["{photo}", "{photo}", "--label", "crest", "--box", "1,1,20,20"], "--box is a place in one image"),
        (["{folder}/crests.csv", "{photo}"], "A table is added alone"),
        (["{folder}/crests.csv", "--label", "crst"], "no row labelled crst"),
        (["{folder}/absent.csv"], "cannot be read"),
        (["{folder}/absent.png", "--label", "crest"], "no such file"),
        (["{photo}", "--label", "crest", "--backbone", "nothing"], ""),
    ],
)
def test_wrong_arguments_are_one_sentence_and_change_nothing(
    arguments: list[str],
    words: str,
    trained_gallery: Trained,
    crests: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    given = [part.format(photo=crests / "crest-0.png", folder=crests) for part in arguments]
    new = "--backbone" in given
    before = content(trained_gallery.path)
    target = tmp_path / "new" if new else trained_gallery.path
    assert main(["gallery", "add", str(target), *given]) in (1, 2)
    found = capsys.readouterr()
    assert words in found.err
    assert "Traceback" not in found.err
    assert not found.out
    assert content(trained_gallery.path) == before
    assert not (tmp_path / "new").exists()
    assert not list(trained_gallery.path.parent.glob(".*"))


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_to_is_refused_at_once(gallery: Path, crests: Path) -> None:
    gallery.parent.chmod(0o555)
    try:
        with pytest.raises(UsageError, match="cannot be changed"):
            add(gallery, [str(crests / "crest-0.png")], "crest", SETTINGS)
    finally:
        gallery.parent.chmod(0o755)


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"finetune": "all"}, "cannot be fine-tuned"),
        ({"matcher": "on"}, "has no matcher"),
        ({"pair": (("old", "new"),)}, "leave --pair out"),
    ],
)
def test_training_refuses_what_a_gallery_cannot_do(more: dict[str, str], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        TrainSettings(head="gallery", **more)  # type: ignore[arg-type]


def test_a_gallery_is_explained_exported_and_evaluated(
    trained_gallery: Trained, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photo = str(next((trained_gallery.data / "acme").glob("*.jpg")))
    path = str(trained_gallery.path)
    assert main(["predict", path, photo, "--explain", str(tmp_path / "why.png"), "--threads", "1"]) == 0
    assert (tmp_path / "why.png").is_file()
    for format, name in (("onnx", "a.onnx"), ("safetensors", "c.safetensors")):
        assert main(["export", path, "--format", format, "-o", str(tmp_path / name)]) == 0
    assert main(["evaluate", path, str(trained_gallery.data), "--threads", "1"]) == 0
    assert "top-1 accuracy" in capsys.readouterr().out


def test_a_service_and_a_scan_take_what_was_added(gallery: Path, crests: Path, tmp_path: Path) -> None:
    pytest.importorskip("fastapi", reason="needs the extra serve")
    from service import eventually, serving

    from logolens.config import ScanSettings
    from logolens.scan import Store, scan

    photo = (crests / "crest-5.png").read_bytes()
    with serving({"brands": gallery}, reload_seconds=0.2) as service:
        told = service.ask("/v1/model").json
        assert told["labels"] == ["acme", "bolt"]
        assert list(told["thresholds"]) == ["acme", "bolt"]
        assert isinstance(told["threshold"], float)
        add(gallery, [str(crests / f"crest-{number}.png") for number in range(5)], "crest", SETTINGS)
        eventually(lambda: "crest" in service.ask("/v1/model").json["labels"])
        (answer,) = service.ask("/v1/predict", photo, "image/png").json["results"]
        assert answer["label"] == "crest"
    with Store(tmp_path / "results.db") as results:
        scan(gallery, [crests / "crest-5.png"], results, ScanSettings(isolate=False, threads=1, find=("crest",)))
        assert next(iter(results.rows())).verdict in ("match", "unsure")


def test_another_change_meanwhile_is_not_lost(gallery: Path, crests: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two programs that read the gallery at the same time: the second to write says so, and changes nothing."""
    from logolens.training.gallery import commands as run

    read = run.open_gallery

    def overtaken(path: Path) -> object:
        found = read(path)
        monkeypatch.setattr(run, "open_gallery", read)
        rename(gallery, "bolt", "flash")
        return found

    monkeypatch.setattr(run, "open_gallery", overtaken)
    with pytest.raises(BundleError, match="changed by another program"):
        add(gallery, [str(crests / "crest-0.png")], "crest", SETTINGS)
    assert load_bundle(gallery).labels == ("acme", "flash")
