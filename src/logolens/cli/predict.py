"""The command that asks a bundle what images show, and shows what its answers rest on."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from logolens.cli.console import hint, message, note, print_json, say
from logolens.cli.options import BUNDLE, brought, config_option, device_option, views_option
from logolens.errors import ImageError

if TYPE_CHECKING:
    from logolens.inference.classifier import Classifier, Prediction
    from logolens.io.sources import Source
    from logolens.io.stopwatch import Stopwatch
    from logolens.models.pairwise import PairDecision

__all__ = ["predict"]


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
@click.option("--force", is_flag=True, help="Replace the picture that --show or --explain names.")
@click.option("--threads", type=click.IntRange(1, 512), help="Processor threads; all of them if not given.")
@device_option
@click.option("--profile", is_flag=True, help="Tell at the end, on standard error, where time went.")
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
    force: bool,
    threads: int | None,
    device: str,
    profile: bool,
) -> int:
    """Say which logo each of IMAGES shows.

    IMAGES are files, folders, patterns such as 'photos/*.jpg', or - for standard input. The exit code is 0 when all were
    answered, 1 when some could not be read.
    """
    from logolens.inference.classifier import Classifier
    from logolens.io.apart import prepare_apart
    from logolens.io.sources import expand, left_note
    from logolens.io.stopwatch import Stopwatch

    for picture in filter(None, (show, explain)):
        _check_picture(picture, force)
    if explain is not None and len(images) > 1:
        raise click.UsageError("--explain takes one image; name the one whose answer is to be explained.")
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
    if explain is not None:
        code = _explain(classifier, next(iter(expand(images))), explain, force)
        _tell_times(watch, 1)
        return code
    sources: list[Source] = []
    left: list[str] = []

    def each() -> Any:
        for source in expand(images, left=left.append):
            if show is not None and len(sources) < 60:
                sources.append(source)
            yield source.name, source.read

    failed, total = 0, 0
    shown: list[Prediction] = []
    for prediction in classifier.predict_each(each()):
        total += 1
        failed += prediction.error is not None
        if len(shown) < len(sources):
            shown.append(prediction)
        if as_json:
            print_json(prediction.to_json(top))
        else:
            _print_prediction(prediction, top, where)
    _tell_times(watch, total)
    if left_out := left_note(left, "name one to have it read"):
        note(left_out)
    if show is not None:
        _show(show, sources, shown, total, force)
    if failed and not as_json:
        message(
            f"{failed} of {total} images could not be read. Check their names, or open them in a viewer and save them as JPEG "
            "or PNG."
        )
    return 1 if failed else 0


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
        say(f"        {found.match.inliers} points lie as in {proofs.match.from_photo}")
    if found.pair_decision is not None:
        say(f"        {_pair_sentence(found.pair_decision, found.label)}")
    hint(f"The picture is in {path}.")
    return 0


def _pair_sentence(decision: PairDecision, label: str) -> str:
    """What an expert for two labels said, as a line."""
    first, second = decision.labels
    sign, other = (1, second) if label == first else (-1, first)
    how = (
        f"laid flat by {decision.sighting.laid} references"
        if decision.sighting.laid
        else "which could not be laid flat"
    )

    def share(odds: float) -> str:
        return f"{1 / (1 + math.exp(-max(-30.0, min(30.0, sign * odds)))):.1%}"

    without = share(decision.ensemble_odds)
    return f"{label} rather than {other}: {share(decision.odds)} by the drawing, {how}; {without} without it"


def _print_prediction(prediction: Prediction, top: int | None, where: bool) -> None:
    from logolens.inference.word_sentences import word_json, word_sentence

    if prediction.error is not None:
        message(f"{prediction.image}: {prediction.error}")
        return
    place = f"  at {_place(prediction.box)}" if where and prediction.box is not None else ""
    say(f"{prediction.confidence:6.1%}  {prediction.label}  {prediction.image}{place}")
    words = [proof for proof in prediction.words if proof.label == prediction.label or prediction.logos is not None]
    for proof in words:
        sentence = word_sentence(word_json(proof), prediction.read and proof.label == prediction.label)
        say(f"        {sentence}" + ("" if proof.label == prediction.label else f" ({proof.label})"))
    if prediction.logos is not None:
        for logo in prediction.logos:
            say(f"{logo.confidence:6.1%}    {logo.label} at {_place(logo.box)}")
        return
    others = [item for item in prediction.scores.items() if item[0] != prediction.label]
    for label, score in others[: (top or 1) - 1]:
        say(f"{score:6.1%}    {label}")


def _place(box: tuple[float, float, float, float]) -> str:
    return ",".join(f"{edge:.3f}" for edge in box)


def _show(path: Path, sources: list[Source], predictions: list[Prediction], total: int, force: bool) -> None:
    from logolens.inference.visualize import show_predictions
    from logolens.io.images import open_apart

    def pairs() -> Any:
        for source, prediction in zip(sources, predictions, strict=False):
            image = None
            if prediction.error is None:
                try:
                    image = open_apart(source.read(), shrink_to=800)
                except ImageError:  # It was read a moment ago; if it has gone since, the picture says so.
                    image = None
            yield image, prediction.to_json()

    show_predictions(pairs(), path, total=total, force=force)
    hint(f"The picture is in {path}.")
