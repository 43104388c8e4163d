"""Photos through a network: in order, lazily, whatever one of them holds, and the same on any number of threads."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import threading
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from logolens.config import Limits, Preprocessing
from logolens.errors import BundleError, ImageError
from logolens.io.images import open_rgb
from logolens.io.threads import processors
from logolens.io.views import WHOLE, Picture, View
from logolens.models.session import Job, Outputs, Session, Steps

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

    others = set(threading.enumerate())  # A service that other tests share has threads of its own.
    outcomes = Session(small_network, SQUARE, threads=2).look(endless())
    assert drawn == 0
    furthest = 0
    for answered in range(1, 501):
        assert next(outcomes).error is None
        furthest = max(furthest, drawn - answered)
    assert furthest <= 8 * 2 * 2 + 8
    stopping: Any = outcomes
    stopping.close()
    stopped = drawn
    assert not [thread for thread in set(threading.enumerate()) - others if thread.name.startswith("logolens")]
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


@pytest.mark.parametrize("threads", [1, 2])
def test_pixels_go_before_the_next_photo_is_decoded_where_all_views_are_known(
    small_network: bytes, threads: int
) -> None:
    alive = most = 0
    lock = threading.Lock()

    def gone() -> None:
        nonlocal alive
        with lock:
            alive -= 1

    def decode(data: bytes, **how: Any) -> Image.Image:
        nonlocal alive, most
        image = open_rgb(data, **how)
        weakref.finalize(image, gone)
        with lock:
            alive += 1
            most = max(most, alive)
        return image

    data = [encode(Image.new("RGB", (60, 40), (n, n, n)), "PNG") for n in range(40)]
    session = Session(small_network, SQUARE, threads=threads, decode=decode)
    jobs = [Job(lambda data=one: data, HALVES, answer=lambda outputs: len(outputs)) for one in data]  # type: ignore[misc]
    assert [outcome.value for outcome in session.look(jobs)] == [len(session.output_names)] * 40
    assert most <= threads + 1

    def asks_again(picture: Picture) -> Steps:
        yield HALVES
        yield HALVES

    most = 0
    list(session.look(Job(lambda data=one: data, steps=asks_again) for one in data))  # type: ignore[misc]
    assert most > threads + 1, "photos that are asked about again were decoded again"


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


# Steps: photos that ask for more


HALVES = (View((0.0, 0.0, 0.5, 1.0)), View((0.5, 0.0, 1.0, 1.0)))


def brighter_half(picture: Picture) -> Steps:
    """The mean of the brighter half of the brighter half: what is asked for next follows from what was seen."""
    outputs = yield HALVES
    number = int(outputs["features"].mean(axis=1).argmax())
    left = 0.5 * number
    outputs = yield [View((left, 0.0, left + 0.25, 1.0)), View((left + 0.25, 0.0, left + 0.5, 1.0))]
    return number, float(outputs["features"].mean(axis=1).max())


def stripes(*levels: int) -> bytes:
    """Four stripes of grey."""
    image = Image.new("L", (40, 10))
    for number, level in enumerate(levels):
        image.paste(level, (10 * number, 0, 10 * number + 10, 10))
    return encode(image.convert("RGB"))


@pytest.mark.parametrize("threads", [1, 3])
def test_photos_ask_for_more_side_by_side_and_each_gets_its_own_answer(small_network: bytes, threads: int) -> None:
    session = Session(small_network, SQUARE, threads=threads)
    photos = [stripes(0, number, 0, 250 - number) if number % 2 else stripes(number, 0, 1, 0) for number in range(60)]
    jobs = [Job(lambda data=data: data, steps=brighter_half) for data in photos]  # type: ignore[misc]
    for number, outcome in enumerate(session.look(jobs)):
        assert outcome.error is None
        half, brightest = outcome.value
        assert half == (number % 2 if number else 1)
        assert brightest == pytest.approx(250 - number if number % 2 else max(number, 1), abs=1.5)


def test_views_of_all_photos_go_through_the_network_together(small_network: bytes) -> None:
    class Counted(Session):
        runs: list[int] = []  # noqa: RUF012

        def run(self, squares: Any) -> Any:
            self.runs.append(len(squares))
            return super().run(squares)

    session = Counted(small_network, SQUARE, threads=1)
    jobs = [Job(lambda: stripes(9, 8, 7, 6), steps=brighter_half) for _ in range(15)]
    assert len(list(session.look(jobs))) == 15
    # Chunks of 1, 2, 4 and 8 photos, two turns each.
    assert sorted(session.runs) == [2, 2, 4, 4, 8, 8, 16, 16]


def test_ways_of_different_lengths_do_not_wait_for_one_another(small_network: bytes) -> None:
    def turns(count: int) -> Any:
        def steps(picture: Picture) -> Steps:
            seen = []
            for _ in range(count):
                outputs = yield (WHOLE,)
                seen.append(float(outputs["features"][0, 0]))
            return seen

        return steps

    counts = [3, 0, 7, 1, 0, 0, 12, 2, 5, 1, 1, 0, 4, 30, 2, 1, 0]
    jobs = [
        Job(lambda level=level: plain(level), steps=turns(count))  # type: ignore[misc]
        for level, count in enumerate(counts)
    ]
    for level, (count, outcome) in enumerate(zip(counts, Session(small_network, SQUARE).look(jobs), strict=True)):
        assert outcome.value == pytest.approx([level] * count)
        assert outcome.error is None


def test_an_image_error_within_steps_costs_that_photo_alone(small_network: bytes) -> None:
    def fails(when: int) -> Any:
        def steps(picture: Picture) -> Steps:
            for turn in range(3):
                if turn == when:
                    raise ImageError(f"it broke in turn {turn}.")
                outputs: Outputs = yield (WHOLE,)
            return float(outputs["features"].max())

        return steps

    jobs = [
        Job(lambda level=number: plain(level), steps=fails(number if number in (0, 1, 2) else 9))  # type: ignore[misc]
        for number in range(12)
    ]
    outcomes = list(Session(small_network, SQUARE, threads=2).look(jobs))
    for number, outcome in enumerate(outcomes):
        if number < 3:
            assert (outcome.value, outcome.outputs) == (None, ())
            assert outcome.error == f"it broke in turn {number}."
        else:
            assert outcome.value == pytest.approx(number)


def test_a_photo_that_breaks_when_it_is_looked_at_closer_costs_that_photo_alone(small_network: bytes) -> None:
    """The seam for decoding: it gives the small scale, and fails at the full one."""

    def decode(data: bytes, *, shrink_to: int | None = None, limits: Limits = Limits()) -> Image.Image:
        image = open_rgb(data, shrink_to=shrink_to, limits=limits)
        if image.getpixel((0, 0)) == (255, 255, 255) and image.width > 300:
            raise ImageError("the lower half is damaged.")
        return image

    def steps(picture: Picture) -> Steps:
        outputs = yield (WHOLE,)
        first = float(outputs["features"].mean())
        outputs = yield (View((0.0, 0.0, 0.1, 0.1)),)
        return first, float(outputs["features"].mean())

    good, bad = (encode(Image.new("RGB", (600, 600), colour), "JPEG") for colour in ("black", "white"))
    session = Session(small_network, SQUARE, threads=2, decode=decode)
    outcomes = list(session.look([Job(lambda data=data: data, steps=steps) for data in [good, bad] * 5]))  # type: ignore[misc]
    assert [outcome.error for outcome in outcomes] == [None, "the lower half is damaged."] * 5
    assert outcomes[0].value == pytest.approx((0, 0), abs=1)


def test_an_error_of_the_steps_themselves_is_not_hidden(small_network: bytes) -> None:
    def broken(picture: Picture) -> Steps:
        yield (WHOLE,)
        raise KeyError("the steps themselves are wrong")

    with pytest.raises(KeyError, match="steps themselves"):
        list(Session(small_network, SQUARE).look([Job(lambda: plain(1), steps=broken)]))


def test_every_decode_goes_through_the_seam(small_network: bytes) -> None:
    asked: list[int | None] = []

    def decode(data: bytes, *, shrink_to: int | None = None, limits: Limits = Limits()) -> Image.Image:
        asked.append(shrink_to)
        return Image.new("RGB", (40, 20), (len(data), 0, 0))

    session = Session(small_network, SQUARE, threads=1, decode=decode)
    (one, two, three) = session.look(
        [
            Job(lambda: b"abc"),
            Job(lambda: b"abcd", HALVES),
            Job(lambda: b"abcde", within=View((0.0, 0.0, 0.5, 0.5))),
        ]
    )
    assert [round(float(outcome.outputs[0].max())) for outcome in (one, two, three)] == [3, 4, 5]
    assert len(asked) == 3


@pytest.mark.parametrize("format", ["PNG", "JPEG"])
def test_a_region_is_taken_for_the_whole_photo(small_network: bytes, format: str) -> None:
    photo = Image.new("RGB", (400, 300), "black")
    photo.paste("white", (200, 0, 400, 150))
    data = encode(photo, format)
    sizes = []

    def steps(picture: Picture) -> Steps:
        sizes.append(picture.sides)
        outputs = yield (WHOLE, View((0.0, 0.0, 1.0, 0.5)), View((0.0, 0.5, 1.0, 1.0)))
        return outputs["features"].mean(axis=1).tolist()

    within = View((0.5, 0.0, 1.0, 1.0))
    inside, outside = Session(small_network, SQUARE, threads=1).look(
        [Job(lambda: data, steps=steps, within=within), Job(lambda: data, steps=steps)]
    )
    assert inside.value == pytest.approx([127.5, 255, 0], abs=3)
    assert outside.value == pytest.approx([63.75, 127.5, 0], abs=3)
    assert sizes == [(200, 300), (400, 300)]
    (tiny,) = Session(small_network, SQUARE, threads=1).look(
        [Job(lambda: data, within=View((0.99999, 0.0, 1.0, 0.00001)))]
    )
    assert tiny.outputs[0].max() == pytest.approx(255, abs=3)


def test_a_region_of_a_photo_that_cannot_be_read_is_its_error(small_network: bytes) -> None:
    (outcome,) = Session(small_network, SQUARE).look([Job(lambda: b"x", steps=brighter_half, within=HALVES[0])])
    assert outcome.error is not None


def test_outputs_are_those_that_were_asked_for(small_network: bytes) -> None:
    assert Session(small_network, SQUARE, outputs=("features",)).output_names == ("features",)
    with pytest.raises(BundleError, match="no output last, only features"):
        Session(small_network, SQUARE, outputs=("features", "last"))


def test_nothing_of_the_machine_is_kept_for_the_network_s_maker(small_network: bytes, tmp_path: Path) -> None:
    (tmp_path / "network.onnx").write_bytes(small_network)
    script = (
        "import time, logolens\nfrom logolens.config import Preprocessing\nfrom logolens.models.session import Session\n"
        "session = Session('network.onnx', Preprocessing(size=64), threads=1)\ntime.sleep(0.5)\n"
    )
    environment = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}
    environment |= {"HOME": str(tmp_path / "home"), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    for folder in ("home", "cache"):
        (tmp_path / folder).mkdir()
    subprocess.run([sys.executable, "-c", script], cwd=tmp_path, env=environment, check=True)
    assert [path for folder in ("home", "cache") for path in (tmp_path / folder).rglob("*")] == []
