"""What do local features with geometric proof answer by themselves, and what does a look-up in thousands of them cost?

Two regimes, both in cross-validation grouped by near copies. Without boxes (old against new logo) whole photos are the
references: top-1, the same with labels permuted (chance), and with three photos a label. With boxes (Flickr Logos 27)
each box is one: top-1, precision and coverage from 12 inliers on, false alarms on regions that touch no box, and the
time and recall of the inverted file beside comparing all, its peer in the same run.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import os
import time
from pathlib import Path

import cv2
import numpy as np
from common import FLICKR27, busy, table, verdict

from logolens.config import MatcherSettings
from logolens.data import Dataset, grouped_folds, load
from logolens.io.images import open_rgb, read_bytes
from logolens.io.views import background_views
from logolens.models.features import FeatureCache
from logolens.models.matcher import Keypoints, Matcher, Matches, describe, describe_photos, evidence, references_from
from logolens.models.matcher import match as matching
from logolens.models.matcher.verify import _LEAST, _MOST, Proof, _distinct, _plausible, verify

CERTAIN = 12
USAC = {
    "ransac": cv2.RANSAC,
    "usac-default": cv2.USAC_DEFAULT,
    "usac-accurate": cv2.USAC_ACCURATE,
    "usac-magsac": cv2.USAC_MAGSAC,
}
"""Ways of OpenCV to find the motion that most matched points agree on."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--whole", type=Path, default=FLICKR27.parent / "oldnew", help="photos without boxes")
    parser.add_argument("--boxes", type=Path, default=FLICKR27, help="photos with boxes")
    parser.add_argument("--only", choices=("whole", "boxes"))
    parser.add_argument("--folds", type=int, nargs="*", default=[0], help="which of the five folds of the boxed photos")
    parser.add_argument("--peers", type=int, default=20, help="photos for which all descriptors are compared, too")
    parser.add_argument(
        "--proof",
        nargs="+",
        choices=("ours", *USAC),
        default=["ours"],
        help="what finds the motion that matched points agree on: logolens itself, or OpenCV's USAC or RANSAC",
    )
    parser.add_argument("--long-side", type=int, default=MatcherSettings().long_side, help="of photos, in pixels")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1, help="for finding key points")
    options = parser.parse_args()
    busy()
    settings = MatcherSettings(long_side=options.long_side)
    with FeatureCache() as cache:
        for proof in options.proof:
            print(f"\nProof: {proof}")
            matching.verify = verify if proof == "ours" else functools.partial(by_opencv, method=USAC[proof])
            if options.only != "boxes":
                whole(load(options.whole), settings, cache, options.threads)
            if options.only != "whole":
                boxes(load(options.boxes), settings, cache, options.folds, options.peers, options.threads)


def by_opencv(
    source: np.ndarray,
    source_scale: np.ndarray,
    source_angle: np.ndarray,
    target: np.ndarray,
    target_scale: np.ndarray,
    target_angle: np.ndarray,
    *,
    tolerance: float,
    anisotropy: float,
    method: int,
) -> Proof | None:
    """What `verify` gives, by OpenCV's estimate from samples of three points, which leaves scales and angles aside."""
    source, target = source[:_MOST].astype(np.float32), target[:_MOST].astype(np.float32)
    if len(source) < _LEAST:
        return None
    cv2.setRNGSeed(0)
    affine, mask = cv2.estimateAffine2D(
        source, target, method=method, ransacReprojThreshold=tolerance, maxIters=2000, confidence=0.999
    )
    if affine is None or not _plausible(affine[None, :, :2].astype(np.float32), anisotropy)[0]:
        return None
    errors = ((source @ affine[:, :2].T + affine[:, 2] - target) ** 2).sum(1).astype(np.float32)
    rows = _distinct(np.flatnonzero(mask), source, target, np.float32(tolerance), errors)
    return Proof(affine.astype(np.float32), rows) if len(rows) >= _LEAST else None


