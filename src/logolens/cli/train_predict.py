"""The commands about a model: train, predict, summary."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from logolens.cli.console import hint, message, next_step, note, print_json, progress_bars, quoted, say, table
from logolens.cli.evaluate import figures
from logolens.cli.options import config_option, device_option, settings_from, settings_options, views_option
from logolens.cli.verbosity import verbosity
from logolens.config import TrainSettings
from logolens.errors import BundleError, ImageError

if TYPE_CHECKING:
    from logolens.inference.classifier import Classifier, Prediction
    from logolens.io.sources import Source
    from logolens.io.stopwatch import Stopwatch
    from logolens.models.pairwise import PairDecision

__all__ = ["predict", "summary", "train"]

_BUNDLE = click.Path(path_type=Path)


@click.command()
@click.argument("data", type=click.Path(path_type=Path), required=False)
@click.option("--out", "-o", type=_BUNDLE, required=True, help="Folder of the bundle to write.")
@click.option("--force", is_flag=True, help="Replace a bundle that is there.")
@click.option("--restart", is_flag=True, help="Set aside the checkpoint that a fine-tuning left, instead of going on.")
@click.option(
    "--find-lr", is_flag=True, help="Train nothing: test learning rates for --finetune, and suggest one (plot and CSV)."
)
@click.option(
    "--log", type=click.Choice(("tensorboard", "mlflow", "wandb")), multiple=True,
    help="Keep the figures of each epoch, and the final ones, there as well; may be repeated.",
)  # fmt: skip
@click.option(
    "--log-folder", type=click.Path(path_type=Path), default=Path("runs"), show_default=True,
    help="Where TensorBoard's and Weights & Biases' files go; MLflow goes where MLFLOW_TRACKING_URI says.",
)  # fmt: skip
@settings_options(TrainSettings)
@config_option
def train(
    data: Path | None,
    out: Path,
    force: bool,
    restart: bool,
    find_lr: bool,
    log: tuple[str, ...],
    log_folder: Path,
    **values: Any,
) -> int:
    """Train a classifier on DATA and write it as a bundle.

    DATA is a folder with one subfolder a label, a data set as YOLO, COCO, Pascal VOC or ImageFolder have it, a .csv or .jsonl
    list of photos, or the Flickr Logos 27 archive or folder.
    A label called `none` holds photos that show no logo. With --synthesize N and no --artwork, or the same folder there,
    DATA is a folder of artwork. With --names FILE and no DATA, the bundle knows labels by the names in FILE alone.
    """
    from logolens.training.train import find_rate
    from logolens.training.train import train as run

    settings = settings_from(TrainSettings, values)
    if data is None:
        return _train_from_names(out, settings, force)
    if find_lr:
        with progress_bars() as progress:
            found = find_rate(data, out, settings, force=force, progress=progress)
        hint(*(f"Written: {path}" for path in found.write(out, force=force)))
        if not found.fell:
            message(
                "The loss fell at no rate: the head fits these photos already. What is suggested is a tenth of the highest rate "
                "that did no harm."
            )
        say(f"--finetune-rate {found.suggestion:g}")
        return 0
    announced: list[str] = []

    def announce(text: str) -> None:
        if verbosity() >= 0:
            announced.append(text)
            message(text)

    with progress_bars() as progress:
        result = run(data, out, settings, force=force, restart=restart, progress=progress, announce=announce, log=log,
                     log_folder=log_folder)  # fmt: skip
    note(*(each for each in result.notes if each not in announced))
    counts = result.manifest["data"]
    made = counts.get("composed", {})
    rows = [
        [
            "photos",
            ", ".join(
                f"{counts[part]} {use}" + (f" ({made[part]} of them composed)" if made.get(part) else "")
                for part, use in (("train", "to train on"), ("val", "for validation"), ("test", "for the test"))
            ),
        ],
        ["labels", str(len(result.manifest["labels"])) + (" and none" if result.manifest["background"] else "")],
        _learned(result.manifest),
    ]
    if result.evaluation is not None:
        part = {"test": "test photos", "val": "validation photos"}[result.split]
        if made.get(result.split):
            # Said here too: these figures are all that many will look at.
            every = made[result.split] == counts[result.split]
            part = part.replace("photos", "composed images" if every else "photos, some composed")
        rows += figures(result.evaluation, part)
    rows += [
        ["time", ", ".join(f"{name} {seconds:.1f} s" for name, seconds in result.seconds.items())],
        ["bundle", str(result.bundle)],
    ]
    table(None, ["", ""], rows)
    next_step(f"logolens evaluate {quoted(out)} DATA", "other photos judge it; or predict, scan and serve with it")
    return 0


def _train_from_names(out: Path, settings: TrainSettings, force: bool) -> int:
    if settings.names is None:
        raise click.UsageError(
            "Missing argument 'DATA': name the photos to learn from, or with --names the labels' names alone."
        )
    from logolens.training.names_alone import train_from_names

    with progress_bars() as progress:
        result = train_from_names(out, settings, force=force, progress=progress)
    note(*result.notes)
    rows = [
        ["photos", "none: labels are known by their names"],
        ["labels", f"{len(result.manifest['labels'])} and none"],
        ["time", f"{result.seconds:.1f} s"],
        ["bundle", str(result.bundle)],
    ]
    table(None, ["", ""], rows)
    next_step(f"logolens predict {quoted(out)} PHOTO", "to ask it")
    return 0


def _learned(manifest: dict[str, Any]) -> list[str]:
    if "gallery" in manifest:
        return ["references", f"{manifest['gallery']['views']:,} views of {manifest['gallery']['references']:,} photos"]
    return ["epochs", f"{manifest['head']['best_epoch']} kept of {manifest['head']['epochs']}"]


@click.command()
@click.argument("bundle", type=_BUNDLE)
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


@click.command()
@click.argument("bundle", type=_BUNDLE)
@config_option
def summary(bundle: Path) -> int:
    """Show the network in BUNDLE, layer by layer."""
    print_summary(bundle)
    return 0


def print_summary(bundle: Path) -> None:
    """Print a bundle's layers with their shapes and parameters, trainable or frozen."""
    from logolens.bundle.format import load_bundle

    try:
        _print_layers(load_bundle(bundle).manifest)
    except (KeyError, TypeError, ValueError) as error:
        raise BundleError(
            f"{bundle / 'manifest.json'} does not tell the network's layers ({error!r}); copy or train the bundle again."
        ) from error


