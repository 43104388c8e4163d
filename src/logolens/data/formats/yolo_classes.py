"""What the numbers of classes stand for in YOLO's format: data.yaml, classes.txt, obj.names, wherever each of them holds."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from logolens.data.dataset import Notes
from logolens.data.folder import clean_label
from logolens.data.formats.tree import Tree, split_named, text_of
from logolens.errors import DataError

__all__ = ["CLASS_FILES", "Classes", "described", "listed_beside", "nearest", "note_twice"]

CLASS_FILES = (
    *("classes.txt", "_darknet.labels", "predefined_classes.txt", "class.txt", "class_names.txt"),
    *("names.txt", "labels.txt"),
)
"""What lists of names are called, lower case."""

_MOST_YAML = 2_000_000


@dataclass
class Classes:
    """What the classes are called, and what else the description says.

    Attributes:
        names: a class's name by its number.
        file: where they stand.
        given: the paths of each part as they are written.
        points: whether lines hold key points after the box.
    """

    names: dict[int, str]
    file: Path
    given: dict[str, list[str]] = field(default_factory=dict)
    points: bool = False


def described(tree: Tree) -> list[Classes]:
    """What the files like data.yaml say that name classes: one, or one for each of several sets that lie together."""
    found: list[Classes] = []
    for file in sorted(tree.files(".yaml", ".yml"), key=lambda path: (path.name != "data.yaml", path.name)):
        value = _yaml(file)
        if not isinstance(value, dict) or (names := _names(value.get("names"))) is None:
            continue
        given = {}
        for key, written in value.items():
            if (split := split_named(str(key))) is not None and str(key).islower():
                written = written if isinstance(written, list) else [written]
                given[split] = [path for path in written if isinstance(path, str) and path.strip()]
        if not any(other.file.parent == file.parent for other in found):
            found.append(Classes(names, file, given, "kpt_shape" in value))
    return found


def nearest(tree: Tree, found: Sequence[Classes], label_file: Path) -> Classes | None:
    """The description that holds for a label file: the one beside it or beside a folder above it, the closest first."""
    return min(found, key=lambda each: _away(tree, each.file, label_file)) if found else None


def listed_beside(tree: Tree, label_file: Path, notes: Notes) -> Classes | None:
    """The list of names nearest to a label file: in its folder, or in one above it.

    Raises:
        DataError: lines among the names begin as comments do, so that nothing says whether they count.
    """
    lists = [path for path in tree.others if path.name.lower() in CLASS_FILES or path.suffix.lower() == ".names"]
    if not lists:
        return None
    file = min(lists, key=lambda path: _away(tree, path, label_file))
    lines = text_of(file).rstrip().split("\n")
    comments = [number for number, line in enumerate(lines) if re.match(r"\s*(?:#+(?:\s|$)|//)", line)]
    if comments and comments != list(range(len(comments))):
        raise DataError(
            f"{file}: line {comments[-1] + 1} begins as a comment does, and nothing says whether it counts as a class. Leave one "
            "name on each line."
        )
    if comments:
        message = "Lines before the names of classes that begin with #, taken for comments: {n}."
        notes.add("comments", message, [tree.name(file)], count=len(comments))
        lines = lines[len(comments) :]
    classes = Classes({number: clean_label(line) for number, line in enumerate(lines) if line.strip()}, file)
    note_twice(tree, classes, notes)
    return classes


def _away(tree: Tree, path: Path, label_file: Path) -> tuple[int, int, bool, str]:
    above = [folder for folder in label_file.parents if folder.is_relative_to(tree.root)]
    shared = next((place for place, folder in enumerate(above) if path.is_relative_to(folder)), len(above))
    return shared, len(path.parts), path.name != "data.yaml", path.name


def note_twice(tree: Tree, classes: Classes, notes: Notes) -> None:
    """Tell of names that stand for several numbers."""
    by_name: dict[str, list[int]] = {}
    for number, name in classes.names.items():
        by_name.setdefault(name, []).append(number)
    for name, numbers in by_name.items():
        if name and len(numbers) > 1:
            shown = f"{name}: {' and '.join(map(str, numbers))} in {tree.name(classes.file)}"
            notes.add("same-class-name", "Names that several classes have, which are read as one label: {n}.", [shown])


def _yaml(file: Path) -> Any:
    text = text_of(file)
    if len(text) > _MOST_YAML:
        return None
    for version in (text, text.replace("\\", "/")):  # Of "C:\Users" in quotes, the backslash would be an escape.
        try:
            # Every scalar stays text: a brand may be called yes, 007 or 3e5.
            return yaml.load(version, Loader=yaml.BaseLoader)
        except (yaml.YAMLError, RecursionError):
            continue
    return None


def _names(value: Any) -> dict[int, str] | None:
    """Names by number, from a list, an object, or a text with commas; None of what names nothing.

    Nothing but text is a name: what aliases nest within one another would be without end when written out.
    """
    if isinstance(value, str) and "," in value:
        value = [name for name in value.strip("[]() ").split(",") if name.strip()]
    if isinstance(value, dict):
        return _by_number(value)
    if not isinstance(value, list):
        return None
    known = {}
    for place, each in enumerate(value):
        number = each.get("id", place) if isinstance(each, dict) else place
        name = each.get("name") if isinstance(each, dict) else each
        if isinstance(name, str) and str(number).strip().isdecimal():
            known[int(number)] = clean_label(name)
    return known


def _by_number(value: dict[Any, Any]) -> dict[int, str]:
    value = dict(value)
    merged = value.pop("<<", None)
    for each in merged if isinstance(merged, list) else [merged]:
        value = {**each, **value} if isinstance(each, dict) else value
    pairs = [(str(key).strip(), name.strip()) for key, name in value.items() if isinstance(name, str)]
    if pairs and not any(key.isdecimal() for key, _ in pairs) and all(name.isdecimal() for _, name in pairs):
        pairs = [(name, key) for key, name in pairs]  # As {acme: 0, bolt: 1}.
    return {int(key): clean_label(name) for key, name in pairs if key.isdecimal()}
