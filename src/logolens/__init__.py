"""logolens: brand logo recognition by transfer learning.

    from logolens import Classifier
    Classifier.load("bundle").predict(["photo.jpg"])

The function behind each command stands in the module of its name: ``from logolens.training.train import train``. Importing
``logolens`` loads no PyTorch.
"""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING

from logolens._version import __version__

if TYPE_CHECKING:
    from logolens.config import TrainSettings
    from logolens.errors import LogolensError
    from logolens.inference.classifier import Classifier, Prediction

__all__ = ["Classifier", "LogolensError", "Prediction", "TrainSettings", "__version__"]

# ONNX Runtime's wheels keep an identifier of the machine and report to their maker; nothing that logolens does is to be told to
# anyone. It reads this when it is first imported, and only where the variable says nothing yet.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

# Found when first asked for: a process that only decodes images starts in half the time without the rest.
_HOMES = {
    "Classifier": "logolens.inference.classifier",
    "LogolensError": "logolens.errors",
    "Prediction": "logolens.inference.classifier",
    "TrainSettings": "logolens.config",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
