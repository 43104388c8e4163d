"""Plots of a training run, drawn by matplotlib without its global state."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from logolens.errors import DataError, require
from logolens.io.atomic import write_file
from logolens.io.fonts import escape_missing
from logolens.metrics import Evaluation

__all__ = ["plot_confusion", "plot_curves", "write_history"]

_TRAIN, _VAL, _KEPT = "#1f5fa8", "#d9730d", "#6b7280"
_COLUMNS = ("epoch", "loss", "accuracy", "val_loss", "val_accuracy")
_LONGEST = 24  # characters of a label beside an axis
_COUNTS_UP_TO = 40  # labels, beyond which a count no longer fits its cell
_NAMES_UP_TO = 70  # labels, beyond which only some are named
# Fonts for what matplotlib's own DejaVu Sans lacks; those that are installed are used.
_WIDE_FONTS = (
    "Noto Sans CJK JP",
    "Noto Sans CJK SC",
    "Noto Sans JP",
    "Noto Sans SC",
    "Arial Unicode MS",
    "Hiragino Sans",
    "PingFang SC",
    "Microsoft YaHei",
    "Yu Gothic",
    "Malgun Gothic",
    "WenQuanYi Zen Hei",
    "Noto Sans Arabic",
    "Noto Sans Hebrew",
    "Noto Sans Thai",
    "Noto Sans Devanagari",
)


def plot_curves(
    history: Sequence[Mapping[str, Any]],
    path: str | os.PathLike[str],
    *,
    kept: int | None = None,
    force: bool = False,
) -> Path:
    """Write a PNG of two panels, loss and accuracy over the epochs, for training and validation.

    Args:
        history: one row an epoch: ``epoch``, ``loss``, ``accuracy``, ``val_loss``, ``val_accuracy``; any may be absent
            or None.
        path: the PNG to write.
        kept: the epoch whose weights were kept; by default the one of the lowest validation loss.
        force: replace a file of that name.

    Raises:
        DataError: the history has no rows.
        MissingExtraError: matplotlib is not installed.
        UsageError: the file cannot be written.
    """
    if not history:
        raise DataError("The history has no epochs to plot. Train for at least one epoch.")
    epochs = [int(row.get("epoch", i)) for i, row in enumerate(history, start=1)]
    if kept is None:
        kept = _best_epoch(history, epochs)
    figure = _figure(9.6, 3.8)
    for axes, key, title in zip(figure.subplots(1, 2), ("loss", "accuracy"), ("Loss", "Accuracy"), strict=True):
        drawn = False
        for name, column, color in (("training", key, _TRAIN), ("validation", f"val_{key}", _VAL)):
            values = np.array([_number(row.get(column)) for row in history])
            if np.isfinite(values).any():
                # One epoch is no line; a dot shows it.
                axes.plot(epochs, values, color=color, label=name, linewidth=1.8, marker="o" if len(epochs) < 3 else "")
                drawn = True
        if kept is not None:
            axes.axvline(kept, color=_KEPT, linestyle="--", linewidth=1, label=f"kept (epoch {kept})")
        axes.set_title(title, loc="left", fontsize=11, fontweight="bold")
        axes.set_xlabel("epoch")
        axes.set_xlim(min(epochs) - 0.5, max(epochs) + 0.5)
        ticks = require("matplotlib.ticker", "train").MaxNLocator
        axes.xaxis.set_major_locator(ticks(integer=True, min_n_ticks=1))
        if key == "accuracy":
            axes.set_ylim(-0.02, 1.02)
            axes.yaxis.set_major_formatter(lambda value, _: f"{100 * value:.0f} %")
        elif drawn:
            axes.set_ylim(bottom=0)
        _clean(axes)
        if drawn or kept is not None:
            axes.legend(frameon=False, fontsize=9)
    return write_file(path, _png(figure, 120), force=force)


def write_history(history: Sequence[Mapping[str, Any]], path: str | os.PathLike[str], *, force: bool = False) -> Path:
    """Write the rows of a history as CSV (RFC 4180, UTF-8), the known columns first; what is absent stays empty.

    Raises:
        UsageError: the file cannot be written.
    """
    others = dict.fromkeys(key for row in history for key in row if key not in _COLUMNS)
    stream = io.StringIO(newline="")
    writer = csv.DictWriter(stream, [*_COLUMNS, *others], restval="")
    writer.writeheader()
    writer.writerows(history)
    return write_file(path, stream.getvalue().encode(), force=force)


def plot_confusion(
    evaluation: Evaluation, path: str | os.PathLike[str], *, title: str = "Confusion", force: bool = False
) -> Path:
    """Write a PNG of the confusion matrix, one row a true label, one column an answer.

    The colour is the share of the true label's images. Counts stand in the cells while they fit; of many labels only
    some are named. A last row ``none`` is left out, since images without a logo are not in the matrix.

    Raises:
        DataError: the evaluation has no labels.
        MissingExtraError: matplotlib is not installed.
        UsageError: the file cannot be written.
    """
    counts = np.array(evaluation.confusion, dtype=np.float64)
    if counts.size == 0:
        raise DataError("The evaluation has no labels to plot. Evaluate at least one image.")
    names = list(evaluation.labels)
    if len(names) > 1 and names[-1] == "none" and counts[-1].sum() == 0:
        counts = counts[:-1]
    size = len(names)
    totals = counts.sum(axis=1, keepdims=True)
    shares = np.ma.masked_equal(np.divide(counts, totals, out=np.zeros_like(counts), where=totals > 0), 0)

    families, shown = _fonts([_shorten(name) for name in names])
    margin = 0.085 * max(map(len, shown)) + 0.6
    side = float(np.clip(0.33 * size, 2.6, 11))
    figure = _figure(side + margin + 1.1, side * len(counts) / size + margin + 0.5)
    axes = figure.subplots()
    # Blank where nothing is, so that one image among thousands is still seen.
    blues = require("matplotlib", "train").colormaps["Blues"](np.linspace(0.2, 1, 256))
    colors = require("matplotlib.colors", "train").ListedColormap(blues).with_extremes(bad="white")
    image = axes.imshow(shares, cmap=colors, vmin=0, vmax=1, aspect="equal", interpolation="nearest")
    every = -(-size // _NAMES_UP_TO)
    font = float(np.clip(side / size * 26 * every, 5, 10))
    text = {"parse_math": False, "fontsize": font, "fontfamily": families}
    axes.set_xticks(range(0, size, every), shown[::every], rotation=90, **text)
    axes.set_yticks(range(0, len(counts), every), shown[: len(counts) : every], **text)
    axes.set_xlabel("answer")
    axes.set_ylabel("true label")
    axes.tick_params(length=0 if every == 1 else 2)
    note = f", one label in {every} is named" if every > 1 else ""
    axes.set_title(f"{title}: {int(counts.sum()):,} images, {len(counts)} labels{note}", fontsize=10, loc="left", pad=8)
    if size <= _COUNTS_UP_TO:
        for i, j in np.argwhere(counts > 0):
            color = "white" if shares[i, j] > 0.55 else "#1f2937"
            axes.text(j, i, f"{int(counts[i, j])}", ha="center", va="center", fontsize=min(font, 9), color=color)
    if every == 1:  # thin lines part the cells while there are few
        axes.set_xticks(np.arange(size + 1) - 0.5, minor=True)
        axes.set_yticks(np.arange(len(counts) + 1) - 0.5, minor=True)
        axes.grid(which="minor", color="#e5e7eb", linewidth=0.5)
        axes.tick_params(which="minor", length=0)
    axes.spines[:].set_visible(False)
    bar = figure.colorbar(
        image, ax=axes, shrink=min(0.8, 3.2 / side), aspect=16, pad=0.02, format=lambda value, _: f"{100 * value:.0f} %"
    )
    bar.outline.set_visible(False)
    bar.set_label("share of the true label", fontsize=8)
    bar.ax.tick_params(labelsize=8)
    return write_file(path, _png(figure, 130), force=force)


def _figure(width: float, height: float) -> Any:
    figure = require("matplotlib.figure", "train").Figure(figsize=(width, height), layout="constrained")
    require("matplotlib.backends.backend_agg", "train").FigureCanvasAgg(figure)
    figure.set_facecolor("white")
    return figure


def _png(figure: Any, dpi: int) -> bytes:
    stream = io.BytesIO()
    # Without its own name and version in the file, the same run gives the same bytes.
    figure.savefig(stream, format="png", dpi=dpi, metadata={"Software": None})
    return stream.getvalue()


def _clean(axes: Any) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color="#e5e7eb", linewidth=0.8)
    axes.set_axisbelow(True)


def _number(value: Any) -> float:
    return float("nan") if value is None or value == "" else float(value)


def _best_epoch(history: Sequence[Mapping[str, Any]], epochs: Sequence[int]) -> int | None:
    losses = np.array([_number(row.get("val_loss")) for row in history])
    return epochs[int(np.nanargmin(losses))] if np.isfinite(losses).any() else None


def _shorten(name: str) -> str:
    name = " ".join(name.split()) or "(empty)"
    return name if len(name) <= _LONGEST else name[: _LONGEST - 1] + "…"


def _fonts(names: Sequence[str]) -> tuple[list[str], list[str]]:
    """The font families for these names, and the names with escapes for what no installed font draws."""
    families = ["DejaVu Sans"]
    manager: Any = require("matplotlib.font_manager", "train")
    covered = set(manager.get_font(manager.findfont(families[0])).get_charmap())
    missing = {ord(character) for name in names for character in name} - covered
    installed = set(manager.fontManager.get_font_names()) if missing else set()
    for family in _WIDE_FONTS:
        if missing and family in installed:
            found = missing & set(manager.get_font(manager.findfont(family)).get_charmap())
            if found:
                families.append(family)
                missing -= found
    return families, [escape_missing(name, lambda character: ord(character) not in missing) for name in names]
