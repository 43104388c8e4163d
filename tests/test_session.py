"""Photos through a network: in order, lazily, whatever one of them holds, and the same on any number of threads."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from logolens.config import Limits, Preprocessing
from logolens.errors import BundleError, ImageError
from logolens.session import Job, Session
from logolens.threads import processors
from logolens.views import WHOLE, View

SQUARE = Preprocessing(size=64)


def encode(image: Image.Image, format: str = "PNG") -> bytes:
    out = io.BytesIO()
    image.save(out, format)
    return out.getvalue()


def plain(level: int) -> bytes:
    return encode(Image.new("RGB", (20, 20), (level, level, level)))


def job(data: bytes, *views: View) -> Job:
    return Job(lambda: data, views or (WHOLE,))


def _fail() -> bytes:
    raise ImageError("gone.jpg: there is no such file.")


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_outcomes_keep_the_order_and_errors_stand_among_them(small_network: bytes, threads: int) -> None:
    session = Session(small_network, SQUARE, threads=threads)
    jobs = [job(plain(level)) for level in range(0, 250, 2)]
    jobs[3] = Job(_fail)
    jobs[70] = job(b"not an image")
    jobs[124] = job(b"")
    outcomes = list(session.look(jobs))
    assert len(outcomes) == 125
    for number, outcome in enumerate(outcomes):
        if number in (3, 70, 124):
            assert outcome.outputs == ()
            assert outcome.error is not None
            assert outcome.error.endswith(".")
        else:
            assert outcome.error is None
            assert outcome.outputs[0].shape == (1, 12)
            assert outcome.outputs[0][0, 0] == pytest.approx(2 * number)
    assert outcomes[3].error == "gone.jpg: there is no such file."


def test_a_photo_of_many_views_gives_a_row_for_each(small_network: bytes) -> None:
    photo = Image.new("RGB", (100, 100), "black")
    photo.paste("white", (50, 0, 100, 100))
    views = [View((x / 40, 0, x / 40 + 0.25, 1)) for x in range(31)]
    wide, single = Session(small_network, SQUARE).look([job(encode(photo), *views), job(plain(9))])
    assert wide.outputs[0].shape == (31, 12)
    assert wide.outputs[0][0].max() == 0
    assert wide.outputs[0][-1].min() == pytest.approx(255)
    assert (np.diff(wide.outputs[0].mean(axis=1)) >= -1e-3).all()
    assert single.outputs[0].shape == (1, 12)


def test_no_photos_give_no_outcomes_and_only_broken_ones_give_only_errors(small_network: bytes) -> None:
    session = Session(small_network, SQUARE, threads=2)
    assert list(session.look([])) == []
    assert [outcome.error is None for outcome in session.look([job(b"x")] * 20)] == [False] * 20


def test_several_threads_give_the_numbers_of_one(small_network: bytes, draw_photo: Any) -> None:
    photos = [encode(draw_photo("acme", seed, (150, 100)), "JPEG") for seed in range(30)]
    runs = [
        np.concatenate(
            [outcome.outputs[0] for outcome in Session(small_network, SQUARE, threads=threads).look(map(job, photos))]
        )
        for threads in (1, 3, 8)
    ]
    assert len({run.tobytes() for run in runs}) == 1


def test_an_endless_source_is_drawn_only_as_far_as_needed(small_network: bytes) -> None:
    drawn = 0
    data = plain(7)

    def endless() -> Iterator[Job]:
        nonlocal drawn
        while True:
            drawn += 1
            yield job(data)

    outcomes = Session(small_network, SQUARE, threads=2).look(endless())
    assert drawn == 0
    furthest = 0
    for answered in range(1, 501):
        assert next(outcomes).error is None
        furthest = max(furthest, drawn - answered)
    assert furthest <= 8 * 2 * 2 + 8
    outcomes.close()
    stopped = drawn
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("logolens")]
    assert drawn == stopped


def test_photos_are_let_go_once_they_are_answered(small_network: bytes) -> None:
    alive = most = 0
    lock = threading.Lock()

    class Photo:
        def __init__(self) -> None:
            nonlocal alive, most
            with lock:
                alive += 1
                most = max(most, alive)
            self.data = plain(3)

        def __del__(self) -> None:
            nonlocal alive
            with lock:
                alive -= 1

        def read(self) -> bytes:
            return self.data

    outcomes = Session(small_network, SQUARE, threads=2).look(Job(Photo().read) for _ in range(600))
    assert sum(outcome.error is None for outcome in outcomes) == 600
    assert most < 100


def test_an_error_that_is_not_the_photos_own_is_not_hidden(small_network: bytes) -> None:
    def broken() -> bytes:
        raise RuntimeError("the reader itself is wrong")

    with pytest.raises(RuntimeError, match="reader itself"):
        list(Session(small_network, SQUARE).look([job(plain(1)), Job(broken)]))

    def source() -> Iterator[Job]:
        yield job(plain(1))
        raise KeyError("the source itself is wrong")

    with pytest.raises(KeyError, match="source itself"):
        list(Session(small_network, SQUARE).look(source()))


def test_limits_hold_here_too(small_network: bytes) -> None:
    session = Session(small_network, SQUARE, limits=Limits(max_pixels=399))
    (outcome,) = session.look([job(plain(1))])
    assert outcome.error is not None
    assert "limit of 399" in outcome.error


def test_a_model_comes_from_a_file_or_from_bytes(small_network: bytes, tmp_path: Path) -> None:
    path = tmp_path / "ünï côde.onnx"
    path.write_bytes(small_network)
    squares = np.random.default_rng(0).integers(0, 256, (40, 64, 64, 3), dtype=np.uint8)
    from_file, from_bytes = Session(path, SQUARE), Session(small_network, SQUARE)
    assert from_file.output_names == from_bytes.output_names == ("features",)
    assert np.array_equal(from_file.run(squares)[0], from_bytes.run(squares)[0])
    assert from_file.run(squares)[0].shape == (40, 12)


@pytest.mark.parametrize("data", [b"", b"not a model", bytes(100)])
def test_what_is_no_model_is_a_sentence(data: bytes, tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="cannot be loaded"):
        Session(data, SQUARE)
    path = tmp_path / "m.onnx"
    with pytest.raises(BundleError, match=r"m\.onnx"):
        Session(path, SQUARE)
    path.write_bytes(data)
    with pytest.raises(BundleError, match=r"m\.onnx"):
        Session(path, SQUARE)


def test_processors_is_at_least_one(small_network: bytes) -> None:
    assert processors() >= 1
    assert Session(small_network, SQUARE).threads == processors()
    assert Session(small_network, SQUARE, threads=3).threads == 3
