"""Train on one set of photos, and judge the bundle on another that it never saw."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from logolens.config import BACKGROUND, TrainSettings
from logolens.errors import DataError
from logolens.inference.classifier import Classifier, Prediction
from logolens.metrics import Evaluation, evaluate
from logolens.recipes.demo.demo_data import DemoData
from logolens.training.train import TrainResult, train
from logolens.types import Progress

__all__ = ["Answer", "DemoResult", "Trial", "measured", "run_trial"]


@dataclass(frozen=True)
class Answer:
    """One unseen photo: what it shows, and what the bundle said."""

    photo: Path
    true: str
    prediction: Prediction

    @property
    def right(self) -> bool:
        """Whether the answer is what the photo shows."""
        return self.prediction.label == self.true


@dataclass(frozen=True)
class Trial:
    """One task from training to judgement.

    Attributes:
        training: what training gave; its bundle is the one judged.
        evaluation: the figures on the unseen photos.
        answers: every unseen photo with its answer, in the order of the files' names.
        seconds: how long training took, and answering.
    """

    training: TrainResult
    evaluation: Evaluation
    answers: tuple[Answer, ...]
    seconds: dict[str, float]


@dataclass(frozen=True)
class DemoResult:
    """All that the demo made.

    Attributes:
        out: the demo's folder.
        data: the composed photos.
        brands: the task of telling the brands apart.
        oldnew: the task of telling one brand's old logo from its new one; None where there were no such photos.
        page: the page to look at.
        seconds: how long each part took.
    """

    out: Path
    data: DemoData
    brands: Trial
    oldnew: Trial | None
    page: Path
    seconds: dict[str, float]


def run_trial(
    data: Path, unseen: Path, bundle: Path, settings: TrainSettings, *, progress: Progress | None = None
) -> Trial:
    """Train on ``data`` and answer every photo of ``unseen``, a folder with one subfolder a label.

    A bundle that stands at ``bundle`` is replaced.

    Raises:
        DataError: the photos cannot be trained on, or an unseen photo cannot be read.
    """
    start = time.perf_counter()
    training = train(data, bundle, settings, force=True, progress=progress)
    trained = time.perf_counter()
    photos = sorted(unseen.glob("*/*.jpg"))
    classifier = Classifier.load(bundle)
    predictions: list[Prediction] = []
    for first in range(0, len(photos), 64):
        predictions += classifier.predict(photos[first : first + 64])
        if progress is not None:
            progress("answering unseen photos", len(predictions), len(photos))
    answers = tuple(Answer(photo, photo.parent.name, answer) for photo, answer in zip(photos, predictions, strict=True))
    if broken := [answer for answer in answers if answer.prediction.error is not None]:
        raise DataError(
            f"{broken[0].photo} cannot be read any more ({broken[0].prediction.error}). Run the demo again."
        )
    classes = list(classifier.bundle.classes)
    table = np.array([[answer.prediction.scores[name] for name in classes] for answer in answers])
    known = [i for i, answer in enumerate(answers) if answer.true in classes or answer.true == BACKGROUND]
    names = [answers[i].photo.relative_to(unseen).as_posix() for i in known]
    evaluation = measured(table[known], [answers[i].true for i in known], classes, names)
    seconds = {"training": round(trained - start, 1), "answering": round(time.perf_counter() - trained, 1)}
    return Trial(training, evaluation, answers, seconds)


def measured(
    probabilities: npt.NDArray[np.float64], truth: Sequence[str], classes: Sequence[str], images: Sequence[str]
) -> Evaluation:
    """The figures of answers, counted as `logolens evaluate` counts: ``none`` is answered where it is likelier than not.

    Args:
        probabilities: of shape (n, classes); each row sums to 1.
        truth: what each image shows, n of them.
        classes: the names of the columns.
        images: the names of the images.
    """
    least = 0.5 if BACKGROUND in classes else None
    return evaluate(probabilities, truth, classes, images=images, threshold=least, closed=True)
