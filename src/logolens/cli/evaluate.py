"""The command evaluate."""

from __future__ import annotations

import functools
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from logolens.cli.console import echo, hint, message, note, print_json, progress_bars, refuse_to_replace, share, table
from logolens.cli.options import BUNDLE, brought, config_option, device_option, page_option, views_option

if TYPE_CHECKING:
    from logolens.evaluation import Claim, EvaluateResult
    from logolens.metrics import Evaluation, Slice

__all__ = ["evaluate", "explained", "figures"]

_MISTAKES, _PAIRS = 20, 5


@click.command()
@click.argument("bundle", type=BUNDLE)
@click.argument("data", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print the figures as one JSON object.")
@page_option("Write a page: figures with intervals, plots, mixed-up labels and mistakes with their photos.")
@click.option("--force", is_flag=True, help="Replace the file that --out names.")
@click.option(
    "--compare", type=BUNDLE, metavar="BUNDLE",
    help="Ask another bundle about the same photos, and test whether the difference can be chance.",
)  # fmt: skip
@click.option(
    "--assert", "asserted", multiple=True, metavar="CLAIM",
    help="A figure of --json, a sign and a number, as in 'top1>=0.9'; exit code 3 where it does not hold. May be repeated.",
)  # fmt: skip
@click.option(
    "--crops/--no-crops", default=True, show_default=True,
    help="Where photos have boxes, ask about the crops of the logos too, and tell both figures.",
)  # fmt: skip
@views_option
@click.option(
    "--as", "examples", type=click.Choice(["photo", "box"]), default="photo", show_default=True,
    help="What one example is: a photo, or each of its boxes, cut out as an image of its own.",
)  # fmt: skip
@click.option("--threads", type=click.IntRange(1, 512), help="Processor threads; all of them if not given.")
@device_option
@config_option
def evaluate(
    bundle: Path,
    data: Path,
    as_json: bool,
    out: Path | None,
    force: bool,
    compare: Path | None,
    asserted: tuple[str, ...],
    crops: bool,
    views: str | None,
    examples: str,
    threads: int | None,
    device: str,
) -> int:
    """Measure BUNDLE on the labelled photos of DATA.

    Photos labelled `none` show no logo: they are left out of the figures and reported apart.
    """
    from logolens.bundle.hub import shown_as
    from logolens.evaluation import claims_of, write_evaluation
    from logolens.evaluation import evaluate as run

    claims = claims_of(asserted)
    refuse_to_replace(out, force=force)
    bundle, compare = brought(bundle), None if compare is None else brought(compare)
    with progress_bars() as progress:
        looked = functools.partial(run, bundle, data, against=compare, crops=crops, views=views, examples=examples)
        result = looked(threads=threads, device=device, progress=progress)
    found = result.to_json()
    failed = [claim for claim in claims if not claim.holds(found)]
    note(*result.notes)
    if out is not None:
        write_evaluation(result, out, bundle=shown_as(bundle), data=str(data), claims=claims, force=force)
        hint(f"The page is in {out}.")
    if as_json:
        print_json(found)
    else:
        _print(result)
    _judge(claims, failed, result)
    return 3 if failed else 0


def _judge(claims: tuple[Claim, ...], failed: list[Claim], result: EvaluateResult) -> None:
    found = result.to_json()
    for claim in claims:
        value = claim.value(found)
        measured = "not measured" if value is None else f"{value:.4g}"
        message(f"{'Does not hold' if claim in failed else 'Holds'}: {claim.text} ({measured})")


_ROOM = 130
"""Columns of a terminal from which figures and what they mean stand on one line."""


def figures(evaluation: Evaluation, of: str) -> list[list[str]]:
    """The rows of the figures that matter most, for people, each with what it means."""
    rows: list[tuple[str, str, str]] = [
        (
            "top-1 accuracy",
            share(evaluation.top1, evaluation.top1_ci95),
            f"the best label is right, of {evaluation.n} {of}",
        ),
        ("top-5 accuracy", share(evaluation.top5), "the right label is among the best five"),
        ("macro F1", _number(evaluation.macro_f1), "mean of the labels' F1; each label counts the same"),
        ("ECE", _number(evaluation.ece), "calibration error: mean gap between confidence and share right"),
    ]
    if evaluation.missed is not None:
        rows.append(("miss rate", share(evaluation.missed), "answered none though a logo shows"))
    if (none := evaluation.none) is not None:
        rows += [
            (
                "AUROC, logo or none",
                _number(none.auroc),
                f"a logo looks more like one than the {none.n} without; 0.5 is chance",
            ),
            (
                "false-alarm rate",
                share(none.false_alarm_rate, none.false_alarm_ci95),
                "given a label though no logo shows",
            ),
        ]
    return [explained(*row) for row in rows]


def explained(name: str, value: str, meaning: str) -> list[str]:
    """A row of a figure. What it means stands beside it where there is room."""
    narrow = sys.stdout.isatty() and shutil.get_terminal_size().columns < _ROOM
    return [name, value if narrow else f"{value:<43}{meaning}"]


def _number(value: float | None) -> str:
    return "not measured" if value is None else f"{value:.3f}"


def _print(result: EvaluateResult) -> None:
    from logolens.bundle.hub import shown_as
    from logolens.evaluation.evaluate_page import risk_sentence, verdict

    more = result.details
    rows = figures(result.evaluation, "photos")
    # The parts that need more than the answers of a training's own test.
    if more.open_set is not None:
        value = share(more.open_set.accuracy, more.open_set.accuracy_ci95 or ())
        rows.append(explained("open-set accuracy", value, "the answer is right, none where no logo shows"))
    if more.crops is not None:
        value = share(more.crops.top1, more.crops.top1_ci95 or ())
        rows.append(explained("top-1 accuracy, crops", value, f"of {more.crops.n} crops of the logos alone"))
    table(None, ["", ""], rows)
    if sentence := risk_sentence(result):
        echo("", f"{sentence}")
    if result.compared is not None:
        gap, ends = result.compared.paired.difference, result.compared.paired.difference_ci95
        interval = "" if ends is None else f" (95 % interval {100 * ends[0]:+.1f} to {100 * ends[1]:+.1f})"
        echo("", f"Against {shown_as(result.compared.bundle)}: {100 * gap:+.1f} points{interval}.")
        echo(verdict(result.compared))
    for heading, slices in (("the logo covers", more.by_size), ("source", more.by_source)):
        if slices:
            echo("")
            _slices(heading, slices)
    echo("")
    rows = [
        [label, str(row.n), *("" if value is None else f"{value:.3f}" for value in (row.precision, row.recall, row.f1))]
        for label, row in result.evaluation.per_class.items()
    ]
    table(None, ["label", "photos", "precision", "recall", "F1"], rows, right=(1, 2, 3, 4))
    if more.confused:
        echo("")
        pairs = [[pair.true, pair.predicted, str(pair.count)] for pair in more.confused[:_PAIRS]]
        table("Mixed up most often", ["true", "predicted", "photos"], pairs, right=(2,))
    if result.evaluation.misclassified:
        echo("")
        wrong = [
            [row.image, row.true, row.predicted, f"{row.confidence:.3f}"]
            for row in result.evaluation.misclassified[:_MISTAKES]
        ]
        table("Surest mistakes", ["image", "true", "predicted", "confidence"], wrong, right=(3,))


def _slices(heading: str, slices: tuple[Slice, ...]) -> None:
    rows = [[its.name, str(its.n), share(its.top1, its.top1_ci95 or ())] for its in slices]
    table(None, [heading, "photos", "right"], rows, right=(1,))
