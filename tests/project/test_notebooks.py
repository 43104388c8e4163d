"""The two notebooks run from the first cell to the last, in a real kernel, on photos that the test draws."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[Any]]:
    """Runs a notebook in a folder of its own and gives the code cells with what they put out."""
    nbformat = pytest.importorskip("nbformat", reason="nbclient and ipykernel come with the extra dev")
    nbclient = pytest.importorskip("nbclient", reason="nbclient and ipykernel come with the extra dev")
    pytest.importorskip("ipykernel", reason="nbclient and ipykernel come with the extra dev")

    def run(name: str, **environment: str) -> list[Any]:
        for key, value in environment.items():
            monkeypatch.setenv(key, value)
        notebook = nbformat.read(ROOT / "examples" / name, as_version=4)
        resources = {"metadata": {"path": str(tmp_path)}}
        nbclient.NotebookClient(notebook, timeout=900, resources=resources, allow_errors=True).execute()
        cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
        for cell in cells:
            assert not [part for part in cell.outputs if part.output_type == "error"], "\n".join(map(text_of, cells))
        return cells

    return run


def text_of(cell: Any) -> str:
    return "".join(part.get("text") or part.get("data", {}).get("text/plain", "") for part in cell.outputs)


@pytest.mark.parametrize("name", ["logo_classification.ipynb", "old_logos.ipynb"])
def test_a_notebook_is_kept_without_what_it_put_out(name: str) -> None:
    cells = json.loads((ROOT / "examples" / name).read_text(encoding="utf-8"))["cells"]
    assert len(cells) > 4
    assert not [cell for cell in cells if cell.get("outputs") or cell.get("execution_count")]


def test_the_case_study(run: Callable[..., list[Any]], tmp_path: Path, make_photos: Callable[..., Path]) -> None:
    photos = make_photos(tmp_path / "photos", count=10, none=6)
    cells = run("logo_classification.ipynb", LOGOLENS_DATA=str(photos), LOGOLENS_SIZE="96")
    assert "10  acme" in text_of(cells[1])
    assert "top-1 accuracy" in text_of(cells[2])
    assert "softmax" in text_of(cells[3])
    assert cells[4].outputs[0].data["image/png"]
    shown = [part.data["text/html"] for part in cells[5].outputs]
    assert len(shown) >= 4
    assert any("acme" in html for html in shown)
    assert (tmp_path / "notebook-bundle" / "manifest.json").is_file()


def test_old_logos(run: Callable[..., list[Any]], tmp_path: Path, make_photos: Callable[..., Path]) -> None:
    images = make_photos(tmp_path / "images", labels=("old", "new"), count=20)
    cells = run(
        "old_logos.ipynb", LOGOLENS_IMAGES=str(images), LOGOLENS_STEPS="60", LOGOLENS_NETWORK="efficientnet_lite0"
    )
    assert "{'new': 20, 'old': 20}" in text_of(cells[0])
    assert (tmp_path / "dist" / "retrained_graph.pb").is_file(), text_of(cells[1])
    assert "old (score=" in text_of(cells[2])
    found, rows = text_of(cells[4]), cells[4].outputs[-1].data["text/plain"]
    assert 10 <= int(found.split()[0]) <= 30
    assert "/old/" in rows
