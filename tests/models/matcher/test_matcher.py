"""Local features: found on any image, matched whatever the size, turn and polarity, proved, kept and read back."""

from __future__ import annotations

import dataclasses
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageOps

pytest.importorskip("cv2")
pytest.importorskip("safetensors")

from safetensors.numpy import load_file, save_file

from logolens.config import MatcherSettings, Preprocessing
from logolens.data import load
from logolens.errors import BundleError, ImageError, UsageError
from logolens.io.images import open_rgb
from logolens.io.views import Picture
from logolens.models.features import FeatureCache
from logolens.models.matcher import (
    Keypoints,
    Matcher,
    Reference,
    Remembered,
    describe,
    describe_photos,
    evidence,
    references_from,
)
from logolens.models.matcher.index import build_index
from logolens.models.matcher.keypoints import inverted, zoom_of
from logolens.models.matcher.serialization import load_matcher, save_matcher
from logolens.models.matcher.verify import verify

SMALL = MatcherSettings(long_side=400, box_side=300)


def artwork(seed: int, side: int = 200) -> Image.Image:
    """A drawing with corners enough to be known again."""
    rng = np.random.default_rng(seed)
    image = Image.new("RGB", (side, side), "white")
    pen = ImageDraw.Draw(image)
    for _ in range(14):
        x, y = (int(value) for value in rng.integers(10, side - 60, 2))
        w, h = (int(value) for value in rng.integers(12, 60, 2))
        fill = tuple(int(value) for value in rng.integers(0, 200, 3))
        (pen.rectangle if rng.random() < 0.6 else pen.ellipse)((x, y, x + w, y + h), fill=fill)
    return image


def scene(
    logo: Image.Image | None, seed: int, *, side: int = 120, turn: float = 0.0, at: tuple[int, int] = (60, 40)
) -> Image.Image:
    """A photo of noise at several scales, with the logo in it."""
    rng = np.random.default_rng([seed, 7])
    image = Image.fromarray(rng.integers(60, 200, (6, 8, 3), dtype=np.uint8)).resize(
        (320, 240), Image.Resampling.BICUBIC
    )
    fine = Image.fromarray(rng.integers(0, 256, (60, 80, 3), dtype=np.uint8)).resize(
        (320, 240), Image.Resampling.BICUBIC
    )
    image = Image.blend(image, fine, 0.2)
    if logo is not None:
        small = logo.resize((side, side), Image.Resampling.LANCZOS)
        mask = Image.new("L", small.size, 255)
        image.paste(small.rotate(turn, Image.Resampling.BICUBIC), at, mask.rotate(turn))
    return image


def reference(label: str, image: Image.Image, *, photo: str = "", boxed: bool = True, points: int = 150) -> Reference:
    edges = (0.0, 0.0, float(image.width), float(image.height))
    its = describe(image, SMALL, most=points, long_side=SMALL.box_side)
    return Reference(label, photo or f"photo of {label}", f"{label}.png", its, edges if boxed else None, edges)


@pytest.fixture(scope="module")
def matcher() -> Matcher:
    return Matcher([reference(f"logo{seed}", artwork(seed)) for seed in range(4)], SMALL)


# Describing


def test_descriptors_are_rootsift_in_bytes() -> None:
    its = describe(artwork(0), SMALL)
    assert len(its) > 50
    assert its.descriptors.dtype == np.uint8
    assert its.descriptors.shape == (len(its), 128)
    # RootSIFT has the Euclidean length 1, here 512.
    assert np.linalg.norm(its.descriptors.astype(float), axis=1) == pytest.approx(512, abs=8)
    assert (its.points >= 0).all()
    assert (its.points <= its.size).all()
    assert len(its.first(10)) == 10
    assert (its.first(10).points == describe(artwork(0), SMALL, most=10).points).all()


def test_the_same_image_gives_the_same_key_points() -> None:
    one, two = describe(artwork(1), SMALL), describe(artwork(1), SMALL)
    assert (one.descriptors == two.descriptors).all()
    assert (one.points == two.points).all()


