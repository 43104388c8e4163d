"""An evaluation as a page: the figures with their intervals, where it errs, and what its confidences are worth."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from logolens.bundle.hub import shown_as
from logolens.evaluation.charts import Chart, Line
from logolens.evaluation.evaluate import Compared, EvaluateResult
from logolens.evaluation.html_page import Gallery, Part, Section, Table, Text, Thumb, Tiles, page, write_page
from logolens.evaluation.inline_images import thumbnail
from logolens.evaluation.requirements import Claim
from logolens.metrics import Evaluation, Slice

__all__ = ["write_evaluation"]

_PAIRS, _OF_PAIR, _MISTAKES, _CHANGED = 8, 6, 24, 12
"""How many mixed-up pairs are shown, photos of each, surest mistakes, and photos of each kind where two bundles differ."""

_ENDS = (0.05, 0.1, 0.25, 0.5, 1.0)
"""Where a plot of shares may end."""

Interval = Sequence[float | None] | None


def write_evaluation(
    result: EvaluateResult,
    path: str | os.PathLike[str],
    *,
    bundle: str,
    data: str,
    claims: Sequence[Claim] = (),
    force: bool = False,
) -> Path:
    """Write the page.

    Args:
        result: what the evaluation gave.
        path: the file to write.
        bundle: what was evaluated, as it is named.
        data: on what.
        claims: what was asked of it.
        force: replace a file of that name.

    Raises:
        UsageError: the file is there and `force` is not given, or it cannot be written.
    """
    sections = [
        Section("In short", list(_overview(result))),
        *_asked(result, claims),
        *_comparison(result, result.compared),
        *_parts(result),
        *_open(result),
        *_confidences(result),
        *_mistakes(result),
        _labels(result),
    ]
    if result.notes:
        sections.append(Section("Good to know", [Text(note) for note in result.notes]))
    lead = f"The bundle {bundle} on {len(result.files):,} photos of {data}. Intervals are of 95 %, near copies drawn together."
    return write_page(page(f"How good is {bundle}?", *sections, lead=lead), path, force=force)


def _overview(result: EvaluateResult) -> Iterator[Part]:
    its, more = result.evaluation, result.details
    if result.trained_on:
        # Said before any figure is read.
        yield Text(result.notes[0])
    tiles = [
        (
            _share(its.top1),
            f"top-1 accuracy: the best label is right, of {its.n:,} photos with a logo{_between(its.top1_ci95)}",
        ),
        (_share(its.top5), f"top-5 accuracy: the right label is among the best five{_between(more.top5_ci95)}"),
        (_number(its.macro_f1), f"macro F1: the mean of the labels' F1{_between(more.macro_f1_ci95, share=False)}"),
        (_number(its.ece), "ECE: mean gap between confidence and share right"),
    ]
    if its.none is not None and its.none.auroc is not None:
        ends = more.open_set.auroc_ci95 if more.open_set else None
        tiles.append(
            (
                _number(its.none.auroc),
                f"AUROC: how well photos with a logo are told from those without{_between(ends, share=False)}",
            )
        )
    if (open_set := more.open_set) is not None:
        tiles.append(
            (
                _share(open_set.accuracy),
                f"open-set accuracy: the answer is right, none where no logo shows{_between(open_set.accuracy_ci95)}",
            )
        )
    yield Tiles([tile for tile in tiles if tile[0] != "not measured"])
    if more.crops is not None:
        yield Text(
            f"Asked about the whole photo {_share(its.top1)} are right; asked about the logo's own crop, "
            f"{_share(more.crops.top1)} of {more.crops.n:,}. What lies between is lost to the logo's size and surroundings, and "
            "what is missing from the crops to the drawing itself."
        )


def _asked(result: EvaluateResult, claims: Sequence[Claim]) -> Iterator[Section]:
    if claims:
        figures = result.to_json()
        rows = [
            [claim.text, _number(claim.value(figures)), "✓ holds" if claim.holds(figures) else "✗ does not hold"]
            for claim in claims
        ]
        yield Section("What was asked of it", [Table(("claim", "figure", ""), rows, numbers=(1,))])


def _comparison(result: EvaluateResult, compared: Compared | None) -> Iterator[Section]:
    if compared is None:
        return
    paired = compared.paired
    parts: list[Part] = [
        Tiles(
            [
                (_share(paired.top1), "this bundle"),
                (_share(paired.other_top1), shown_as(compared.bundle)),
                (f"{100 * paired.difference:+.1f} points", f"difference{_between(paired.difference_ci95)}"),
                (f"{paired.p:.3g}", "p of McNemar's exact test"),
            ]
        ),
        Text(verdict(compared)),
    ]
    for names, who in ((compared.only_this, "this bundle"), (compared.only_other, "the other bundle")):
        if names:
            thumbs = list(_thumbs(result, names[:_CHANGED]))
            parts.append(Gallery(thumbs, caption=f"Right by {who} alone: {len(names):,}."))
    yield Section(f"Against {shown_as(compared.bundle)}", parts)


def verdict(compared: Compared) -> str:
    """What a comparison says, in a sentence."""
    paired, ends = compared.paired, compared.paired.difference_ci95
    if not paired.only_this + paired.only_other:
        return f"Both bundles are right on the very same photos, {round(paired.n * paired.top1):,} of {paired.n:,}."
    counted = (
        f"Of {paired.n:,} photos this bundle alone is right on {paired.only_this:,}, the other alone on "
        f"{paired.only_other:,} (p = {paired.p:.3g})"
    )
    # By both: the test takes photos to be independent, the bootstrap draws near copies together.
    if paired.p < 0.05 and ends is not None and (ends[0] > 0 or ends[1] < 0):
        return f"{counted}: this bundle is {'better' if paired.difference > 0 else 'worse'}, and hardly by chance."
    return f"{counted}: so small a difference can be chance; more photos would tell."


def _parts(result: EvaluateResult) -> Iterator[Section]:
    more = result.details
    for heading, slices, first in (
        ("By the logo's size in the photo", more.by_size, "the logo covers"),
        ("By where photos come from", more.by_source, "source"),
    ):
        if slices:
            yield Section(heading, [_sliced(slices, first)])
    if more.crops is not None:
        whole = Slice("whole photo", result.evaluation.n, result.evaluation.top1 or 0.0, _ends(result.evaluation))
        crop = Slice("the logo's crop", more.crops.n, more.crops.top1, more.crops.top1_ci95)
        yield Section("Whole photos and crops", [_sliced((whole, crop), "asked about")])


def _ends(evaluation: Evaluation) -> tuple[float, float] | None:
    low, high = evaluation.top1_ci95
    return None if low is None or high is None else (low, high)


def _sliced(slices: Sequence[Slice], first: str) -> Table:
    rows = [[its.name, f"{its.n:,}", _share(its.top1), _range(its.top1_ci95)] for its in slices]
    return Table((first, "photos", "top-1 accuracy", "95 % interval"), rows, numbers=(1, 2, 3))


def _open(result: EvaluateResult) -> Iterator[Section]:
    its, none, open_set = result.evaluation, result.evaluation.none, result.details.open_set
    if none is None and its.missed is None:
        return
    rows = []
    if none is not None:
        rows.append(["false-alarm rate: given a label though no logo shows", _share(none.false_alarm_rate), _range(
            open_set.false_alarm_ci95 if open_set else none.false_alarm_ci95)])  # fmt: skip
        rows.append(
            [
                "AUROC: logos told from none",
                _number(none.auroc),
                _range(open_set.auroc_ci95 if open_set else None, False),
            ]
        )
    if its.missed is not None:
        rows.append(["miss rate: answered none though a logo shows", _share(its.missed), ""])
    if open_set is not None:
        rows.append(
            [
                f"open-set accuracy: right of all {open_set.n:,}, none as an answer",
                _share(open_set.accuracy),
                _range(open_set.accuracy_ci95),
            ]
        )
    text = Text("Photos of other things will come, too. What is said of them counts here.")
    yield Section("The open set", [text, Table(("", "figure", "95 % interval"), rows, numbers=(1, 2))])


def _confidences(result: EvaluateResult) -> Iterator[Section]:
    more = result.details
    if more.reliability:
        points = [(its.confidence, its.accuracy) for its in more.reliability]
        rows = [
            [f"{its.low:.0%} to {its.high:.0%}", f"{its.n:,}", _share(its.confidence), _share(its.accuracy)]
            for its in more.reliability
        ]
        chart = Chart(
            (Line(((0, 0), (1, 1)), even=True), Line(points)),
            "how sure it is",
            "how often it is right",
            "Confidence against the share of right answers; honest confidences lie on the dashed diagonal.",
            caption="On the diagonal a confidence is honest; below it the bundle is too sure. Of photos with a logo.",
        )
        table = Table(("confidence", "photos", "mean confidence", "right"), rows, numbers=(1, 2, 3))
        yield Section("Are confidences honest?", [chart, table])
    if more.risk_coverage:
        curve = sorted((its.coverage, its.risk) for its in more.risk_coverage)
        rows = [[_share(its.coverage), _share(its.confidence), _share(its.risk)] for its in more.risk_coverage]
        chart = Chart(
            (Line(curve),),
            "share of photos answered, the surest first",
            "share of answers that are wrong",
            "Share of photos answered against the share of answers that are wrong.",
            top=next(end for end in _ENDS if end >= max(risk for _, risk in curve)),
            caption=f"{risk_sentence(result)} All photos, none as an answer.",
        )
        yield Section("What if it answers only when sure?", [chart, Table(
            ("answered", "from which confidence on", "of these wrong"), rows, numbers=(0, 1, 2))])  # fmt: skip


def risk_sentence(result: EvaluateResult) -> str:
    """The risk at the coverage nearest to 80 %, in a sentence; empty where there is none."""
    if not result.details.risk_coverage:
        return ""
    its = min(result.details.risk_coverage, key=lambda point: abs(point.coverage - 0.8))
    return f"Answer the surest {its.coverage:.0%} of the photos ({its.confidence:.0%} sure or more) and {its.risk:.1%} are wrong."


def _mistakes(result: EvaluateResult) -> Iterator[Section]:
    wrong = {its.image: its for its in result.evaluation.misclassified}
    if not wrong:
        yield Section("Mistakes", [Text("There are none.")])
        return
    parts: list[Part] = []
    for pair in result.details.confused[:_PAIRS]:
        caption = f"{pair.count:,} of {pair.true} answered with {pair.predicted}."
        parts.append(Gallery(list(_thumbs(result, pair.images[:_OF_PAIR])), caption=caption))
    yield Section("The labels that are mixed up most often", parts)
    surest = list(_thumbs(result, [its.image for its in result.evaluation.misclassified[:_MISTAKES]]))
    yield Section(f"The surest mistakes, of {len(wrong):,}", [Gallery(surest)])


def _thumbs(result: EvaluateResult, names: Sequence[str]) -> Iterator[Thumb]:
    wrong = {its.image: its for its in result.evaluation.misclassified}
    for name in names:
        picture, its = thumbnail(result.files.get(name)), wrong.get(name)
        if picture is not None and its is not None:
            yield Thumb(picture, its.predicted, its.true, its.confidence, caption=name)
        elif picture is not None:
            yield Thumb(picture, caption=name)


def _labels(result: EvaluateResult) -> Section:
    rows = []
    for label, its in sorted(
        result.evaluation.per_class.items(), key=lambda pair: (pair[1].f1 is None, pair[1].f1 or 0.0)
    ):
        ends = result.details.per_class_ci95[label]
        rows.append(
            [label, f"{its.n:,}", _share(its.precision), _range(ends["precision"]), _share(its.recall), _range(ends["recall"]),
             _number(its.f1)]
        )  # fmt: skip
    columns = ("label", "photos", "precision", "95 % interval", "recall", "95 % interval", "F1")
    return Section("Each label, the worst first", [Table(columns, rows, numbers=(1, 2, 3, 4, 5, 6))])


def _share(value: float | None) -> str:
    return "not measured" if value is None else f"{100 * value:.1f} %"


def _number(value: float | None) -> str:
    return "not measured" if value is None else f"{value:.3f}"


def _range(ends: Interval, share: bool = True) -> str:
    if ends is None or ends[0] is None or ends[1] is None:
        return ""
    low, high = ends[0], ends[1]
    return f"{100 * low:.1f} to {100 * high:.1f} %" if share else f"{low:.3f} to {high:.3f}"


def _between(ends: Interval, *, share: bool = True) -> str:
    said = _range(ends, share)
    return f", {said}" if said else ""
