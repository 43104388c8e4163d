"""Backbones: pre-trained networks without their classifiers, exported to ONNX once and then run on ONNX Runtime.

The way of a name: ``find`` knows the facts, ``locate`` finds or fetches the weights, ``export`` writes the ONNX graph;
``prepare`` walks all three. Nothing here imports PyTorch until weights must be read; once a backbone is exported,
``prepare`` answers from its cache alone. What needs PyTorch from the start lives in ``logolens.models.backbones.build``.
"""

from __future__ import annotations

from logolens.models.backbones.catalogue import catalogue, find
from logolens.models.backbones.exported import EXPORT_VERSION, ExportedBackbone, export, prepare
from logolens.models.backbones.int8 import quantise
from logolens.models.backbones.layers import Layer
from logolens.models.backbones.spec import Backbone
from logolens.models.backbones.timm_networks import GROUPS, Group, Named
from logolens.models.backbones.weights import Weights, get, here, locate

__all__ = [
    "EXPORT_VERSION",
    "GROUPS",
    "Backbone",
    "ExportedBackbone",
    "Group",
    "Layer",
    "Named",
    "Weights",
    "catalogue",
    "export",
    "find",
    "get",
    "here",
    "locate",
    "prepare",
    "quantise",
]
