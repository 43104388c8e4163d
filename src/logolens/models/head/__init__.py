"""The head: what is trained on top of frozen features, or, as a gallery, compares them with those of references.

dense      dense layers from features to logits, and what they learn from
cosine     a gallery: the cosine of a projection with references of each label
fitting    from examples to either
nodes      either as nodes of an ONNX graph
"""

from __future__ import annotations

from logolens.models.head.cosine import CosineHead, fit_cosine, projection, unit, with_thresholds
from logolens.models.head.dense import Epoch, Examples, Head
from logolens.models.head.fitting import fit_head
from logolens.models.head.onnx_nodes import nodes_of

__all__ = [
    "CosineHead",
    "Epoch",
    "Examples",
    "Head",
    "fit_cosine",
    "fit_head",
    "nodes_of",
    "projection",
    "unit",
    "with_thresholds",
]
