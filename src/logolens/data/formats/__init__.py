"""The formats that labelled photos come in; each is a file here and a line in `FORMATS`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from logolens.data.dataset import Listing, Notes
from logolens.data.folder import list_folder
from logolens.data.formats.coco import list_coco
from logolens.data.formats.cvat import list_cvat
from logolens.data.formats.imagefolder import list_imagefolder
from logolens.data.formats.labelme import list_labelme
from logolens.data.formats.lone_table import list_lone_table
from logolens.data.formats.roboflow_csv import list_roboflow_csv
from logolens.data.formats.tree import Tree, tree_of
from logolens.data.formats.unread import list_hint, unread_annotations, unread_rest
from logolens.data.formats.via import list_via
from logolens.data.formats.voc import list_voc
from logolens.data.formats.writing import WRITERS, Placed, Writer
from logolens.data.formats.yolo import list_yolo
from logolens.errors import DataError

__all__ = ["ANNOTATION_SUFFIXES", "FORMATS", "WRITERS", "Format", "Placed", "Writer", "list_annotated", "list_hint"]

ANNOTATION_SUFFIXES = frozenset({".json", ".xml", ".yaml", ".yml"})
"""The endings of files that can be named instead of the folder around them."""


@dataclass(frozen=True)
class Format:
    """A way to write down what photos show.

    Attributes:
        title: what people call it.
        read: lists the photos of a data set in this format; None where it is in another.
    """

    title: str
    read: Callable[[Tree, Notes], list[Listing] | None]


FORMATS = (
    Format("YOLO", list_yolo),
    Format("COCO", list_coco),
    Format("Pascal VOC", list_voc),
    Format("ImageFolder (Hugging Face)", list_imagefolder),
    Format("LabelMe", list_labelme),
    Format("VGG Image Annotator (VIA)", list_via),
    Format("CVAT for images", list_cvat),
    Format("Roboflow's CSV", list_roboflow_csv),
    Format("a table", list_lone_table),
)
"""What is looked for in a folder, in this order, before its subfolders are taken for labels."""


_WHOLE = ("YOLO", "COCO", "Pascal VOC", "LabelMe", "VGG Image Annotator (VIA)", "CVAT for images")


def _note_others(tree: Tree, taken: Format, listed: Sequence[Listing], notes: Notes) -> None:
    """Tell of annotations in a further format, for one of the two may be the older."""
    if taken.title not in _WHOLE or tree.named is not None:
        return
    said = {item.path: {region.label for region in item.regions} for item in listed}
    for other in FORMATS:
        if other.title not in _WHOLE[_WHOLE.index(taken.title) + 1 :]:
            continue
        try:
            found = other.read(tree, Notes()) or []
        except DataError:
            continue
        differing = [
            item.name
            for item in found
            if item.path in said and {region.label for region in item.regions} != said[item.path]
        ]
        if differing:
            message = (
                f"Annotations in {other.title}'s format lie there, too, and were not read; of {{n}} photos they say something "
                "else. Remove the older, or name the file that is meant."
            )
            notes.add("two-formats", message, differing)


def list_annotated(place: Path, notes: Notes) -> list[Listing]:
    """List the photos of a folder, or of an annotation file that was named: by the annotations that lie there, else by folders.

    Raises:
        DataError: what lies there cannot be read; the message says what it is.
    """
    tree = tree_of(place)
    for known in FORMATS:
        if (listed := known.read(tree, notes)) is not None:
            notes.add("format", f"Read as {known.title}: {{n}} photos.", count=len(listed))
            _note_others(tree, known, listed, notes)
            return listed
    unread = unread_annotations(tree)
    hint = unread or unread_rest(tree)
    if place.is_file():
        raise DataError(f"{place} is no annotation file that can be read. {hint or ''}".rstrip())
    listed = list_folder(place, notes, hint)
    if unread:
        notes.add("unread", f"The folders were taken for labels. {unread}")
    return listed
