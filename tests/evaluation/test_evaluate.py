"""An evaluation in full: figures by parts, crops, comparison, claims, the page."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from logolens.cli import main
from logolens.errors import UsageError
from logolens.evaluation import EvaluateResult, claims_of, evaluate, write_evaluation

Make = Callable[..., Path]


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory, make_boxed: Make) -> Path:
    """Photos with boxes from two sources, one photo mislabelled on purpose."""
    folder = tmp_path_factory.mktemp("sources")
    table = make_boxed(folder, count=6, seed=7)
    with table.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    for number, row in enumerate(rows):
        row["source"] = "shop" if number % 2 else "street"
    rows[0]["label"] = "bolt"  # It shows acme.
    with table.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return table


@pytest.fixture(scope="module")
def result(boxed: Any, bundle: Any, sources: Path) -> EvaluateResult:
    return evaluate(boxed.path, sources, against=bundle.path)


def test_parts_add_up_and_every_figure_has_its_interval(result: EvaluateResult) -> None:
    its, more = result.evaluation, result.details
    assert its.n == 18
    assert sum(part.n for part in more.by_size) == 18
    assert {part.name: part.n for part in more.by_source} == {"shop": 9, "street": 9}
    assert sum(part.n * part.top1 for part in more.by_source) == pytest.approx(its.n * its.top1)
    for ends in (more.top5_ci95, more.macro_f1_ci95, *(part.top1_ci95 for part in more.by_source)):
        assert ends is not None
        assert 0 <= ends[0] <= ends[1] <= 1
    assert more.macro_f1_ci95[0] <= its.macro_f1 <= more.macro_f1_ci95[1]
    assert {name for name, ends in more.per_class_ci95.items() if ends["recall"]} == {"acme", "bolt", "crest"}
    # The tables hold shares of 1 from the surest to all.
    assert more.risk_coverage[0].coverage == 1.0
    assert more.crops.n == 18
    assert 0 <= more.crops.top1 <= 1


def test_the_mislabelled_photo_is_among_the_mistakes_with_its_pair(result: EvaluateResult) -> None:
    pairs = {(pair.true, pair.predicted): pair.images for pair in result.details.confused}
    assert sum(len(images) for images in pairs.values()) == len(result.evaluation.misclassified)
    assert "acme-0.png" in {row.image for row in result.evaluation.misclassified}


def test_two_bundles_are_held_against_one_another(result: EvaluateResult) -> None:
    paired = result.compared.paired
    assert paired.n == 18
    assert paired.top1 == result.evaluation.top1
    assert paired.difference == pytest.approx(paired.top1 - paired.other_top1)
    assert len(result.compared.only_this) == paired.only_this
    assert len(result.compared.only_other) == paired.only_other
    assert 0 < paired.p <= 1


def test_photos_without_a_logo_make_the_open_set(bundle: Any, tmp_path: Path, make_photos: Make) -> None:
    data = make_photos(tmp_path / "photos", count=4, none=8, seed=3)
    result = evaluate(bundle.path, data)
    opened, none = result.details.open_set, result.evaluation.none
    assert opened.n == 20
    assert none.n == 8
    answered = result.evaluation
    # Of photos with a logo those that get a label that is right; of the others those that get none.
    assert opened.accuracy <= (12 * answered.top1 + 8 * (1 - none.false_alarm_rate)) / 20 + 1e-9
    assert opened.auroc_ci95[0] <= none.auroc <= opened.auroc_ci95[1]
    assert result.details.crops is None
    assert result.details.by_size == ()


def test_folders_below_a_label_are_sources(bundle: Any, tmp_path: Path, make_photos: Make) -> None:
    data = make_photos(tmp_path / "photos", count=4, seed=3)
    for label in ("acme", "bolt", "crest"):
        (data / label / "web").mkdir()
        for name in (f"{label}-1.jpg", f"{label}-2.jpg"):
            shutil.move(data / label / name, data / label / "web" / name)
    more = make_photos(tmp_path / "more", count=2, seed=5)
    for label in ("acme", "bolt", "crest"):
        shutil.copytree(more / label, data / label / "shop")
    assert {part.name: part.n for part in evaluate(bundle.path, data).details.by_source} == {"web": 6, "shop": 6}


def test_the_page_holds_all_of_it_and_calls_no_one(result: EvaluateResult, tmp_path: Path) -> None:
    claims = claims_of(["top1>=0.99", "n>=1"])
    path = write_evaluation(result, tmp_path / "e.html", bundle="a <bundle>", data="photos", claims=claims)
    text = path.read_text(encoding="utf-8")
    assert "<script" not in text
    assert "a &lt;bundle&gt;" in text
    assert text.count('<svg class="chart"') == 2
    assert "✗ does not hold" in text
    assert "✓ holds" in text
    assert "data:image/jpeg" in text
    for heading in (
        "By the logo&#x27;s size in the photo",
        "Whole photos and crops",
        "The surest mistakes",
        "Each label",
    ):
        assert heading in text
    with pytest.raises(UsageError, match="is there already"):
        write_evaluation(result, path, bundle="a", data="b")


def test_photos_that_were_trained_on_are_counted_and_said_before_any_figure(
    result: EvaluateResult, bundle: Any, tmp_path: Path
) -> None:
    known = evaluate(bundle.path, bundle.data)
    with (bundle.path / "split.csv").open(newline="", encoding="utf-8") as file:
        trained = {row["sha256"] for row in csv.DictReader(file) if row["part"] != "test"}
    assert 0 < known.trained_on <= len(trained)
    assert known.to_json()["trained_on"] == known.trained_on
    assert result.to_json()["trained_on"] == 0
    text = write_evaluation(known, tmp_path / "e.html", bundle="a", data="b").read_text("utf-8")
    said = f"{known.trained_on} of these {len(known.files)} photos were used to train or tune this bundle"
    assert text.index(said) < text.index("top-1 accuracy")


# Claims


FIGURES = {
    "top1": 0.91,
    "top1_ci95": [0.85, 0.95],
    "macro_f1": None,
    "none": None,
    "per_class": {"acme": {"recall": 0.8}, "a.b": {"recall": 0.5}},
    "by_size": [{"name": "up to 1%", "top1": 0.4}, {"name": "over 16%", "top1": 1.0}],
}


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("top1>=0.9", True),
        (" top1 >= 91% ", True),
        ("top1>0.91", False),
        ("top1_ci95.0>=0.85", True),
        ("top1_ci95.1<0.95", False),
        ("per_class.acme.recall==0.8", True),
        ("per_class.a.b.recall<0.6", True),
        ("by_size.up to 1%.top1>=0.5", False),
        ("by_size.1.top1>=1", True),
        # What was not measured holds nothing.
        ("macro_f1<=1", False),
        ("none.auroc>=0", False),
    ],
)
def test_claims(text: str, holds: bool) -> None:
    (claim,) = claims_of([text])
    assert claim.holds(FIGURES) is holds


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("top1", "is no claim"),
        ("top1>=", "is no claim"),
        ("top1=>0.9", "is no"),
        ("top1>=high", "'high' is no number"),
        ("top1>=nan", "'nan' is no number"),
        ("accuracy>=0.9", "there is no figure 'accuracy'"),
    ],
)
def test_what_is_no_claim_is_said_before_any_work(text: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        claims_of([text])


def test_a_claim_about_what_is_not_there_is_an_error() -> None:
    for text in ("per_class.nobody.recall>=0", "top1_ci95>=0.5", "per_class.acme>=1"):
        with pytest.raises(UsageError, match=r"no (single )?figure"):
            claims_of([text])[0].holds(FIGURES)


# The command


def test_the_command_ends_with_3_where_a_claim_does_not_hold(
    boxed: Any, sources: Path, tmp_path: Path, capsys: Any
) -> None:
    arguments = ["evaluate", str(boxed.path), str(sources), "--no-crops"]
    page = tmp_path / "page.html"
    assert main([*arguments, "--json", "--assert", "n==18", "--assert", "ece<=1"]) == 0
    out, err = capsys.readouterr()
    found = json.loads(out)
    assert found["crops"] is None
    assert {"top1", "by_size", "risk_coverage", "confused", "open_set"} <= set(found)
    assert "Holds: n==18 (18)" in err
    assert main([*arguments, "--assert", "top1>1", "-o", str(page), "--compare", str(boxed.path)]) == 3
    out, err = capsys.readouterr()
    assert "Does not hold: top1>1" in err
    assert "right on the very same photos" in out
    assert page.is_file()


@pytest.mark.parametrize(
    ("more", "code", "said"),
    [
        (["--assert", "top1"], 2, "is no claim"),
        (["--compare", "nowhere"], 1, "nowhere is not a bundle"),
        (["-o", "there.html"], 2, "there.html exists already"),
        (["--assert", "per_class.nobody.recall>=0", "--no-crops"], 2, "There is no figure"),
    ],
)
def test_what_cannot_be_meant_is_a_sentence(
    more: list[str], code: int, said: str, boxed: Any, sources: Path, tmp_path: Path, monkeypatch: Any, capsys: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("there.html").write_text("mine", encoding="utf-8")
    assert main(["evaluate", str(boxed.path), str(sources), *more]) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert said in err
    assert "Traceback" not in err
    assert [path.name for path in tmp_path.iterdir()] == ["there.html"]
