"""Every place where a photo shows a label: copies that geometry proves first, then what the network's maps tell."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from logolens.inference.locate import Finder, Fractions, placed, shares
from logolens.io.views import Picture, View, around
from logolens.models.calibration import label_margins
from logolens.models.cascade import Observation
from logolens.models.matcher import ENOUGH, Keypoints, Matcher, Matches
from logolens.models.matcher.instances import copies, twins
from logolens.models.matcher.keypoints import inverted
from logolens.models.proposals import iou, nms, roi_pool, windows
from logolens.models.session import Outputs
from logolens.types import FloatArray64

__all__ = ["Fine", "Instance", "find_all", "look_finely"]

_LONG_SIDE, _POINTS = 1000, 3000
"""Where copies are sought: of 127 boxes in photos that show several, 72 were met at this size and 40 at half of it."""

_REFERENCES = 8
"""References of a label whose copies are sought, those that were found best."""

_STARTS = 12
"""Closer views from which the network looks for places."""

_ZOOM, _ROUNDS = 1.6, 3

_SCALES = (0.6, 0.36, 0.22)
"""Sides of the windows that starts are proposed from, as shares of the shorter side."""

_APART = 0.3
"""Intersection over union below which two places of one label are two instances."""

_WITHIN = 0.7
"""The share of the smaller of two places that lies within the larger, from which they are one instance."""

_AGREE = 0.5
"""Intersection over union from which two starts have come to the same place."""

_QUALITY = (0.35, 0.1, 6.0, 0.33, -2.8)
"""How likely a place meets a box, in logits: by the best margin there, by how far that is from the best of all places, by the
share of starts that came there, by the logarithm of its area; and a constant. Fitted on two folds of Flickr Logos 27, each of
which it served as well as the other's fit."""

_PROVED, _SURE = 0.8, 12
"""How likely a proved place meets a box, from so many points on; fewer count for their share."""

_TWIN = 0.9
"""The share of both its proof's and its model's quality for a print like one that was found."""

_LEAST = 0.1
"""Quality below which a place is told only where it is the label's best."""


@dataclass(frozen=True)
class Fine:
    """What geometry says of a photo that is looked at more finely, as small copies need it.

    Attributes:
        points: the photo's key points.
        matches: with the references.
        matcher: that they were matched by.
    """

    points: Keypoints
    matches: Matches
    matcher: Matcher


@dataclass(frozen=True)
class Instance:
    """One place where a photo shows a label.

    Attributes:
        box: in fractions of the photo's width and height.
        quality: how likely that place is right, given that the photo shows the label; 0 to 1.
        inliers: how many points prove it; 0 where only the network tells it.
    """

    box: Fractions
    quality: float
    inliers: int = 0


def look_finely(matcher: Matcher | None, picture: Picture) -> Fine | None:
    """A photo's key points and matches for `find_all`; None without a matcher.

    Raises:
        ImageError: the photo cannot be decoded.
    """
    if matcher is None:
        return None
    points = matcher.sight(picture, long_side=_LONG_SIDE, most=_POINTS)
    return Fine(points, matcher.match(points), matcher)


def find_all(
    finder: Finder, picture: Picture, observation: Observation, fine: Fine | None, label: int, name: str
) -> Generator[Sequence[View], Outputs, tuple[Instance, ...]]:
    """Every instance of a label in a photo, the surest first; steps of a `session.Job`.

    Args:
        finder: what places are told with.
        picture: the photo.
        observation: what was found out about it.
        fine: as `look_finely` gives it.
        label: position among the labels.
        name: its name.
    """
    found = _copies(fine, name) if fine is not None else []
    if finder.localiser is not None:
        regressed = yield from _regressed(finder, picture, observation, label)
        seeds = [*found[:2], *regressed[:2]]
        for one in regressed:
            if _is_new(one.box, found):
                found.append(one)
    else:
        seeds = found[:2]
        if not found:
            box = yield from finder.find(picture, observation, label, name)
            return (Instance(box, 1.0),)
    if fine is not None:
        found += _twins(fine, seeds, found)
    best, *others = sorted(found, key=lambda one: -one.quality)
    return best, *(one for one in others if one.quality >= _LEAST)


def _copies(fine: Fine, name: str) -> list[Instance]:
    """The places that geometry proves."""
    matches = [match for match in fine.matches.found if match.label == name]
    if not matches or matches[0].inliers < ENOUGH:
        return []
    found = [_proved(matches[0].box, fine, matches[0].inliers)]
    taken = [matches[0].box]
    for negative in sorted({match.negative for match in matches}):
        references = [fine.matcher.references[match.reference] for match in matches if match.negative == negative]
        sought = inverted(fine.points) if negative else fine.points
        for place in copies(sought, references[:_REFERENCES], fine.matcher.settings, least=ENOUGH, taken=taken):
            taken.append(place.box)
            one = _proved(place.box, fine, place.inliers)
            if _is_new(one.box, found):
                found.append(one)
    return found


