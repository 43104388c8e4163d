"""The changed gallery as a bundle, whole or not at all."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from logolens.bundle.format import Bundle, attach_head, weights_of, write_bundle
from logolens.bundle.model_card import model_card
from logolens.bundle.onnx_graph import strip_head
from logolens.config import BACKGROUND
from logolens.errors import BundleError
from logolens.models.calibration import Calibration
from logolens.models.ensemble import EnsembleWeights
from logolens.models.experts.drawing import MATCHER
from logolens.models.head import CosineHead
from logolens.models.matcher import Reference as Drawn
from logolens.models.words.words_file import WORDS
from logolens.training.gallery.knowledge import UNMEASURED, Known, knowledge_of
from logolens.training.gallery.ledger import LEDGER, Reference, write_ledger
from logolens.training.gallery.thresholds import by_probability, held_out, raised

__all__ = ["facts_of", "head_facts", "write_gallery"]

_MADE = frozenset({"model.onnx", "labels.txt", "head.safetensors", "README.md", LEDGER, "manifest.json"})
_CHANGES = 50
"""The last changes that a manifest tells of."""


def head_facts(head: CosineHead) -> dict[str, Any]:
    """What a manifest says of a gallery's head."""
    return {
        "kind": "gallery",
        "layers": [list(weights.shape) for weights, _ in head.layers],
        "parameters": head.parameters,
    }


def facts_of(
    head: CosineHead,
    labels: Sequence[str],
    references: Sequence[Reference],
    calibration: Calibration,
    max_false_alarms: float,
    **more: Any,
) -> dict[str, Any]:
    """What a manifest says of a gallery: its references, and for each label what it asks for.

    A label's ``threshold`` is how far its cosine must stand above the background's for a whole photo to be given it.
    """
    shared = (calibration.threshold or 0.0) / head.sharpness
    count = Counter(reference.label for reference in references)
    views = np.bincount(head.owners, minlength=head.labels).tolist()
    by_label = {
        label: {"references": count[label], "views": its, "threshold": round(own + shared, 4)}
        for label, its, own in zip(labels, views, head.thresholds.tolist(), strict=True)
    }
    return {
        "references": len(references),
        "views": len(head.references),
        "backgrounds": len(head.backgrounds),
        "by_chance": by_probability(head, max_false_alarms),
        "labels": by_label,
        **more,
    }


def write_gallery(
    bundle: Bundle,
    labels: Sequence[str],
    head: CosineHead,
    references: Sequence[Reference],
    change: str,
    lines: Sequence[Drawn] = (),
    **more: Any,
) -> dict[str, Any]:
    """Put a changed gallery in the place of the one it was made from; the manifest as it was written.

    Args:
        bundle: the gallery as it was read.
        labels: of the new one, in the order of the head.
        head: the new one.
        references: of the head's rows.
        change: what was done, as a sentence.
        lines: key points of drawings that were added.
        more: further facts of the manifest's part ``gallery``.

    Raises:
        BundleError: the gallery was changed by another program meanwhile.
        OSError: it cannot be written; the one that was there is there still.
    """
    manifest = bundle.manifest
    before = dict(manifest["gallery"])
    share = float(manifest["settings"]["max_false_alarms"])
    probability = by_probability(head, share)
    closer = manifest.get("closer")
    weights = weights_of(closer) if closer is not None else EnsembleWeights()
    if before["begun"] == "references":
        drawn = bool({**before, **more}.get("builtin"))
        # Where proofs alone tell whether there is a logo, what views would is measured all the same, for when photos come.
        seen = weights if weights.presence.get("whole") else UNMEASURED
        calibration, multiview = held_out(head, references, seen, share, drawn=drawn)
    else:
        # What training measured holds on; more labels ask for more.
        before.setdefault(
            "first",
            {
                "by_chance": before["by_chance"],
                "calibration": manifest["calibration"],
                "closer": closer and closer["calibration"],
            },
        )
        first = before["first"]
        calibration = raised(Calibration(**first["calibration"]), None, first, probability)
        multiview = (
            raised(Calibration(**first["closer"]), weights, first, probability) if closer is not None else calibration
        )
    known: Known | None = None
    if closer is not None:
        closer = {**closer, "calibration": asdict(multiview)}
        if before["begun"] == "references":
            builtin = bool({**before, **more}.get("builtin"))
            known = knowledge_of(bundle, closer, labels, references, lines, builtin=builtin)
            closer = {**closer, **known.closer}
    now = datetime.now(UTC).isoformat(timespec="seconds")
    facts = {
        **before,
        **facts_of(head, labels, references, calibration, share),
        "changes": [*before.get("changes", [])[-_CHANGES + 1 :], {"when": now, "what": change}],
        **more,
    }
    manifest = {
        **manifest,
        "labels": list(labels),
        "background": head.background,
        "head": head_facts(head),
        "calibration": asdict(calibration),
        "gallery": facts,
    }
    if closer is not None:
        manifest["closer"] = closer
    there = bundle.path / "manifest.json"
    opened = bundle.manifest

    def extras(folder: Path) -> None:
        for name in bundle.manifest.get("files", {}):
            anew = known is not None and name in (MATCHER, WORDS)
            if name not in _MADE and not anew and (bundle.path / name).is_file():
                shutil.copyfile(bundle.path / name, folder / name)
        if known is not None:
            known.write(folder)
        write_ledger(references, folder)
        (folder / "README.md").write_text(model_card(manifest), encoding="utf-8")
        # Where a gallery is begun there is no manifest yet.
        if there.exists() and json.loads(there.read_bytes()) != opened:
            raise BundleError(f"{bundle.path} was changed by another program meanwhile; run the command again.")

    return write_bundle(
        bundle.path,
        manifest=manifest,
        classes=(*labels, BACKGROUND) if head.background else tuple(labels),
        model=attach_head(strip_head(bundle.model), head, calibration),
        head=head,
        extras=extras,
        force=True,
    )
