"""The batcher answers every task once, whatever becomes of those beside it."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from PIL import Image
from service import eventually, picture, write_colours

from logolens.config import Limits
from logolens.errors import LogolensError
from logolens.inference.classifier import Classifier
from logolens.io.images import open_rgb
from logolens.serve.batcher import Batcher, Task


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory, small_network: bytes) -> Classifier:
    return Classifier.load(write_colours(tmp_path_factory.mktemp("served") / "colours", small_network), threads=1)


@pytest.fixture
def batcher() -> Iterator[Batcher]:
    batches: list[int] = []
    batcher = Batcher(openers=2, lookers=1, batch=4, observe=batches.append)
    yield batcher
    batcher.close()
    assert all(1 <= size <= 4 for size in batches)


class Done:
    """Collects finished tasks."""

    def __init__(self) -> None:
        self.tasks: list[Task] = []
        self._lock = threading.Lock()

    def __call__(self, task: Task) -> None:
        with self._lock:
            self.tasks.append(task)


def label(classifier: Classifier, task: Task) -> str | None:
    assert task.outcome is not None
    return classifier.to_prediction("image", task.outcome).label


def test_each_task_is_answered_once_and_with_its_own_image(batcher: Batcher, classifier: Classifier) -> None:
    done = Done()
    wanted = {"red": "red", "lime": "green", "blue": "blue"}
    tasks = {Task(picture(colour), classifier, done): wanted[colour] for colour in list(wanted) * 10}
    broken = Task(b"no image", classifier, done)
    for task in (*tasks, broken):
        batcher.submit(task)
    eventually(lambda: len(done.tasks) == 31)
    assert {id(task) for task in done.tasks} == {id(task) for task in (*tasks, broken)}
    assert all(label(classifier, task) == colour for task, colour in tasks.items())
    assert broken.outcome is not None
    assert broken.outcome.error is not None
    assert all({"queue", "decode", "batch", "network"} == task.times.keys() for task in tasks)
    assert not any(task.data for task in done.tasks)


def test_a_task_that_fails_takes_no_other_with_it(batcher: Batcher, classifier: Classifier) -> None:
    done = Done()
    # This bundle has nothing to keep: asking for it is refused where the jobs are made, for the whole batch.
    tasks = [Task(picture("red"), classifier, done, keep=number % 5 == 2) for number in range(10)]
    for task in tasks:
        batcher.submit(task)
    eventually(lambda: len(done.tasks) == 10)
    assert [task.failed for task in tasks] == [number % 5 == 2 for number in range(10)]
    assert {label(classifier, task) for task in tasks if not task.failed} == {"red"}


def test_a_task_that_is_dropped_is_not_looked_at(batcher: Batcher, classifier: Classifier) -> None:
    done, gate = Done(), threading.Event()

    def decode(data: bytes, *, shrink_to: int | None = None, limits: Limits = Limits()) -> Image.Image:
        opened.append(data)
        gate.wait()
        return open_rgb(data, shrink_to=shrink_to, limits=limits)

    opened: list[bytes] = []
    held = Classifier(classifier.bundle, threads=1, decode=decode)
    slow = [Task(picture(), held, done) for _ in range(2)]  # As many as can be opened at a time.
    dropped, last = Task(picture("green"), held, done), Task(picture(), held, done)
    for task in (*slow, dropped, last):
        batcher.submit(task)
    eventually(lambda: len(opened) == 2)
    batcher.drop(dropped)
    gate.set()
    eventually(lambda: len(done.tasks) == 3)
    assert dropped not in done.tasks
    assert picture("green") not in opened
    assert label(classifier, last) == "red"
    batcher.drop(last)  # It is finished, and stays what it is.
    assert label(classifier, last) == "red"


def test_closing_answers_what_was_taken_on(classifier: Classifier) -> None:
    done = Done()
    batcher = Batcher(openers=2, lookers=2, batch=2)
    tasks = [Task(picture(), classifier, done) for _ in range(20)]
    for task in tasks:
        batcher.submit(task)
    batcher.close(timeout=240.0)
    assert len(done.tasks) == 20
    assert {label(classifier, task) for task in tasks} == {"red"}
    with pytest.raises(LogolensError, match="ending"):
        batcher.submit(Task(picture(), classifier, done))