def test_points_stand_in_pixels_of_the_image_whatever_the_zoom() -> None:
    image = Image.new("L", (100, 100), 255)
    ImageDraw.Draw(image).ellipse((55, 25, 65, 35), fill=0)
    its = describe(image.convert("RGB"))
    assert len(its)
    assert np.abs(its.points - (60.5, 30.5)).max(1).min() < 1.0


@pytest.mark.parametrize(
    "image",
    [
        Image.new("RGB", (10, 10), "red"),
        Image.new("RGB", (1, 1), "red"),
        Image.new("RGB", (500, 400), "white"),
        Image.new("RGBA", (200, 200), (0, 0, 0, 0)),
        Image.new("L", (200, 200), 127),
        Image.new("RGB", (20_000, 1)),
    ],
    ids=["10x10", "1x1", "one colour", "transparent", "grey", "line"],
)
def test_plain_images_have_no_key_points(image: Image.Image, matcher: Matcher) -> None:
    its = describe(image)
    assert len(its) == 0
    assert its.size == image.size
    matches = matcher.match(image)
    assert matches.best is None
    assert not matches.scores().any()


@pytest.mark.parametrize("size", [(10, 10), (13, 5), (20_000, 50), (50, 20_000), (3000, 2)])
def test_odd_sizes_are_described(size: tuple[int, int], matcher: Matcher) -> None:
    rng = np.random.default_rng(0)
    image = Image.fromarray(rng.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8))
    its = describe(image)
    assert len(its) <= MatcherSettings().query_points
    assert np.isfinite(its.points).all()
    assert matcher.match(its).best is None


def test_grey_palette_and_alpha_are_as_their_rgb() -> None:
    grey = artwork(2).convert("L")
    assert (describe(grey, SMALL).points == describe(grey.convert("RGB"), SMALL).points).all()
    clear = artwork(2).convert("RGBA")
    assert (describe(clear, SMALL).descriptors == describe(artwork(2), SMALL).descriptors).all()
    assert len(describe(artwork(2).quantize(16), SMALL))


def test_zoom_is_bounded() -> None:
    assert zoom_of((100, 80), 1000, 2.5) == 2.5
    assert zoom_of((500, 400), 1000, 2.5) == 2
    assert zoom_of((4000, 3000), 1000, 2.5) == 0.25
    width, height = 20_000, 50
    strip = zoom_of((width, height), 1000, 2.5)
    assert width * height * strip**2 <= 1000**2 * 1.001
    assert height * strip >= 49


def test_inverting_twice_changes_nothing_and_once_gives_the_negative() -> None:
    image = artwork(3)
    its = describe(image, SMALL)
    twice = inverted(inverted(its))
    assert (twice.descriptors == its.descriptors).all()
    negative = describe(ImageOps.invert(image.convert("L")).convert("RGB"), SMALL)
    guessed = inverted(its)
    # The same places, and there the descriptors that were foretold.
    apart = np.linalg.norm(negative.points[:, None] - guessed.points[None], axis=2)
    turned = np.cos(negative.angle[:, None] - guessed.angle[None])
    pairs = [(i, j) for i, j in np.argwhere(apart < 0.3) if turned[i, j] > 0.99]
    assert len(pairs) > 30
    away = [np.linalg.norm(negative.descriptors[i].astype(float) - guessed.descriptors[j]) for i, j in pairs]
    assert np.median(away) < 60


# Geometry


def points_on_a_motion(count: int, noise: int, *, affine: np.ndarray, seed: int = 0) -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(seed)
    source = rng.uniform(0, 200, (count + noise, 2)).astype(np.float32)
    target = (source @ affine[:, :2].T + affine[:, 2]).astype(np.float32)
    target[count:] = rng.uniform(0, 400, (noise, 2))
    scale = rng.uniform(2, 8, count + noise).astype(np.float32)
    size, turn = np.sqrt(abs(np.linalg.det(affine[:, :2]))), np.arctan2(affine[1, 0], affine[0, 0])
    angle = rng.uniform(0, 6, count + noise).astype(np.float32)
    target_scale, target_angle = scale * np.float32(size), angle + np.float32(turn)
    target_angle[count:] = rng.uniform(0, 6, noise)
    return source, scale, angle, target, target_scale, target_angle


