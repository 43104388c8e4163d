"""The documentation site: its pages are gathered from where they lie, and nothing on them leads nowhere."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def pages() -> ModuleType:
    spec = importlib.util.spec_from_file_location("pages", ROOT / "docs" / "pages.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def gathered(pages: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = tmp_path_factory.mktemp("site") / "pages"
    pages.gather(folder)
    return folder


def links(page: Path) -> Iterator[str]:
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if not re.match(r"[a-z]+:|#", target):
            yield target.partition("#")[0]


def test_links_between_pages_and_to_files_hold_where_the_pages_lie_now(gathered: Path) -> None:
    found = [(page, target) for page in gathered.rglob("*.md") for target in links(page)]
    assert len(found) > 100
    for page, target in found:
        place = (page.parent / target).resolve()
        assert place.is_file(), f"{page.relative_to(gathered)} links to {target}"
        assert gathered.resolve() in place.parents, f"{page.relative_to(gathered)} links out of the site, to {target}"


def test_every_page_has_its_place_in_the_menu(gathered: Path) -> None:
    # Above it stands what only mkdocs can read.
    menu = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8").partition("\nnav:\n")[2])
    listed = [name for part in menu for names in part.values() for name in names]
    assert sorted(listed) == sorted(page.relative_to(gathered).as_posix() for page in gathered.rglob("*.md"))


def test_code_is_shown_as_it_is(gathered: Path) -> None:
    blocks = [
        re.findall(r"^```.*?^```", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
        for page in (ROOT / "README.md", gathered / "index.md")
    ]
    assert blocks[0] == blocks[1] != []


def test_the_python_interface_is_the_packages(pages: ModuleType, gathered: Path) -> None:
    import logolens

    text = (gathered / "api.md").read_text(encoding="utf-8")
    for name in pages.VERBS:
        assert f"::: logolens.{name}\n" in text
        assert getattr(logolens, name).__doc__


def test_a_link_to_what_is_not_there_ends_it(
    pages: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "page.md").write_text("[here](picture.png)\n\n[gone](gone.png)\n", encoding="utf-8")
    (tmp_path / "docs" / "picture.png").write_bytes(b"")
    monkeypatch.setattr(pages, "ROOT", tmp_path)
    monkeypatch.setattr(pages, "MOVED", {})
    with pytest.raises(FileNotFoundError, match=r"gone\.png"):
        pages.gather(tmp_path / "pages")
    (tmp_path / "docs" / "gone.png").write_bytes(b"")
    assert pages.gather(tmp_path / "pages") == [Path("page.md"), Path("api.md")]
