"""What lies beside photos and is not read, by name, so that nobody takes the names of folders for labels."""

from __future__ import annotations

from pathlib import Path

from logolens.data.formats.coco import read_json
from logolens.data.formats.tree import Tree, text_of

__all__ = ["unread_annotations"]

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
            return f"{tree.name(file)} holds annotations in a format that is not read ({kind}). {_ADVICE}"
    for file in tree.files(".yaml", ".yml"):
        if file.name.lower() in ("data.yaml", "dataset.yaml"):
            return (
                f"{tree.name(file)} describes a data set in YOLO's format, but no label file was found: text files in a "
                "folder labels, or beside the photos, named as these are."
            )
    for file in tree.files(".csv", ".tsv", ".jsonl"):
        return f"{tree.name(file)} is a table; if it names the photos and their labels, give it instead of the folder."
    for file in tree.files(".xlsx", ".xls", ".ods"):
        return f'{tree.name(file)} is a spreadsheet, which is not read; save it as "CSV UTF-8" with the columns path and label.'
    for file in tree.files(".zip", ".tar", ".gz", ".tgz"):
        return f"{tree.name(file)} is an archive; if the photos are in it, give it instead of the folder."
    return None


def _kind(file: Path) -> str | None:
    ending = file.suffix.lower()
    if ending in _ENDINGS:
        return _ENDINGS[ending]
    if file.stat().st_size > _MOST:
        return f"a {ending[1:].upper()} file of unknown kind"
    if ending == ".xml":
        head = text_of(file)[:4096]
        if "<annotations" in head and "<image" in text_of(file):
            return "CVAT for images"
        return "damaged XML, perhaps Pascal VOC" if "<annotation" in head else None
    value = read_json(file)
    if value is None:
        return "damaged JSON"
    if isinstance(value, dict):
        if "shapes" in value and "imagePath" in value:
            return "LabelMe"
        if "images" in value and "annotations" in value:
            return "COCO's, but without boxes of categories"
        if any(isinstance(each, dict) and "regions" in each for each in value.values()):
            return "VGG Image Annotator"
    if isinstance(value, list) and value and isinstance(value[0], dict):
        if "annotations" in value[0] and ("data" in value[0] or "completed_by" in str(value[0])[:2000]):
            return "Label Studio's own JSON"
        if "image" in value[0] and "annotations" in value[0]:
            return "Create ML"
    return None
