"""docs/architecture.md tells the truth: each file it points to is there, and has in it what it is named for."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
SOURCE = ROOT / "src" / "logolens"

ROWS = re.findall(r"^\| ([^|]+) \| `([\w/]+\.py)` \| `(\w+)` \|$", PAGE.partition("## Where is what")[2], re.MULTILINE)


def test_the_table_has_25_behaviours() -> None:
    assert len({what for what, _, _ in ROWS}) == 25


@pytest.mark.parametrize(("what", "file", "name"), ROWS, ids=[what for what, _, _ in ROWS])
def test_a_behaviour_stands_where_the_page_says(what: str, file: str, name: str) -> None:
    tree = ast.parse((SOURCE / file).read_text(encoding="utf-8"))
    defined = {node.name for node in tree.body if isinstance(node, (ast.FunctionDef, ast.ClassDef))}
    for node in tree.body:
        if isinstance(node, (ast.Assign, ast.AnnAssign)):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            defined |= {ast.unparse(target) for target in targets}
    assert name in defined, f"{file} does not define {name}"


def test_each_module_and_folder_that_is_named_is_there() -> None:
    steps = set(re.findall(r"^ ?\d+  ([a-z_]+\.[a-z_]+) ", PAGE, re.MULTILINE))
    assert len(steps) > 15
    for step in steps:
        path = SOURCE.joinpath(*step.split("."))
        assert path.is_dir() or path.with_suffix(".py").is_file(), step
    for folder in re.findall(r"`([a-z_/]+/)`", PAGE):
        assert (SOURCE / folder).is_dir(), folder


def test_contributing_points_here() -> None:
    assert "docs/architecture.md" in (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
