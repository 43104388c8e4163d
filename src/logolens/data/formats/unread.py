"""What lies beside photos and is not read, by name, so that nobody takes the names of folders for labels."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from logolens.data.formats.coco import read_json
from logolens.data.formats.tree import Tree, text_of
from logolens.io.images import IMAGE_SUFFIXES

__all__ = ["list_hint", "unread_annotations", "unread_rest"]

_SNIFFED = 20
_MOST = 20_000_000
_ENDINGS = {
    ".tfrecord": "TensorFlow's (TFRecord)",
    ".record": "TensorFlow's (TFRecord)",
    ".parquet": "Parquet",
    ".arrow": "Apache Arrow",
    ".mat": "MATLAB's",
    ".pkl": "Python's own (pickle)",
    ".ndjson": "Labelbox's",
}
_ADVICE = "Export them as YOLO, COCO, Pascal VOC or a CSV file with the columns path, label, x1, y1, x2, y2."


def unread_annotations(tree: Tree) -> str | None:
    """A sentence on the annotations that lie among the files and cannot be read; None where there seem to be none."""
    for file in (*tree.files(".json")[:_SNIFFED], *tree.files(".xml")[:_SNIFFED], *tree.files(*_ENDINGS)[:1]):
        if (kind := _kind(file)) is not None:
            return _sentence(tree.name(file), kind)
    for file in tree.files(".yaml", ".yml"):
        if file.name.lower() in ("data.yaml", "dataset.yaml"):
            return (
                f"{tree.name(file)} describes a data set in YOLO's format, but no label file was found: text files in a "
                "folder labels, or beside the photos, named as these are."
            )
    for file in tree.files(".csv")[:_SNIFFED]:
        if "region_shape_attributes" in text_of(file)[:1000]:
            return _sentence(tree.name(file), "VGG Image Annotator")
    return _texts(tree)


def unread_rest(tree: Tree) -> str | None:
    """A sentence on a file that may say what the photos show, or hold them; None where there is none."""
    archive = next(iter(tree.files(".zip", ".tar", ".gz", ".tgz")), None)
    if archive is not None and not tree.images:
        return f"{tree.name(archive)} is an archive; if the photos are in it, give it instead of the folder, or unpack it there."
    for file in tree.files(".csv", ".tsv", ".jsonl"):
        return f"{tree.name(file)} is a table; if it names the photos and their labels, give it instead of the folder."
    for file in tree.files(".xlsx", ".xls", ".ods"):
        return f'{tree.name(file)} is a spreadsheet, which is not read; save it as "CSV UTF-8" with the columns path and label.'
    for file in tree.files(".txt"):
        if (hint := list_hint(file)) is not None:
            return hint
    return None


def list_hint(file: Path) -> str | None:
    """A sentence on a text file that lists photos, each with its label behind a blank; None of any other."""
    if file.suffix.lower() != ".txt":
        return None
    first = text_of(file)[:4096].lstrip().partition("\n")[0].split()
    if len(first) < 2 or Path(first[0]).suffix.lower() not in IMAGE_SUFFIXES:
        return None
    return (
        f"{file} is a list of photos and labels parted by blanks; save it as a table with the columns path and label."
    )


def _sentence(name: str, kind: str) -> str:
    return f"{name} holds annotations in a format that is not read ({kind}). {_ADVICE}"


def _texts(tree: Tree) -> str | None:
    """Text files that are named as photos are and hold boxes, as KITTI's and DOTA's; or one that lists them."""
    stems = {image.stem for image in tree.images}
    for file in tree.files(".txt"):
        if file.name.lower() == "_annotations.txt":
            return _sentence(tree.name(file), "Roboflow's text for Keras")
        if file.stem not in stems:
            continue
        for line in text_of(file).splitlines()[:3]:
            numbers = sum(1 for cell in line.split() if re.fullmatch(r"-?\d*\.?\d+", cell))
            if numbers >= 4:
                return _sentence(tree.name(file), f"a text file with lines as {line[:60]!r}")
        return None
    return None


def _kind(file: Path) -> str | None:
    ending = file.suffix.lower()
    if ending in _ENDINGS:
        return _ENDINGS[ending]
    if file.stat().st_size > _MOST:
        return f"a {ending[1:].upper()} file of unknown kind"
    if ending == ".xml":
        head = text_of(file)[:4096]
        return "damaged XML, perhaps Pascal VOC" if "<annotation" in head else None
    value = read_json(file)
    if value is None:
        return "damaged JSON"
    if isinstance(value, dict):
        return _kind_of_object(value)
    return _kind_of_list(value) if isinstance(value, list) and value and isinstance(value[0], dict) else None


def _kind_of_object(value: dict[str, Any]) -> str | None:
    if "shapes" in value and "imagePath" in value:
        return "LabelMe, and of few of the photos"
    if "images" in value and "annotations" in value:
        return "COCO's, but without boxes of categories"
    if "images" in value and "categories" in value:
        return "COCO's, but without annotations"
    return "Supervisely" if isinstance(value.get("objects"), list) and "size" in value else None


def _kind_of_list(value: list[Any]) -> str | None:
    first = value[0]
    if "annotations" in first and ("data" in first or "completed_by" in str(first)[:2000]):
        return "Label Studio's own JSON"
    if any(isinstance(each, list) and each and "rectanglelabels" in str(each[0]) for each in first.values()):
        return "Label Studio's short JSON"
    return "Create ML" if "image" in first and "annotations" in first else None
