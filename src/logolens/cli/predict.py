"""The command that asks a bundle what images show, and shows what its answers rest on."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from logolens.cli.console import echo, hint, message, note, print_json, refuse_to_replace
from logolens.cli.options import (
    BUNDLE,
    brought,
    config_option,
    device_option,
    settings_from,
    settings_options,
    views_option,
)
from logolens.cli.videos import check_stills, is_timeline, print_video, write_stills, write_timeline
from logolens.config import VideoSettings
from logolens.errors import ImageError

if TYPE_CHECKING:
    from logolens.inference.classifier import Classifier
    from logolens.inference.results import Prediction
    from logolens.inference.videos import VideoPrediction
    from logolens.io.sources import Source
    from logolens.io.stopwatch import Stopwatch

__all__ = ["predict"]

_MOST_SHOWN = 60


@click.command()
@click.argument("bundle", type=BUNDLE)
@click.argument("images", nargs=-1, required=True)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line and image.")
@click.option("--top", type=click.IntRange(1), help="Give only the best K scores of each image.")
@views_option
@click.option("--where", is_flag=True, help="Tell where the label is: a box in fractions of width and height.")
@click.option(
    "--all", "every", is_flag=True, help="Tell every label that an image shows, and every place of it with its box."
)
@click.option(
    "--show", type=click.Path(path_type=Path), help="Write the photo with its label, box and confidences as a picture."
)
@click.option(
    "--explain",
    type=click.Path(path_type=Path),
    help="Write what the answer for one image rests on as a picture: a heat-map, and the points that match a reference.",
)
@click.option(
    "--csv",
    type=click.Path(path_type=Path),
    help="Write when logos of videos are seen as a CSV file, a row for each time.",
)
@click.option(
    "--stills",
    type=click.Path(path_type=Path),
    help="Write the surest frame of each logo of a video as a picture to a folder.",
)
@click.option("--force", is_flag=True, help="Replace what --show, --explain, --csv and --stills name.")
@click.option("--threads", type=click.IntRange(1, 512), help="Processor threads; all of them if not given.")
@device_option
@click.option("--profile", is_flag=True, help="Tell at the end, on standard error, where time went.")
@settings_options(VideoSettings)
@config_option
def predict(
    bundle: Path,
    images: tuple[str, ...],
    as_json: bool,
    top: int | None,
    views: str | None,
    where: bool,
    every: bool,
    show: Path | None,
    explain: Path | None,
    csv: Path | None,
    stills: Path | None,
    force: bool,
    threads: int | None,
    device: str,
    profile: bool,
    **values: Any,
) -> int:
    """Say which logo each of IMAGES shows, and of a video when.

    IMAGES are images and videos: files, folders, patterns such as 'photos/*.jpg', or - for an image on standard input. The
    exit code is 0 when all were answered, 1 when some could not be read.
    """
    from logolens.inference.classifier import Classifier
    from logolens.inference.videos import VideoPrediction
    from logolens.io.apart import prepare_apart
    from logolens.io.sources import Videos, expand, left_note
    from logolens.io.stopwatch import Stopwatch

    for picture in filter(None, (show, explain)):
        _check_picture(picture, force)
    if explain is not None and len(images) > 1:
        raise click.UsageError("--explain takes one image; name the one whose answer is to be explained.")
    refuse_to_replace(csv, force=force, ours=is_timeline)
    check_stills(stills, force)
    settings = settings_from(VideoSettings, values)
    bundle = brought(bundle)
    prepare_apart()  # It starts beside the loading of the network.
    classifier = Classifier.load(
        bundle,
        threads=threads,
        device=device,
        views=views,
        where=where or bool(show or explain),
        every=every,
        stopwatch=(watch := Stopwatch() if profile else None),
    )
    if (where or every) and classifier.bundle.closer is None:
        raise click.UsageError(
            f"{bundle} was trained to look at whole photos only and cannot tell where; train it again with --views auto."
        )
    videos = Videos()
    if explain is not None:
        source = next(iter(expand(images, videos=videos)))
        if source.is_video:
            raise click.UsageError(
                "--explain takes an image; write a video's frames with --stills, and name one of them."
            )
        code = _explain(classifier, source, explain, force)
        _tell_times(watch, 1)
        return code
    left: list[str] = []
    answers = _Answers(classifier, settings, None if show is None else _MOST_SHOWN)
    for prediction in answers.of(expand(images, left=left.append, videos=videos)):
        if as_json:
            print_json(prediction.to_json(top))
        elif isinstance(prediction, VideoPrediction):
            print_video(prediction)
        else:
            _print_prediction(prediction, top, where)
    _tell_times(watch, answers.total)
    note(*filter(None, (left_note(left, "name one to have it read"), videos.note())))
    if show is not None:
        _show(show, answers.shown, answers.total, force)
    if csv is not None:
        write_timeline(answers.videos, csv)
    if stills is not None:
        write_stills(answers.videos, stills)
    if answers.failed and not as_json:
        what, kinds = ("files", "JPEG, PNG or MP4") if answers.videos else ("images", "JPEG or PNG")
        message(
            f"{answers.failed} of {answers.total} {what} could not be read. Check their names, or open them in a viewer and save "
            f"them as {kinds}."
        )
    return 1 if answers.failed else 0


class _Answers:
    """The answers for images and videos, in the order in which they were named, and what is told of all of them.

    Args:
        classifier: answers.
        settings: how much of a video is looked at.
        shown: so many of the first are remembered with what they are about, to be shown; None for none.
    """

    def __init__(self, classifier: Classifier, settings: VideoSettings, shown: int | None) -> None:
        self._classifier, self._settings, self._most = classifier, settings, shown or 0
        self.total = self.failed = 0
        self.shown: list[tuple[Source, Prediction | VideoPrediction]] = []
        self.videos: list[VideoPrediction] = []

    def of(self, sources: Iterable[Source]) -> Iterator[Prediction | VideoPrediction]:
        """Answer for these."""
        for is_video, group in itertools.groupby(sources, key=lambda source: source.is_video):
            for source, prediction in (self._videos if is_video else self._images)(group):
                self.total += 1
                self.failed += prediction.error is not None
                if len(self.shown) < self._most:
                    self.shown.append((source, prediction))
                yield prediction

    def _images(self, sources: Iterable[Source]) -> Iterator[tuple[Source, Prediction]]:
        waiting: deque[Source] = deque()

        def each() -> Iterator[tuple[str, Callable[[], bytes]]]:
            for source in sources:
                waiting.append(source)
                yield source.name, source.read

        for prediction in self._classifier.predict_each(each()):
            yield waiting.popleft(), prediction

    def _videos(self, sources: Iterable[Source]) -> Iterator[tuple[Source, VideoPrediction]]:
        from logolens.inference.videos import VideoPrediction

        for source in sources:
            if source.problem is not None:
                answer = VideoPrediction(source.name, None, None, error=source.problem.removeprefix(f"{source.name}: "))
            else:
                answer = self._classifier.predict_video(source.name, settings=self._settings)
            self.videos.append(answer)
            yield source, answer


def _tell_times(watch: Stopwatch | None, images: int) -> None:
    """Where time went, a line a stage; of all threads together, and an image; nothing where nobody asked."""
    if watch is None:
        return
    spent, count = watch.spent, max(1, images)
    whole = sum(its.seconds for its in spent.values()) or 1.0
    rows = [("stage", "share", "ms an image", "of processor", "times an image")]
    for name, its in spent.items():
        clock, used = (f"{1e3 * seconds / count:.1f}" for seconds in (its.seconds, its.processor))
        rows.append((name, f"{its.seconds / whole:.0%}", clock, used, f"{its.times / count:.1f}" if its.times else ""))
    message(*(f"{row[0]:<12}" + "".join(f"{cell:>16}" for cell in row[1:]) for row in rows))


def _check_picture(picture: Path, force: bool) -> None:
    """Whether a picture can be written there, before any image is looked at."""
    if picture.exists() and not force:
        raise click.UsageError(f"{picture} exists already; name another file, or replace it with --force.")
    if not picture.absolute().parent.is_dir():
        raise click.UsageError(f"{picture.parent} is no folder; make it first, or name a picture in another.")


def _explain(classifier: Classifier, source: Source, path: Path, force: bool) -> int:
    from logolens.inference.explain import show_explanation
    from logolens.inference.proofs import proofs_of
    from logolens.io.images import open_apart

    data = source.read()
    prediction, found = classifier.explain(data)
    if found is None:
        message(f"{source.name}: {prediction.error}")
        return 1
    proofs = proofs_of(prediction, found, classifier.matcher)
    show_explanation(open_apart(data, shrink_to=800), prediction.to_json(), found, path, proofs=proofs, force=force)
    _print_prediction(replace(prediction, image=source.name), None, True)
    if found.match is not None and proofs.match is not None:
        echo(f"        {found.match.inliers} points lie as in {proofs.match.from_photo}")
    for sentence in found.sentences:
        echo(f"        {sentence}")
    hint(f"The picture is in {path}.")
    return 0


def _print_prediction(prediction: Prediction, top: int | None, where: bool) -> None:
    from logolens.inference.word_sentences import word_json, word_sentence

    if prediction.error is not None:
        message(f"{prediction.image}: {prediction.error}")
        return
    place = f"  at {_place(prediction.box)}" if where and prediction.box is not None else ""
    echo(f"{prediction.confidence:6.1%}  {prediction.label}  {prediction.image}{place}")
    words = [proof for proof in prediction.words if proof.label == prediction.label or prediction.logos is not None]
    for proof in words:
        sentence = word_sentence(word_json(proof), prediction.read and proof.label == prediction.label)
        echo(f"        {sentence}" + ("" if proof.label == prediction.label else f" ({proof.label})"))
    if prediction.logos is not None:
        for logo in prediction.logos:
            echo(f"{logo.confidence:6.1%}    {logo.label} at {_place(logo.box)}")
        return
    others = [item for item in prediction.scores.items() if item[0] != prediction.label]
    for label, score in others[: (top or 1) - 1]:
        echo(f"{score:6.1%}    {label}")


def _place(box: tuple[float, float, float, float]) -> str:
    return ",".join(f"{edge:.3f}" for edge in box)


def _show(path: Path, answered: Sequence[tuple[Source, Prediction | VideoPrediction]], total: int, force: bool) -> None:
    from logolens.inference.videos import VideoPrediction
    from logolens.inference.visualize import show_predictions
    from logolens.io.images import open_apart

    def pairs() -> Any:
        for source, prediction in answered:
            image = None
            if isinstance(prediction, VideoPrediction):
                image = prediction.image()
            elif prediction.error is None:
                try:
                    image = open_apart(source.read(), shrink_to=800)
                except ImageError:  # It was read a moment ago; if it has gone since, the picture says so.
                    image = None
            yield image, prediction.to_json()

    show_predictions(pairs(), path, total=total, force=force)
    hint(f"The picture is in {path}.")
