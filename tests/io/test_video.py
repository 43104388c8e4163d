"""Videos become the frames that are worth looking at; what is none, is broken or means harm is one sentence."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from processes import children
from video_files import VIDEO, write_sound, write_video

from logolens.config import DecodeSettings, Limits, VideoSettings
from logolens.errors import ImageError, MissingExtraError, UsageError
from logolens.io.sources import Videos, expand
from logolens.io.video import Frame, VideoReader, hash_video, is_video, need_video, open_video
from logolens.io.video_frames import PROBE_SIDE, Chooser

pytest.importorskip("av", reason="needs the extra video")


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight seconds: a logo, none, another, the first again."""
    return write_video(tmp_path_factory.mktemp("film") / "film.mp4")


def seen(
    path: Path, settings: VideoSettings = VideoSettings(), limits: Limits = Limits(), **decode: float
) -> tuple[list[Frame], VideoReader]:
    with open_video(path, settings) as file:
        reader = VideoReader(file, settings, limits, DecodeSettings(**decode))  # type: ignore[arg-type]
        return list(reader.frames()), reader


def problem(path: Path, **how: object) -> str:
    with pytest.raises(ImageError) as raised:
        seen(path, **how)  # type: ignore[arg-type]
    return str(raised.value)


@pytest.mark.parametrize("fps", [10, 25])  # Of the second, frames that no other is decoded from are passed over.
def test_a_frame_of_each_scene_is_looked_at_and_known_from_its_beginning(fps: int, film: Path, tmp_path: Path) -> None:
    frames, reader = seen(film if fps == 10 else write_video(tmp_path / "film.mp4", fps=fps))
    assert [round(frame.began) for frame in frames] == [0, 2, 4, 6]
    for frame, begins in zip(frames, (0, 2, 4, 6), strict=True):
        assert abs(frame.began - begins) <= 0.2
        assert frame.began <= frame.at <= begins + 0.6
        assert frame.image.size == reader.size == (160, 120)
    assert reader.end == pytest.approx(8.0, abs=0.11)
    assert reader.note == ""


def test_frames_are_at_most_so_many_a_second(tmp_path: Path) -> None:
    noise = [(Image.fromarray(np.random.default_rng(n).integers(0, 256, (6, 8, 3), np.uint8)), 0.1) for n in range(40)]
    path = write_video(tmp_path / "noise.mp4", noise)
    for fps, most in ((1.0, 4), (0.5, 2), (5.0, 20)):
        frames, _ = seen(path, VideoSettings(fps=fps))
        assert most - 2 <= len(frames) <= most
        gaps = np.diff([frame.at for frame in frames])
        assert (gaps >= 1 / fps - 0.01).all()


def test_a_cross_fade_is_waited_for_and_divided_in_its_middle() -> None:
    chooser = Chooser(1.0)
    first, second = (np.full((PROBE_SIDE, PROBE_SIDE), level, np.uint8) for level in (20, 220))
    looked = []
    for tenth in range(60):
        share = min(1.0, max(0.0, (tenth - 25) / 10))  # It fades from 2.5 to 3.5 s.
        at = tenth / 10
        if (
            chooser.wants(at)
            and (began := chooser.show(at, ((1 - share) * first + share * second).astype(np.uint8))) is not None
        ):
            looked.append((at, began))
    assert looked[0] == (0.0, 0.0)
    assert all(2.5 <= at <= 4.8 for at, _ in looked[1:])
    assert looked[1][1] <= 3.1
    assert len(looked) <= 3


def test_what_hardly_differs_is_not_looked_at_again_and_a_small_logo_does() -> None:
    rng = np.random.default_rng(0)
    ground = rng.integers(60, 200, (PROBE_SIDE, PROBE_SIDE), dtype=np.uint8)
    chooser = Chooser(1.0)
    looked = []
    for second in range(10):
        grain = (ground + rng.integers(-3, 4, ground.shape)).astype(np.uint8)
        if second >= 7:
            grain[4:6, 30:32] = 250
        if chooser.wants(float(second)) and chooser.show(float(second), grain) is not None:
            looked.append(second)
    assert looked == [0, 7]


