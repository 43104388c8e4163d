"""Training end to end in PyTorch: the step, the epochs, and what is kept of them."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import count, islice
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from logolens.config import FinetuneSettings
from logolens.errors import UsageError
from logolens.finetune.checkpoints import Checkpoint, Progressed
from logolens.finetune.dense import DenseHead, cross_entropy, figures
from logolens.finetune.samples import Batch
from logolens.head import Epoch

__all__ = ["DivergedError", "Fitted", "Trainer", "autocast_for"]

_RESTART = 0.01
"""What the cosine ends at, as a share of the highest rate."""

_TIMED = 6
"""Batches that the estimate of the time is made from, after the first, which warms up."""

_SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)
"""Shares of the fine-tuned weights that are tried on the validation views."""

Batches = Callable[[int], Iterable[Batch]]
Floats = npt.NDArray[np.float32]


class DivergedError(UsageError):
    """The loss is no longer a number: the rates are too high."""


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


def autocast_for(device: str) -> tuple[Any, bool]:
    """The number type of mixed precision on a device (None for none), and whether gradients must be scaled for it."""
    if device != "cuda":
        return None, False
    if torch.cuda.get_device_capability()[0] >= 8:
        return torch.bfloat16, False
    return torch.float16, True


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
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        self.back = back.to(self.device, memory_format=torch.channels_last)
        self.head = head.to(self.device)
        self._train, self._steps, self._held = train, steps, held
        self._settings, self._seed = settings, seed
        self._background, self._max_false_alarms = background, max_false_alarms
        self._autocast, scaled = autocast_for(self.device)
        self._scaler = torch.amp.GradScaler(self.device, enabled=scaled)
        self._optimiser = self._new_optimiser()
        self._best: dict[str, Tensor] = {}

    # -- weights ------------------------------------------------------------------------------------------------------

    def trained(self) -> dict[str, Tensor]:
        """The weights that training changes, by name; with them the batch norms' statistics where those move."""
        found = {f"back.{name}": value for name, value in self.back.named_parameters() if value.requires_grad}
        found |= {f"head.{name}": value for name, value in self.head.named_parameters()}
        for name, norm in self._moving_norms():
            found[f"back.{name}.running_mean"] = norm.running_mean
            found[f"back.{name}.running_var"] = norm.running_var
        return found

    def _moving_norms(self) -> Iterator[tuple[str, Any]]:
        if not self._settings.freeze_statistics:
            for name, module in self.back.named_modules():
                if isinstance(module, nn.modules.batchnorm._BatchNorm) and any(
                    parameter.requires_grad for parameter in module.parameters(recurse=False)
                ):
                    yield name, module

    def _copy(self) -> dict[str, Tensor]:
        return {name: value.detach().cpu().clone() for name, value in self.trained().items()}

    def _put(self, weights: dict[str, Tensor]) -> None:
        with torch.no_grad():
            for name, value in self.trained().items():
                value.copy_(weights[name])

    def _new_optimiser(self) -> Any:
        """AdamW (Loshchilov and Hutter 2019), weights drawn to zero but neither biases nor norms."""
        groups: list[dict[str, Any]] = []
        for module, rate in (
            (self.back, self._settings.finetune_rate),
            (self.head, self._settings.finetune_head_rate),
        ):
            members = [value for value in module.parameters() if value.requires_grad]
            for many in (True, False):
                if some := [value for value in members if (value.ndim > 1) is many]:
                    decay = self._settings.weight_decay if many else 0.0
                    groups.append({"params": some, "lr": rate, "highest": rate, "weight_decay": decay})
        return torch.optim.AdamW(groups)

    def _parameters(self) -> dict[str, Tensor]:
        return {name: value for name, value in self.trained().items() if isinstance(value, nn.Parameter)}

    # -- one step -----------------------------------------------------------------------------------------------------

    def _mode(self, training: bool) -> None:
        # Evaluation mode keeps the batch norms' statistics as the pre-training left them.
        self.back.eval()
        self.head.train(training)
        for _, norm in self._moving_norms():
            norm.train(training)

    def _logits(self, batch: Batch) -> Tensor:
        inputs = [torch.from_numpy(part).to(self.device) for part in batch.inputs]
        inputs = [
            part.contiguous(memory_format=torch.channels_last) if part.ndim == 4 and part.is_floating_point() else part
            for part in inputs
        ]
        mixed = (
            torch.autocast(self.device, dtype=self._autocast)
            if self._autocast is not None
            else contextlib.nullcontext()
        )
        with mixed:
            features = self.back(*inputs)
        return self.head(features.float())

    def _backward(self, batch: Batch, where: str) -> tuple[float, float, int]:
        """Gradients of one batch; its cross-entropy without smoothing, the weight of its views, and how many were right."""
        truth = torch.from_numpy(batch.truth).to(self.device)
        weight = torch.from_numpy(batch.weight).to(self.device)
        logits = self._logits(batch)
        smooth = nn.functional.cross_entropy(
            logits, truth, reduction="none", label_smoothing=self._settings.label_smoothing
        )
        loss = (smooth * weight).sum() / weight.sum()
        if not math.isfinite(float(loss.detach())):
            rates = [group["lr"] for group in self._optimiser.param_groups]
            raise DivergedError(
                f"The loss is no longer a number in {where}, at a learning rate of {min(rates):.3g} for the backbone and "
                f"{max(rates):.3g} for the head (finetune-rate {self._settings.finetune_rate:g}, finetune-head-rate "
                f"{self._settings.finetune_head_rate:g}). Give lower ones; --find-lr suggests a rate."
            )
        self._optimiser.zero_grad(set_to_none=True)
        self._scaler.scale(loss).backward()
        with torch.no_grad():
            plain = nn.functional.cross_entropy(logits, truth, reduction="none")
            right = int((logits.argmax(1) == truth).sum())
        return float((plain * weight).sum()), float(weight.sum()), right

    def _step(self) -> None:
        self._scaler.unscale_(self._optimiser)
        members = [value for group in self._optimiser.param_groups for value in group["params"]]
        nn.utils.clip_grad_norm_(members, self._settings.clip)
        self._scaler.step(self._optimiser)
        self._scaler.update()

    def _set_rates(self, step: int, total: int) -> None:
        """Linear warm-up, then half a cosine (Loshchilov and Hutter 2017); a function of the step alone."""
        warm = max(1, round(self._settings.finetune_warmup * total)) if self._settings.finetune_warmup else 0
        if step < warm:
            share = (step + 1) / (warm + 1)
        else:
            done = (step - warm) / max(1, total - warm)
            share = _RESTART + (1 - _RESTART) * (1 + math.cos(math.pi * done)) / 2
        for group in self._optimiser.param_groups:
            group["lr"] = group["highest"] * share

    def judge(self) -> tuple[Floats, npt.NDArray[np.int64]]:
        """Logits and truth of the validation views; none of each where there are none."""
        self._mode(False)
        logits, truth = [], []
        with torch.no_grad():
            for batch in self._held():
                logits.append(self._logits(batch).cpu().numpy())
                truth.append(batch.truth)
        if not logits:
            return np.zeros((0, 0), np.float32), np.zeros(0, np.int64)
        return np.concatenate(logits), np.concatenate(truth)

    # -- all of it ----------------------------------------------------------------------------------------------------

    def fit(
        self,
        checkpoint: Checkpoint,
        *,
        progress: Callable[[int, int], None],
        announce: Callable[[str], None],
    ) -> Fitted:
        """Train for all epochs, from the checkpoint on where there is one, and keep the best weights.

        Raises:
            DivergedError: the loss is no longer a number.
            UsageError: the checkpoint is damaged.
        """
        frozen = self._copy()
        self._best = frozen
        best_loss, best_epoch, history = math.inf, 0, []
        found = checkpoint.read()
        if found is not None:
            facts = found.facts
            epochs, estimate, resumed = int(facts["epochs"]), float(facts["estimate"]), int(facts["epoch"])
            best_epoch, best_loss = int(facts["best_epoch"]), float(facts["best_loss"])
            history = [Epoch(**row) for row in facts["history"]]
            self._load(found)
            announce(f"Fine-tuning goes on after epoch {resumed} of {epochs}, from {checkpoint.folder}.")
        else:
            epochs, estimate = self._plan_time(announce)
            resumed = 0
        total = epochs * self._steps
        progress(resumed * self._steps, total)
        for epoch in range(resumed + 1, epochs + 1):
            row = self._epoch(epoch, total, progress)
            logits, truth = self.judge()
            if len(truth):
                row = replace(
                    row, val_loss=cross_entropy(logits, truth), val_accuracy=float((logits.argmax(1) == truth).mean())
                )
            history.append(row)
            if row.val_loss is None or row.val_loss < best_loss:
                best_loss = math.inf if row.val_loss is None else row.val_loss
                best_epoch, self._best = epoch, self._copy()
            facts = {
                "epoch": epoch,
                "epochs": epochs,
                "estimate": estimate,
                "best_epoch": best_epoch,
                # JSON has no infinity.
                "best_loss": best_loss if math.isfinite(best_loss) else 1e300,
                "history": [one.row() for one in history],
                "scale": self._scaler.state_dict(),
            }
            checkpoint.write(Progressed(self._state(), facts), epoch)
        share, shares = self._interpolate(frozen)
        return Fitted(tuple(history), best_epoch if share else 0, share, tuple(shares), epochs, estimate, resumed)

    def _epoch(self, epoch: int, total: int, progress: Callable[[int, int], None]) -> Epoch:
        self._mode(True)
        loss = weights = 0.0
        right = views = 0
        with torch.random.fork_rng():
            torch.manual_seed(self._seed * 1_000_003 + epoch)
            for number, batch in enumerate(self._train(epoch)):
                step = (epoch - 1) * self._steps + number
                self._set_rates(step, total)
                one, weight, good = self._backward(batch, f"epoch {epoch} of fine-tuning")
                self._step()
                loss, weights, right, views = loss + one, weights + weight, right + good, views + len(batch.truth)
                progress(step + 1, total)
        return Epoch(epoch, loss / weights, right / views, None, None)

    def _plan_time(self, announce: Callable[[str], None]) -> tuple[int, float]:
        """How many epochs, and how many seconds they will take: from a few batches whose gradients are thrown away."""
        self._mode(True)
        start, timed = time.perf_counter(), 0
        with torch.random.fork_rng():
            for number, batch in enumerate(islice(self._train(1), 1 + min(_TIMED, max(1, self._steps - 1)))):
                self._backward(batch, "the first batches of fine-tuning")
                if number == 0 and self._steps > 1:
                    start = time.perf_counter()
                else:
                    timed += 1
        self._optimiser.zero_grad(set_to_none=True)
        epoch = self._steps * (time.perf_counter() - start) / max(1, timed)
        start = time.perf_counter()
        self.judge()  # also fills what is kept of the validation views
        start = time.perf_counter()
        self.judge()
        epoch += time.perf_counter() - start
        epochs, minutes = self._settings.finetune_epochs, self._settings.finetune_minutes
        if minutes is not None:
            epochs = max(1, int(60 * minutes / epoch))
        estimate = round(epochs * epoch, 1)
        where = "this GPU" if self.device == "cuda" else "this CPU"
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
        frozen = self._copy()
        self._mode(True)
        batches = (batch for epoch in count(1) for batch in self._train(epoch))
        rows: list[tuple[float, float]] = []
        mean = 0.0
        with torch.random.fork_rng():
            torch.manual_seed(self._seed)
            for number, batch in enumerate(islice(batches, steps)):
                rate = low * (high / low) ** (number / max(1, steps - 1))
                for group in self._optimiser.param_groups:
                    group["lr"] = rate * group["highest"] / self._settings.finetune_rate
                try:
                    loss, weight, _ = self._backward(batch, "the range test")
                except DivergedError:
                    break
                mean = 0.9 * mean + 0.1 * loss / weight
                rows.append((rate, mean / (1 - 0.9 ** (number + 1))))
                progress(number + 1, steps)
                if number >= 10 and rows[-1][1] > 4 * min(value for _, value in rows):
                    break
                self._step()
        batches.close()
        self._put(frozen)
        self._optimiser = self._new_optimiser()
        return rows

    # -- checkpoints --------------------------------------------------------------------------------------------------

    def _state(self) -> dict[str, Tensor]:
        tensors = {f"now.{name}": value for name, value in self._copy().items()}
        # A tensor may stand in a file only once.
        tensors |= {f"best.{name}": value.clone() for name, value in self._best.items()}
        for name, value in self._parameters().items():
            for key, moment in self._optimiser.state.get(value, {}).items():
                tensors[f"adam.{key}.{name}"] = moment.detach().cpu().clone()
        return {name: value.contiguous() for name, value in tensors.items()}

    def _load(self, found: Progressed) -> None:
        try:
            names = list(self.trained())
            self._put({name: found.tensors[f"now.{name}"] for name in names})
            self._best = {name: found.tensors[f"best.{name}"] for name in names}
            for name, value in self._parameters().items():
                keys = [key for key in ("step", "exp_avg", "exp_avg_sq") if f"adam.{key}.{name}" in found.tensors]
                state = {key: found.tensors[f"adam.{key}.{name}"].clone() for key in keys}
                self._optimiser.state[value] = {
                    key: tensor
                    if key == "step"
                    else torch.empty_like(value, memory_format=torch.preserve_format).copy_(tensor)
                    for key, tensor in state.items()
                }
                if not keys:
                    del self._optimiser.state[value]
            if self._scaler.is_enabled():
                self._scaler.load_state_dict(found.facts["scale"])
        except (KeyError, RuntimeError) as error:
            raise UsageError(
                f"The checkpoint is one of another network ({error}); begin anew with --restart."
            ) from error

    # -- the way back -------------------------------------------------------------------------------------------------

    def _interpolate(self, frozen: dict[str, Tensor]) -> tuple[float, list[dict[str, float | None]]]:
        """Keep the point between the frozen and the fine-tuned weights that serves the validation views best.

        Wortsman et al., "Robust fine-tuning of zero-shot models" (WiSE-FT), 2022: weights between both often tell more
        than either, of photos unlike those of the training above all, and cost nothing when they are used. The measure
        is the cross-entropy at the best temperature, of all outputs, the background among them.
        """
        rows: list[dict[str, float | None]] = []
        best, share = math.inf, 1.0
        for one in reversed(_SHARES):
            self._put({name: frozen[name].lerp(self._best[name], one) for name in frozen})
            logits, truth = self.judge()
            if not len(truth):
                return 1.0, []
            row = figures(logits, truth, self._background, self._max_false_alarms)
            rows.insert(0, {"share": one, **row})
            measure = row["loss"]
            if measure is not None and measure < best:
                best, share = measure, one
        self._put({name: frozen[name].lerp(self._best[name], share) for name in frozen})
        return share, rows


def _spoken(seconds: float) -> str:
    if seconds < 90:
        return f"{max(1, round(seconds))} seconds"
    return f"{seconds / 60:.0f} minutes" if seconds < 5400 else f"{seconds / 3600:.1f} hours"
