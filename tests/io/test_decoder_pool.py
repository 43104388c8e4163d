"""Decoding in processes: the same pixels, and nothing that an image or a signal does to a worker ends more than that image."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from logolens.config import DecodeSettings, Limits
from logolens.errors import ImageError, WorkerError
from logolens.io.decoder_pool import Decoder
from logolens.io.images import open_apart, open_rgb, stored_size

POSIX = pytest.mark.skipif(os.name == "nt", reason="this system has no such signals")


def encode(image: Image.Image, format: str = "PNG", **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, format, **options)
    return out.getvalue()


def idle(decoder: Decoder) -> list[int]:
    """The process numbers of the workers that decode nothing at the moment."""
    with decoder._idle.mutex:
        return [worker.pid for worker in decoder._idle.queue if worker is not None]


@pytest.fixture(scope="module")
def decoder() -> Iterator[Decoder]:
    with Decoder(2) as made:
        yield made


@pytest.fixture(scope="module")
def large() -> bytes:
    """49 megapixels in few bytes: about a second of work."""
    return encode(Image.linear_gradient("L").resize((7000, 7000)).convert("RGBA"), compress_level=1)


@pytest.mark.parametrize("shrink_to", [None, 40])
@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF"])
def test_the_pixels_are_those_of_the_decode_in_this_process(
    decoder: Decoder, draw_photo: Callable[..., Image.Image], format: str, shrink_to: int | None
) -> None:
    data = encode(draw_photo("acme", 3, (300, 200)), format)
    ours, plain = decoder(data, shrink_to=shrink_to), open_rgb(data, shrink_to=shrink_to)
    assert (ours.mode, ours.size, stored_size(ours)) == (plain.mode, plain.size, stored_size(plain))
    assert stored_size(ours) == ((300, 200) if format == "JPEG" else None)
    assert ours.tobytes() == plain.tobytes()


def test_complaints_are_those_of_the_decode_in_this_process(decoder: Decoder) -> None:
    good = encode(Image.new("RGB", (64, 64), "red"), "JPEG")
    for data, limits in (
        (b"", Limits()),
        (b"no image", Limits()),
        (good[:300], Limits()),
        (good, Limits(max_pixels=99)),
    ):
        with pytest.raises(ImageError) as plain:
            open_rgb(data, limits=limits)
        with pytest.raises(ImageError) as ours:
            decoder(data, limits=limits)
        assert str(ours.value) == str(plain.value)
    assert decoder(good).size == (64, 64)


def test_many_threads_share_few_workers(decoder: Decoder) -> None:
    data = [encode(Image.new("RGB", (20 + number, 30), (number, 0, 0))) for number in range(60)]
    with ThreadPoolExecutor(8) as pool:
        images = list(pool.map(decoder, data))
    assert [image.size[0] for image in images] == [20 + number for number in range(60)]
    assert [image.getpixel((0, 0)) for image in images] == [(number, 0, 0) for number in range(60)]
    assert len(idle(decoder)) <= 2


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux holds a process to its memory")
def test_a_bomb_costs_one_image(large: bytes) -> None:
    small = encode(Image.new("RGB", (50, 50)))
    with Decoder(1, DecodeSettings(decode_memory=100_000_000)) as decoder:
        assert decoder(small).size == (50, 50)
        with pytest.raises(ImageError, match=r"more memory than 100,000,000 bytes.*--decode-memory"):
            decoder(large)
        assert decoder(small).size == (50, 50)


def test_what_takes_too_long_costs_one_image(large: bytes) -> None:
    with (
        Decoder(1, DecodeSettings(decode_seconds=0.1)) as decoder,
        pytest.raises(ImageError, match=r"than 0\.1 seconds"),
    ):
        decoder(large)
    with Decoder(1) as decoder:
        assert decoder(large).size == (7000, 7000)


@POSIX
def test_a_worker_that_hangs_costs_one_image() -> None:
    small = encode(Image.new("RGB", (50, 50)))
    with Decoder(1, DecodeSettings(decode_seconds=5.0)) as decoder:
        decoder(small)
        (stopped,) = idle(decoder)
        os.kill(stopped, signal.SIGSTOP)
        with pytest.raises(ImageError, match="longer than 5 seconds"):
            decoder(small)
        assert decoder(small).size == (50, 50)
        assert idle(decoder) != [stopped]


@POSIX
def test_a_worker_killed_between_images_costs_none() -> None:
    small = encode(Image.new("RGB", (50, 50)))
    with Decoder(1) as decoder:
        for _ in range(3):
            decoder(small)
            os.kill(idle(decoder)[0], signal.SIGKILL)
        assert decoder(small).size == (50, 50)


def children() -> list[int]:
    """The processes that this one has started and not yet buried."""
    with open(f"/proc/self/task/{threading.main_thread().native_id}/children", encoding="ascii") as file:
        own = {int(word) for word in file.read().split()}
    for thread in threading.enumerate():
        path = f"/proc/self/task/{thread.native_id}/children"
        if os.path.exists(path):
            with open(path, encoding="ascii") as file:
                own |= {int(word) for word in file.read().split()}
    return sorted(own)


def ready(pid: int) -> bool:
    """Whether a worker has come so far as to bound its own memory."""
    with open(f"/proc/{pid}/limits", encoding="ascii") as file:
        return "unlimited" not in next(line for line in file if line.startswith("Max data size")).split()[3]


@pytest.mark.skipif(sys.platform != "linux", reason="finds its processes in /proc")
def test_an_image_that_kills_its_workers_is_given_up(large: bytes) -> None:
    before = set(children())
    with Decoder(1) as decoder:
        with ThreadPoolExecutor(1) as pool:
            answer = pool.submit(decoder, large)
            killed: set[int] = set()
            give_up = time.monotonic() + 120
            while len(killed) < 2 and time.monotonic() < give_up:
                for pid in set(children()) - before - killed:
                    if ready(pid):
                        time.sleep(0.1)
                        os.kill(pid, signal.SIGKILL)
                        killed.add(pid)
            with pytest.raises(ImageError, match="ends the process"):
                answer.result(60)
        assert decoder(encode(Image.new("RGB", (50, 50)))).size == (50, 50)


def test_workers_that_were_prepared_decode_and_end_with_the_decoder() -> None:
    small = encode(Image.new("RGB", (50, 50)))
    with Decoder(2) as decoder:
        assert idle(decoder) == []
        decoder.prepare()
        prepared = set(idle(decoder))
        assert len(prepared) == 2
        decoder.prepare()
        assert set(idle(decoder)) == prepared
        assert decoder(small).size == (50, 50)
        assert set(idle(decoder)) == prepared
    for pid in prepared:
        assert not os.path.exists(f"/proc/{pid}")


@POSIX
def test_a_worker_killed_while_it_starts_costs_no_image() -> None:
    small = encode(Image.new("RGB", (50, 50)))
    with Decoder(1) as decoder:
        decoder.prepare()
        (started,) = idle(decoder)
        os.kill(started, signal.SIGKILL)
        assert decoder(small).size == (50, 50)
        assert idle(decoder) != [started]


def test_once_closed_it_says_so_and_no_process_is_left() -> None:
    decoder = Decoder(2)
    decoder(encode(Image.new("RGB", (50, 50))))
    pids = idle(decoder)
    decoder.close()
    decoder.close()
    with pytest.raises(WorkerError, match="closed"):
        decoder(encode(Image.new("RGB", (50, 50))))
    assert pids
    for pid in pids:
        assert not os.path.exists(f"/proc/{pid}")


_PARENT = """
import io, sys, time
from PIL import Image
from logolens.io.decoder_pool import Decoder
out = io.BytesIO()
Image.new("RGB", (9, 9)).save(out, "PNG")
decoder = Decoder(1)
decoder(out.getvalue())
print(*(worker.pid for worker in decoder._idle.queue if worker is not None), flush=True)
time.sleep(600)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="finds its processes in /proc")
def test_workers_end_when_their_run_is_killed() -> None:
    process = subprocess.Popen([sys.executable, "-c", _PARENT], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    pid = int(process.stdout.readline())
    process.kill()
    process.wait()
    process.stdout.close()
    for _ in range(600):
        if not os.path.exists(f"/proc/{pid}"):
            return
        time.sleep(0.1)
    pytest.fail("the worker outlived its run by a minute")


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L"])
@pytest.mark.parametrize("size", [(2100, 1500), (1, 60_000), (60_000, 41), (7, 5)])
def test_pixels_that_come_in_bands_are_those_of_this_process(mode: str, size: tuple[int, int]) -> None:
    noise = np.random.default_rng(3).integers(0, 255, (size[1], size[0], 3), np.uint8)
    out = io.BytesIO()
    Image.fromarray(noise).convert(mode).save(out, "PNG", compress_level=1)
    there, here = open_apart(out.getvalue()), open_rgb(out.getvalue())
    assert there.size == here.size == size
    assert there.tobytes() == here.tobytes()


def test_the_pixels_of_a_large_image_stay_where_they_are_decoded(tmp_path: Path) -> None:
    pytest.importorskip("resource")
    for name, side in (("small", 300), ("large", 7000)):
        Image.new("RGBA", (side, side), (9, 99, 9, 120)).save(tmp_path / f"{name}.png", compress_level=1)
    code = (
        "import resource, sys; from logolens.config import Preprocessing; from logolens.io.views import WHOLE, Picture\n"
        "def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "def look(name): Picture(open(name, 'rb').read(), Preprocessing()).square(WHOLE); return peak()\n"
        "print(-look(sys.argv[1]) + look(sys.argv[2]))"
    )
    told = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "small.png"), str(tmp_path / "large.png")],
        capture_output=True,
        text=True,
        check=True,
    )
    # Kilobytes; its pixels alone are 196,000.
    assert int(told.stdout) < 40_000