def test_limits_are_said(film: Path) -> None:
    frames, reader = seen(film, VideoSettings(max_duration=3.0))
    assert len(frames) == 2
    assert reader.end == 3.0
    assert reader.note == "Only the first 3 seconds were looked at (--max-duration)."
    frames, reader = seen(film, VideoSettings(max_frames=2))
    assert len(frames) == 2
    assert "2 frames (--max-frames)" in reader.note
    assert 4.0 <= reader.end <= 4.8
    assert "--max-video-bytes" in problem(film, settings=VideoSettings(max_video_bytes=1000))
    assert "160 x 120 pixels, more than the limit of 10000" in problem(film, limits=Limits(max_pixels=10_000))
    assert "more memory than 16,000,000 bytes" in problem(write_video(film.with_name("large.mp4"), [("acme", 0.5)],
        size=(1920, 1080)), decode_memory=16_000_000)  # fmt: skip
    with pytest.raises(UsageError, match="fps is 0"):
        VideoSettings(fps=0)


def test_it_stands_upright(tmp_path: Path) -> None:
    picture = Image.new("RGB", (160, 120), "blue")
    picture.paste("red", (0, 0, 40, 120))  # The left is red: turned by 90 degrees against the clock, the bottom is.
    (frame,), reader = seen(write_video(tmp_path / "turned.mp4", [(picture, 0.5)], rotation=90))
    assert frame.image.size == reader.size == (120, 160)
    top, bottom = (np.asarray(frame.image)[row, 60].argmax() for row in (20, 150))
    assert (int(top), int(bottom)) == (2, 0)


def test_times_are_the_frames_own_where_their_rate_varies(tmp_path: Path) -> None:
    path = write_video(
        tmp_path / "varying.mkv", [("acme", 1), ("bolt", 1), ("none", 1)], times=(0.0, 0.2, 1.5, 6.0, 6.1, 9.0)
    )
    frames, reader = seen(path)
    assert [round(frame.at, 1) for frame in frames] == [0.0, 1.5, 6.0, 9.0]
    assert frames[-1].at <= 9.0 <= reader.end <= 10.1


@pytest.mark.parametrize(
    ("name", "codec"), [("a.webm", "libvpx-vp9"), ("a.avi", "mpeg4"), ("a.mkv", "libx264"), ("a.mpg", "mpeg2video")]
)
def test_formats(name: str, codec: str, tmp_path: Path) -> None:
    path = write_video(tmp_path / name, [("acme", 0.6)], codec=codec, fps=25)
    frames, _ = seen(path)
    assert frames[0].image.size == (160, 120)
    assert is_video(path.read_bytes()[:1024])
    (source,) = expand([str(path.rename(path.with_suffix("")))], videos=Videos())
    assert source.is_video


