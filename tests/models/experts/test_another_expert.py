"""A new expert is a file and an entry in a list: training tries it, bundles hold it, and predicting asks it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
from conftest import needs_training
from PIL import Image

CORNER = '''
"""An expert that knows nothing but a photo's first pixel, in which these photos' labels stand."""
import json
from dataclasses import dataclass

import numpy as np

from logolens.models.contracts.first import Learned


@dataclass(frozen=True)
class Corner:
    name: str = "corner"
    title: str = "corner"
    cost: float = 0.5
    needs: tuple = ()
    stands_in: str | None = None
    files: tuple = ("corner.json",)
    counts: bool = True
    stage: str = "first"

    def ask(self, inquiry):
        yield from ()
        red = inquiry.picture.image(1000).getpixel((0, 0))[0]
        inquiry.proofs[self.name] = red
        return np.array([4.0 if abs(red - known) < 20 else 0.0 for known in inquiry.knowledge[self.name]])

    def learn(self, photos, labels, settings, progress):
        first = {}
        for photo in photos:
            with __import__("PIL.Image").Image.open(photo.path) as image:
                first[photo.label] = image.convert("RGB").getpixel((0, 0))[0]
        return Learned([first[label] for label in labels], ("The corners were looked at.",))

    def save(self, knowledge, folder):
        (folder / "corner.json").write_text(json.dumps(knowledge), "utf-8")

    def load(self, folder, labels):
        return json.loads((folder / "corner.json").read_text("utf-8"))
'''

STAMP = '''
"""A late expert that knows nothing but a photo's first pixel."""
import json
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image

from logolens.models.contracts.late import LateFit


@dataclass(frozen=True)
class Stamp:
    name: str = "stamp"
    title: str = "stamp"
    cost: float = 0.5
    stage: str = "late"
    place: str = "closer"

    def amend(self, knowledge, verdict, photo):
        red = photo.picture.image(1000).getpixel((0, 0))[0]
        return replace(amended(verdict, knowledge, [red]), proofs={**verdict.proofs, self.name: red})

    def amend_all(self, knowledge, verdict, asked):
        return amended(verdict, knowledge, reds(asked))

    def sentence(self, proof, label):
        return f"{label} is stamped {proof}"

    def calibration(self, knowledge, before):
        return before

    def asks_about(self, settings):
        return ()

    def check(self, dataset, splits, settings):
        if len(dataset.labels) > 2:
            raise ValueError("There are two stamps.")

    def fit(self, held):
        first = {sample.label: red for sample, red in zip(held.samples, reds(held)) if sample.whole}
        known = [first[label] for label in held.dataset.labels]
        return LateFit(known, {"known": known}, ("Stamps count.",), amended(held.verdict, known, reds(held)))

    def untried(self, settings):
        return ()

    def nothing(self):
        return None

    def save(self, knowledge, folder):
        (folder / "stamp.json").write_text(json.dumps(knowledge), "utf-8")

    def read(self, manifest):
        return manifest["closer"].get(self.name)

    def files_of(self, facts):
        return ("stamp.json",)

    def load(self, recorded, folder, labels):
        assert recorded.facts["known"] == json.loads(recorded.data["stamp.json"])
        return recorded.facts["known"]

    def parts(self, facts):
        return ("stamps",)


def reds(asked):
    return [Image.open(asked.dataset.photos[sample.photo].path).convert("RGB").getpixel((0, 0))[0]
            for sample in asked.samples]


def amended(verdict, known, found):
    labels = np.array([[0.9 if abs(red - its) < 20 else 0.1 for its in known] for red in found])
    return replace(verdict, labels=labels / labels.sum(axis=1, keepdims=True))
'''

RUN = """
import importlib, sys
sys.path.insert(0, sys.argv[1])
import logolens.models.experts as experts
experts.EXPERTS = (*experts.EXPERTS, getattr(importlib.import_module(sys.argv[2]), sys.argv[2].title())())  # The entry.
from logolens import Classifier, TrainSettings
from logolens.export.export_bundle import _left_behind
from logolens.training.train import train

settings = TrainSettings(size=64, val=0.25, test=0.2, threads=1, epochs=10, matcher="off", words="off")
result = train(sys.argv[3], sys.argv[4], settings)
print("\\n".join(result.notes))
print("top-1", result.manifest["metrics"]["test"]["top1"])
classifier = Classifier.load(sys.argv[4], threads=1)
print(*_left_behind(classifier.bundle))
print(*classifier.explain(sys.argv[5])[1].sentences)
for answer in classifier.predict(sys.argv[5:]):
    print("answer", answer.label, max(set(answer.scores) - {"none"}, key=answer.scores.get))
"""


def write(folder: Path, count: int, seed: int) -> list[Path]:
    """Photos of noise whose first pixel alone says which label they have."""
    rng = np.random.default_rng(seed)
    paths = []
    for label, red in (("dark", 10), ("light", 220)):
        (folder / label).mkdir(parents=True)
        for number in range(count):
            noise = Image.fromarray(rng.integers(0, 256, (9, 12, 3), dtype=np.uint8))
            image = noise.resize((320, 240), Image.Resampling.BICUBIC)
            image.putpixel((0, 0), (red, 0, 0))
            paths.append(folder / label / f"{seed}-{number}.png")
            image.save(paths[-1])
    return paths


def run(source: str, name: str, folder: Path) -> tuple[str, dict[str, Any], list[str]]:
    """Train and predict with one more expert: what was printed, the manifest, and the answers to five photos of either label."""
    needs_training()
    (folder / f"{name}.py").write_text(source, "utf-8")
    write(folder / "photos", 24, 1)
    unseen = write(folder / "unseen", 5, 2)
    bundle = folder / "bundle"
    ran = subprocess.run(
        [sys.executable, "-c", RUN, *map(str, (folder, name, folder / "photos", bundle, *unseen))],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr[-2000:]
    answers = [line.split()[1:] for line in ran.stdout.splitlines() if line.startswith("answer ")]
    assert [best for _, best in answers] == [path.parent.name for path in unseen]
    return ran.stdout, json.loads((bundle / "manifest.json").read_text("utf-8")), [label for label, _ in answers]


def test_an_expert_is_a_file_and_an_entry_in_a_list(tmp_path: Path) -> None:
    printed, manifest, answers = run(CORNER, "corner", tmp_path)
    assert answers == ["dark"] * 5 + ["light"] * 5
    assert manifest["closer"]["weights"]["labels"]["corner"] > 0
    assert "corner" in manifest["closer"]["experts"]
    assert "corner.json" in manifest["files"]
    assert "The corners were looked at." in printed
    assert "the corner's alone on 100%" in printed


def test_so_is_one_that_is_asked_late(tmp_path: Path) -> None:
    printed, manifest, _ = run(STAMP, "stamp", tmp_path)
    assert manifest["closer"]["stamp"] == {"known": [10, 220]}
    assert "stamp.json" in manifest["files"]
    assert "Stamps count." in printed
    assert "top-1 1.0" in printed
    assert "stamps stay behind" in printed
    assert "dark is stamped 10" in printed