def test_verification_finds_the_motion_among_noise() -> None:
    affine = np.array([[0.8, -0.5, 120.0], [0.6, 0.7, 30.0]])
    proof = verify(*points_on_a_motion(20, 60, affine=affine), tolerance=3.0, anisotropy=2.2)
    assert proof is not None
    # Two that lie as close as the tolerance count once.
    assert len(set(range(20)) & set(proof.rows.tolist())) >= 18
    assert len(proof.rows) <= 24
    assert proof.affine == pytest.approx(affine, abs=0.5)


@pytest.mark.parametrize(
    "affine",
    [np.array([[-1.0, 0, 200], [0, 1, 0]]), np.array([[3.0, 0, 0], [0, 0.5, 0]])],
    ids=["reflection", "stretched"],
)
def test_motions_that_no_print_undergoes_are_no_proof(affine: np.ndarray) -> None:
    proof = verify(*points_on_a_motion(20, 0, affine=affine), tolerance=3.0, anisotropy=2.2)
    assert proof is None or len(proof.rows) < 6


def test_chance_proves_little() -> None:
    most = 0
    for seed in range(10):
        proof = verify(*points_on_a_motion(0, 40, affine=np.eye(2, 3), seed=seed), tolerance=5.0, anisotropy=2.2)
        most = max(most, len(proof.rows) if proof else 0)
    assert most < 8


def test_points_on_top_of_each_other_count_once() -> None:
    source, scale, angle, target, target_scale, target_angle = points_on_a_motion(5, 0, affine=np.eye(2, 3))
    repeated = [np.repeat(values, 6, axis=0) for values in (source, scale, angle, target, target_scale, target_angle)]
    proof = verify(*repeated, tolerance=3.0, anisotropy=2.2)
    assert proof is not None
    assert len(proof.rows) == 5


@pytest.mark.parametrize("count", [0, 1, 2])
def test_too_few_matches_prove_nothing(count: int) -> None:
    assert verify(*points_on_a_motion(count, 0, affine=np.eye(2, 3)), tolerance=3.0, anisotropy=2.2) is None


def test_one_place_alone_proves_nothing() -> None:
    same = np.full((9, 2), 5.0, np.float32)
    ones = np.ones(9, np.float32)
    assert verify(same, ones, ones, same, ones, ones, tolerance=3.0, anisotropy=2.2) is None


# Looking up


