"""Gather the pages of the documentation site, for mkdocs: what lies in docs/, and the pages beside it.

python docs/pages.py build/pages

The pages stay as they read on a code host, with links between folders. A site has one folder of pages: those from elsewhere are
copied into it under other names, and links follow.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

MOVED = {
    "README.md": "index.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security.md",
    "benchmarks/README.md": "benchmarks.md",
    "examples/README.md": "examples.md",
}
"""Pages that lie beside docs/, and what they are called on the site."""

FILES = "files"
"""The site's folder of linked files that are no pages."""

API = """# Python interface

The verbs, and the classifier; what else they take and give is in the [reference](reference.md).

{entries}
"""

VERBS = ("Classifier", "train", "evaluate", "audit", "synthesize")
"""What the page of the Python interface shows, out of the package's docstrings. `scan` is a package that can be called."""


def gather(target: Path) -> list[Path]:
    """Write all pages, and the files that they link to, below a folder.

    Returns:
        The pages, relative to it.

    Raises:
        FileNotFoundError: a page links to what is not there.
    """
    shutil.rmtree(target, ignore_errors=True)
    docs = ROOT / "docs"
    places = {(ROOT / path).resolve(): Path(name) for path, name in MOVED.items()}
    places |= {page.resolve(): page.relative_to(docs) for page in sorted(docs.rglob("*.md"))}
    for source, place in places.items():
        page = target / place
        page.parent.mkdir(parents=True, exist_ok=True)
        text = source.read_text(encoding="utf-8")
        page.write_text(_outside_code(text, lambda part, s=source, p=place: _linked(part, s, p, places, target)))
    entries = "\n\n".join(f"::: logolens.{name}" for name in VERBS)
    entries += "\n\n::: logolens.scan.run.scan"
    (target / "api.md").write_text(API.format(entries=entries), encoding="utf-8")
    return [*places.values(), Path("api.md")]


def _outside_code(text: str, change: Callable[[str], str]) -> str:
    """A page with all but its blocks of code changed."""
    parts = re.split(r"(^```.*?^```)", text, flags=re.DOTALL | re.MULTILINE)
    return "".join(part if part.startswith("```") else change(part) for part in parts)


def _linked(text: str, source: Path, place: Path, places: dict[Path, Path], target: Path) -> str:
    """Text of a page with its links as they are from the page's place on the site."""

    def follow(match: re.Match[str]) -> str:
        path, mark, anchor = match[1].partition("#")
        if not path or re.match(r"[a-z]+:", path):
            return match[0]
        meant = (source.parent / path).resolve()
        return f"]({Path(os.path.relpath(_found(meant, places, target), place.parent)).as_posix()}{mark}{anchor})"

    return re.sub(r"\]\(([^)\s]+)\)", follow, text)


def _found(meant: Path, places: dict[Path, Path], target: Path) -> Path:
    """Where on the site something is that a page links to; a file that is no page is copied there."""
    if meant in places:
        return places[meant]
    if (meant / "README.md") in places:
        return places[meant / "README.md"]
    if meant.is_dir():
        # A site has no listing of a folder: the page that speaks of it stands for it.
        return _found(meant.parent, places, target)
    inside = meant.relative_to(ROOT / "docs") if (ROOT / "docs") in meant.parents else None
    place = inside if inside is not None else Path(FILES) / meant.relative_to(ROOT)
    (target / place).parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(meant, target / place)
    return place


if __name__ == "__main__":
    print(f"{len(gather(Path(sys.argv[1])))} pages")
