"""Fine-tuning as a stage of training: from a head on frozen features to a network trained end to end, exported again."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from logolens.config import BACKGROUND, AugmentSettings, Preprocessing, TrainSettings
from logolens.data import Dataset, Split
from logolens.errors import DataError, UsageError
from logolens.io.atomic import write_atomically
from logolens.io.threads import processors
from logolens.models.backbones import ExportedBackbone, find, locate
from logolens.models.backbones.build import build
from logolens.models.backbones.frameworks import import_torch
from logolens.models.backbones.onnx_export import graph_of
from logolens.models.head import Epoch, Examples, Head
from logolens.training.finetune.blocks import blocks, unfreeze
from logolens.training.finetune.checkpoints import Checkpoint, checkpoint_folder
from logolens.training.finetune.dataloader import Batch, Held, Photos, Plan, batches, held_batches
from logolens.training.finetune.lr_finder import RateTest
from logolens.types import Progress

if TYPE_CHECKING:
    from logolens.training.finetune.loop import Trainer

__all__ = ["Finetuning", "Tuned"]


_STAGE = "fine-tuning"

_HELD_MEMORY = 1 << 29
"""Bytes that the validation views may take once the front has seen them; more are computed anew each epoch."""

_NORM = 2.0
"""Length that features are scaled to before the head: what "rich" ones have."""

_RANGE = (1e-6, 1.0)
_RANGE_STEPS = 100

_IRRELEVANT = ("threads", "device", "precision", "cache", "finetune_minutes", "allow_leaks")
"""Settings that do not decide what comes out, or only through what a checkpoint records."""


@dataclass(frozen=True)
class Tuned:
    """What fine-tuning gave.

    Attributes:
        backbone: the fine-tuned network, exported; its file lies beside the checkpoint until `Finetuning.close`.
        head: on top of it; its history is the frozen head's, then that of fine-tuning.
        stages: of each epoch of that history, "head" or "fine-tuning".
        facts: what the manifest records.
        notes: what its owner should know, a sentence each.
    """

    backbone: ExportedBackbone
    head: Head
    stages: tuple[str, ...]
    facts: dict[str, Any]
    notes: tuple[str, ...]


class Finetuning:
    """One run of fine-tuning. What cannot work is refused on construction, before the features are computed.

    Args:
        out: the bundle's folder, beside which the checkpoint lies; None for a test of rates, which needs none.
        dataset: the photos.
        parts: those to learn from and those that judge.
        backbone: the frozen network, exported.
        preprocessing: how a view becomes its input.
        settings: of the whole training.
        restart: set the checkpoint of another run aside.

    Raises:
        UsageError: the network has fewer blocks, or a checkpoint is another run's.
        WeightsError: the weights are no longer there.
        MissingExtraError: PyTorch is not installed.
    """

    def __init__(
        self,
        out: Path | None,
        dataset: Dataset,
        splits: Split,
        backbone: ExportedBackbone,
        preprocessing: Preprocessing,
        settings: TrainSettings,
        *,
        restart: bool = False,
    ) -> None:
        self._dataset, self._splits, self._exported = dataset, splits, backbone
        self._preprocessing, self._settings = preprocessing, settings
        self._notes: list[str] = []
        facts = find(settings.backbone)
        weights = locate(facts, settings.weights)
        self._network = build(facts, weights, pooling=settings.pooling, side=preprocessing.size)
        self._blocks = blocks(self._network, preprocessing.size)
        self._trained = unfreeze(self._network, self._blocks, settings.finetune_settings().last_blocks())
        self._checkpoint = None if out is None else Checkpoint(checkpoint_folder(out), self._run())
        if self._checkpoint is not None:
            self._checkpoint.check(restart)

    def _run(self) -> dict[str, Any]:
        """What decides the result of this run."""
        values = {
            name: str(value) if isinstance(value, Path) else value
            for name, value in vars(self._settings).items()
            if name not in _IRRELEVANT
        }
        if self._settings.finetune_minutes is not None:
            values.pop("finetune_epochs")
        members = "\n".join(
            f"{split} {self._dataset.photos[number].sha256}"
            for split, numbers in self._splits.by_name().items()
            for number in numbers
        )
        return {
            **values,
            "data": self._dataset.data_hash,
            "split": hashlib.sha256(members.encode()).hexdigest(),
            "weights of the backbone": self._exported.weights_sha256,
            "input size": self._preprocessing.size,
        }

    def run(
        self,
        head: Head,
        train: Examples,
        held: Sequence[Held],
        classes: Sequence[str],
        *,
        progress: Progress,
        announce: Callable[[str], None],
        on_epoch: Callable[[str, Epoch], None] = lambda stage, epoch: None,
    ) -> Tuned:
        """Train the network and the head on it.

        Args:
            head: fitted on the frozen features; training begins with it.
            train: the examples it was fitted on.
            held: the views that judge.
            classes: the names of the outputs.
            progress: told of each step.
            announce: told, before the bulk of the work, how long it will take.
            on_epoch: told what each epoch gave.

        Raises:
            UsageError: the loss is no longer a number.
            ImageError: a photo cannot be read any more.
        """
        checkpoint, start = self._checkpoint, time.perf_counter()
        if checkpoint is None:
            raise UsageError("Fine-tuning needs the name of a bundle's folder, beside which it keeps its checkpoint.")
        import_torch()
        from logolens.training.finetune.step import DivergedError

        with self._trainer(head, train, held, classes) as (trainer, cut):
            try:
                fitted = trainer.fit(
                    checkpoint,
                    progress=lambda done, total: progress(_STAGE, done, total),
                    announce=self._announcing(announce),
                    on_epoch=lambda epoch: on_epoch(_STAGE, epoch),
                )
            except DivergedError:
                # Rates that burst once will burst again: nothing in the checkpoint is worth going on with.
                checkpoint.remove()
                raise
            tuned = trainer.head.to_head()
        network = self._network.cpu()
        torch = import_torch()
        network.to(memory_format=torch.contiguous_format).eval()
        trained_count = sum(value.numel() for value in network.parameters() if value.requires_grad)
        graph, difference, rows = graph_of(network, self._preprocessing.size)
        path = checkpoint.folder / "backbone.onnx"
        write_atomically(path, graph)
        exported = dataclasses.replace(
            self._exported,
            path=path,
            sha256=hashlib.sha256(graph).hexdigest(),
            difference=difference,
            layers=tuple(rows),
        )
        first = len(head.history)
        history = [*head.history, *(dataclasses.replace(row, epoch=first + row.epoch) for row in fitted.history)]
        best = first + fitted.best_epoch if fitted.best_epoch else head.best_epoch
        if fitted.share == 0.0:
            self._notes.append(
                "Fine-tuning did not help on the validation photos, so the frozen network and its head were kept."
            )
        elif fitted.share < 1.0:
            self._notes.append(
                f"The weights kept lie {fitted.share:.0%} of the way from the frozen network to the fine-tuned one, "
                "where the validation photos were answered best."
            )
        before = head.history[head.best_epoch - 1] if head.history else None
        facts: dict[str, Any] = {
            "blocks": [block.name for block in self._trained],
            "blocks_in_all": len(self._blocks),
            "trained_parameters": trained_count,
            "augment": dataclasses.asdict(AugmentSettings.parse(self._settings.augment)),
            "epochs": fitted.epochs,
            "best_epoch": fitted.best_epoch,
            "views_an_epoch": len(self._plan(classes)),
            "frozen": None if before is None else {"val_loss": before.val_loss, "val_accuracy": before.val_accuracy},
            "share_of_finetuned": fitted.share,
            "shares_tried": list(fitted.shares),
            "estimated_seconds": fitted.estimate,
            "seconds": round(time.perf_counter() - start, 1),
            "resumed_after_epoch": fitted.resumed,
            "frozen_front_on_onnx_runtime": cut,
            "device": trainer.device,
        }
        kept = Head(tuned.layers, tuple(history), best)
        stages = ("head",) * first + (_STAGE,) * len(fitted.history)
        return Tuned(exported, kept, stages, facts, tuple(self._notes))

    def find_rate(
        self,
        head: Head,
        train: Examples,
        held: Sequence[Held],
        classes: Sequence[str],
        *,
        progress: Progress,
    ) -> RateTest:
        """The learning-rate range test: nothing is kept of the training but its losses.

        Raises:
            DataError: the loss bursts at once, or does not change.
        """
        with self._trainer(head, train, held, classes) as (trainer, _):
            rows = trainer.range_test(
                *_RANGE, _RANGE_STEPS, progress=lambda done, total: progress("testing rates", done, total)
            )
        if len(rows) < 5:
            raise DataError("The loss bursts at the lowest rates already, so none can be suggested; look at the data.")
        return RateTest(tuple(rows))

    def close(self) -> None:
        """Remove the checkpoint: the bundle is written."""
        if self._checkpoint is not None:
            self._checkpoint.remove()

    def _announcing(self, announce: Callable[[str], None]) -> Callable[[str], None]:
        def noting(text: str) -> None:
            self._notes.append(text)
            announce(text)

        return noting

    def _plan(self, classes: Sequence[str]) -> Plan:
        return Plan(
            self._dataset,
            self._splits.train,
            classes,
            boxes=self._settings.boxes,
            balanced=self._settings.balanced,
            seed=self._settings.seed,
        )

    @contextlib.contextmanager
    def _trainer(
        self, head: Head, train: Examples, held: Sequence[Held], classes: Sequence[str]
    ) -> Iterator[tuple[Trainer, bool]]:
        """The network, cut where that helps, with its threads around it."""
        torch = import_torch()
        from logolens.training.finetune.head_module import DenseHead
        from logolens.training.finetune.loop import Trainer
        from logolens.training.finetune.partial_freeze import Halves, halve

        settings, preprocessing = self._settings, self._preprocessing
        workers = settings.threads or processors()
        threads = torch.get_num_threads()
        # The preparing threads need the rest. With as many threads in PyTorch as processors, each of its steps waits for
        # one that was put aside for them: on 2 processors with other work, a quarter of the speed at three times the work.
        torch.set_num_threads(max(1, workers // 2))
        pool = ThreadPoolExecutor(workers, thread_name_prefix="logolens-views")
        try:
            if torch.cuda.is_available():
                halves = Halves(lambda squares: (squares,), self._network, False)
            else:
                halves = halve(self._network, self._blocks, self._trained, preprocessing)
            plan = self._plan(classes)
            photos = Photos(self._dataset, preprocessing.size)
            varied = AugmentSettings.parse(settings.augment)
            size = min(settings.finetune_batch, len(plan))
            length = float(np.sqrt((train.features.astype(np.float64) ** 2).sum(axis=1).mean()))

            def learn(epoch: int) -> Iterator[Batch]:
                return batches(plan, photos, epoch, size, preprocessing, varied, halves.front, pool, ahead=3)

            judge = _Remembered(
                lambda: held_batches(self._dataset, held, size, preprocessing, halves.front, pool), _HELD_MEMORY
            )
            trainer = Trainer(
                halves.back,
                DenseHead(head, _NORM / max(length, 1e-6), settings.dropout),
                learn,
                -(-len(plan) // size),
                judge,
                settings.finetune_settings(),
                seed=settings.seed,
                background=BACKGROUND in classes,
                max_false_alarms=settings.max_false_alarms,
            )
            yield trainer, halves.cut
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
            torch.set_num_threads(threads)


class _Remembered:
    """Batches that are the same each time: kept after the first, if they are few enough."""

    def __init__(self, make: Callable[[], Iterable[Batch]], room: int) -> None:
        self._make, self._room = make, room
        self._kept: list[Batch] | None = None

    def __call__(self) -> Iterator[Batch]:
        if self._kept is not None:
            yield from self._kept
            return
        kept: list[Batch] | None = []
        taken = 0
        for batch in self._make():
            taken += sum(split.nbytes for split in batch.inputs)
            kept = None if kept is None or taken > self._room else [*kept, batch]
            yield batch
        self._kept = kept
