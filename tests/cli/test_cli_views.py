"""The flags that say where photos are looked at, and those that ask where the logo is and why."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from logolens.cli import main

LABELS = {"acme", "bolt", "crest"}


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory, make_boxed: Any) -> list[Path]:
    return sorted(make_boxed(tmp_path_factory.mktemp("asked"), count=2, seed=77).parent.glob("*.png"))


@pytest.mark.parametrize("views", ["whole", "auto", "tiles"])
def test_every_mode_answers_with_a_place_as_json(boxed: Any, photos: list[Path], views: str, capsys: Any) -> None:
    arguments = ["predict", str(boxed.path), *map(str, photos), "--json", "--where", "--views", views]
    assert main(arguments) == 0
    answers = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [answer["image"] for answer in answers] == [str(path) for path in photos]
    for answer in answers:
        assert "logos" not in answer
        assert (answer["box"] is None) == (answer["label"] == "none")
        if answer["box"] is not None:
            x1, y1, x2, y2 = answer["box"]
            assert 0 <= x1 < x2 <= 1
            assert 0 <= y1 < y2 <= 1


def test_places_are_told_only_where_they_are_asked_for(boxed: Any, photos: list[Path], capsys: Any) -> None:
    assert main(["predict", str(boxed.path), str(photos[0]), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["box"] is None
    assert main(["predict", str(boxed.path), str(photos[0])]) == 0
    assert " at " not in capsys.readouterr().out
    assert main(["predict", str(boxed.path), *map(str, photos), "--where"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(photos)
    assert any(" at 0." in line for line in lines)


def test_all_lists_every_logo_with_its_place(boxed: Any, photos: list[Path], capsys: Any) -> None:
    assert main(["predict", str(boxed.path), *map(str, photos), "--json", "--all"]) == 0
    answers = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert any(answer["logos"] for answer in answers)
    for answer in answers:
        for logo in answer["logos"]:
            assert list(logo) == ["label", "confidence", "box", "place"]
            assert 0 < logo["place"] <= 1
            assert logo["label"] in LABELS
            assert 0.5 < logo["confidence"] <= 1
            assert len(logo["box"]) == 4
    assert main(["predict", str(boxed.path), *map(str, photos), "--all"]) == 0
    said = capsys.readouterr().out
    assert sum(len(answer["logos"]) for answer in answers) == sum(
        "  at" not in line and " at " in line for line in said.splitlines()
    )


def test_an_explanation_is_a_picture_of_one_photo(boxed: Any, photos: list[Path], tmp_path: Path, capsys: Any) -> None:
    picture = tmp_path / "why.png"
    assert main(["predict", str(boxed.path), str(photos[0]), "--explain", str(picture)]) == 0
    with Image.open(picture) as opened:
        assert min(opened.size) > 100
    out, err = capsys.readouterr()
    assert photos[0].name in out
    assert str(picture) in err
    before = picture.read_bytes()
    assert main(["predict", str(boxed.path), str(photos[0]), "--explain", str(picture)]) == 2
    assert "--force" in capsys.readouterr().err
    assert picture.read_bytes() == before
    assert main(["predict", str(boxed.path), str(photos[0]), "--explain", str(picture), "--force"]) == 0
    capsys.readouterr()
    assert main(["predict", str(boxed.path), *map(str, photos), "--explain", str(tmp_path / "b.png")]) == 2
    assert "one image" in capsys.readouterr().err


def test_what_cannot_be_explained_is_a_sentence(boxed: Any, photos: list[Path], tmp_path: Path, capsys: Any) -> None:
    whole = _trained_on_whole_photos_only(boxed.path, tmp_path / "whole")
    assert main(["predict", str(whole), str(photos[0]), "--explain", str(tmp_path / "a.png")]) == 1
    assert "whole photos only" in capsys.readouterr().err
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"no image")
    assert main(["predict", str(boxed.path), str(broken), "--explain", str(tmp_path / "a.png")]) == 1
    assert "broken.jpg" in capsys.readouterr().err
    assert not (tmp_path / "a.png").exists()


def _trained_on_whole_photos_only(bundle: Path, copy: Path) -> Path:
    """A copy of a bundle as `--views whole` would have trained it."""
    shutil.copytree(bundle, copy)
    manifest = json.loads((copy / "manifest.json").read_text("utf-8"))
    manifest.pop("manifest_sha256", None)  # As a release that wrote none would have it.
    (copy / "manifest.json").write_text(json.dumps(manifest | {"closer": None}), encoding="utf-8")
    return copy


def test_an_answer_by_the_whole_photo_is_explained_by_its_map(boxed: Any, photos: list[Path], tmp_path: Path) -> None:
    picture = tmp_path / "a.png"
    assert main(["predict", str(boxed.path), str(photos[0]), "--explain", str(picture), "--views", "whole"]) == 0
    with Image.open(picture) as image:
        assert min(image.size) > 200


def test_odd_images_are_answered_in_a_picture_too(boxed: Any, tmp_path: Path, capsys: Any) -> None:
    images = {
        "small.png": Image.new("RGB", (10, 10), "red"),
        "strip.png": Image.new("RGB", (20_000, 50), "green"),
        "grey.png": Image.new("L", (90, 60), 128),
        "clear.png": Image.new("RGBA", (90, 60), (0, 0, 0, 0)),
    }
    for name, image in images.items():
        image.save(tmp_path / name)
    picture = tmp_path / "shown.png"
    paths = [str(tmp_path / name) for name in images]
    assert main(["predict", str(boxed.path), *paths, "--show", str(picture), "--json"]) == 0
    answers = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert all(answer["error"] is None for answer in answers)
    assert picture.is_file()
    for name in images:
        assert main(["predict", str(boxed.path), str(tmp_path / name), "--explain", str(tmp_path / f"why-{name}")]) == 0


def test_evaluation_takes_views_too(boxed: Any, capsys: Any) -> None:
    found = {}
    for views in ("whole", "auto"):
        assert main(["evaluate", str(boxed.path), str(boxed.data), "--views", views, "--json"]) == 0
        found[views] = json.loads(capsys.readouterr().out)
    assert found["whole"]["n"] == found["auto"]["n"] == 60
    assert found["auto"]["top1"] > 0.8


def test_a_wrong_mode_is_a_sentence(boxed: Any, photos: list[Path], capsys: Any) -> None:
    assert main(["predict", str(boxed.path), str(photos[0]), "--views", "everywhere"]) == 2
    assert "everywhere" in capsys.readouterr().err