def whole(data: Dataset, settings: MatcherSettings, cache: FeatureCache, threads: int) -> None:
    queries = describe_photos(data.photos, settings, cache=cache, threads=threads)
    references = references_from(data.photos, settings, cache=cache, threads=threads, pictures=False)
    matcher = Matcher(references.found, settings)
    truth = np.array([photo.label for photo in data.photos])
    count = len(data)
    # What each photo's references say of each other photo, once; any fold and any labelling is a mean over parts of it.
    said = np.zeros((count, count))
    place = {photo.sha256: number for number, photo in enumerate(data.photos)}
    start = time.process_time()
    for row, query in enumerate(queries):
        for match in matcher.match(query, without={data.photos[row].sha256}).found:
            said[row, place[matcher.references[match.reference].photo]] = evidence(match.inliers)
    seconds = (time.process_time() - start) / max(count, 1)

    def accuracy(truth: np.ndarray, few: int | None = None, folds: int = 5) -> float:
        right = []
        for seed in range(5):
            rng = np.random.default_rng(seed)
            for held in grouped_folds(data, folds, seed):
                rest = np.setdiff1d(np.arange(count), held)
                scores = []
                for label in data.labels:
                    its = rest[truth[rest] == label]
                    its = its if few is None else rng.permutation(its)[:few]
                    scores.append(said[np.ix_(held, its)].mean(1) if len(its) else np.zeros(len(held)))
                best = np.array(data.labels)[np.argmax(scores, axis=0)]
                right += ((best == truth[held]) & (np.max(scores, axis=0) > 0)).tolist()
        return float(np.mean(right))

    print(f"\n{data.name}: {count} photos, {len(matcher.references)} references, {len(matcher.index):,} key points")
    table(
        ("5-fold cross-validation, 5 seeds", "top-1"),
        [
            ("all references", f"{accuracy(truth):.3f}"),
            ("three photos a label", f"{accuracy(truth, 3):.3f}"),
            (
                "labels permuted",
                f"{np.mean([accuracy(np.random.default_rng(s).permutation(truth)) for s in range(5)]):.3f}",
            ),
        ],
    )
    print(
        f"{1e3 * seconds:.0f} ms of processor time a photo to match, "
        f"{1e3 * described(data, settings):.0f} ms to find its key points"
    )
    silent = (said.max(1) == 0).sum()
    print(f"A photo that no reference speaks for counts as wrong: {silent} of {count} are like that.")
    verdict("top-1", accuracy(truth), 0.95)


def boxes(
    data: Dataset, settings: MatcherSettings, cache: FeatureCache, folds: list[int], peers: int, threads: int
) -> None:
    parts = grouped_folds(data, 5, 0)
    for number in folds:
        held = [data.photos[index] for index in parts[number]]
        rest = [data.photos[index] for index in np.setdiff1d(np.arange(len(data)), parts[number])]
        references = references_from(rest, settings, cache=cache, threads=threads, pictures=False)
        matcher = Matcher(references.found, settings, labels=data.labels)
        print(
            f"\n{data.name}, fold {number}: {len(held)} photos against {len(matcher.references):,} references with "
            f"{len(matcher.index):,} key points in {len(matcher.index.centres):,} lists"
        )
        queries = describe_photos(held, settings, cache=cache, threads=threads)
        start = time.process_time()
        answers = [matcher.match(query) for query in queries]
        seconds = (time.process_time() - start) / len(held)
        truth = [set(photo.labels) for photo in held]
        rows = [row(f"photos with a logo ({len(held)})", answers, truth)]
        free = logo_free(data, parts[number], settings)
        alarms = [matcher.match(query) for query, _ in free]
        rows.append(row(f"regions without a box ({len(free)})", alarms, [set()] * len(free)))
        table(("", "top-1", "answered", "rightly", "12 or more", "rightly "), rows)
        sure = [
            its.best.label in shown
            for its, (_, shown) in zip(alarms, free, strict=True)
            if its.best is not None and its.best.inliers >= CERTAIN
        ]
        print(
            f"Regions without a box answered with {CERTAIN} inliers or more: {len(sure)}, of which {sum(sure)} name a brand "
            "that the photo shows, so that the annotation lacks a box; the others are false alarms."
        )
        print(
            f"\n{1e3 * seconds:.0f} ms of processor time a photo to match, "
            f"{1e3 * described(data, settings):.0f} ms to find its key points"
        )
        compare(matcher, queries[:peers], answers[:peers])


