"""Where a photo shows a label: from proved geometry, from what was learned of boxes, or from the map alone."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw

from logolens.bundle.format import LOCALISER, load_bundle, read_head
from logolens.config import MatcherSettings
from logolens.data import load
from logolens.inference.classifier import Classifier
from logolens.inference.locate import Finder, best_match, heat
from logolens.io.views import Picture
from logolens.models.box_regressor import Localiser
from logolens.models.cascade import OUTPUTS, Cascade, Observation
from logolens.models.ensemble import EnsembleWeights
from logolens.models.matcher import Matcher, Matches, references_from
from logolens.models.proposals import iou
from logolens.models.session import Job, Session, Steps

LABELS = ("acme", "bolt", "crest")


def counting(*names: str, **stops: float) -> EnsembleWeights:
    """Weights by which the whole photo and these experts count the same; and the margins at which an answer stands."""
    return EnsembleWeights({"whole": 1.0, **dict.fromkeys(names, 1.0)}, stop_margins=stops)


@dataclasses.dataclass(frozen=True)
class Finding:
    """What places are found with, and the road to it."""

    session: Session
    cascade: Cascade
    finder: Finder

    def find(self, data: bytes, label: int, **changes: Any) -> tuple[Any, Observation, int]:
        """The box, what was seen, and how many times the network was asked for more."""
        finder = dataclasses.replace(self.finder, **changes)
        turns = 0

        def steps(picture: Picture) -> Steps:
            nonlocal turns
            seen = yield from self.cascade.look(picture, finder.head)
            way = finder.find(picture, seen, label, LABELS[label])
            try:
                views = next(way)
                while True:
                    turns += 1
                    views = way.send((yield views))
            except StopIteration as end:
                return end.value, seen

        (outcome,) = self.session.look([Job(lambda: data, steps=steps)])
        assert outcome.error is None
        return *outcome.value, turns


@pytest.fixture(scope="module")
def finding(boxed: Any) -> Finding:
    read = load_bundle(boxed.path)
    assert read.closer is not None
    assert read.closer.localiser is not None
    head = read_head(read.closer.head, boxed.path)
    localiser = Localiser.load(read.closer.localiser, boxed.path / LOCALISER)
    return Finding(
        Session(read.model, read.preprocessing, threads=1, outputs=("logits", *OUTPUTS)),
        Cascade(counting("closer"), background=True, pooling="rich"),
        Finder(head, localiser, True, "rich"),
    )


@pytest.fixture(scope="module")
def unseen(tmp_path_factory: pytest.TempPathFactory, make_boxed: Any) -> Any:
    return load(make_boxed(tmp_path_factory.mktemp("unseen"), count=10, seed=21)).photos


def true_box(photo: Any) -> tuple[float, float, float, float]:
    (box,) = photo.boxes
    return box.x1 / photo.width, box.y1 / photo.height, box.x2 / photo.width, box.y2 / photo.height


def is_inside(box: tuple[float, float, float, float]) -> bool:
    return 0 <= box[0] < box[2] <= 1 + 1e-9 and 0 <= box[1] < box[3] <= 1 + 1e-9


def test_boxes_are_better_than_a_guess_and_within_the_photo(finding: Finding, unseen: Any) -> None:
    told, guessed = [], []
    for photo in unseen:
        box, _, turns = finding.find(photo.path.read_bytes(), LABELS.index(photo.label))
        assert is_inside(box)
        assert turns == 2
        told.append(iou(true_box(photo), [box])[0])
        guessed.append(iou(true_box(photo), [(0.25, 0.25, 0.75, 0.75)])[0])
    assert np.mean(told) > 0.35
    assert np.mean(told) > np.mean(guessed) + 0.15


def test_without_a_localiser_the_strongest_part_of_the_map_is_told_at_no_further_cost(
    finding: Finding, unseen: Any
) -> None:
    hits = []
    for photo in unseen:
        box, _, turns = finding.find(photo.path.read_bytes(), LABELS.index(photo.label), localiser=None)
        assert turns == 0
        assert is_inside(box)
        x1, y1, x2, y2 = true_box(photo)
        hits.append(box[0] < (x1 + x2) / 2 < box[2] and box[1] < (y1 + y2) / 2 < box[3])
    assert np.mean(hits) > 0.5


def test_every_label_that_is_asked_for_has_a_box(finding: Finding, unseen: Any) -> None:
    for label in range(3):
        for localiser in (finding.finder.localiser, None):
            assert is_inside(finding.find(unseen[0].path.read_bytes(), label, localiser=localiser)[0])


def test_one_colour_has_a_box_too(finding: Finding, tmp_path: Path) -> None:
    for colour in ("white", "black", "red"):
        Image.new("RGB", (120, 90), colour).save(tmp_path / "plain.png")
        for localiser in (finding.finder.localiser, None):
            box, _, _ = finding.find((tmp_path / "plain.png").read_bytes(), 0, localiser=localiser)
            assert is_inside(box)


# Geometry


def emblem(seed: int, side: int) -> Image.Image:
    rng = np.random.default_rng(seed)
    image = Image.new("RGB", (200, 200), "white")
    pen = ImageDraw.Draw(image)
    for _ in range(14):
        x, y, w, h = rng.integers(10, 140, 2).tolist() + rng.integers(12, 60, 2).tolist()
        fill = tuple(int(value) for value in rng.integers(0, 200, 3))
        (pen.rectangle if rng.random() < 0.6 else pen.ellipse)((x, y, x + w, y + h), fill=fill)
    return image.resize((side, side), Image.Resampling.LANCZOS)


def scene(seed: int, side: int, at: tuple[int, int]) -> Image.Image:
    rng = np.random.default_rng([seed, 7])
    photo = Image.fromarray(rng.integers(60, 200, (6, 8, 3), dtype=np.uint8)).resize((400, 300))
    photo.paste(emblem(3, side), at)
    return photo


@pytest.fixture(scope="module")
def matched(tmp_path_factory: pytest.TempPathFactory, finding: Finding) -> tuple[Path, Observation, Matcher]:
    """A photo with an emblem at (150, 90, 280, 220), and what a matcher with one boxed reference of it says."""
    folder = tmp_path_factory.mktemp("matched")
    scene(1, 160, (30, 40)).save(folder / "reference.png")
    scene(2, 130, (150, 90)).save(folder / "asked.png")
    (folder / "photos.csv").write_text("path,label,x1,y1,x2,y2\nreference.png,acme,30,40,190,200\n")
    settings = MatcherSettings(long_side=400)
    matcher = Matcher(
        references_from(load(folder / "photos.csv", training=False).photos, settings).found, settings, labels=LABELS
    )
    cascade = Cascade(
        counting("matcher"),
        background=True,
        pooling="rich",
        knowledge={"matcher": matcher},
    )
    data = (folder / "asked.png").read_bytes()
    (outcome,) = finding.session.look([Job(lambda: data, steps=lambda it: cascade.look(it, finding.finder.head))])
    return folder / "asked.png", outcome.value, matcher


def test_proved_geometry_tells_the_place_to_within_a_few_pixels(
    finding: Finding, matched: tuple[Path, Observation, Matcher]
) -> None:
    path, seen, _ = matched
    match = best_match(seen.matches, "acme")
    assert match is not None
    assert match.inliers >= 8
    with Image.open(path) as image:
        picture = Picture.of(image.convert("RGB"), finding.session.preprocessing)
    way = finding.finder.find(picture, seen, 0, "acme")
    with pytest.raises(StopIteration) as end:
        next(way)  # The network is asked nothing.
    box = end.value.value
    assert box == pytest.approx((150 / 400, 90 / 300, 280 / 400, 220 / 300), abs=0.03)
    assert best_match(seen.matches, "bolt") is None
    assert best_match(None, "acme") is None


def test_where_the_answer_stood_without_the_matcher_it_is_asked_for_the_place(
    finding: Finding, matched: tuple[Path, Observation, Matcher]
) -> None:
    path, seen, matcher = matched
    with Image.open(path) as image:
        picture = Picture.of(image.convert("RGB"), finding.session.preprocessing)
    clear = dataclasses.replace(seen, matches=None)
    finder = dataclasses.replace(finding.finder, matcher=matcher)
    proved = finder.proved(picture, clear)
    assert finder.proved(picture, proved) is proved, "it is asked once"
    with pytest.raises(StopIteration) as end:
        next(finder.find(picture, proved, 0, "acme"))
    assert end.value.value == pytest.approx((150 / 400, 90 / 300, 280 / 400, 220 / 300), abs=0.03)
    # Of another label it knows nothing, and the maps have to tell.
    assert len(next(finder.find(picture, proved, 1, "bolt"))) >= 1


def test_few_proved_points_are_believed_only_where_nothing_was_learned_of_boxes(
    finding: Finding, matched: tuple[Path, Observation, Matcher]
) -> None:
    path, seen, _ = matched
    assert seen.matches is not None
    (best, *_) = seen.matches.found
    weak = dataclasses.replace(best, inliers=6)
    few = Matches(seen.matches.labels, (weak,), seen.matches.counts, seen.matches.pooling, seen.matches.top)
    doubtful = dataclasses.replace(seen, matches=few)
    with Image.open(path) as image:
        picture = Picture.of(image.convert("RGB"), finding.session.preprocessing)
    views = next(finding.finder.find(picture, doubtful, 0, "acme"))
    assert 1 <= len(views) <= 2
    with pytest.raises(StopIteration) as end:
        next(dataclasses.replace(finding.finder, localiser=None).find(picture, doubtful, 0, "acme"))
    assert end.value.value == pytest.approx((150 / 400, 90 / 300, 280 / 400, 220 / 300), abs=0.03)


# The heat-map


def test_the_heat_map_is_warmer_on_the_logo(finding: Finding, unseen: Any) -> None:
    warmer = []
    for photo in unseen:
        label = LABELS.index(photo.label)
        _, seen, _ = finding.find(photo.path.read_bytes(), label, localiser=None)
        cells = heat(seen.maps[0], finding.finder.head, label, background=True, pooling="rich")
        assert cells.shape == seen.maps[0][0].shape[1:]
        assert np.isfinite(cells).all()
        x1, y1, x2, y2 = true_box(photo)
        rows, columns = cells.shape
        at = cells[min(rows - 1, int((y1 + y2) / 2 * rows)), min(columns - 1, int((x1 + x2) / 2 * columns))]
        warmer.append((at - cells.mean()) / (cells.std() + 1e-9))
    assert np.mean(warmer) > 0.2


# In a bundle


@pytest.mark.parametrize("views", ["whole", "auto", "tiles"])
def test_a_bundle_tells_where_in_every_mode(boxed: Any, unseen: Any, views: str) -> None:
    classifier = Classifier.load(boxed.path, views=views, where=True)
    overlaps = []
    for prediction, photo in zip(classifier.predict([photo.path for photo in unseen]), unseen, strict=True):
        assert (prediction.box is None) is (prediction.label == "none")
        if prediction.box is not None:
            assert is_inside(prediction.box)
            if prediction.label == photo.label:
                overlaps.append(iou(true_box(photo), [prediction.box])[0])
    assert len(overlaps) > 15
    assert np.mean(overlaps) > 0.35
