"""Which logos a video shows, when, for how long and how large."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import Trained, draw
from video_files import write_sound, write_video

from logolens import Classifier
from logolens.cli import main
from logolens.config import VideoSettings
from logolens.errors import MissingExtraError
from logolens.inference.appearances import Appearance, appearances
from logolens.inference.videos import time_text


def found(
    stays: str, *, enters: str | None = None, lasts: float = 1.0, flicker: float = 1.5
) -> list[tuple[float, float]]:
    """Appearances of a row of frames, each of which lasts so long: ``x`` where the label stays, ``X`` where it enters."""
    frames = np.arange(len(stays)).astype(np.float64) * lasts
    parts = appearances(
        frames,
        len(stays) * lasts,
        frames,
        np.full(len(stays), 0.9),
        np.array([sign == "X" for sign in stays], bool),
        np.array([sign in "xX" for sign in stays], bool),
        [None] * len(stays),
        flicker=flicker,
    )
    return [(part.start, part.end) for part in parts]


def test_a_label_is_seen_where_it_enters_and_as_long_as_it_stays() -> None:
    assert found("..xXx..") == [(2, 5)]
    assert found("..xxx..") == []
    assert found("X.....X") == [(0, 1), (6, 7)]
    assert found("XXX") == [(0, 3)]
    assert found("") == []


def test_a_flicker_of_one_frame_does_not_divide_and_a_longer_gap_does() -> None:
    assert found("XX.XX") == [(0, 5)]
    assert found("XX..XX") == [(0, 2), (4, 6)]
    assert found("X.X.X") == [(0, 5)]
    assert found("XX.XX", lasts=2.0) == [(0, 4), (6, 10)]


def test_an_appearance_knows_its_surest_frame_and_how_large_it_is() -> None:
    boxes = [(0.0, 0.0, 0.5, 0.5), None, (0.0, 0.0, 1.0, 0.5)]
    begins = np.array([0.0, 1.0, 4.0])
    confidence = np.array([0.7, 0.9, 0.8])
    (one,) = appearances(begins, 5.0, begins + 0.2, confidence, confidence > 0.5, confidence > 0.2, boxes, flicker=1.5)
    assert one == Appearance(0.0, 5.0, 0.9, 1.2, 1, (0.0, 0.0, 1.0, 0.5), one.share, 0.5)
    assert one.share == pytest.approx(0.375, abs=0.01)
    assert one.seconds == 5.0


def test_times_are_written_as_people_do() -> None:
    assert [time_text(seconds) for seconds in (0.04, 3.25, 59.96, 3723.0)] == [
        "0:00.0",
        "0:03.2",
        "1:00.0",
        "1:02:03.0",
    ]


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Acme from 0 to 2 and from 6 to 8 s, bolt from 4 to 6."""
    scenes = [
        (draw(label, seed, (128, 128)), 2.0) for label, seed in (("acme", 3), ("none", 4), ("bolt", 5), ("acme", 6))
    ]
    return write_video(tmp_path_factory.mktemp("film") / "film.mp4", scenes, size=(128, 128))


def test_a_video_is_answered_by_the_logos_that_it_shows(bundle: Trained, film: Path, tmp_path: Path) -> None:
    classifier = Classifier.load(bundle.path, threads=1)
    answer = classifier.predict_video(film)
    assert answer.error is None
    assert answer.frames == 4
    assert (answer.width, answer.height) == (128, 128)
    assert answer.seconds == pytest.approx(8.0, abs=0.11)
    logos = {logo.label: logo for logo in answer.logos}
    assert set(logos) == {"acme", "bolt"}
    assert answer.label == "acme"
    assert [(round(part.start), round(part.end)) for part in logos["acme"].appearances] == [(0, 2), (6, 8)]
    assert [(round(part.start), round(part.end)) for part in logos["bolt"].appearances] == [(4, 6)]
    assert logos["acme"].seconds == pytest.approx(4.0, abs=0.5)
    share = logos["acme"].share
    assert share is not None
    assert 0.01 < share <= 1.0
    still = logos["bolt"].image()
    assert still is not None
    assert still.size == (128, 128)
    # The still is that of the logo: the shape's blue is there, the other's red is not.
    assert np.asarray(still.convert("RGB")).reshape(-1, 3)[:, 2].max() > 200
    whole = classifier.predict_video(film, where=False)
    assert [logo.share for logo in whole.logos] == [None, None]
    assert classifier.predict_video(film, settings=VideoSettings(max_duration=3.0)).note is not None
    assert classifier.predict_video(tmp_path / "nothing.mp4").error == "there is no such file."
    assert "no pictures that move" in str(classifier.predict_video(write_sound(tmp_path / "x.mp4")).error)


