"""YOLO: a text file beside each photo, a line a box: the class's number and the box's centre and size as fractions.

Read are the layouts of Ultralytics and Roboflow (train/images and train/labels, or images/train and labels/train, with a
data.yaml), of Darknet and CVAT (text files beside the photos, with obj.names), and of LabelImg and Label Studio (classes.txt).
"""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

from logolens.data.dataset import Box, Listing, Notes, Region
from logolens.data.formats.tree import Tree, annotated, split_named, text_of
from logolens.data.formats.yolo_classes import CLASS_FILES, Classes, described, listed_beside, nearest, note_twice
from logolens.errors import DataError

__all__ = ["list_yolo"]

_SNIFFED = 200
_MOST_OF_A_SIDE = 2.0


def list_yolo(tree: Tree, notes: Notes) -> list[Listing] | None:
    """List the photos of a YOLO data set; None where there is none.

    Raises:
        DataError: it is one, but no label file can be understood.
    """
    pairs = _pairs(tree)
    descriptions = described(tree) if pairs else []
    if not pairs or not _is_yolo(pairs, bool(descriptions)):
        return None
    for description in descriptions:
        note_twice(tree, description, notes)
    parts = _parts(tree, descriptions, notes)
    _note_lost(tree, pairs, notes)
    _note_shared(tree, pairs, notes)
    labelled = {image.parent for image in pairs}
    classes: dict[Path, Classes | None] = {}
    listed: list[Listing] = []
    left_out = by_folder = 0
    for image in tree.images:
        name = tree.name(image)
        file = pairs.get(image)
        if file is None and image.parent not in labelled:
            notes.add("unannotated", "Photos in folders without any label file, left out: {n}.", [name])
            continue
        if file is None:
            message = "Photos without a label file, which in YOLO's format show no logo, taken as none: {n}."
            notes.add("no-label-file", message, [name])
            regions: list[Region] | None = []
        else:
            if file.parent not in classes:
                classes[file.parent] = nearest(tree, descriptions, file) or listed_beside(tree, file, notes)
            known = classes[file.parent]
            regions = _regions(file, tree.name(file), known, notes)
            if known is None and regions and (label := tree.label_of(image)) is not None:
                regions = [Region(label, region.box) for region in regions]
                by_folder += 1
        if regions is None:
            left_out += 1
            continue
        listed.append(
            Listing(image, name, annotated(regions), parts.get(image), convention="centre-size", size=(1.0, 1.0))
        )
    for description in descriptions:
        _refuse_from_one(
            tree, [file for file in pairs.values() if classes.get(file.parent) is description], description
        )
    if by_folder:
        message = "Photos of which no names of classes were found, labelled by their folder: {n}."
        notes.add("folder-labels", message, count=by_folder)
    elif not any(known is not None for known in classes.values()):
        message = "No names of classes were found (data.yaml, classes.txt, obj.names), so labels are their numbers."
        notes.add("unnamed-classes", message)
    if not listed:
        raise DataError(
            f"{tree.root}: annotations in YOLO's format lie beside the photos, but none of {left_out:,} can be understood. "
            f"{' '.join(str(note) for note in notes.all() if note.kind in _KINDS)}"
        )
    return listed


_KINDS = ("bad-line", "unknown-class")


def _refuse_from_one(tree: Tree, files: Sequence[Path], classes: Classes) -> None:
    """Numbers of classes from 1 up to as many as there are names mean others than YOLO's, which begin with 0.

    Raises:
        DataError: so they are.
    """
    if len(classes.names) < 2 or sorted(classes.names) != list(range(len(classes.names))):
        return
    count, numbers = len(classes.names), set()
    for file in files:
        for line in text_of(file).splitlines():
            numbers.add(_number((_cells(line) or [""])[0]))
            if 0.0 in numbers:
                return
    if float(count) in numbers and max(number for number in numbers if number is not None) == count:
        raise DataError(
            f"{tree.root}: the label files number classes from 1 to {count}, and {tree.name(classes.file)} names {count}, "
            "which YOLO numbers from 0. Subtract 1 from the numbers, or put a name for class 0 in front."
        )


def _note_lost(tree: Tree, pairs: dict[Path, Path], notes: Notes) -> None:
    """Tell of label files whose photo is away; a class file or a list in another folder is none."""
    used, folders = set(pairs.values()), {file.parent for file in pairs.values()}
    for file in tree.files(".txt"):
        if file in used or file.parent not in folders or file.name.lower() in CLASS_FILES:
            continue
        cells = _cells(text_of(file)[:200])[:5]
        if len(cells) == 5 and all(_number(cell) is not None for cell in cells):
            notes.add("no-photo", "Label files of which no photo was found, left out: {n}.", [tree.name(file)])


