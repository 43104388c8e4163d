"""Where time goes: each moment counts once, for the innermost stage, in whatever thread."""

from __future__ import annotations

import threading

import pytest

from logolens.io import stopwatch
from logolens.io.stopwatch import OTHER, Stopwatch, stage


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time; it passes where a test lets it pass."""
    now = [0.0]
    monkeypatch.setattr(stopwatch.time, "perf_counter", lambda: now[0])
    monkeypatch.setattr(stopwatch.time, "thread_time", lambda: now[0] / 2)
    return now


def test_each_moment_counts_for_the_innermost_stage(clock: list[float]) -> None:
    watch = Stopwatch()
    with watch.running():
        clock[0] += 1
        with stage("outer"):
            clock[0] += 10
            with stage("inner", 3):
                clock[0] += 100
            clock[0] += 1000
        with stage("outer"):
            clock[0] += 10000
    clock[0] += 1e6
    spent = watch.spent
    assert {name: its.seconds for name, its in spent.items()} == {"outer": 11010, "inner": 100, OTHER: 1}
    assert [its.times for its in spent.values()] == [2, 3, 0]
    assert spent["outer"].processor == 5505
    assert list(spent) == ["outer", "inner", OTHER]


def test_an_error_ends_its_stage(clock: list[float]) -> None:
    watch = Stopwatch()

    def fail() -> None:
        with stage("failing"):
            clock[0] += 5
            raise ValueError("no")

    with watch.running():
        with pytest.raises(ValueError, match="no"):
            fail()
        clock[0] += 7
    assert {name: its.seconds for name, its in watch.spent.items()} == {OTHER: 7, "failing": 5}


def test_nothing_is_counted_where_nobody_asks() -> None:
    with stage("alone"):
        pass
    watch = Stopwatch()
    with watch.running():
        thread = threading.Thread(target=lambda: stage("elsewhere").__enter__())
        thread.start()
        thread.join()
    assert set(watch.spent) == {OTHER}


def test_threads_add_up() -> None:
    watch = Stopwatch()

    def work() -> None:
        with watch.running(), stage("work"):
            pass

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert watch.spent["work"].times == 8