def test_a_video_without_a_logo_is_none(bundle: Trained, tmp_path: Path) -> None:
    film = write_video(tmp_path / "none.mp4", [(draw("none", 7, (128, 128)), 1.0)], size=(128, 128))
    answer = Classifier.load(bundle.path, threads=1).predict_video(film)
    assert (answer.label, answer.logos) == ("none", ())
    assert answer.confidence is not None
    assert answer.confidence > 0.5
    assert answer.image() is not None


def test_predict_takes_videos_beside_images_in_their_order(
    bundle: Trained, film: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photo = tmp_path / "photo.png"
    draw("bolt", 5).save(photo)
    (tmp_path / "broken.mp4").write_bytes(b"\0" * 1000)
    files = [str(photo), str(film), str(tmp_path / "broken.mp4"), str(photo)]
    how = [
        "--csv",
        str(tmp_path / "seen.csv"),
        "--stills",
        str(tmp_path / "stills"),
        "--show",
        str(tmp_path / "all.png"),
    ]
    assert main(["predict", str(bundle.path), *files, "--json", *how]) == 1
    answers = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [answer["image"] for answer in answers] == files
    assert ["video" in answer for answer in answers] == [False, True, True, False]
    assert answers[1]["video"]["logos"][0]["label"] == answers[1]["label"] == "acme"
    assert "not a video" in answers[2]["error"]
    with open(tmp_path / "seen.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["label"] for row in rows] == ["acme", "acme", "bolt", ""]
    assert "not a video" in rows[-1]["error"]
    assert sorted(path.name for path in (tmp_path / "stills").iterdir()) == ["0001-film-acme.jpg", "0002-film-bolt.jpg"]
    assert (tmp_path / "all.png").stat().st_size > 1000

    # Its own table may be replaced, pictures only with --force.
    assert main(["predict", str(bundle.path), str(film), *how[:2]]) == 0
    said = capsys.readouterr()
    assert "0:00.0 to 0:0" in said.out
    assert "% of the frame" in said.out
    assert main(["predict", str(bundle.path), str(film), *how[2:4]]) == 2
    assert "--force" in capsys.readouterr().err
    assert main(["predict", str(bundle.path), str(film), "--explain", str(tmp_path / "why.png")]) == 2
    assert "--stills" in capsys.readouterr().err


def test_without_the_extra_a_named_video_is_an_error_and_those_of_a_folder_a_note(
    bundle: Trained, film: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    draw("bolt", 5).save(tmp_path / "photo.png")
    (tmp_path / "film.mp4").write_bytes(film.read_bytes())
    assert main(["predict", str(bundle.path), str(tmp_path)]) == 0
    said = capsys.readouterr()
    assert len(said.out.splitlines()) == 1
    assert "Note: Videos that were left out: 1. This needs the package av" in said.err
    assert "Run: pip install 'logolens[video]'" in said.err
    assert main(["predict", str(bundle.path), str(film)]) == 1
    assert "Run: pip install 'logolens[video]'" in capsys.readouterr().err
    with pytest.raises(MissingExtraError):
        Classifier.load(bundle.path, threads=1).predict_video(film)
