"""Parts and folds that share no picture."""

from __future__ import annotations

import hashlib
import random
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from logolens.config import SplitSettings
from logolens.data import Dataset, Photo, Region, Split, check_leaks, grouped_folds, load, photo_groups, split
from logolens.errors import DataError, LeakError, UsageError

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"


def photo(
    number: int, label: str, *, near: int | None = None, group: str | None = None, part: str | None = None
) -> Photo:
    digest = hashlib.sha256(str(number).encode()).hexdigest()
    name = f"{label}/{number:05}.jpg"
    return Photo(Path(name), name, (Region(label),), part, group, digest, 100, 80, number if near is None else near)


def many(counts: dict[str, int]) -> Dataset:
    photos = [(label, index) for label, count in counts.items() for index in range(count)]
    return Dataset.of("d", [photo(number, label) for number, (label, _) in enumerate(photos)])


def labels_of(dataset: Dataset, indices: object) -> Counter[str]:
    return Counter(dataset.photos[int(index)].label for index in indices)  # type: ignore[attr-defined]


def contents(dataset: Dataset, indices: tuple[int, ...]) -> set[str]:
    return {dataset.photos[index].sha256 for index in indices}


def test_shares_hold_for_each_label() -> None:
    dataset = many({"a": 100, "b": 40, "none": 20})
    parts = split(dataset)
    assert labels_of(dataset, parts.test) == {"a": 15, "b": 6, "none": 3}
    assert labels_of(dataset, parts.val) == {"a": 15, "b": 6, "none": 3}
    assert sorted(parts.train + parts.val + parts.test) == list(range(160))
    assert parts.notes == ()


def test_names_and_order_do_not_matter_but_the_seed_does() -> None:
    dataset = many({"a": 50, "b": 50})
    moved = Dataset.of(
        "e", [replace(item, name=f"{random.Random(item.name).random()}") for item in dataset.photos[::-1]]
    )
    first, second = split(dataset), split(moved)
    assert [item.sha256 for item in dataset.photos] != [item.sha256 for item in moved.photos]
    for part in ("train", "val", "test"):
        assert contents(dataset, first.by_name()[part]) == contents(moved, second.by_name()[part])
    assert split(dataset, SplitSettings(seed=1)).test != first.test
    folds = [{dataset.photos[index].sha256 for index in fold} for fold in grouped_folds(dataset, 5)]
    assert folds == [{moved.photos[index].sha256 for index in fold} for fold in grouped_folds(moved, 5)]


def test_other_labels_do_not_change_where_a_photo_goes() -> None:
    small = many({"a": 60})
    large = many({"a": 60, "b": 33})
    assert contents(small, split(small).test) <= contents(large, split(large).test)


@pytest.mark.parametrize("count", [3, 4, 5, 7])
def test_small_labels_are_in_every_part(count: int) -> None:
    dataset = many({"a": count, "b": 200})
    parts = split(dataset)
    assert all(labels_of(dataset, indices)["a"] >= 1 for indices in parts.by_name().values())


@pytest.mark.parametrize("count", [1, 2])
def test_very_small_labels_are_for_training_and_it_is_said(count: int) -> None:
    dataset = many({"a": count, "b": 50})
    parts = split(dataset)
    assert labels_of(dataset, parts.train)["a"] == count
    assert {note.kind for note in parts.notes} == {"absent-val", "absent-test"}


def test_a_share_of_none() -> None:
    parts = split(many({"a": 20, "b": 20}), SplitSettings(val=0.2, test=0.0))
    assert (len(parts.train), len(parts.val), len(parts.test)) == (32, 8, 0)


def random_groups(seed: int) -> Dataset:
    rng = random.Random(seed)
    photos = []
    for number in range(150):
        near = rng.choice([number, number, rng.randrange(150)])
        group = rng.choice([None, None, None, f"g{rng.randrange(15)}"])
        photos.append(photo(number, rng.choice("aaabbc"), near=near, group=group))
    return Dataset.of("d", photos)


@pytest.mark.parametrize("seed", range(10))
def test_groups_stay_together_whatever_they_are(seed: int) -> None:
    dataset = random_groups(seed)
    groups = photo_groups(dataset)
    parts = split(dataset, SplitSettings(seed=seed))
    held = [{groups[index] for index in indices} for indices in parts.by_name().values()]
    assert sum(map(len, held)) == len(set().union(*held))
    assert set(labels_of(dataset, parts.train)) == {"a", "b", "c"}
    assert sorted(parts.train + parts.val + parts.test) == list(range(150))
    assert check_leaks(dataset, parts) == ()
    folds = grouped_folds(dataset, 4, seed)
    assert sorted(np.concatenate(folds).tolist()) == list(range(150))
    assert check_leaks(dataset, {str(number): fold for number, fold in enumerate(folds)}) == ()


