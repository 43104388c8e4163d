"""One step of training end to end in PyTorch: the weights that it changes, how it changes them, and how they are kept."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from logolens.config import FinetuneSettings
from logolens.errors import UsageError
from logolens.training.finetune.checkpoints import Progressed
from logolens.training.finetune.dataloader import Batch
from logolens.training.finetune.head_module import DenseHead
from logolens.types import FloatArray32

__all__ = ["DivergedError", "Learner", "autocast_for"]


class DivergedError(UsageError):
    """The loss is no longer a number: the rates are too high."""


def autocast_for(device: str) -> tuple[Any, bool]:
    """The number type of mixed precision on a device (None for none), and whether gradients must be scaled for it."""
    if device != "cuda":
        return None, False
    if torch.cuda.get_device_capability()[0] >= 8:
        return torch.bfloat16, False
    return torch.float16, True


class Learner:
    """A network's back and its head, with the optimiser that trains them.

    Args:
        back: takes the front's results and gives features; what requires a gradient is trained.
        head: on top of it.
        settings: rates and all else.

    Attributes:
        best: the weights that served best so far, by name.
        optimiser: as PyTorch has it; each of its groups knows its ``highest`` rate.
        scaler: of the gradients in mixed precision.
    """

    def __init__(self, back: nn.Module, head: DenseHead, settings: FinetuneSettings) -> None:
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        self.back = back.to(self.device, memory_format=torch.channels_last)
        self.head: DenseHead = head.to(self.device)
        self._settings = settings
        self._autocast, scaled = autocast_for(self.device)
        self.scaler = torch.amp.GradScaler(self.device, enabled=scaled)
        self.best: dict[str, Tensor] = {}
        self.optimiser = self._new_optimiser()

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

    def copy(self) -> dict[str, Tensor]:
        """The weights as they are now."""
        return {name: value.detach().cpu().clone() for name, value in self.trained().items()}

    def put(self, weights: dict[str, Tensor]) -> None:
        """Take weights that `copy` gave."""
        with torch.no_grad():
            for name, value in self.trained().items():
                value.copy_(weights[name])

    def begin_anew(self) -> None:
        """Forget what the optimiser has gathered."""
        self.optimiser = self._new_optimiser()

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

    def mode(self, training: bool) -> None:
        """Make ready to train, or to judge."""
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

    def backward(self, batch: Batch, where: str) -> tuple[float, float, int]:
        """Gradients of one batch; its cross-entropy without smoothing, the weight of its views, and how many were right."""
        truth = torch.from_numpy(batch.truth).to(self.device)
        weight = torch.from_numpy(batch.weight).to(self.device)
        logits = self._logits(batch)
        smooth = nn.functional.cross_entropy(
            logits, truth, reduction="none", label_smoothing=self._settings.label_smoothing
        )
        loss = (smooth * weight).sum() / weight.sum()
        if not math.isfinite(float(loss.detach())):
            rates = [group["lr"] for group in self.optimiser.param_groups]
            raise DivergedError(
                f"The loss is no longer a number in {where}, at a learning rate of {min(rates):.3g} for the backbone and "
                f"{max(rates):.3g} for the head (finetune-rate {self._settings.finetune_rate:g}, finetune-head-rate "
                f"{self._settings.finetune_head_rate:g}). Give lower ones; --find-lr suggests a rate."
            )
        self.optimiser.zero_grad(set_to_none=True)
        self.scaler.scale(loss).backward()
        with torch.no_grad():
            plain = nn.functional.cross_entropy(logits, truth, reduction="none")
            right = int((logits.argmax(1) == truth).sum())
        return float((plain * weight).sum()), float(weight.sum()), right

    def step(self) -> None:
        """Move the weights along the gradients, no farther than the settings' ``clip`` allows."""
        self.scaler.unscale_(self.optimiser)
        members = [value for group in self.optimiser.param_groups for value in group["params"]]
        nn.utils.clip_grad_norm_(members, self._settings.clip)
        self.scaler.step(self.optimiser)
        self.scaler.update()

    def judge(self, held: Iterable[Batch]) -> tuple[FloatArray32, npt.NDArray[np.int64]]:
        """Logits and truth of the validation views; none of each where there are none."""
        self.mode(False)
        logits, truth = [], []
        with torch.no_grad():
            for batch in held:
                logits.append(self._logits(batch).cpu().numpy())
                truth.append(batch.truth)
        if not logits:
            return np.zeros((0, 0), np.float32), np.zeros(0, np.int64)
        return np.concatenate(logits), np.concatenate(truth)

    def state(self) -> dict[str, Tensor]:
        """All that a checkpoint keeps: the weights as they are, the best ones, and the optimiser's moments."""
        tensors = {f"now.{name}": value for name, value in self.copy().items()}
        # A tensor may stand in a file only once.
        tensors |= {f"best.{name}": value.clone() for name, value in self.best.items()}
        for name, value in self._parameters().items():
            for key, moment in self.optimiser.state.get(value, {}).items():
                tensors[f"adam.{key}.{name}"] = moment.detach().cpu().clone()
        return {name: value.contiguous() for name, value in tensors.items()}

    def load(self, found: Progressed) -> None:
        """Go on from what `state` gave.

        Raises:
            UsageError: it is another network's.
        """
        try:
            names = list(self.trained())
            self.put({name: found.tensors[f"now.{name}"] for name in names})
            self.best = {name: found.tensors[f"best.{name}"] for name in names}
            for name, value in self._parameters().items():
                keys = [key for key in ("step", "exp_avg", "exp_avg_sq") if f"adam.{key}.{name}" in found.tensors]
                state = {key: found.tensors[f"adam.{key}.{name}"].clone() for key in keys}
                self.optimiser.state[value] = {
                    key: tensor
                    if key == "step"
                    else torch.empty_like(value, memory_format=torch.preserve_format).copy_(tensor)
                    for key, tensor in state.items()
                }
                if not keys:
                    del self.optimiser.state[value]
            if self.scaler.is_enabled():
                self.scaler.load_state_dict(found.facts["scale"])
        except (KeyError, RuntimeError) as error:
            raise UsageError(
                f"The checkpoint is one of another network ({error}); begin anew with --restart."
            ) from error