def _print_layers(manifest: dict[str, Any]) -> None:
    backbone, head, size = manifest["backbone"], manifest["head"], manifest["preprocessing"]["size"]
    rows = [["image", "input", f"{size} x {size} x 3", "", ""]]
    for layer in manifest["layers"]:
        rows.append(
            [
                layer["name"],
                layer["kind"],
                " x ".join(map(str, layer["shape"])),
                f"{layer['parameters']:,}" if layer["parameters"] else "",
                ("trainable" if layer["trainable"] else "frozen") if layer["parameters"] else "",
            ]
        )
    rows.append(["features", "pooling " + manifest["settings"]["pooling"], str(backbone["features"]), "", ""])
    for number, (inputs, outputs) in enumerate(head["layers"] if "gallery" not in manifest else ()):
        last = number == len(head["layers"]) - 1
        rows.append([f"head.{number}", "Dense", str(outputs), f"{inputs * outputs + outputs:,}", "trained"])
        rows.append(
            [
                "",
                "softmax" if last else f"ReLU, dropout {manifest['settings']['dropout']} while training",
                str(outputs),
                "",
                "",
            ]
        )
    if "gallery" in manifest:
        ((inputs, outputs),) = head["layers"]
        held, labels = manifest["gallery"], len(manifest["labels"])
        rows += [
            ["head.0", "projection", str(outputs), f"{inputs * outputs + outputs:,}", "fitted"],
            ["head", f"cosine with {held['views']:,} views", str(labels), f"{held['views'] * outputs:,}", "kept"],
        ]
    table(
        f"{backbone['name']} with a {head['kind']} head",
        ["layer", "kind", "output", "parameters", ""],
        rows,
        right=(3,),
    )
    total = backbone["parameters"] + head["parameters"]
    opened = manifest.get("finetune", {}).get("trained_parameters", 0)
    say(
        "",
        f"{total:,} parameters: {backbone['parameters'] - opened:,} frozen, {head['parameters'] + opened:,} trained.",
    )