def test_a_large_group_does_not_fill_the_test() -> None:
    photos = [photo(number, "a", near=0 if number < 40 else number) for number in range(60)]
    parts = split(Dataset.of("d", photos), SplitSettings(val=0.1, test=0.1))
    assert len(parts.test) == len(parts.val) == 6


def test_a_label_that_hides_in_others_groups_is_trained_on() -> None:
    photos = [photo(number, "a") for number in range(60)]
    for number in range(5):
        photos[number] = photo(number, "rare", near=10 + number)
    for number in range(5):
        photos.append(photo(100 + number, "a", near=10 + number))
    dataset = Dataset.of("d", photos)
    for seed in range(20):
        assert labels_of(dataset, split(dataset, SplitSettings(seed=seed)).train)["rare"] >= 1


def test_given_parts_are_kept() -> None:
    photos = [photo(number, "ab"[number % 2], part=("train", "val", "test")[number % 3]) for number in range(30)]
    dataset = Dataset.of("d", photos)
    for name, indices in split(dataset).by_name().items():
        assert {dataset.photos[index].split for index in indices} == {name}


def test_missing_parts_are_taken_from_training() -> None:
    photos = [photo(number, "ab"[number % 2], part="test" if number < 20 else "train") for number in range(100)]
    dataset = Dataset.of("d", photos)
    parts = split(dataset)
    assert contents(dataset, parts.test) == {item.sha256 for item in photos[:20]}
    assert len(parts.val) == 12
    everything = Dataset.of("d", [replace(item, split="train") for item in photos])
    assert [len(indices) for indices in split(everything).by_name().values()] == [68, 16, 16]


def test_a_photo_without_a_part_follows_its_near_copy() -> None:
    photos = [photo(number, "ab"[number % 2]) for number in range(40)]
    photos[0] = photo(0, "a", near=0, part="test")
    photos[2] = photo(2, "a", near=0)
    dataset = Dataset.of("d", photos)
    assert contents(dataset, split(dataset).test) == {photos[0].sha256, photos[2].sha256}


def leaking() -> Dataset:
    photos = [photo(number, "ab"[number % 2], part="train" if number < 20 else "test") for number in range(40)]
    photos[20] = replace(photos[20], sha256=photos[0].sha256)
    photos[22] = replace(photos[22], near=photos[2].near)
    photos[24], photos[4] = replace(photos[24], group="shop 7"), replace(photos[4], group="shop 7")
    return Dataset.of("pets", photos)


def test_a_leak_is_refused_and_its_pairs_are_named() -> None:
    with pytest.raises(LeakError) as caught:
        split(leaking())
    text = str(caught.value)
    assert "3 pairs" in text
    assert "a/00000.jpg (train) and a/00020.jpg (test): the same file" in text
    assert "a/00002.jpg (train) and a/00022.jpg (test): near copies" in text
    assert "a/00004.jpg (train) and a/00024.jpg (test): the same group shop 7" in text


def test_a_leak_can_be_allowed_and_is_noted() -> None:
    dataset = leaking()
    parts = split(dataset, allow_leaks=True)
    (note,) = (note for note in parts.notes if note.kind == "leaks")
    assert note.count == 3
    assert len(parts.test) == 20


def test_parts_made_by_hand_are_checked() -> None:
    dataset = many({"a": 4})
    with pytest.raises(LeakError, match="1 pair of"):
        check_leaks(dataset, {"train": [0, 1], "test": np.array([1, 2])})
    assert check_leaks(dataset, Split((0, 1), (2,), (3,))) == ()


def test_nothing_left_to_train_on() -> None:
    with pytest.raises(DataError, match="nothing to train on"):
        split(Dataset.of("d", [photo(number, "a", part="test") for number in range(5)]))


def test_folds_are_even() -> None:
    dataset = many({"a": 50, "b": 13, "none": 10})
    folds = grouped_folds(dataset, 5)
    assert all(labels_of(dataset, fold)["a"] == 10 for fold in folds)
    assert all(2 <= labels_of(dataset, fold)["b"] <= 3 for fold in folds)
    assert max(map(len, folds)) - min(map(len, folds)) <= 1
    assert not np.array_equal(folds[0], grouped_folds(dataset, 5, seed=1)[0])


@pytest.mark.parametrize("k", [0, 1, 5])
def test_folds_that_cannot_be(k: int) -> None:
    with pytest.raises(UsageError, match="folds"):
        grouped_folds(many({"a": 4}), k)


@pytest.mark.skipif(not SHARED.is_dir(), reason=f"the real photos are not at {SHARED}")
def test_the_real_photos_are_divided_without_leaks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGOLENS_CACHE", str(tmp_path))
    dataset = load(SHARED / "flickr27")
    parts = split(dataset)
    assert check_leaks(dataset, parts) == ()
    for indices in parts.by_name().values():
        assert len(labels_of(dataset, indices)) == 27
    assert abs(len(parts.test) - 0.15 * 809) < 20
    folds = grouped_folds(dataset, 5)
    assert all(5 <= count <= 7 for fold in folds for count in labels_of(dataset, fold).values())
