"""logolens: brand logo recognition by transfer learning.

    from logolens import Classifier
    Classifier.load("bundle").predict(["photo.jpg"])

The function behind each command stands in the module of its name: ``from logolens.train import train``. Importing
``logolens`` loads no PyTorch.
"""

from __future__ import annotations

import os

from logolens._version import __version__
from logolens.config import TrainSettings
from logolens.errors import LogolensError
from logolens.predict import Classifier, Prediction

__all__ = ["Classifier", "LogolensError", "Prediction", "TrainSettings", "__version__"]

# ONNX Runtime's wheels keep an identifier of the machine and report to their maker; nothing that logolens does is to be told to
# anyone. It reads this when it is first imported, and only where the variable says nothing yet.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
