"""The demo as a whole, small: two brands, a few photos, real training."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from logolens.config import TrainSettings
from logolens.errors import DataError, UsageError
from logolens.recipes.demo.demo import demo
from logolens.recipes.demo.demo_data import DemoSettings
from logolens.recipes.demo.show import contact_sheet, readme_picture
from logolens.recipes.demo.trial import DemoResult, measured

for _package in ("resvg_py", "simple_icons_pack", "simpleicons", "torch", "matplotlib"):
    pytest.importorskip(_package, reason="needs the demo and train extras")

SMALL = DemoSettings(per_label=8, none=12, unseen_per_label=3, unseen_none=3, old_new=8, unseen_old_new=2)


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> DemoResult:
    # Reading words takes as long as all else together, and has tests of its own.
    training = TrainSettings(test=0.0, words="off")
    return demo(tmp_path_factory.mktemp("demo") / "out", SMALL, brands=("mcdonalds", "starbucks"), training=training)


def test_everything_is_left_behind(result: DemoResult) -> None:
    names = {path.name for path in result.out.iterdir()}
    assert {"index.html", "data", "bundle", "oldnew-bundle", "evaluation.json", "predictions.jsonl"} <= names
    assert not [name for name in names if name.endswith((".tmp", ".part"))]
    assert json.loads((result.out / "demo.json").read_text())["complete"] is True
    figures = json.loads((result.out / "evaluation.json").read_text())
    assert figures["n"] == 6
    assert figures["none"]["n"] == 3
    lines = (result.out / "predictions.jsonl").read_text().splitlines()
    assert len(lines) == 9
    assert all(json.loads(line)["error"] is None for line in lines)


def test_what_was_learnt_holds_on_unseen_photos(result: DemoResult) -> None:
    assert result.brands.evaluation.top1 is not None
    assert result.brands.evaluation.top1 >= 0.5
    assert result.oldnew is not None
    assert result.oldnew.evaluation.n == 4


def test_figures_count_what_is_answered(result: DemoResult) -> None:
    """``none`` is the answer where it is likelier than not, and not wherever it is likelier than each label."""
    table = np.array([[0.30, 0.25, 0.45], [0.30, 0.10, 0.60], [0.30, 0.25, 0.45], [0.20, 0.20, 0.60]])
    found = measured(table, ["none", "none", "acme", "acme"], ["acme", "bolt", "none"], list("abcd"))
    assert found.none is not None
    assert found.none.false_alarm_rate == 0.5
    assert found.missed == 0.5
    none = [answer for answer in result.brands.answers if answer.true == "none"]
    assert result.brands.evaluation.none is not None
    given = sum(answer.prediction.label != "none" for answer in none) / len(none)
    assert result.brands.evaluation.none.false_alarm_rate == pytest.approx(given)


def test_the_page_needs_no_other_file(result: DemoResult) -> None:
    text = result.page.read_text(encoding="utf-8")
    assert "Starbucks" in text
    assert "Citro" in text
    assert "logolens train" in text
    assert 'src="data:image/' in text
    for outside in ("http://", "https://", "<script", 'src="/', "href="):
        assert outside not in text.replace('xmlns="http://www.w3.org', "")


def test_the_pictures_are_what_they_promise(result: DemoResult, tmp_path: Path) -> None:
    picture = readme_picture(result, tmp_path / "demo.png")
    assert picture.stat().st_size < 250_000
    with Image.open(picture) as image:
        assert image.format == "PNG"
        assert image.width == 1200
    with pytest.raises(UsageError, match="there already"):
        readme_picture(result, picture)
    sheet = contact_sheet(sorted(result.data.unseen.glob("*/*.jpg")), tmp_path / "sheet.png", columns=4)
    with Image.open(sheet) as image:
        assert image.size == (640, 540)
    with pytest.raises(DataError, match="no photos"):
        contact_sheet([], tmp_path / "none.png")


def test_a_complete_demo_is_not_replaced_unasked(result: DemoResult) -> None:
    before = result.page.read_bytes()
    with pytest.raises(UsageError, match="complete demo"):
        demo(result.out, SMALL, brands=("mcdonalds", "starbucks"))
    assert result.page.read_bytes() == before


@pytest.mark.parametrize("sign", [None, "", "{}", '{"made by": "me"}'])
def test_a_foreign_folder_stays_as_it_is(tmp_path: Path, sign: str | None) -> None:
    (tmp_path / "index.html").write_text("mine")
    if sign is not None:
        (tmp_path / "demo.json").write_text(sign)
    before = sorted((path.name, path.read_text()) for path in tmp_path.iterdir())
    with pytest.raises(UsageError, match="stays as it is"):
        demo(tmp_path, SMALL, force=True)
    assert sorted((path.name, path.read_text()) for path in tmp_path.iterdir()) == before


def test_a_file_is_no_folder_for_the_demo(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("mine")
    with pytest.raises(UsageError, match="is a file"):
        demo(tmp_path / "out", SMALL)


def test_an_interrupted_demo_is_marked_and_may_be_run_again(tmp_path: Path) -> None:
    class Stop(Exception):
        pass

    def stop(stage: str, done: int, total: int) -> None:
        raise Stop

    for _ in range(2):
        with pytest.raises(Stop):
            demo(tmp_path / "out", SMALL, brands=("mcdonalds", "starbucks"), progress=stop)
        assert json.loads((tmp_path / "out" / "demo.json").read_text())["complete"] is False
        assert [path.name for path in (tmp_path / "out").iterdir()] == ["demo.json"]
