"""logolens: brand logo recognition by transfer learning.

    from logolens import Classifier
    Classifier.load("bundle").predict(["photo.jpg"])

The function behind each command stands in the module of its name: ``from logolens.train import train``. Importing
``logolens`` loads no PyTorch.
"""

from __future__ import annotations

from logolens._version import __version__
from logolens.config import TrainSettings
from logolens.errors import LogolensError
from logolens.predict import Classifier, Prediction

__all__ = ["Classifier", "LogolensError", "Prediction", "TrainSettings", "__version__"]