def cut_short(film: Path) -> bytes:
    data = film.read_bytes()
    return data[: len(data) // 2]


BAD: dict[str, tuple[Callable[[Path], bytes], str]] = {
    "truncated": (cut_short, "This is not a video that can be read"),
    "random": (lambda film: np.random.default_rng(0).bytes(50_000), "This is not a video that can be read"),
    "begins-well": (lambda film: film.read_bytes()[:40] + b"\x00\xff" * 20_000, "This is not a video that can be read"),
    "empty": (lambda film: b"", "the file is empty"),
    "a-list": (lambda film: b"ffconcat version 1.0\nfile %s\n" % os.fsencode(film), "This is not a video"),
    "a-playlist": (
        lambda film: b"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n%s\n#EXT-X-ENDLIST\n" % os.fsencode(film),
        "This is not a video",
    ),
    "a-picture": (lambda film: b"\x89PNG\r\n\x1a\n" + b"\0" * 400, "This is not a video"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_is_no_video_is_a_sentence(case: str, film: Path, tmp_path: Path) -> None:
    make, said = BAD[case]
    (tmp_path / "x.mp4").write_bytes(make(film))
    assert said in problem(tmp_path / "x.mp4")


def test_sound_alone_and_no_frames_are_told(tmp_path: Path) -> None:
    assert "holds no pictures that move" in problem(write_sound(tmp_path / "sound.mp4"))
    assert len(problem(write_video(tmp_path / "none.mp4", []))) > 20


def test_what_breaks_off_is_looked_at_as_far_as_it_goes(tmp_path: Path) -> None:
    data = write_video(tmp_path / "whole.mkv", VIDEO).read_bytes()
    (tmp_path / "part.mkv").write_bytes(data[: len(data) // 2])
    frames, reader = seen(tmp_path / "part.mkv")
    assert 1 <= len(frames) <= 3
    assert "cut off, or is damaged" in reader.note or "damaged" in reader.note


def test_damage_within_is_passed_over(film: Path, tmp_path: Path) -> None:
    data = bytearray(film.read_bytes())
    rng = np.random.default_rng(3)
    for place in rng.integers(len(data) // 5, 4 * len(data) // 5, 60):
        data[place] ^= 0xFF
    (tmp_path / "x.mp4").write_bytes(data)
    frames, reader = seen(tmp_path / "x.mp4")
    assert frames
    assert reader.note in ("", "Parts of the video are damaged and were passed over.")


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such files")
def test_names_and_kinds_of_files(film: Path, tmp_path: Path) -> None:
    odd = os.fsdecode(os.fsencode(tmp_path) + b"/\x1b[31m\xff.mp4")
    try:
        Path(odd).write_bytes(film.read_bytes())
    except OSError:
        pytest.skip("this file system takes no such names")
    assert len(seen(Path(odd))[0]) == 4
    assert hash_video(odd) == hash_video(film)
    os.mkfifo(tmp_path / "pipe.mp4")
    assert "it is a pipe (FIFO)" in problem(tmp_path / "pipe.mp4")
    assert "is a folder" in problem(tmp_path)
    assert "there is no such file" in problem(tmp_path / "nothing.mp4")


@pytest.mark.skipif(sys.platform != "linux", reason="/proc tells which process decodes")
def test_a_process_that_ends_is_a_sentence(film: Path) -> None:
    with open_video(film) as file:
        frames = VideoReader(file).frames()
        next(frames)
        (pid,) = children("logolens.io.video_worker")
        os.kill(pid, 9)
        with pytest.raises(ImageError, match="ends the process that tries"):
            list(frames)


def test_a_reader_that_is_left_ends_its_process(film: Path) -> None:
    with open_video(film) as file:
        frames = VideoReader(file).frames()
        next(frames)
        frames.close()  # type: ignore[attr-defined]
        assert len(list(VideoReader(file).frames())) == 4


def test_without_the_extra_one_sentence_names_it(
    film: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, draw_photo: Callable[..., Image.Image]
) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'logolens\[video\]'"):
        need_video()
    draw_photo("acme", 1).save(tmp_path / "a.png")
    (tmp_path / "b.mp4").write_bytes(film.read_bytes())
    videos = Videos()
    assert [source.name for source in expand([str(tmp_path)], videos=videos)] == [str(tmp_path / "a.png")]
    assert videos.note() == (
        "Videos that were left out: 1. This needs the package av, which is not installed. Run: pip install 'logolens[video]' "
        f"({tmp_path / 'b.mp4'})"
    )
    (named,) = expand([str(tmp_path / "b.mp4")], videos=Videos())
    assert named.problem is not None
    assert "pip install 'logolens[video]'" in named.problem


def test_moving_pictures_that_are_images_stay_images(tmp_path: Path, draw_photo: Callable[..., Image.Image]) -> None:
    frames = [draw_photo(label, 1) for label in ("acme", "bolt")]
    for name in ("a.gif", "b.webp"):
        frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:], duration=500)
    assert [source.is_video for source in expand([str(tmp_path)], videos=Videos())] == [False, False]


def test_settings_are_told_whole() -> None:
    assert set(asdict(VideoSettings())) == {"fps", "max_frames", "max_duration", "max_decoding", "max_video_bytes"}
