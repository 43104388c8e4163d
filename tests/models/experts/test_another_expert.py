"""A new expert is a file and an entry in a list: training tries it, bundles hold it, and predicting asks it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
from conftest import needs_training
from PIL import Image

CORNER = '''
"""An expert that knows nothing but a photo's first pixel, in which these photos' labels stand."""
import json
from dataclasses import dataclass

import numpy as np

from logolens.models.experts.contract import Learned


@dataclass(frozen=True)
class Corner:
    name: str = "corner"
    title: str = "corner"
    cost: float = 0.5
    needs: tuple = ()
    stands_in: str | None = None
    files: tuple = ("corner.json",)
    counts: bool = True

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

RUN = """
import sys
sys.path.insert(0, sys.argv[1])
from corner import Corner
import logolens.models.experts as experts
experts.EXPERTS = (*experts.EXPERTS, Corner())  # The entry in the list.
from logolens import Classifier, TrainSettings
from logolens.training.train import train

settings = TrainSettings(size=64, val=0.25, test=0.2, threads=1, epochs=10, matcher="off", words="off")
result = train(sys.argv[2], sys.argv[3], settings)
print("\\n".join(result.notes))
classifier = Classifier.load(sys.argv[3], threads=1)
for answer in classifier.predict(sys.argv[4:]):
    print("answer", answer.label)
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


def test_an_expert_is_a_file_and_an_entry_in_a_list(tmp_path: Path) -> None:
    needs_training()
    (tmp_path / "corner.py").write_text(CORNER, "utf-8")
    write(tmp_path / "photos", 24, 1)
    unseen = write(tmp_path / "unseen", 5, 2)
    bundle = tmp_path / "bundle"
    run = subprocess.run(
        [sys.executable, "-c", RUN, str(tmp_path), str(tmp_path / "photos"), str(bundle), *map(str, unseen)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr[-2000:]
    manifest = json.loads((bundle / "manifest.json").read_text("utf-8"))
    assert manifest["closer"]["weights"]["labels"]["corner"] > 0
    assert "corner" in manifest["closer"]["experts"]
    assert "corner.json" in manifest["files"]
    assert "The corners were looked at." in run.stdout
    assert "the corner's alone on 100%" in run.stdout
    answers = [line.split()[1] for line in run.stdout.splitlines() if line.startswith("answer ")]
    assert answers == [path.parent.name for path in unseen]
