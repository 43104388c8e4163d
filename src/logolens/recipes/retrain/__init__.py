"""Train with the flags of the classic retraining scripts: TensorFlow for Poets' and TensorFlow Hub's ``retrain.py``.

The road is the package's own: photos divided by content with near copies together, features on ONNX Runtime behind a cache
that cannot go stale. What is trained on them is what those scripts train, a softmax layer by gradient descent.
"""

from __future__ import annotations

from logolens.recipes.retrain.classic import RetrainResult, retrain

__all__ = ["RetrainResult", "retrain"]
