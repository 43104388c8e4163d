"""Fitting a head on frozen features."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from logolens.config import HeadSettings
from logolens.errors import DataError, require
from logolens.models.head.cosine import fit_cosine
from logolens.models.head.dense import Epoch, Examples, Head
from logolens.models.scaling import mean_and_spread

__all__ = ["fit_head"]

_FEW = 30
"""Validation examples below which their loss does not decide when to stop."""


def _balance(examples: Examples, classes: int) -> npt.NDArray[np.float64]:
    """Weights that give every class the same sum."""
    weight = examples.weight.astype(np.float64)
    sums = np.bincount(examples.truth, weights=weight, minlength=classes)
    return np.asarray(weight / sums[examples.truth])


def fit_head(
    train: Examples,
    val: Examples | None,
    classes: int,
    settings: HeadSettings = HeadSettings(),
    *,
    background: bool = False,
    epochs: int | None = None,
    progress: Callable[[Epoch], None] | None = None,
) -> Head:
    """Fit a head.

    The linear head is multinomial logistic regression, fitted by L-BFGS over all examples at once (an epoch is one of its
    iterations). The mlp is trained by Adam (Kingma and Ba 2015) on mini-batches, with dropout (Srivastava et al. 2014). The
    gallery fits a projection alone and keeps the examples (see ``cosine``).
    The epoch with the lowest validation loss is kept; of fewer than 30 validation examples that would be chance, and the
    last is.

    Args:
        train: what is learned from.
        val: what decides when to stop; None trains for all epochs.
        classes: how many classes there are, the background among them.
        settings: the kind of head and how it is trained.
        background: whether the last class is the background; only the gallery needs to know.
        epochs: train for exactly so many epochs instead, as when a fit is repeated on more photos.
        progress: called after each epoch.

    Raises:
        DataError: a class has no training example.
    """
    present = np.bincount(train.truth, minlength=classes)
    if not len(train) or not present.all():
        raise DataError(
            f"{int((present == 0).sum())} of {classes} classes have no photo to train on; add some or remove the label."
        )
    if settings.head == "gallery":
        return fit_cosine(train, classes, background=background)
    torch: Any = require("torch", "train")
    # Threads cost more than they bring in steps this small; spinning ones lose ten times over when the machine is busy.
    if train.features.size * classes < 4e9:
        torch.set_num_threads(1)
    torch.manual_seed(settings.seed)
    mean, std = (part.astype(np.float32) for part in mean_and_spread(train.features))
    weight = _balance(train, classes) if settings.balanced else train.weight.astype(np.float64)
    x = torch.from_numpy((train.features - mean) / std)
    y = torch.from_numpy(train.truth)
    w = torch.from_numpy((weight / weight.sum()).astype(np.float32))
    held = None
    if val is not None and len(val):
        held = (torch.from_numpy((val.features - mean) / std), torch.from_numpy(val.truth))

    width = x.shape[1]
    if settings.head == "linear":
        model = torch.nn.Sequential(torch.nn.Linear(width, classes))
        torch.nn.init.zeros_(model[0].weight)
        torch.nn.init.zeros_(model[0].bias)
        step = _lbfgs_step(torch, model, x, y, w, settings.l2)
    else:
        model = torch.nn.Sequential(
            torch.nn.Linear(width, settings.hidden),
            torch.nn.ReLU(),
            torch.nn.Dropout(settings.dropout),
            torch.nn.Linear(settings.hidden, classes),
        )
        step = _adam_step(torch, model, x, y, w, settings)

    dense = [layer for layer in model if isinstance(layer, torch.nn.Linear)]

    history: list[Epoch] = []
    best_loss, best_epoch, kept = float("inf"), 0, []
    decides = val is not None and len(val) >= _FEW and epochs is None
    for number in range(1, (epochs or settings.epochs) + 1):
        loss, accuracy, moved = step()
        row = Epoch(number, loss, accuracy, None, None)
        if held is not None:
            model.eval()
            with torch.no_grad():
                logits = model(held[0])
                val_loss = float(torch.nn.functional.cross_entropy(logits, held[1]))
                row = replace(row, val_loss=val_loss, val_accuracy=float((logits.argmax(1) == held[1]).float().mean()))
        history.append(row)
        if progress:
            progress(row)
        measure = row.val_loss if decides else None
        if measure is None or measure < best_loss:
            best_loss = measure if measure is not None else best_loss
            best_epoch = number
            kept = [
                (layer.weight.detach().numpy().T.astype(np.float64), layer.bias.detach().numpy().astype(np.float64))
                for layer in dense
            ]
        elif settings.patience and number - best_epoch >= settings.patience:
            break
        if not moved:
            break
    if not kept:
        raise DataError(
            "The training diverged: no epoch has a finite validation loss. Lower --learning-rate and try again."
        )
    # Standardising is a linear step, so it folds into the first layer and costs nothing when the head is used.
    first, bias = kept[0]
    kept[0] = (first / std[:, None], bias - (mean / std) @ first)
    return Head(
        tuple((np.ascontiguousarray(a, dtype=np.float32), np.asarray(b, dtype=np.float32)) for a, b in kept),
        tuple(history),
        best_epoch,
    )


Step = Callable[[], tuple[float, float, bool]]


def _lbfgs_step(torch: Any, model: Any, x: Any, y: Any, w: Any, l2: float) -> Step:
    """An epoch of logistic regression: one L-BFGS iteration on all examples."""
    optimiser = torch.optim.LBFGS(
        model.parameters(), lr=1.0, max_iter=1, history_size=10, line_search_fn="strong_wolfe"
    )

    def closure() -> Any:
        optimiser.zero_grad()
        logits = model(x)
        loss = (torch.nn.functional.cross_entropy(logits, y, reduction="none") * w).sum()
        total = loss + l2 / 2 * (model[0].weight ** 2).sum()
        total.backward()
        return total

    def step() -> tuple[float, float, bool]:
        before = model[0].weight.detach().clone()
        optimiser.step(closure)
        if torch.equal(before, model[0].weight):
            # A line search that finds no step may be misled by its history alone: once more, down the gradient.
            optimiser.state.clear()
            optimiser.step(closure)
        with torch.no_grad():
            logits = model(x)
            loss = float((torch.nn.functional.cross_entropy(logits, y, reduction="none") * w).sum())
            accuracy = float((logits.argmax(1) == y).float().mean())
        return loss, accuracy, not torch.equal(before, model[0].weight)

    return step


def _adam_step(torch: Any, model: Any, x: Any, y: Any, w: Any, settings: HeadSettings) -> Step:
    """An epoch of Adam over shuffled mini-batches; the loss is what training saw, dropout included.

    The gradient of two dense layers is written out: in steps this small, recording it costs several times the arithmetic.
    """
    first, last = model[0], model[3]
    parameters = [first.weight, first.bias, last.weight, last.bias]
    for parameter in parameters:
        parameter.grad = torch.zeros_like(parameter)
    optimiser = torch.optim.Adam(parameters, lr=settings.learning_rate, fused=True)
    generator = torch.Generator().manual_seed(settings.seed)
    targets, scale, keep = torch.eye(len(last.bias))[y], (w * len(y)).unsqueeze(1), 1.0 - settings.dropout

    def step() -> tuple[float, float, bool]:
        with torch.no_grad():
            return epoch()

    def epoch() -> tuple[float, float, bool]:
        order = torch.randperm(len(y), generator=generator)
        xs, ts, ss = x[order], targets[order], scale[order]
        masks = torch.empty(len(y), len(first.bias)).bernoulli_(keep, generator=generator).div_(keep)
        seen = []
        for start in range(0, len(y), settings.batch):
            part = slice(start, start + settings.batch)
            xb, tb, mask = xs[part], ts[part], masks[part]
            hidden = torch.addmm(first.bias, xb, first.weight.t()).relu_().mul_(mask)
            logs = torch.log_softmax(torch.addmm(last.bias, hidden, last.weight.t()), 1)
            seen.append(logs)
            wrong = (logs.exp() - tb).mul_(ss[part]).div_(len(tb))
            torch.mm(wrong.t(), hidden, out=last.weight.grad)
            torch.sum(wrong, 0, out=last.bias.grad)
            back = wrong.mm(last.weight).mul_(mask).mul_(hidden > 0)
            torch.mm(back.t(), xb, out=first.weight.grad)
            torch.sum(back, 0, out=first.bias.grad)
            optimiser.step()
        logs = torch.cat(seen)
        loss = float(-((logs * ts).sum(1) * w[order]).sum())
        return loss, float((logs.argmax(1) == y[order]).float().mean()), True

    return step
