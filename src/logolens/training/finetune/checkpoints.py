"""How far a fine-tuning run has come, on disk after each epoch: tensors in safetensors, the rest in JSON.

    .NAME.checkpoint/
        epoch-0003.safetensors    the trained weights, the optimiser's moments, the best weights so far
        state.json                which file is the last whole one, and of which run it is

``state.json`` is replaced in one step and last, so that a run that is killed at any moment leaves the epoch before it.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from logolens.errors import UsageError, require
from logolens.io.atomic import write_atomically
from logolens.io.files import plain_path
from logolens.models.backbones.weights_cache import file_hash

__all__ = ["Checkpoint", "Progressed", "checkpoint_folder"]

_STATE = "state.json"
_FORMAT = 1


def checkpoint_folder(out: Path) -> Path:
    """Where the checkpoint of a bundle in the making lies: beside it."""
    out = out.absolute()
    return out.parent / f".{out.name}.checkpoint"


@dataclass(frozen=True)
class Progressed:
    """What a checkpoint holds.

    Attributes:
        tensors: by name, PyTorch's.
        facts: everything else, as JSON has it.
    """

    tensors: dict[str, Any]
    facts: dict[str, Any]


class Checkpoint:
    """The checkpoint of one run.

    Args:
        folder: see `checkpoint_folder`.
        run: what decides the result (data, network, settings), each under a name that a message can tell.
    """

    def __init__(self, folder: Path, run: dict[str, Any]) -> None:
        self.folder = folder
        self._run: dict[str, Any] = json.loads(json.dumps(run))

    def check(self, restart: bool = False) -> None:
        """Hold what is there against this run, before any work is done.

        Args:
            restart: set a checkpoint that is there aside, whatever it is of.

        Raises:
            UsageError: it is another run's, or damaged.
        """
        if not self.folder.exists():
            return
        if restart:
            aside = self.folder.with_name(f"{self.folder.name}.{time.strftime('%Y%m%d-%H%M%S')}")
            number = 1
            while aside.exists():
                number += 1
                aside = aside.with_name(f"{aside.name.split('~')[0]}~{number}")
            os.replace(self.folder, aside)
            return
        if not (self.folder / _STATE).exists():
            return  # killed before its first epoch was over
        facts = self._read()
        theirs = facts["run"]
        if other := [name for name, value in self._run.items() if theirs.get(name) != value]:
            what = ", ".join(
                f"{name} ({_short(theirs.get(name))}, now {_short(self._run[name])})" for name in other[:4]
            )
            raise UsageError(
                f"{self.folder} holds the checkpoint of another run: it differs in {what}. Give the same settings to go "
                "on with that run, set it aside with --restart, or name another folder with --out."
            )

    def read(self) -> Progressed | None:
        """What an earlier run of the same settings left; None where there is none."""
        if not (self.folder / _STATE).exists():
            return None
        facts = self._read()
        file = self.folder / Path(str(facts["tensors"])).name
        try:
            if file_hash(file) != facts["sha256"]:
                raise ValueError("it is not the file that was written")
            with plain_path(file) as path:
                tensors = require("safetensors.torch", "train").load_file(path)
        except Exception as error:
            raise UsageError(f"The checkpoint {file} is damaged ({error}); begin anew with --restart.") from error
        return Progressed(dict(tensors), dict(facts["facts"]))

    def write(self, progressed: Progressed, epoch: int) -> None:
        """Keep an epoch; the one before it goes."""
        data: bytes = require("safetensors.torch", "train").save(progressed.tensors)
        file = self.folder / f"epoch-{epoch:04}.safetensors"
        write_atomically(file, data)
        state = {
            "format": _FORMAT,
            "run": self._run,
            "tensors": file.name,
            "sha256": file_hash(file),
            "facts": progressed.facts,
        }
        write_atomically(self.folder / _STATE, json.dumps(state, indent=1).encode())
        for old in self.folder.glob("epoch-*.safetensors"):
            if old != file:
                old.unlink(missing_ok=True)

    def remove(self) -> None:
        """The bundle is written: nothing is left to go on with."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _read(self) -> dict[str, Any]:
        try:
            state = json.loads((self.folder / _STATE).read_bytes())
            if state["format"] == _FORMAT and isinstance(state["run"], dict) and isinstance(state["facts"], dict):
                return dict(state)
            raise ValueError("it is of another version")
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UsageError(
                f"The checkpoint {self.folder / _STATE} cannot be used ({error}); begin anew with --restart."
            ) from error


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 24 else f"{text[:12]}..."