def _note_shared(tree: Tree, pairs: dict[Path, Path], notes: Notes) -> None:
    """Tell of photos that one label file is taken for, as a.jpg and a.png are."""
    of_file: dict[Path, list[str]] = defaultdict(list)
    for image, file in pairs.items():
        of_file[file].append(tree.name(image))
    for file, images in of_file.items():
        if len(images) > 1:
            message = "Label files that several photos share, each of which is taken to show what it says: {n}."
            notes.add("shared-label-file", message, [f"{tree.name(file)} of {' and '.join(images[:3])}"])


def _pairs(tree: Tree) -> dict[Path, Path]:
    """The label file of each image that has one."""
    files = tree.files(".txt")
    if not files:
        return {}
    # Endings and folders differ in upper and lower case; where whole names do so too, as A.txt and a.txt, each has its own.
    texts = {path.as_posix().casefold(): path for path in reversed(files)}
    exact = {path.with_suffix(".txt").as_posix(): path for path in files}
    by_stem: dict[str, list[Path]] = defaultdict(list)
    for path in files:
        if path.parent.name.casefold().startswith(("label", "annotation")) or any(
            part.casefold() == "labels" for part in path.parts
        ):
            by_stem[path.stem.casefold()].append(path)
    pairs = {}
    for image in tree.images:
        for wanted in _places(image):
            found = exact.get(wanted.as_posix()) or texts.get(wanted.as_posix().casefold())
            if found is not None and found.name.lower() not in CLASS_FILES:
                pairs[image] = found
                break
        else:
            split = tree.split_of(image)
            named = by_stem.get(image.stem.casefold(), ())
            alike = [path for path in named if tree.split_of(path) == split] or [
                path for path in named if tree.split_of(path) is None
            ]
            if len(alike) == 1:
                pairs[image] = alike[0]
    return pairs


def _places(image: Path) -> Iterator[Path]:
    """Where an image's label file may stand, the likeliest first."""
    name = f"{image.stem}.txt"
    parts = image.parent.parts
    for place in range(len(parts) - 1, -1, -1):
        if parts[place].casefold() in ("images", "image", "imgs", "img", "jpegimages"):
            yield Path(*parts[:place], "labels", *parts[place + 1 :], name)
            break
    yield image.parent / name
    yield image.parent / "labels" / name
    yield image.parent.parent / "labels" / name


def _is_yolo(pairs: dict[Path, Path], described: bool) -> bool:
    """Whether the text files beside photos are label files and not captions or notes."""
    right = wrong = 0
    for file in list(pairs.values())[:_SNIFFED]:
        for line in text_of(file).splitlines()[:20]:
            if cells := _cells(line):
                good = len(cells) >= 5 and all(_number(cell) is not None for cell in cells)
                right, wrong = right + good, wrong + (not good)
    # Where a data.yaml describes the set, lines that are odd are told one by one.
    return right > wrong or (described and (right > 0 or not wrong))


def _cells(line: str) -> list[str]:
    return line.replace(",", " ").split()


def _number(cell: str) -> float | None:
    try:
        value = float(cell)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _regions(file: Path, name: str, classes: Classes | None, notes: Notes) -> list[Region] | None:
    """What a label file says; None where it says something, but nothing that can be used."""
    regions: list[Region] = []
    used = said = 0
    for row, line in enumerate(text_of(file).splitlines(), 1):
        if not (cells := _cells(line)):
            continue
        said += 1
        box = _box(cells, classes is not None and classes.points)
        number = _number(cells[0])
        if box is None or number is None or number < 0 or number % 1:
            notes.add(
                "bad-line",
                "Lines of label files that are not YOLO's, left out: {n}.",
                [f"{name} line {row}{_why(cells)}"],
            )
            continue
        label = str(int(number)) if classes is None else classes.names.get(int(number), "")
        if not label:
            message = "Boxes of a class that has no name, left out: {n}."
            notes.add("unknown-class", message, [f"class {int(number)} in {name} line {row}"])
            continue
        used += 1
        regions.append(Region(label, box))
    return regions if used or not said else None


def _why(cells: list[str]) -> str:
    large = len(cells) == 5 and max(abs(_number(cell) or 0.0) for cell in cells[1:]) > _MOST_OF_A_SIDE
    return ": pixels, where YOLO has fractions of the photo's sides" if large else ""


