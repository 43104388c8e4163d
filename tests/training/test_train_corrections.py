"""What a reviewer decided about a scan is learned from by the next training, from the command line too."""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from logolens.cli import main


def sha(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def judged(tmp_path: Path, draw_photo: Callable[..., Image.Image]) -> dict[str, Path]:
    found = {}
    for name, label, seed in (("accepted", "acme", 900), ("rejected", "none", 901), ("skipped", "bolt", 902)):
        found[name] = tmp_path / f"{name}.png"
        draw_photo(label, seed).save(found[name])
    return found


def decide(file: Path, judged: dict[str, Path], **more: Any) -> Path:
    rows = [
        {
            "name": str(judged[name]),
            "sha256": sha(judged[name]),
            "answer": "acme",
            "decision": said,
            "label": label,
            **more,
        }
        for name, said, label in (
            ("accepted", "accept", "acme"),
            ("rejected", "reject", None),
            ("skipped", "skip", None),
        )
    ]
    content = {"format": "logolens decisions", "version": 1, "base": None, "decisions": rows}
    file.write_text(json.dumps(content), encoding="utf-8")
    return file


def train(data: Path, out: Path, decisions: Path) -> int:
    flags = ["--views", "whole", "--size", "96", "--epochs", "10", "--corrections", str(decisions)]
    return main(["train", str(data), "--out", str(out), *flags])


def test_the_decisions_join_the_photos(
    tmp_path: Path, make_photos: Callable[..., Path], judged: dict[str, Path], train_settings: Any
) -> None:
    data = make_photos(tmp_path / "photos", count=12, none=12)
    assert train(data, tmp_path / "bundle", decide(tmp_path / "decisions.json", judged)) == 0
    with (tmp_path / "bundle" / "split.csv").open(newline="", encoding="utf-8") as file:
        labels = {row["sha256"]: row["label"] for row in csv.DictReader(file)}
    assert labels[sha(judged["accepted"])] == "acme"
    assert labels[sha(judged["rejected"])] == "none"
    assert sha(judged["skipped"]) not in labels


def test_decisions_that_cannot_be_used_leave_nothing_behind(
    tmp_path: Path, make_photos: Callable[..., Path], capsys: pytest.CaptureFixture[str], train_settings: Any
) -> None:
    data = make_photos(tmp_path / "photos", count=6)
    (tmp_path / "decisions.json").write_text("[]", encoding="utf-8")
    assert train(data, tmp_path / "bundle", tmp_path / "decisions.json") != 0
    assert "decisions.json" in capsys.readouterr().err
    assert not (tmp_path / "bundle").exists()
