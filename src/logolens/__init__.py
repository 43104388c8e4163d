"""logolens: brand logo recognition by transfer learning.

    from logolens import Classifier
    Classifier.load("bundle").predict(["photo.jpg"])

Importing this loads no PyTorch; the functions behind the commands are imported when they are first asked for.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from logolens._version import __version__

if TYPE_CHECKING:
    from logolens.config import TrainSettings
    from logolens.predict import Classifier, Prediction
    from logolens.train import TrainResult, train

_HOMES = {
    "Classifier": "logolens.predict",
    "Prediction": "logolens.predict",
    "TrainResult": "logolens.train",
    "TrainSettings": "logolens.config",
    "train": "logolens.train",
}

__all__ = ["Classifier", "Prediction", "TrainResult", "TrainSettings", "__version__", "train"]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'logolens' has no attribute {name!r}")
