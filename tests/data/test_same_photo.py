"""Whether photos are one: by file, by picture in any of its eight ways, and by name."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageOps

from logolens.data import load, same_photos, split
from logolens.data.candidates import WAYS, candidates, laid
from logolens.data.checks.block_correlation import covers
from logolens.data.near_duplicates import near_links, thumbnails
from logolens.data.points import ROW, points
from logolens.data.same_name import same_names
from logolens.data.same_points import point_links
from logolens.errors import LeakError

HEX = "22e933c808ef6e53037c1ee143ea03e0"
OTHER_HEX = "e710dbb3fcc58a92a03f9e3494eff57f"


def thumbs_of(images: list[Image.Image]) -> tuple[np.ndarray, np.ndarray]:
    parts = [thumbnails(image.convert("RGB")) for image in images]
    return np.stack([part[0] for part in parts]), np.array([part[1:] for part in parts])


@pytest.mark.parametrize("turn", list(Image.Transpose))
def test_each_way_to_lay_a_picture_is_found(turn: Image.Transpose, draw_photo: Callable[..., Image.Image]) -> None:
    originals = [draw_photo(f"brand {seed}", seed, (200, 140)) for seed in range(10)]
    copies = [image.transpose(turn).resize((120, 150)) for image in originals]
    if turn in (Image.Transpose.ROTATE_180, Image.Transpose.FLIP_LEFT_RIGHT, Image.Transpose.FLIP_TOP_BOTTOM):
        copies = [image.resize((150, 110)) for image in copies]
    links = near_links(*thumbs_of(originals + copies))
    right = {(link.one, link.other) for link in links if link.other == link.one + 10}
    assert len(right) >= 9
    assert all(link.other == link.one + 10 for link in links)


def test_a_way_undoes_what_was_done() -> None:
    rng = np.random.default_rng(0)
    thumbs = rng.integers(0, 256, (1, 32, 32), dtype=np.uint8)
    made = [laid(thumbs, np.array([way]))[0] for way in range(len(WAYS))]
    assert len({each.tobytes() for each in made}) == 8
    for way in range(1, 8):
        i, j, ways = candidates(np.stack([made[way], thumbs[0]]))
        assert (i.tolist(), j.tolist()) == ([0], [1])
        assert np.array_equal(laid(thumbs, ways)[0], made[way])


def test_candidates_of_none_one_and_plain_pictures_are_none() -> None:
    for thumbs in (
        np.zeros((0, 32, 32), np.uint8),
        np.zeros((1, 32, 32), np.uint8),
        np.full((9, 32, 32), 77, np.uint8),
    ):
        assert [len(each) for each in candidates(thumbs)] == [0, 0, 0]
    assert same_photos([], []).groups == ()


def test_candidates_are_those_of_each_pair_by_itself() -> None:
    """Over several tiles; the closest of each picture are those that a plain product finds."""
    rng = np.random.default_rng(1)
    thumbs = rng.integers(0, 256, (2500, 32, 32), dtype=np.uint8)
    thumbs[2400] = thumbs[3]
    thumbs[2499] = laid(thumbs[600:601], np.array([5]))[0]
    i, j, ways = candidates(thumbs)
    found = set(zip(i.tolist(), j.tolist(), ways.tolist(), strict=True))
    assert (3, 2400, 0) in found
    assert any(pair[:2] == (600, 2499) for pair in found)
    assert (i < j).all()


def test_candidates_among_some_are_those_of_all_that_hold_one_of_them() -> None:
    rng = np.random.default_rng(2)
    thumbs = rng.integers(0, 256, (1500, 32, 32), dtype=np.uint8)
    for number in range(700, 720):
        thumbs[number + 700] = laid(thumbs[number : number + 1], np.array([number % 8]))[0]
    among = np.zeros(1500, bool)
    among[[701, 1402, 1405]] = True
    every, some = (set(zip(*(part.tolist() for part in candidates(thumbs, its)), strict=True)) for its in (None, among))
    assert {pair[:2] for pair in every} >= {(number, number + 700) for number in range(700, 720)}
    assert some == {pair for pair in every if among[pair[0]] or among[pair[1]]}
    assert {pair[:2] for pair in some} >= {(701, 1401), (702, 1402), (705, 1405)}
    assert [len(part) for part in candidates(thumbs, np.zeros(1500, bool))] == [0, 0, 0]


@pytest.mark.parametrize(
    ("names", "joined"),
    [
        ((f"shoe_jpg.rf.{HEX}.jpg", f"shoe_jpg.rf.{OTHER_HEX}.jpg"), False),  # Too short a word to be one photo's.
        ((f"shoe_17_jpg.rf.{HEX}.jpg", f"shoe_17_jpg.rf.{OTHER_HEX}.jpg"), True),
        ((f"shoe_17_jpg.rf.{HEX}.jpg", f"shoe_18_jpg.rf.{OTHER_HEX}.jpg"), False),
        (("aug_90_001.jpg", "aug_180_001.jpg"), True),
        (("aug_90_001.jpg", "aug_90_002.jpg"), False),
        (("001.jpg", "aug_270_001.jpg"), True),
        (("IMG_2041.jpg", "IMG_2041_rot180.jpg"), True),
        (("IMG_2041_flip.png", "IMG_2041-mirrored.jpg"), True),
        (("IMG_2041_crop_1.jpg", "IMG_2041_crop_2.jpg"), True),
        (("IMG_2041HFlip.jpg", "IMG_2041.jpg"), True),
        (("IMG_2041.jpg", "IMG_2041 (1).jpg"), True),
        (("IMG_2041.jpg", "IMG_2041 - Copy.jpg"), True),
        (("img_1.jpg", "img_2.jpg"), False),
        (("img_1_flip.jpg", "img_2_flip.jpg"), False),
        (("img_1.jpg", "img_1_flip.jpg"), True),
        (("2019 (1).jpg", "2019 (2).jpg"), False),
        (("download.jpg", "download (1).jpg"), False),
        (("images (3).jpg", "images (4).jpg"), False),
        ((f"download-1-_jpg.rf.{HEX}.jpg", f"download-2-_jpg.rf.{OTHER_HEX}.jpg"), False),
        (("acme_flip_1.jpg", "acme_flip_2.jpg"), False),  # The label, and nothing of a photo's own.
        (("flip_1.jpg", "flip_2.jpg"), False),
        (("rot90.jpg", "rot180.jpg"), False),
        (("dark_street_0412.jpg", "bright_street_0412.jpg"), False),
        (("0412.jpg", "0412.png"), False),
        (("train/0412_flip.jpg", "test/0412_flip.jpg"), False),  # Numbered anew in each folder.
        (("фото_2041.jpg", "фото_2041_flip.jpg"), True),
        (("cafe\u0301 2041.jpg", "caf\u00e9 2041_flip.jpg"), True),
    ],
)
def test_names_join_versions_of_one_photo_and_nothing_else(names: tuple[str, ...], joined: bool) -> None:
    fillers = [f"other_{number}00.jpg" for number in range(20)]
    labels = [("acme",)] * (len(names) + len(fillers))
    assert same_names([*names, *fillers], labels) == ([(0, 1)] if joined else [])
    assert same_names(names, [("acme",), ("bolt",)]) == []


def test_a_name_that_half_the_label_bears_joins_nothing() -> None:
    names = [f"shop2020_aug_{number}.jpg" for number in range(30)]
    assert same_names(names, [("acme",)] * 30) == []
    assert len(same_names(names[:5], [("acme",)] * 5)) == 4


def test_odd_names_do_no_harm() -> None:
    for name in (
        "",
        ".",
        "..",
        "/",
        "_",
        "()",
        "(1)",
        " - Copy",
        ".rf.",
        f".rf.{HEX}",
        "\udcff_flip.jpg",
        "٣٤٥_flip.jpg",
        "a" * 5000,
    ):
        assert same_names([name, "another.jpg"], [("acme",)] * 2) == []
    names = ["", "", "(1).jpg", "flip.jpg", "_flip_.jpg"]
    assert same_names(names, [("acme",)] * 5) == []
    assert same_names([], []) == []


def test_a_given_split_with_turned_and_named_versions_is_refused_with_the_evidence(
    tmp_path: Path, draw_photo: Callable[..., Image.Image]
) -> None:
    for label, number in itertools.product(("acme", "bolt"), range(4)):
        for part, seed in (("train", number), ("test", number + 50)):
            place = tmp_path / "set" / part / label / f"{label}{seed}.png"
            place.parent.mkdir(parents=True, exist_ok=True)
            draw_photo(label, seed, (160, 120)).save(place)
    assert split(load(tmp_path / "set")).notes == ()
    photo = draw_photo("acme", 1, (160, 120))
    photo.transpose(Image.Transpose.ROTATE_90).save(tmp_path / "set" / "test" / "acme" / "zz.png")
    with pytest.raises(
        LeakError, match=r"acme1\.png \(train\) and test/acme/zz\.png \(test\).*by picture, turned by 90"
    ):
        split(load(tmp_path / "set"))
    (tmp_path / "set" / "test" / "acme" / "zz.png").unlink()
    # What no thumbnail proves, its name tells.
    far = photo.crop((0, 0, 80, 60)).rotate(30)
    photo.save(tmp_path / "set" / "train" / "acme" / "IMG_2041.png")
    (tmp_path / "set" / "train" / "acme" / "acme1.png").unlink()
    far.save(tmp_path / "set" / "test" / "acme" / "IMG_2041_crop.png")
    data = load(tmp_path / "set")
    assert {note.kind for note in data.notes} >= {"named-copies"}
    with pytest.raises(LeakError, match="by name"):
        split(data)


def packs(name: str) -> Image.Image:
    """A pack of one layout and one warning, with a name on its lower third."""
    image = Image.new("RGB", (300, 400), "white")
    draw = ImageDraw.Draw(image)
    draw.rectangle((40, 20, 260, 380), fill="navy")
    draw.rectangle((50, 30, 250, 250), fill="black")
    for row in range(6):
        draw.rectangle((60, 40 + 34 * row, 240 - 20 * (row % 3), 58 + 34 * row), fill="white")
    draw.text((70, 280), name, fill="white", font_size=64)
    return image


def test_packs_of_one_layout_are_not_one_picture_and_a_turned_copy_is(tmp_path: Path) -> None:
    for name in ("WOLF", "ITIK"):
        packs(name).save(tmp_path / f"{name}.png")
    packs("WOLF").resize((220, 290)).transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(tmp_path / "again.jpg", quality=60)
    assert not covers(tmp_path / "WOLF.png", tmp_path / "ITIK.png")
    assert covers(tmp_path / "WOLF.png", tmp_path / "again.jpg")
    (tmp_path / "broken.png").write_bytes(b"no image")
    assert not covers(tmp_path / "WOLF.png", tmp_path / "broken.png")
    Image.new("RGB", (90, 90), "grey").save(tmp_path / "plain.png")
    assert not covers(tmp_path / "plain.png", tmp_path / "plain.png")


def _scene(seed: int) -> Image.Image:
    """A photo-like picture with detail everywhere."""
    rng = np.random.default_rng(seed)
    image = Image.fromarray(rng.integers(60, 200, (12, 16, 3), dtype=np.uint8)).resize(
        (480, 360), Image.Resampling.BICUBIC
    )
    pencil = ImageDraw.Draw(image)
    for _ in range(150):
        x, y, wide, high = (int(value) for value in rng.integers((0, 0, 8, 8), (470, 350, 60, 60)))
        (pencil.ellipse if rng.random() < 0.5 else pencil.rectangle)(
            (x, y, x + wide, y + high), fill=tuple(int(value) for value in rng.integers(0, 256, 3))
        )
    return image


def _holes(image: Image.Image) -> Image.Image:
    holes = image.copy()
    for corner in ((40, 40), (250, 100), (120, 230)):
        holes.paste((0, 0, 0), (*corner, corner[0] + 72, corner[1] + 72))
    return holes


def _noise(image: Image.Image) -> Image.Image:
    values = np.asarray(image, np.float64)
    return Image.fromarray(
        np.clip(values + np.random.default_rng(0).normal(0, 25, values.shape), 0, 255).astype(np.uint8)
    )


ALTERED: dict[str, Callable[[Image.Image], Image.Image]] = {
    "cropped": lambda image: image.crop((100, 20, 440, 290)),
    "cropped and mirrored": lambda image: ImageOps.mirror(image.crop((20, 80, 360, 340))),
    "cropped and tilted": lambda image: image.rotate(8).crop((70, 60, 420, 310)),
    "sheared": lambda image: image.transform(image.size, Image.Transform.AFFINE, (1, 0.2, -36, 0, 1, 0)),
    "noisy": _noise,
    "cut out": _holes,
}


@pytest.mark.parametrize("how", list(ALTERED))
def test_versions_of_a_photo_are_joined_by_matched_points_and_no_others(tmp_path: Path, how: str) -> None:
    for seed in range(8):
        folder = tmp_path / f"brand{seed % 2}"
        folder.mkdir(exist_ok=True)
        _scene(seed).save(folder / f"{seed}0.jpg", quality=90)
        ALTERED[how](_scene(seed)).save(folder / f"{chr(97 + seed)}.jpg", quality=75)
    dataset = load(tmp_path, remember=False)
    near: dict[int, list[str]] = {}
    for photo in dataset.photos:
        near.setdefault(photo.near, []).append(photo.path.stem)
    pairs = [names for names in near.values() if len(names) > 1]
    assert len(pairs) >= 7
    assert all(sorted(names) == [f"{ord(names[-1]) - 97}0", names[-1]] for names in map(sorted, pairs))
    if how in ("cropped", "cropped and mirrored"):
        assert any("by picture, matched points" in photo.evidence for photo in dataset.photos)


def test_two_photos_of_one_sign_are_two_photos(tmp_path: Path) -> None:
    sign = _scene(99).resize((200, 150))
    (tmp_path / "brand").mkdir()
    (tmp_path / "none").mkdir()
    for seed in range(4):
        photo = _scene(seed)
        photo.paste(sign.rotate(3 * seed), (40 + 50 * seed, 60 + 30 * seed))
        photo.save(tmp_path / "brand" / f"{seed}.jpg", quality=90)
        _scene(10 + seed).save(tmp_path / "none" / f"{seed}.jpg")
    assert len({photo.near for photo in load(tmp_path, remember=False).photos}) == 8


def test_points_of_plain_tiny_and_odd_pictures_prove_nothing(tmp_path: Path) -> None:
    odd = [Image.new("RGB", size, "white") for size in ((1, 1), (300, 1), (64, 64))]
    assert [points(image).shape for image in odd] == [(0, ROW)] * 3
    for one, other in itertools.product((points(odd[2]), points(_scene(0))), repeat=2):
        thumbs = [np.zeros((32, 32), np.uint8)] * 2
        assert point_links([one, other], thumbs, [1.0, 1.0], [0, 1], lambda _: None) == []
