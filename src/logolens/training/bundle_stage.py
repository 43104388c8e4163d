"""The last stage of a training: its bundle is written."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from logolens.bundle.format import LOCALISER, write_bundle
from logolens.bundle.manifest import Trained, manifest_of, write_split
from logolens.bundle.model_card import model_card
from logolens.bundle.onnx_graph import attach_head
from logolens.bundle.plots import plot_confusion, plot_curves, write_history
from logolens.config import TrainSettings
from logolens.models.experts import expert_of, late_experts
from logolens.models.head import CosineHead, Head
from logolens.training.gallery import facts_of, head_facts, of_training, write_ledger
from logolens.training.gallery.ledger import Reference
from logolens.training.out_of_fold import late_facts
from logolens.training.stages import Asked, Fitted, Measured, MultiViewFit

__all__ = ["write"]


def write(asked: Asked, fitted: Fitted, multiview: MultiViewFit, measured: Measured, *, force: bool) -> dict[str, Any]:
    """Write the bundle; the manifest as it was written."""
    assert asked.out is not None
    head, tuned, held_out = multiview.head, fitted.tuned, multiview.held_out
    precision = fitted.precision
    references, gallery = _ledger(fitted, multiview)
    trained = Trained(
        command="train",
        data=asked.data,
        dataset=fitted.dataset,
        splits=fitted.splits,
        settings=vars(asked.settings),
        backbone=fitted.backbone,
        preprocessing=fitted.preprocessing,
        background=fitted.background,
        head=_facts_of(head, asked.settings),
        calibration=multiview.calibration,
        figures=measured.figures,
        notes=(
            *(tuned.notes if tuned is not None else ()),
            *((precision.note,) if precision is not None and precision.note is not None else ()),
            *map(str, measured.few),
        ),
    )
    manifest = manifest_of(
        trained,
        finetune=tuned.facts if tuned is not None else None,
        precision=precision.facts if precision is not None else None,
        closer=held_out.facts(localised=measured.localiser is not None) if held_out is not None else None,
        gallery=gallery,
        **late_facts(held_out, "beside"),
    )
    written = write_bundle(
        asked.out,
        manifest=manifest,
        classes=fitted.classes,
        model=attach_head(fitted.backbone.path, head, multiview.calibration),
        head=head,
        extras=_extras(manifest, references, fitted, multiview, measured),
        force=force,
    )
    if fitted.finetuning is not None:
        fitted.finetuning.close()
    return written


def _ledger(fitted: Fitted, multiview: MultiViewFit) -> tuple[list[Reference], dict[str, Any] | None]:
    """The references of a gallery, and what the manifest says of it; nothing of another head."""
    if not isinstance(multiview.head, CosineHead):
        return [], None
    settings, pick, dataset = fitted.settings, fitted.pick, fitted.dataset
    refitted = settings.refit and pick.shows_logos("val")
    learned = pick.rows("train", "val") if refitted else pick.rows("train")
    references = of_training(dataset, fitted.samples, learned, fitted.classes)
    share = settings.max_false_alarms
    facts = facts_of(multiview.head, dataset.labels, references, multiview.calibration, share, begun="training")
    return references, facts


def _extras(
    manifest: dict[str, Any],
    references: Sequence[Reference],
    fitted: Fitted,
    multiview: MultiViewFit,
    measured: Measured,
) -> Callable[[Path], None]:
    """What writes the files of a bundle beside its network and labels."""

    def extras(folder: Path) -> None:
        history: list[dict[str, Any]] = [epoch.row() for epoch in multiview.head.history]
        if fitted.tuned is not None:
            history = [{**row, "stage": stage} for row, stage in zip(history, fitted.tuned.stages, strict=True)]
        if history:
            write_history(history, folder / "history.csv")
            plot_curves(history, folder / "curves.png", kept=multiview.head.best_epoch)
        if isinstance(multiview.head, CosineHead):
            write_ledger(references, folder)
        evaluation = measured.evaluation
        if evaluation is not None:
            plot_confusion(evaluation, folder / "confusion.png")
        write_split(fitted.dataset, fitted.splits, folder / "split.csv")
        if multiview.held_out is not None:
            for name, knowledge in multiview.held_out.knowledge.of.items():
                expert_of(name).save(knowledge, folder)
            for expert in late_experts():
                fit = multiview.held_out.late.get(expert.name)
                if fit is not None and fit.knowledge is not None:
                    expert.save(fit.knowledge, folder)
        if measured.localiser is not None:
            measured.localiser.save(folder / LOCALISER)
        card = model_card(manifest, evaluation.to_json() if evaluation is not None else None)
        (folder / "README.md").write_text(card, encoding="utf-8")

    return extras


def _facts_of(head: Head, settings: TrainSettings) -> dict[str, Any]:
    """What the manifest says of the head."""
    if isinstance(head, CosineHead):
        return head_facts(head)
    return {
        "kind": settings.head,
        "layers": [list(weights.shape) for weights, _ in head.layers],
        "parameters": head.parameters,
        "epochs": len(head.history),
        "best_epoch": head.best_epoch,
    }
