"""The course of training end to end: the epochs, how long they take, which rates serve, and what is kept of them."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from itertools import count, islice

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from logolens.config import FinetuneSettings
from logolens.models.head import Epoch
from logolens.training.finetune.checkpoints import Checkpoint, Progressed
from logolens.training.finetune.dataloader import Batch
from logolens.training.finetune.head_module import DenseHead, cross_entropy, figures
from logolens.training.finetune.step import DivergedError, Learner
from logolens.types import FloatArray32

__all__ = ["Fitted", "Trainer"]

_RESTART = 0.01
"""What the cosine ends at, as a share of the highest rate."""

_TIMED = 6
"""Batches that the estimate of the time is made from, after the first, which warms up."""

_SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)
"""Shares of the fine-tuned weights that are tried on the validation views."""

Batches = Callable[[int], Iterable[Batch]]


@dataclass(frozen=True)
class Fitted:
    """What fine-tuning gave; the trainer's modules hold the weights.

    Attributes:
        history: what each epoch gave, counted from 1.
        best_epoch: the one whose weights were kept; 0 where the frozen ones served better.
        share: how much of the way from the frozen weights to the fine-tuned ones was kept.
        shares: what each share that was tried gave on the validation views.
        epochs: how many were decided on.
        estimate: seconds that were told beforehand.
        resumed: the epoch after which a checkpoint was taken up, 0 for none.
    """

    history: tuple[Epoch, ...]
    best_epoch: int
    share: float
    shares: tuple[dict[str, float | None], ...]
    epochs: int
    estimate: float
    resumed: int


class Trainer:
    """Trains a network's back and its head.

    Args:
        back: takes the front's results and gives features; what requires a gradient is trained.
        head: on top of it.
        train: the batches of an epoch, by its number, counted from 1.
        steps: batches of an epoch.
        held: the batches that are judged; none at all leaves the last epoch's weights.
        settings: rates and all else.
        seed: of dropout.
        background: whether the last output is the background.
        max_false_alarms: as in `calibrate`.
    """

    def __init__(
        self,
        back: nn.Module,
        head: DenseHead,
        train: Batches,
        steps: int,
        held: Callable[[], Iterable[Batch]],
        settings: FinetuneSettings,
        *,
        seed: int = 0,
        background: bool = False,
        max_false_alarms: float = 0.1,
    ) -> None:
        self._learner = Learner(back, head, settings)
        self._train, self._steps, self._held = train, steps, held
        self._settings, self._seed = settings, seed
        self._background, self._max_false_alarms = background, max_false_alarms

    @property
    def device(self) -> str:
        """Where it trains: "cuda" or "cpu"."""
        return self._learner.device

    @property
    def head(self) -> DenseHead:
        """The head as it is now."""
        return self._learner.head

    def _judge(self) -> tuple[FloatArray32, npt.NDArray[np.int64]]:
        return self._learner.judge(self._held())

    def _set_rates(self, step: int, total: int) -> None:
        """Linear warm-up, then half a cosine (Loshchilov and Hutter 2017); a function of the step alone."""
        warm = max(1, round(self._settings.finetune_warmup * total)) if self._settings.finetune_warmup else 0
        if step < warm:
            share = (step + 1) / (warm + 1)
        else:
            done = (step - warm) / max(1, total - warm)
            share = _RESTART + (1 - _RESTART) * (1 + math.cos(math.pi * done)) / 2
        for group in self._learner.optimiser.param_groups:
            group["lr"] = group["highest"] * share

    def fit(
        self,
        checkpoint: Checkpoint,
        *,
        progress: Callable[[int, int], None],
        announce: Callable[[str], None],
        on_epoch: Callable[[Epoch], None] = lambda epoch: None,
    ) -> Fitted:
        """Train for all epochs, from the checkpoint on where there is one, and keep the best weights.

        Raises:
            DivergedError: the loss is no longer a number.
            UsageError: the checkpoint is damaged.
        """
        frozen = self._learner.copy()
        self._learner.best = frozen
        best_loss, best_epoch, history = math.inf, 0, []
        found = checkpoint.read()
        if found is not None:
            facts = found.facts
            epochs, estimate, resumed = int(facts["epochs"]), float(facts["estimate"]), int(facts["epoch"])
            best_epoch, best_loss = int(facts["best_epoch"]), float(facts["best_loss"])
            history = [Epoch(**row) for row in facts["history"]]
            for earlier in history:
                on_epoch(earlier)
            self._learner.load(found)
            announce(f"Fine-tuning goes on after epoch {resumed} of {epochs}, from {checkpoint.folder}.")
        else:
            epochs, estimate = self._plan_time(announce)
            resumed = 0
        total = epochs * self._steps
        progress(resumed * self._steps, total)
        for epoch in range(resumed + 1, epochs + 1):
            row = self._epoch(epoch, total, progress)
            logits, truth = self._judge()
            if len(truth):
                row = replace(
                    row, val_loss=cross_entropy(logits, truth), val_accuracy=float((logits.argmax(1) == truth).mean())
                )
            history.append(row)
            on_epoch(row)
            if row.val_loss is None or row.val_loss < best_loss:
                best_loss = math.inf if row.val_loss is None else row.val_loss
                best_epoch, self._learner.best = epoch, self._learner.copy()
            facts = {
                "epoch": epoch,
                "epochs": epochs,
                "estimate": estimate,
                "best_epoch": best_epoch,
                # JSON has no infinity.
                "best_loss": best_loss if math.isfinite(best_loss) else 1e300,
                "history": [one.row() for one in history],
                "scale": self._learner.scaler.state_dict(),
            }
            checkpoint.write(Progressed(self._learner.state(), facts), epoch)
        share, shares = self._interpolate(frozen)
        return Fitted(tuple(history), best_epoch if share else 0, share, tuple(shares), epochs, estimate, resumed)

    def _epoch(self, epoch: int, total: int, progress: Callable[[int, int], None]) -> Epoch:
        self._learner.mode(True)
        loss = weights = 0.0
        right = views = 0
        with torch.random.fork_rng():
            torch.manual_seed(self._seed * 1_000_003 + epoch)
            for number, batch in enumerate(self._train(epoch)):
                step = (epoch - 1) * self._steps + number
                self._set_rates(step, total)
                one, weight, good = self._learner.backward(batch, f"epoch {epoch} of fine-tuning")
                self._learner.step()
                loss, weights, right, views = loss + one, weights + weight, right + good, views + len(batch.truth)
                progress(step + 1, total)
        return Epoch(epoch, loss / weights, right / views, None, None)

    def _plan_time(self, announce: Callable[[str], None]) -> tuple[int, float]:
        """How many epochs, and how many seconds they will take: from a few batches whose gradients are thrown away."""
        self._learner.mode(True)
        start, timed = time.perf_counter(), 0
        with torch.random.fork_rng():
            for number, batch in enumerate(islice(self._train(1), 1 + min(_TIMED, max(1, self._steps - 1)))):
                self._learner.backward(batch, "the first batches of fine-tuning")
                if number == 0 and self._steps > 1:
                    start = time.perf_counter()
                else:
                    timed += 1
        self._learner.optimiser.zero_grad(set_to_none=True)
        epoch = self._steps * (time.perf_counter() - start) / max(1, timed)
        start = time.perf_counter()
        self._judge()  # also fills what is kept of the validation views
        start = time.perf_counter()
        self._judge()
        epoch += time.perf_counter() - start
        epochs, minutes = self._settings.finetune_epochs, self._settings.finetune_minutes
        if minutes is not None:
            epochs = max(1, int(60 * minutes / epoch))
        estimate = round(epochs * epoch, 1)
        where = "this GPU" if self._learner.device == "cuda" else "this CPU"
        announce(f"Fine-tuning for {epochs} epochs will take about {_spoken(estimate)} on {where}.")
        return epochs, estimate

    def range_test(
        self, low: float, high: float, steps: int, *, progress: Callable[[int, int], None]
    ) -> list[tuple[float, float]]:
        """Train while the backbone's rate grows from ``low`` to ``high``, the head's in proportion, until the loss bursts.

        Smith, "Cyclical learning rates for training neural networks", 2017. The weights are put back afterwards.

        Returns:
            Each rate with the loss before its step, smoothed.
        """
        frozen = self._learner.copy()
        self._learner.mode(True)
        batches = (batch for epoch in count(1) for batch in self._train(epoch))
        rows: list[tuple[float, float]] = []
        mean = 0.0
        with torch.random.fork_rng():
            torch.manual_seed(self._seed)
            for number, batch in enumerate(islice(batches, steps)):
                rate = low * (high / low) ** (number / max(1, steps - 1))
                for group in self._learner.optimiser.param_groups:
                    group["lr"] = rate * group["highest"] / self._settings.finetune_rate
                try:
                    loss, weight, _ = self._learner.backward(batch, "the range test")
                except DivergedError:
                    break
                mean = 0.9 * mean + 0.1 * loss / weight
                rows.append((rate, mean / (1 - 0.9 ** (number + 1))))
                progress(number + 1, steps)
                if number >= 10 and rows[-1][1] > 4 * min(value for _, value in rows):
                    break
                self._learner.step()
        batches.close()
        self._learner.put(frozen)
        self._learner.begin_anew()
        return rows

    def _interpolate(self, frozen: dict[str, Tensor]) -> tuple[float, list[dict[str, float | None]]]:
        """Keep the point between the frozen and the fine-tuned weights that serves the validation views best.

        Wortsman et al., "Robust fine-tuning of zero-shot models" (WiSE-FT), 2022: weights between both often tell more
        than either, of photos unlike those of the training above all, and cost nothing when they are used. The measure
        is the cross-entropy at the best temperature, of all outputs, the background among them.
        """
        rows: list[dict[str, float | None]] = []
        best, share = math.inf, 1.0
        for one in reversed(_SHARES):
            self._learner.put({name: frozen[name].lerp(self._learner.best[name], one) for name in frozen})
            logits, truth = self._judge()
            if not len(truth):
                return 1.0, []
            row = figures(logits, truth, self._background, self._max_false_alarms)
            rows.insert(0, {"share": one, **row})
            measure = row["loss"]
            if measure is not None and measure < best:
                best, share = measure, one
        self._learner.put({name: frozen[name].lerp(self._learner.best[name], share) for name in frozen})
        return share, rows


def _spoken(seconds: float) -> str:
    if seconds < 90:
        return f"{max(1, round(seconds))} seconds"
    return f"{seconds / 60:.0f} minutes" if seconds < 5400 else f"{seconds / 3600:.1f} hours"
