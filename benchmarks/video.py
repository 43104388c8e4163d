"""When is each logo of a video said to be seen, against the truth, and what does a second of video cost?

A video is made of photos that the bundle has not seen: each stands for three seconds, fitted into 1,280 x 720, and fades into the
next. One in six shows no logo. A label's truth is from the middle of the fade into its photo to the middle of the fade out
of it. Two ways are measured on the same file: logolens, which looks at frames that show something new, and the classifier
asked about one frame of each second, whose answer holds for that second.

- intersection over union of the time a label is said and the time it is shown, a mean over the labels shown;
- the part of the time for which a wrong label is said, or one though there is none;
- processor time for a second of video, of this process and those that decode.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from accuracy import write_table
from common import FLICKR27, NO_LOGO, busy, table
from PIL import Image

from logolens import Classifier
from logolens.config import BACKGROUND, TrainSettings, VideoSettings
from logolens.data import grouped_folds, load
from logolens.errors import require
from logolens.io.images import open_apart, read_bytes
from logolens.training.train import train

_SIZE = (1280, 720)
_STEP = 0.1
"""Seconds in which time is counted."""

Said = list[tuple[str, float, float]]
"""Labels with the time from and up to which each is said, or shown."""


@dataclass(frozen=True)
class Shot:
    """A photo that is shown, and its label."""

    path: Path
    label: str


def fitted(path: Path) -> np.ndarray:
    photo = open_apart(read_bytes(path))
    scale = min(_SIZE[0] / photo.width, _SIZE[1] / photo.height)
    photo = photo.resize((round(photo.width * scale), round(photo.height * scale)), Image.Resampling.BICUBIC)
    whole = Image.new("RGB", _SIZE)
    whole.paste(photo, ((_SIZE[0] - photo.width) // 2, (_SIZE[1] - photo.height) // 2))
    return np.asarray(whole)


def write_video(shots: Sequence[Shot], path: Path, seconds: float, fade: float, fps: int = 25) -> Said:
    """Write the video; what it shows when."""
    av = require("av", "video")
    pictures = [fitted(shot.path) for shot in shots]
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=fps)
        stream.width, stream.height = _SIZE
        stream.pix_fmt = "yuv420p"
        for number in range(round(len(shots) * seconds * fps)):
            at = number / fps
            place = min(len(shots) - 1, int(at / seconds))
            left = (place + 1) * seconds - at  # until the next photo; the fade lies around that moment
            pixels = pictures[place]
            if place + 1 < len(shots) and left < fade / 2:
                pixels = blended(pictures[place], pictures[place + 1], 0.5 - left / fade)
            elif place and seconds - left < fade / 2:
                pixels = blended(pictures[place - 1], pictures[place], 0.5 + (seconds - left) / fade)
            for packet in stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")):
                out.mux(packet)
        for packet in stream.encode(None):
            out.mux(packet)
    return [(shot.label, place * seconds, (place + 1) * seconds) for place, shot in enumerate(shots)]


def blended(first: np.ndarray, second: np.ndarray, share: float) -> np.ndarray:
    return ((1 - share) * first + share * second).astype(np.uint8)


def by_frames_worth_it(classifier: Classifier, path: Path) -> tuple[Said, int]:
    answer = classifier.predict_video(path, settings=VideoSettings())
    if answer.error is not None:
        raise SystemExit(answer.error)
    said = [(logo.label, part.start, part.end) for logo in answer.logos for part in logo.appearances]
    return said, answer.frames


def by_every_second(classifier: Classifier, path: Path) -> tuple[Said, int]:
    av = require("av", "video")
    told = classifier.turned(views=classifier.views, where=classifier.views != "whole")

    def frames() -> object:
        due = 0.0
        with av.open(str(path)) as container:
            for frame in container.decode(video=0):
                if frame.time >= due - 1e-6:
                    due += 1.0
                    yield f"{frame.time:.3f}", frame.to_image()

    answers = list(told.predict_decoded(frames()))
    said = [
        (answer.label, float(answer.image), float(answer.image) + 1.0)
        for answer in answers
        if answer.label and answer.label != BACKGROUND
    ]
    return said, len(answers)


def judged(said: Said, truth: Said, length: float) -> tuple[dict[str, float], float]:
    """Intersection over union of each label that is shown, and the part of the time in which a wrong one is said."""
    moments = np.arange(_STEP / 2, length, _STEP)

    def when(parts: Said, label: str) -> np.ndarray:
        held = np.zeros(len(moments), bool)
        for name, start, end in parts:
            held |= (moments >= start) & (moments < end) if name == label else False
        return held

    labels = sorted({label for label, _, _ in truth} - {BACKGROUND})
    overlap = {
        label: float((when(said, label) & when(truth, label)).sum() / (when(said, label) | when(truth, label)).sum())
        for label in labels
    }
    wrong = np.zeros(len(moments), bool)
    for label in {name for name, _, _ in said}:
        wrong |= when(said, label) & ~when(truth, label)
    return overlap, float(wrong.mean())


def processor_time() -> float:
    whose = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return sum(its.ru_utime + its.ru_stime for its in map(resource.getrusage, whose))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "data", nargs="?", type=Path, default=FLICKR27, help="labelled photos, one of five folds is shown"
    )
    parser.add_argument(
        "--bundle", type=Path, help="where the bundle of the other folds is kept, and taken from if it is there"
    )
    parser.add_argument("--none", type=Path, default=NO_LOGO, help="photos that show no logo")
    parser.add_argument("--shots", type=int, default=20, help="photos that are shown")
    parser.add_argument("--seconds", type=float, default=3.0, help="how long each is")
    parser.add_argument("--fade", type=float, default=0.5, help="how long a cross-fade is")
    parser.add_argument("--videos", type=int, default=1, help="how many videos are made, of other photos each")
    parser.add_argument("--size", type=int, help="side of the network's input; the default of training if not given")
    parser.add_argument("--epochs", type=int, help="of the head, likewise")
    options = parser.parse_args()
    busy()
    dataset = load(options.data)
    held_out = grouped_folds(dataset, 5)[0]
    with tempfile.TemporaryDirectory() as temporary:
        work = Path(temporary)
        bundle = options.bundle or work / "bundle"
        if not bundle.is_dir():
            write_table(work / "photos.csv", dataset, held_out)
            asked = {name: getattr(options, name) for name in ("size", "epochs") if getattr(options, name)}
            train(work / "photos.csv", bundle, TrainSettings(**asked))
        classifier = Classifier.load(bundle)
        rng = np.random.default_rng(0)
        shown = [dataset.photos[index] for index in rng.permutation(held_out)]
        shown = [photo for photo in shown if len(photo.labels) == 1 and photo.labels[0] != BACKGROUND]
        empty = sorted(path for path in options.none.glob("*") if path.suffix.lower() in (".jpg", ".png"))
        without = [empty[index] for index in rng.permutation(len(empty))]
        ways: dict[str, Callable[[Classifier, Path], tuple[Said, int]]] = {
            "logolens": by_frames_worth_it,
            "one frame a second": by_every_second,
        }
        found: dict[str, list[tuple[float, float, float, int]]] = {name: [] for name in ways}
        for number in range(options.videos):
            shots = []
            for place in range(options.shots):
                if place % 6 == 5 and without:
                    shots.append(Shot(without.pop(), BACKGROUND))
                else:
                    photo = shown.pop()
                    shots.append(Shot(photo.path, photo.labels[0]))
            path = work / f"{number}.mp4"
            truth = write_video(shots, path, options.seconds, options.fade)
            length = truth[-1][2]
            for name, way in ways.items():
                begun, used = time.perf_counter(), processor_time()
                said, frames = way(classifier, path)
                used, clock = processor_time() - used, time.perf_counter() - begun
                overlap, wrong = judged(said, truth, length)
                found[name].append((float(np.mean(list(overlap.values()))), wrong, used / length, frames))
                print(
                    f"{name}, video {number}: {clock:.0f} s on the clock for {length:g} s; intersection over union by label:"
                )
                print("   ", ", ".join(f"{label} {share:.2f}" for label, share in overlap.items()), flush=True)
        rows = []
        for name, runs in found.items():
            overlap, wrong, cost, frames = (float(np.mean(column)) for column in zip(*runs, strict=True))
            rows.append([name, f"{overlap:.3f}", f"{wrong:.1%}", f"{cost:.2f} s", f"{frames:.0f}"])
        table(("way", "IoU of time", "wrong label said", "processor time a second of video", "frames looked at"), rows)
        cost = [np.mean([run[2] for run in runs]) for runs in found.values()]
        print(f"processor time of logolens to one frame a second: {cost[0] / cost[1]:.2f}")


if __name__ == "__main__":
    main()