def _box(cells: list[str], points: bool) -> Box | None:
    """A line's box: as written, or around its polygon; without the confidence, and the number of a track, that some tools add."""
    values = [_number(cell) for cell in cells[1:]]
    numbers = [value for value in values if value is not None]
    # Numbers far above 1 are pixels, or no numbers of a box.
    if len(numbers) != len(values) or len(numbers) < 4 or max(map(abs, numbers[:4])) > _MOST_OF_A_SIDE:
        return None
    if len(numbers) <= 5 or points or _is_tracked(cells, numbers):
        return Box(*numbers[:4])
    numbers = numbers[: len(numbers) // 2 * 2]
    xs, ys = numbers[::2], numbers[1::2]
    if len(xs) < 3 or max(map(abs, numbers)) > _MOST_OF_A_SIDE:
        return None
    return Box((min(xs) + max(xs)) / 2, (min(ys) + max(ys)) / 2, max(xs) - min(xs), max(ys) - min(ys))


def _is_tracked(cells: Sequence[str], numbers: Sequence[float]) -> bool:
    """Whether six numbers are a box, a confidence and the number of a track, and no triangle: the last is a whole one."""
    if len(numbers) != 6 or not cells[-1].isdecimal():
        return False
    x, y, width, height, confidence, _ = numbers
    slack = 0.01  # Of what was rounded.
    inside = min(x - width / 2, y - height / 2) >= -slack and max(x + width / 2, y + height / 2) <= 1 + slack
    return inside and min(width, height) > 0 and 0 <= confidence <= 1


def _parts(tree: Tree, descriptions: Sequence[Classes], notes: Notes) -> dict[Path, str | None]:
    """The part of each image: as data.yaml or a list of files has it, else as a folder is called."""
    found: dict[Path, set[str]] = defaultdict(set)
    for classes in descriptions:
        # Of several sets that lie together, each speaks of its own photos.
        own_root = classes.file.parent if len(descriptions) > 1 else tree.root
        images = [image for image in tree.images if image.is_relative_to(own_root)]
        _put(found, classes, images, own_root, notes)
    for file in tree.files(".txt"):
        if (listed := _list_of(file)) is not None:
            for written in text_of(file).splitlines():
                if (meant := tree.image(written, file.parent, listed)) is not None:
                    found[meant].add(listed)
    # Trainers want two parts named; where both are one folder, nothing is divided.
    undivided = any(len({tuple(paths) for paths in classes.given.values()}) == 1 for classes in descriptions)
    parts: dict[Path, str | None] = {}
    for image in tree.images:
        own: set[str | None] = {*found[image]} if image in found else {tree.split_of(image)}
        if len(own) > 1 and not undivided:
            notes.add(
                "several-parts", "Photos that are put in several parts, which are not heeded: {n}.", [tree.name(image)]
            )
        parts[image] = next(iter(own)) if len(own) == 1 else None
    return parts


def _put(found: dict[Path, set[str]], classes: Classes, images: Sequence[Path], root: Path, notes: Notes) -> None:
    """Put images into the parts that a description's paths give them."""
    folders = {folder for image in images for folder in image.parents if folder.is_relative_to(root)}
    replaced = []
    for split, paths in classes.given.items():
        for written in paths:
            if written.strip().lower().endswith(".txt"):
                continue  # A list of files, which is sought below, wherever it is said to be.
            folder = _folder(written, folders)
            if folder is None:
                continue
            if not (classes.file.parent / written.strip()).is_dir():
                replaced.append(written)
            for image in images:
                if image.is_relative_to(folder):
                    found[image].add(split)
    if replaced:
        message = (
            f"Paths of {classes.file.name} that lead elsewhere, for which the folders beside it were taken: {{n}}."
        )
        notes.add("paths-replaced", message, replaced)


def _list_of(file: Path) -> str | None:
    """The part that a text file lists the images of, as Darknet's train.txt."""
    split = split_named(file.stem)
    if split is None:
        return None
    first = next((line for line in text_of(file).splitlines() if line.strip()), "")
    return split if re.search(r"\.\w{2,5}\s*$", first) else None


def _folder(written: str, folders: set[Path]) -> Path | None:
    """The folder of images that a path means: the one whose end it shares most of, if it is the only one."""
    parts = [part.casefold() for part in re.split(r"[\\/]+", written.strip()) if part not in ("", ".", "..")]
    best: list[Path] = []
    most = 0
    for folder in folders:
        alike = 0
        for one, other in zip(reversed(parts), reversed(folder.parts), strict=False):
            if one != other.casefold():
                break
            alike += 1
        if alike > most:
            best, most = [folder], alike
        elif alike == most:
            best.append(folder)
    return best[0] if most and len(best) == 1 else None
