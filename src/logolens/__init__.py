"""logolens: brand logo recognition by transfer learning.

    import logolens
    logolens.train("photos", "bundle")
    logolens.load("bundle").predict(["photo.jpg"])

The verbs are `train`, `evaluate`, `audit`, `scan`, `synthesize` and `load`. Importing ``logolens`` loads no PyTorch: each verb is
imported when it is first asked for.
"""

from __future__ import annotations

import importlib
import logging
import os
from typing import TYPE_CHECKING, Any

from logolens._version import __version__

if TYPE_CHECKING:
    from logolens.config import TrainSettings
    from logolens.data.synthesis.synthesize import synthesize
    from logolens.errors import LogolensError
    from logolens.evaluation.audit.audit import audit
    from logolens.evaluation.evaluate import evaluate
    from logolens.inference.classifier import Classifier, Prediction
    from logolens.scan.run import scan
    from logolens.training.train import train

__all__ = [
    "Classifier",
    "LogolensError",
    "Prediction",
    "TrainSettings",
    "__version__",
    "audit",
    "evaluate",
    "load",
    "scan",
    "synthesize",
    "train",
]

# Records go where the program that imports logolens sends them, and nowhere where it says nothing.
logging.getLogger(__name__).addHandler(logging.NullHandler())

# ONNX Runtime's wheels keep an identifier of the machine and report to their maker; nothing that logolens does is to be told to
# anyone. It reads this when it is first imported, and only where the variable says nothing yet.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

# Found when first asked for: a process that only decodes images starts in half the time without the rest.
_HOMES = {
    "Classifier": "logolens.inference.classifier",
    "LogolensError": "logolens.errors",
    "Prediction": "logolens.inference.classifier",
    "TrainSettings": "logolens.config",
    "audit": "logolens.evaluation.audit.audit",
    "evaluate": "logolens.evaluation.evaluate",
    "synthesize": "logolens.data.synthesis.synthesize",
    "train": "logolens.training.train",
}


def load(bundle: str | os.PathLike[str], **how: Any) -> Classifier:
    """Load and verify a bundle, ready to answer.

    Args:
        bundle: the folder that `train` wrote, or ``hf://OWNER/NAME@REVISION`` on the Hugging Face Hub.
        how: the other arguments of `Classifier`, as ``threads`` and ``views``.

    Raises:
        BundleError: it is not a bundle, was altered, or cannot be run.
        DownloadError: it cannot be brought from the Hub.
    """
    from logolens.inference.classifier import Classifier

    return Classifier.load(bundle, **how)


def __getattr__(name: str) -> object:
    if name == "scan":  # The package itself, which is callable: importing it puts it under this name anyway.
        return importlib.import_module("logolens.scan")
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES, "scan"})