def row(name: str, answers: list[Matches], truth: list[set[str]]) -> tuple[str, ...]:
    good = np.array(
        [its.best is not None and its.best.label in wanted for its, wanted in zip(answers, truth, strict=True)]
    )
    most = np.array([its.best.inliers if its.best else 0 for its in answers])

    def share(hits: np.ndarray) -> str:
        return f"{hits.mean():.3f}" if len(hits) else "-"

    sure = most >= CERTAIN
    return name, share(good), share(most > 0), share(good[most > 0]), share(sure), share(good[sure])


def logo_free(data: Dataset, indices: np.ndarray, settings: MatcherSettings) -> list[tuple[Keypoints, set[str]]]:
    """The key points of one region a photo that touches no box, and what the photo shows elsewhere."""
    found = []
    for index in indices:
        photo = data.photos[index]
        rng = np.random.default_rng(int(photo.sha256[:8], 16))
        edges = [(box.x1, box.y1, box.x2, box.y2) for box in photo.boxes]
        size = (photo.width, photo.height)
        for view in background_views(edges, size, rng, 1):
            if view.box is not None:
                x1, y1, x2, y2 = view.box
                region = (round(x1 * size[0]), round(y1 * size[1]), round(x2 * size[0]), round(y2 * size[1]))
                image = open_rgb(read_bytes(photo.path)).crop(region)
                found.append((describe(image, settings), set(photo.labels)))
    return found


def compare(matcher: Matcher, queries: list[Keypoints], answers: list[Matches]) -> None:
    """The inverted file beside comparing all: seconds, and how many of the proved inliers it keeps."""
    full = Matcher(matcher.references, dataclasses.replace(matcher.settings, exact=10**9), labels=matcher.labels)
    ratio, probes = matcher.settings.ratio, matcher.settings.probes
    took: dict[str, list[float]] = {"inverted file": [], "all compared": []}
    links = kept = proved = held = 0
    for query, answer in zip(queries, answers, strict=True):
        pairs = []
        for name, its in (("inverted file", matcher), ("all compared", full)):
            start = time.process_time()
            found = its.index.look_up([query.descriptors, query.descriptors], ratio, probes)[0]
            took[name].append(time.process_time() - start)
            pairs.append(set(zip(found.rows.tolist(), found.columns.tolist(), strict=True)))
        links, kept = links + len(pairs[1]), kept + len(pairs[0] & pairs[1])
        sought = {match.reference: match.inliers for match in full.match(query).found if match.inliers >= CERTAIN}
        got = {match.reference: match.inliers for match in answer.found}
        proved += sum(sought.values())
        held += sum(min(inliers, got.get(reference, 0)) for reference, inliers in sought.items())
    mean = {name: float(np.mean(seconds)) for name, seconds in took.items()}
    table(("look-up, both polarities", "ms a photo"), [(name, f"{1e3 * value:.0f}") for name, value in mean.items()])
    print(
        f"Of the links of comparing all the inverted file finds {kept / max(links, 1):.1%}, "
        f"of the proved inliers {held / max(proved, 1):.1%}."
    )
    verdict("inverted file, seconds a photo", mean["inverted file"], 0.1, least=False)
    verdict("inverted file to comparing all", mean["inverted file"] / mean["all compared"], 0.1, least=False)


def described(data: Dataset, settings: MatcherSettings, most: int = 12) -> float:
    """Processor seconds that finding a photo's key points takes, uncached."""
    images = [open_rgb(read_bytes(photo.path)) for photo in data.photos[:: max(1, len(data) // most)]]
    start = time.process_time()
    for image in images:
        describe(image, settings)
    return (time.process_time() - start) / max(len(images), 1)


if __name__ == "__main__":
    main()