def random_descriptors(count: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    centres = rng.gamma(0.5, 1.0, (60, 128))
    raw = centres[rng.integers(0, 60, count)] * rng.gamma(2.0, 0.5, (count, 128))
    return np.rint(np.sqrt(raw / raw.sum(1, keepdims=True)) * 512).clip(0, 255).astype(np.uint8)


def test_all_compared_is_the_plain_ratio_test() -> None:
    stored, query = random_descriptors(300, 0), random_descriptors(40, 1)
    query[:10] = np.clip(stored[:10].astype(int) + np.random.default_rng(2).integers(-3, 4, (10, 128)), 0, 255)
    links = build_index(stored, exact=10_000).look_up([query], 0.8, 8)[0]
    apart = np.linalg.norm(stored[:, None].astype(float) - query[None], axis=2)
    ranked = np.sort(apart, axis=1)
    expected = np.flatnonzero((ranked[:, 0] < 0.8 * ranked[:, 1]) & (ranked[:, 0] < 0.8 * 512 * np.sqrt(0.55)))
    assert links.rows.tolist() == expected.tolist()
    assert links.columns.tolist() == apart[expected].argmin(1).tolist()
    assert {(row, row) for row in range(10)} <= set(zip(links.rows.tolist(), links.columns.tolist(), strict=True))


def test_the_inverted_file_finds_nearly_what_comparing_all_finds() -> None:
    stored, query = random_descriptors(6000, 0), random_descriptors(200, 1)
    query[:100] = np.clip(stored[:100].astype(int) + np.random.default_rng(2).integers(-9, 10, (100, 128)), 0, 255)
    found = []
    for exact in (10_000, 100):
        links = build_index(stored, exact).look_up([query], 0.7, 4)[0]
        found.append({(row, column) for row, column in zip(links.rows, links.columns, strict=True) if row < 100})
    assert len(found[0]) > 80
    assert len(found[0] & found[1]) >= 0.95 * len(found[0])


def test_the_inverted_file_holds_each_descriptor_once() -> None:
    stored = random_descriptors(3000, 0)
    stored[1000:] = stored[0]  # Many that are the same leave lists empty.
    index = build_index(stored, 100)
    assert np.sort(index.order).tolist() == list(range(3000))
    assert index.ends[0] == 0
    assert index.ends[-1] == 3000
    assert (build_index(stored, 100).order == index.order).all()


def test_looking_up_without_anything_to_find() -> None:
    nothing = np.zeros((0, 128), np.uint8)
    assert len(build_index(nothing, 10).look_up([random_descriptors(5, 0)], 0.8, 4)[0].rows) == 0
    index = build_index(random_descriptors(50, 0), 10)
    assert len(index.look_up([nothing], 0.8, 4)[0].rows) == 0
    assert len(index.look_up([random_descriptors(1, 3)], 0.8, 4)[0].rows) == 0


@pytest.mark.parametrize("exact", [10_000, 100])
def test_equal_descriptors_are_the_surest_links_however_often_they_stand_there(exact: int) -> None:
    """What is equal is equal by decision: rounding once made some of these 0 divided by 0, and others half sure."""
    stored = random_descriptors(3000, 0)
    query = np.concatenate([stored[:300], stored[:300], random_descriptors(500, 1)])
    query[600:700] = stored[:100]
    query[np.arange(600, 700), stored[:100].argmax(1)] -= 1  # The least difference there is: another key point.
    with np.errstate(all="raise"):
        links = build_index(stored, exact).look_up([query], 0.7, 60)[0]
    of_equal = links.rows < 300
    rows = links.rows[of_equal]
    assert np.isfinite(links.ratio).all()
    assert set(rows.tolist()) == set(range(300))
    assert (links.ratio[of_equal] == 0).all()
    assert (stored[rows] == query[links.columns[of_equal]]).all()
    assert (links.columns[of_equal] < 300).all(), "the first of equal key points is taken"


def test_descriptors_of_zeros_look_like_nothing() -> None:
    stored, query = random_descriptors(60, 0), random_descriptors(20, 1)
    stored[:5] = 0
    query[:5] = 0
    with np.errstate(all="raise"):
        links = build_index(stored, 10_000).look_up([query], 0.8, 4)[0]
    assert not set(links.rows.tolist()) & set(range(5))
    assert not set(links.columns.tolist()) & set(range(5))


# Matching


@pytest.mark.parametrize("turn", [0.0, 25.0, 160.0])
@pytest.mark.parametrize("side", [90, 150])
def test_a_logo_is_found_turned_and_resized(matcher: Matcher, turn: float, side: int) -> None:
    matches = matcher.match(scene(artwork(2), 5, side=side, turn=turn))
    best = matches.best
    assert best is not None
    assert best.label == "logo2"
    assert best.inliers >= 12
    assert matches.labels[int(matches.scores().argmax())] == "logo2"
    assert len(best.source) == len(best.target) == best.inliers
    moved = best.source @ best.affine[:, :2].T + best.affine[:, 2]
    assert np.abs(moved - best.target).max() < 10


def test_the_box_is_where_the_logo_is(matcher: Matcher) -> None:
    best = matcher.match(scene(artwork(1), 6, side=120, at=(150, 70))).best
    assert best is not None
    assert best.box == pytest.approx((150, 70, 270, 190), abs=5)
    assert not best.negative


def test_a_negative_is_found_when_it_is_sought(matcher: Matcher) -> None:
    photo = scene(ImageOps.invert(artwork(3)), 6)
    best = matcher.match(photo).best
    assert best is not None
    assert (best.label, best.negative) == ("logo3", True)
    assert best.inliers >= 12
    plain = Matcher(matcher.references, dataclasses.replace(SMALL, inverted=False)).match(photo).best
    assert plain is None or plain.inliers < 8


def test_no_logo_no_evidence(matcher: Matcher) -> None:
    for seed in range(5):
        assert matcher.match(scene(None, seed)).inliers().max() < 8
    assert matcher.match(scene(artwork(99), 3)).inliers().max() < 12


def test_scores_of_whole_photos_are_means_and_of_boxes_the_best() -> None:
    shown = [("a", 0), ("a", 50), ("b", 1)]
    photo = scene(artwork(0), 4)
    whole = Matcher([reference(label, artwork(seed), boxed=False) for label, seed in shown], SMALL)
    assert whole.pooling == "mean"
    matches = whole.match(photo)
    assert matches.best is not None
    assert matches.counts.tolist() == [2, 1]
    assert matches.scores()[0] == pytest.approx(
        evidence([match.inliers for match in matches.found if match.label == "a"]).sum() / 2
    )
    boxes = Matcher([reference(label, artwork(seed)) for label, seed in shown], dataclasses.replace(SMALL, top=1))
    assert boxes.pooling == "top"
    assert boxes.match(photo).scores()[0] == pytest.approx(float(evidence(matches.best.inliers)))
    assert evidence([0, 3, 4]).tolist() == pytest.approx([0, 0, np.log(2)])


def test_left_out_photos_do_not_count(matcher: Matcher) -> None:
    photo = describe(scene(artwork(2), 5), SMALL)
    without = matcher.match(photo, without={"photo of logo2"})
    assert without.counts.tolist() == [1, 1, 0, 1]
    assert without.scores()[2] == 0
    assert without.inliers()[2] == 0
    assert matcher.match(photo).scores()[2] > 1


def test_without_references_nothing_is_found() -> None:
    empty = Matcher([], SMALL, labels=["a", "b"])
    matches = empty.match(artwork(0))
    assert matches.scores().tolist() == [0, 0]
    assert matches.best is None


def test_a_large_matcher_answers_as_one_that_compares_all() -> None:
    references = [reference(f"logo{seed}", artwork(seed), points=100) for seed in range(24)]
    plain = Matcher(references, SMALL)
    indexed = Matcher(references, dataclasses.replace(SMALL, exact=100))
    assert not len(plain.index.centres)
    assert len(indexed.index.centres)
    for seed in (3, 11, 17):
        photo = describe(scene(artwork(seed), seed), SMALL)
        one, two = plain.match(photo).best, indexed.match(photo).best
        assert one is not None
        assert two is not None
        assert one.label == two.label == f"logo{seed}"
        assert two.inliers >= 0.8 * one.inliers


# References


def write_boxes(folder: Path) -> Path:
    """Two labels with boxes in a table, and one photo without a box."""
    rows = ["path,label,x1,y1,x2,y2"]
    for number in range(3):
        for label, seed in (("a", 0), ("b", 1)):
            name = f"{label}{number}.png"
            scene(artwork(seed), 10 * seed + number, side=120).save(folder / name)
            rows.append(f"{name},{label},60,40,180,160")
    scene(artwork(0), 30).save(folder / "whole.png")
    rows.append("whole.png,a,,,,")
    Image.new("RGB", (100, 100), "white").save(folder / "plain.png")
    rows.append("plain.png,c,,,,")
    scene(None, 31).save(folder / "nothing.png")
    rows.append("nothing.png,none,,,,")
    (folder / "photos.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return folder / "photos.csv"


def test_references_are_boxes_where_known_and_whole_photos_otherwise(tmp_path: Path) -> None:
    data = load(write_boxes(tmp_path))
    its = references_from(data.photos, SMALL)
    assert [(one.label, one.name, one.box is None) for one in its.found] == [
        ("a", "a0.png", False),
        ("a", "a1.png", False),
        ("a", "a2.png", False),
        ("a", "whole.png", True),
        ("b", "b0.png", False),
        ("b", "b1.png", False),
        ("b", "b2.png", False),
    ]
    boxed = its.found[0]
    assert boxed.box == (60, 40, 180, 160)
    assert boxed.size == (132, 132)
    assert boxed.outline == (6, 6, 126, 126)
    with Image.open(io.BytesIO(boxed.picture)) as picture:
        assert picture.size == (132, 132)
    notes = {note.kind: note for note in its.notes}
    assert notes["plain-references"].examples == ("plain.png",)
    assert notes["no-references"].examples == ("c",)
    best = Matcher(its.found, SMALL).match(scene(artwork(1), 77, side=100, at=(30, 90))).best
    assert best is not None
    assert best.label == "b"
    assert best.box == pytest.approx((30, 90, 130, 190), abs=6)


def test_a_label_with_a_single_reference_is_noted_and_found(tmp_path: Path) -> None:
    for label, seed in (("a", 0), ("b", 1)):
        (tmp_path / label).mkdir()
        scene(artwork(seed), seed).save(tmp_path / label / "one.png")
    its = references_from(load(tmp_path).photos, SMALL, pictures=False)
    assert [note.examples for note in its.notes if note.kind == "single-references"] == [("a", "b")]
    assert its.found[0].picture == b""
    matches = Matcher(its.found, SMALL).match(scene(artwork(1), 9))
    assert matches.labels[int(matches.scores().argmax())] == "b"


def test_references_are_capped_for_coverage(tmp_path: Path) -> None:
    rows = ["path,label,x1,y1,x2,y2"]
    for number in range(3):
        photo = scene(artwork(0), number, side=110, at=(10, 10))
        photo.paste(artwork(0).resize((90, 90)), (180, 120))
        photo.save(tmp_path / f"{number}.png")
        rows += [f"{number}.png,a,10,10,120,120", f"{number}.png,a,180,120,270,210"]
    scene(None, 9).save(tmp_path / "nothing.png")
    rows.append("nothing.png,none,,,,")
    (tmp_path / "photos.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    its = references_from(load(tmp_path / "photos.csv").photos, dataclasses.replace(SMALL, per_label=4))
    chosen = [(one.name, one.box) for one in its.found]
    assert len(chosen) == 4
    # The larger box of each photo comes before the second of any.
    assert {name for name, box in chosen if box == (10, 10, 120, 120)} == {"0.png", "1.png", "2.png"}
    assert [note.kind for note in its.notes] == ["capped-references"]
    assert its.notes[0].examples == ("a: 4 of 6",)


def test_key_points_are_kept_between_runs(tmp_path: Path) -> None:
    data = load(write_boxes(tmp_path))
    with FeatureCache(tmp_path / "cache" / "features.sqlite") as cache:
        first = references_from(data.photos, SMALL, cache=cache, pictures=False)
        queries = describe_photos(data.photos, SMALL, cache=cache)
        for photo in data.photos:
            photo.path.unlink()
        again = references_from(data.photos, SMALL, cache=cache, pictures=False)
        for one, two in zip(first.found, again.found, strict=True):
            assert (one.label, one.box, one.size) == (two.label, two.box, two.size)
            assert (one.keypoints.descriptors == two.keypoints.descriptors).all()
            assert (one.keypoints.points == two.keypoints.points).all()
            assert (one.keypoints.angle == two.keypoints.angle).all()
        for query, recalled in zip(queries, describe_photos(data.photos, SMALL, cache=cache), strict=True):
            assert (query.descriptors == recalled.descriptors).all()
        with pytest.raises(ImageError, match="no such file"):
            describe_photos(data.photos, dataclasses.replace(SMALL, long_side=300), cache=cache)


def test_a_photo_that_changed_is_refused(tmp_path: Path) -> None:
    data = load(write_boxes(tmp_path))
    scene(None, 55).save(data.photos[0].path)
    with pytest.raises(ImageError, match=r"a0\.png.*changed"):
        references_from(data.photos, SMALL)


def test_threads_and_progress(tmp_path: Path) -> None:
    data = load(write_boxes(tmp_path))
    seen: list[tuple[int, int]] = []
    two = describe_photos(data.photos, SMALL, threads=2, progress=lambda *done: seen.append(done))
    one = describe_photos(data.photos, SMALL)
    assert all((a.descriptors == b.descriptors).all() for a, b in zip(one, two, strict=True))
    assert seen[-1] == (len(data), len(data))


# Keeping


@pytest.fixture
def kept(tmp_path: Path) -> tuple[Matcher, Path]:
    data = load(write_boxes(tmp_path))
    matcher = Matcher(
        references_from(data.photos, SMALL).found, dataclasses.replace(SMALL, exact=100), labels=["a", "b", "c"]
    )
    path = tmp_path / "matcher.safetensors"
    save_matcher(matcher, path)
    return matcher, path


def test_a_matcher_comes_back_as_it_was(kept: tuple[Matcher, Path]) -> None:
    matcher, path = kept
    again = load_matcher(path)
    assert again.settings == matcher.settings
    nothing = Keypoints.none((1, 1))
    assert again.labels == ("a", "b", "c")
    assert [dataclasses.replace(one, keypoints=nothing) for one in again.references] == [
        dataclasses.replace(one, keypoints=nothing) for one in matcher.references
    ]
    photo = scene(artwork(1), 9)
    one, two = matcher.match(photo), again.match(photo)
    assert one.scores().tolist() == two.scores().tolist()
    assert one.best is not None
    assert two.best is not None
    assert one.best.box == two.best.box
    save_matcher(matcher, path)
    assert [file.name for file in path.parent.iterdir() if file.name.startswith(".")] == []


def test_an_empty_matcher_is_kept(tmp_path: Path) -> None:
    save_matcher(Matcher([], SMALL, labels=["a"]), tmp_path / "m.safetensors")
    assert load_matcher(tmp_path / "m.safetensors").match(artwork(0)).scores().tolist() == [0]


Change = Callable[[dict[str, Any], dict[str, Any]], None]


def _set(name: str, position: Any, value: float) -> Change:
    def change(tensors: dict[str, Any], _: dict[str, Any]) -> None:
        tensors[name] = tensors[name].copy()
        tensors[name][position] = value

    return change


def _fact(name: str, value: Any) -> Change:
    return lambda _, facts: facts.__setitem__(name, value)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (_fact("format", 2), "upgrade logolens"),
        (_fact("labels", ["a", "a", "c"]), "named twice"),
        (_fact("labels", ["a"]), "a label that is not named"),
        (_fact("labels", [1, 2, 3]), "not texts"),
        (_fact("photos", []), "differ in number"),
        (_fact("settings", {"ratio": 7}), "ratio"),
        (_fact("settings", None), "no readable matcher"),
        (_set("points", 0, np.nan), "no numbers"),
        (_set("scale", 0, 0.0), "no size"),
        (_set("counts", 0, -5), "do not add up"),
        (_set("labels", 0, 9), "a label that is not named"),
        (_set("labels", 0, -1), "a label that is not named"),
        (_set("sizes", 0, 0), "has no size"),
        (_set("order", 0, 99_999), "lists do not add up"),
        (_set("ends", -1, 3), "lists do not add up"),
        (_set("picture_sizes", 0, 1 << 40), "pictures do not add up"),
        (lambda tensors, _: tensors.pop("angle"), "angle"),
        (lambda tensors, _: tensors.__setitem__("angle", tensors["angle"][:-1]), "angle is of shape"),
        (lambda tensors, _: tensors.__setitem__("descriptors", tensors["descriptors"].astype(np.int16)), "int16"),
        (lambda tensors, _: tensors.__setitem__("more", tensors["angle"]), "more"),
    ],
)
def test_a_matcher_that_contradicts_itself_is_refused(
    kept: tuple[Matcher, Path], change: Change, complaint: str
) -> None:
    _, path = kept
    from safetensors import safe_open

    with safe_open(path, framework="numpy") as file:
        facts = json.loads(file.metadata()["matcher"])
    tensors = load_file(path)
    change(tensors, facts)
    save_file(tensors, path, {"matcher": json.dumps(facts)})
    with pytest.raises(BundleError, match=complaint) as caught:
        load_matcher(path)
    assert str(path) in str(caught.value)


def test_files_that_are_no_matcher_are_refused(kept: tuple[Matcher, Path], tmp_path: Path) -> None:
    _, path = kept
    for name, data in {
        "empty": b"",
        "text": b"hello, this is a text and no matcher",
        "cut": path.read_bytes()[:-100],
        "huge": (1 << 60).to_bytes(8, "little") + b"{}",
    }.items():
        (tmp_path / name).write_bytes(data)
        with pytest.raises(BundleError, match="no readable matcher"):
            load_matcher(tmp_path / name)
    save_file({"angle": np.zeros(3, np.float32)}, tmp_path / "other.safetensors")
    with pytest.raises(BundleError, match="no readable matcher"):
        load_matcher(tmp_path / "other.safetensors")
    with pytest.raises(BundleError, match="no such file"):
        load_matcher(tmp_path / "missing.safetensors")


def test_a_place_that_cannot_be_written_is_said(kept: tuple[Matcher, Path], tmp_path: Path) -> None:
    matcher, _ = kept
    with pytest.raises(UsageError, match="cannot be written"):
        save_matcher(matcher, tmp_path / "no" / "such" / "folder.safetensors")


@pytest.mark.parametrize("wrong", [{"ratio": 1.5}, {"verified": 0}, {"upscale": 0.5}, {"top": 0}])
def test_settings_are_held_against_their_bounds(wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        MatcherSettings(**wrong)


# Real photos


def test_an_old_logo_is_told_from_a_new_one(shared_data: Path) -> None:
    folder = shared_data / "oldnew"
    chosen = {label: sorted((folder / label).iterdir())[::7] for label in ("old", "new")}
    settings = MatcherSettings(long_side=600)
    taken, right = [], 0
    for label, files in chosen.items():
        for file in files:
            its = describe(open_rgb(file.read_bytes()), settings)
            edges = (0.0, 0.0, float(its.size[0]), float(its.size[1]))
            taken.append((its, Reference(label, file.name, file.name, its.first(500), None, edges)))
    matcher = Matcher([its for _, its in taken if len(its.keypoints) >= 4], settings)
    for its, own in taken:
        scores = matcher.match(its, without={own.photo}).scores()
        right += matcher.labels[int(scores.argmax())] == own.label and scores.max() > 0
    assert right >= len(taken) - 2


def test_key_points_of_a_photo_that_comes_again_are_known_by_its_pixels(tmp_path: Path, matcher: Matcher) -> None:
    path = tmp_path / "features.sqlite"
    image = scene(artwork(1), 3)
    plain = matcher.match(image)
    with FeatureCache(path) as cache:
        again = Matcher(matcher.references, matcher.settings, labels=matcher.labels, recall=Remembered(cache))
        picture = Picture.of(image, Preprocessing())
        first = again.sight(picture)
        assert cache.state().features == 1
        second = again.sight(Picture.of(image.copy(), Preprocessing()))
        assert cache.state().features == 1
        for name in ("points", "scale", "angle", "descriptors"):
            assert np.array_equal(getattr(first, name), getattr(second, name))
        assert again.match(second).scores() == pytest.approx(plain.scores())
        # One pixel differs, or what is sought: it is another image.
        other = image.copy()
        other.putpixel((5, 5), (255, 0, 255))
        again.sight(Picture.of(other, Preprocessing()))
        assert cache.state().features == 2
        few = dataclasses.replace(matcher.settings, query_points=50)
        assert len(Matcher(matcher.references, few, recall=Remembered(cache)).sight(picture)) == 50
    with FeatureCache(path) as cache:
        # A value that was cut short is sought anew.
        cache.put([(key, np.zeros(7, np.float32)) for (key,) in cache._db.execute("SELECT key FROM features")])
        again = Matcher(matcher.references, matcher.settings, labels=matcher.labels, recall=Remembered(cache))
        assert np.array_equal(again.sight(picture).descriptors, first.descriptors)


def test_a_cache_that_cannot_be_opened_is_no_reason_to_find_nothing(
    tmp_path: Path, matcher: Matcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("LOGOLENS_CACHE", str(tmp_path / "file"))
    picture = Picture.of(scene(artwork(1), 3), Preprocessing())
    again = Matcher(matcher.references, matcher.settings, labels=matcher.labels, recall=Remembered())
    assert np.array_equal(again.sight(picture).descriptors, matcher.sight(picture).descriptors)
