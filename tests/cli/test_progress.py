"""What a log holds of a long command: its stages, and what is left, without a line for every photo."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from logolens.cli.console import LINES_EVERY, ProgressLines


class _Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> _Clock:
    return _Clock()


def test_each_stage_is_told_as_it_begins_and_then_every_ten_seconds(clock: _Clock) -> None:
    lines: list[str] = []
    tell = ProgressLines(clock, lines.append)
    for done in range(321):
        tell("computing features", done, 320)
        clock.now += 0.125
    tell("writing the bundle", 0, 1)
    tell("writing the bundle", 1, 1)
    assert lines == [
        "computing features: 0 of 320",
        "computing features: 80 of 320, about 30 s left",
        "computing features: 160 of 320, about 20 s left",
        "computing features: 240 of 320, about 10 s left",
        "computing features: 320 of 320",
        "writing the bundle",
    ]
    assert LINES_EVERY == 10.0


def test_what_was_in_the_cache_says_nothing_of_how_long_the_rest_takes(clock: _Clock) -> None:
    lines: list[str] = []
    tell = ProgressLines(clock, lines.append)
    tell("computing features", 900, 1000)
    clock.now += 10
    tell("computing features", 910, 1000)
    assert lines[-1] == "computing features: 910 of 1,000, about 2 min left"


@pytest.mark.parametrize("again", [200, 400])
def test_a_stage_that_is_gone_through_once_more_counts_its_own_time(clock: _Clock, again: int) -> None:
    lines: list[str] = []
    tell = ProgressLines(clock, lines.append)
    for total in (400, again):
        for done in range(1, total + 1):
            tell("looking closer", done, total)
            clock.now += 0.25
        clock.now += 3600
        # The first one that is heard of may be past the first one of the time before.
        tell("looking closer", 4, again)
    assert not [line for line in lines if " h " in line or "60 min" in line]


def test_stages_that_come_by_turns_and_again_do_not_flood_a_log(clock: _Clock) -> None:
    lines: list[str] = []
    tell = ProgressLines(clock, lines.append)
    for turn in range(1000):
        tell("one", turn % 10, 10)
        tell("other", 0, 1)
        clock.now += 0.05
    assert lines[:2] == ["one: 0 of 10", "other"]
    assert 5 <= len(lines) <= 8
    assert not any("-" in line for line in lines)


def test_a_command_whose_errors_go_to_a_file_tells_its_stages(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for label in ("one", "two"):
        (tmp_path / "photos" / label).mkdir(parents=True)
        for number in range(4):
            pixels = rng.integers(0, 256, (64, 64, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "photos" / label / f"{number}.png")
    done = subprocess.run(
        [sys.executable, "-m", "logolens", "audit", tmp_path / "photos", "--no-labels"],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert "reading photos: " in done.stderr, done.stderr
    assert "seeking copies\n" in done.stderr
