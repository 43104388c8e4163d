"""Fine-tuning: the backbone's last blocks, or all of it, trained end to end once a head stands on its frozen features.

The way of a run: ``blocks`` says what is trained, ``samples`` prepares varied views (``augment``) in threads, ``halves``
cuts the frozen front off to run it on ONNX Runtime, ``loop`` trains the rest and the head (``dense``) in PyTorch,
``checkpoints`` keeps each epoch, and ``run`` leads from the frozen head to the network that the bundle holds.
"""

from __future__ import annotations

from logolens.training.finetune.checkpoints import checkpoint_folder
from logolens.training.finetune.dataloader import Held
from logolens.training.finetune.finetuner import Finetuning, Tuned
from logolens.training.finetune.lr_finder import RateTest, rate_files

__all__ = ["Finetuning", "Held", "RateTest", "Tuned", "checkpoint_folder", "rate_files"]