def _twins(fine: Fine, seeds: Sequence[Instance], found: Sequence[Instance]) -> list[Instance]:
    """Further prints of what was found."""
    more: list[Instance] = []
    width, height = fine.points.size
    for seed in seeds:
        x1, y1, x2, y2 = seed.box
        box = (x1 * width, y1 * height, x2 * width, y2 * height)
        for place in twins(fine.points, box, fine.matcher.settings, least=ENOUGH):
            one = _proved(place.box, fine, place.inliers)
            if _is_new(one.box, [*found, *more]):
                more.append(replace(one, quality=_TWIN * one.quality * seed.quality))
    return more


def _proved(box: tuple[float, float, float, float], fine: Fine, inliers: int) -> Instance:
    return Instance(shares(box, fine.points.size), _PROVED * min(1.0, inliers / _SURE), inliers)


def _regressed(
    finder: Finder, picture: Picture, observation: Observation, label: int
) -> Generator[Sequence[View], Outputs, list[Instance]]:
    """Places that the regression of boxes gives, the likeliest first; some are nearly the same."""
    views, maps, margins = list(observation.views), list(observation.maps), observation.margins[:, label].tolist()
    proposals = _proposed(finder, observation, picture.sides, label)
    if proposals:
        outputs = yield proposals
        margins += _margins(finder, outputs, label).tolist()
        maps += list(zip(outputs["last"], outputs["middle"], strict=True))
        views += proposals
    # The whole photo always; of the others the best, and those that show the label more likely than nothing.
    ranked = nms([view.box or (0.0, 0.0, 1.0, 1.0) for view in views[1:]], margins[1:], _STARTS, 0.5)
    starts = [0, *(1 + number for number in ranked if margins[1 + number] > 0 or number == ranked[0])]
    boxes = [placed(views[start], finder.box_in(maps[start], label)) for start in starts]
    width, height = picture.sides
    rounds = []
    for _ in range(_ROUNDS):
        looked = [
            around((x1 * width, y1 * height, x2 * width, y2 * height), picture.sides, _ZOOM) for x1, y1, x2, y2 in boxes
        ]
        outputs = yield looked
        rounds.append(_margins(finder, outputs, label))
        here = zip(looked, zip(outputs["last"], outputs["middle"], strict=True), strict=True)
        boxes = [placed(view, finder.box_in(pair, label)) for view, pair in here]
    return _ranked(np.asarray(boxes, np.float64), np.stack(rounds))


def _ranked(boxes: FloatArray64, margins: FloatArray64) -> list[Instance]:
    """Places with their quality, each the mean of those that nearly agree (Gidaris and Komodakis, ICCV 2015).

    Args:
        boxes: of shape (starts, 4).
        margins: of the views around them, of shape (rounds, starts).
    """
    alike = np.stack([iou(box, boxes) for box in boxes]) >= _AGREE
    weights = alike * np.exp(margins[-1] - margins[-1].max()) + 1e-12 * alike
    means = weights @ boxes / weights.sum(axis=1, keepdims=True)
    best = margins.max(axis=0)
    areas = np.maximum((boxes[:, 2:] - boxes[:, :2]).prod(axis=1), 1e-4)
    here, behind, agreed, large, constant = _QUALITY
    logits = here * best + behind * (best - best.max()) + agreed * alike.mean(axis=1) + large * np.log(areas) + constant
    quality = 1.0 / (1.0 + np.exp(-logits))
    return [
        Instance((float(x1), float(y1), float(x2), float(y2)), float(quality[place]))
        for place in np.argsort(-quality, kind="stable").tolist()
        for x1, y1, x2, y2 in [means[place]]
    ]


def _proposed(finder: Finder, observation: Observation, size: tuple[int, int], label: int) -> list[View]:
    """Regions that the whole photo's maps propose for a label, where nothing was looked at yet."""
    last, middle = observation.maps[0]
    places, views = windows((last.shape[1], last.shape[2]), size, _SCALES)
    if not views:
        return []
    margins = label_margins(finder.head.logits(roi_pool(last, middle, places, finder.pooling)), finder.background)
    seen = [view.box for view in observation.views[1:] if view.box is not None]
    best = nms([view.box or () for view in views], margins[:, label], _STARTS, 0.3)
    return [views[number] for number in best if not seen or iou(views[number].box or (), seen).max() < 0.7]


def _margins(finder: Finder, outputs: Outputs, label: int) -> FloatArray64:
    logits = outputs["logits"] if "logits" in outputs else finder.head.logits(outputs["features"])
    return np.asarray(label_margins(logits, finder.background)[:, label], np.float64)


def _is_new(box: Fractions, found: Sequence[Instance]) -> bool:
    """Whether a place is another instance than those found: neither much of the same place nor a part of one."""
    if not found:
        return True
    others: npt.NDArray[np.float64] = np.asarray([one.box for one in found])
    if iou(box, others).max() >= _APART:
        return False
    low, high = np.asarray(box)[:2], np.asarray(box)[2:]
    shared = np.clip(np.minimum(high, others[:, 2:]) - np.maximum(low, others[:, :2]), 0.0, None).prod(axis=1)
    smaller = np.minimum((others[:, 2:] - others[:, :2]).prod(axis=1), (high - low).prod())
    return bool((shared / np.maximum(smaller, 1e-12)).max() < _WITHIN)
