"""Which photos their names call versions of one photo: what tools for augmentation, and people, add to a file's name.

``x_jpg.rf.<hex>.jpg`` (Roboflow), ``aug_90_001.jpg``, ``x_rot180.jpg``, ``x-flip.jpg``, ``x (1).jpg``, ``x - Copy.jpg``: the
name without such marks is the photo's own. Two photos are versions of one where they carry a common label, the same name is
left, and at least one of them bore a mark; nothing but marks is ever taken away, so ``img_1`` and ``img_2`` stay apart. What
is left must be a name that one photo has: ``nike_flip_1`` and ``nike_flip_2`` say no more than their label.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

__all__ = ["same_names"]

_ROBOFLOW = re.compile(r"[._-]rf[._-][0-9a-zA-Z]{16,40}$")
_WRITTEN_FORMAT = re.compile(r"[._-](?:jpe?g|png|webp|bmp|tiff?|gif|heic|avif)$", re.IGNORECASE)
_COPY = re.compile(r"(?:\s*[-_]\s*|\s+)cop(?:y|ie)(?:[ _-]*\(?\d{1,2}\)?)?$|\s*\(\d{1,2}\)$", re.IGNORECASE)
_WORD = re.compile(r"[^\W\d_]+|\d+")
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")

_MARKS_TEXT = """
aug augm augment augmented augmentation augmentations rot rotate rotated rotation turn turned cw ccw deg degree
degrees flip flipped flips hflip vflip fliph flipv fliplr flipud flr fud lr ud horizontal vertical mirror mirrored
mirr crop cropped crops randomcrop centercrop cut cutout cutouts erase erased erasing coarsedropout dropout shear
sheared skew skewed affine perspective warp warped elastic distort distorted noise noisy gauss gaussian saltpepper
snp blur blurred blurry motionblur sharpen sharpened bright brightness brighter brightened dark darker darkened
contrast gamma exposure hue saturation sat jitter colorjitter colourjitter gray grey grayscale greyscale equalize
equalized invert inverted solarize posterize autocontrast zoom zoomed scale scaled rescale rescaled resize resized
shift shifted translate translated pad padded mosaic mixup cutmix transform transformed variant
"""
_MARKS = frozenset(_MARKS_TEXT.split())
"""Words that say what was done to a picture, in the spellings of imgaug, Albumentations, torchvision, Keras and of people."""

_WEAK_TEXT = """
lr ud cw ccw deg degree degrees cut dark bright scale zoom turn horizontal vertical sat variant
"""
_WEAK = frozenset(_WEAK_TEXT.split())
"""Marks only beside another one: they stand in names of photos, too (``dark_street_0412``)."""

_GENERIC_TEXT = """
img image images photo photos pic pics picture pictures pict dsc dscn dscf file files download downloads unnamed
untitled screenshot screen shot scan frame logo logos index default maxresdefault thumb thumbnail train test val
valid orig original large small medium new jpg jpeg png
"""
_GENERIC = frozenset(_GENERIC_TEXT.split())
"""Words that thousands of names share."""

_LEAST_DIGITS, _LEAST_LETTERS = 3, 5
_MOST_WORDS_ALONE = 12  # versions of one photo whose own name has no digit
_MOST_OF_LABEL = 0.5
_MOST_COPIES = 3


@dataclass(frozen=True)
class _Name:
    """A name taken apart: what is left without marks, its parts, and which kinds of marks it bore."""

    own: str
    words: tuple[str, ...]
    marked: bool
    sealed: bool  # by a tool that gives each version a name of its own
    copied: bool  # marked by nothing but a copy's number
    folder: str
    stem: str


def _apart(name: str) -> _Name:
    path = PurePosixPath(unicodedata.normalize("NFC", name))
    stem = path.stem
    rest = _ROBOFLOW.sub("", stem)
    sealed = rest != stem
    if sealed:
        rest = _WRITTEN_FORMAT.sub("", rest)
    bare = _COPY.sub("", rest)
    copied = bare != rest and bool(bare.strip())
    words = [word.lower() for word in _WORD.findall(_CAMEL.sub(" ", bare if copied else rest))]
    kept, transformed = _without_marks(words)
    marked = sealed or copied or transformed
    return _Name(
        " ".join(kept), tuple(kept), marked, sealed, copied and not transformed and not sealed, str(path.parent), stem
    )


def _without_marks(words: Sequence[str]) -> tuple[list[str], bool]:
    marks = [word in _MARKS for word in words]
    if not any(mark and word not in _WEAK for word, mark in zip(words, marks, strict=True)):
        return list(words), False
    kept: list[str] = []
    after_mark = False
    for word, mark in zip(words, marks, strict=True):
        if mark:
            after_mark = True
        elif after_mark and len(word) <= 3 and word.isdigit():
            # How far or the how-manieth: ``rot_90``, ``crop_2``. One number to a mark; the next is the photo's.
            after_mark = False
        elif after_mark and word in ("h", "v", "x", "y"):
            continue
        else:
            after_mark = False
            kept.append(word)
    return kept, True


def same_names(names: Sequence[str], labels: Sequence[Collection[str]]) -> list[tuple[int, int]]:
    """Pairs of photos that are versions of one by their names.

    Args:
        names: as the data set names its photos.
        labels: the labels of each.

    Returns:
        Pairs (i, j) with i < j, each photo joined to the first of its versions.
    """
    taken = [_apart(name) for name in names]
    sizes = Counter(label for its in labels for label in set(its))
    alike: dict[tuple[str, str], list[int]] = defaultdict(list)
    for index, (one, its) in enumerate(zip(taken, labels, strict=True)):
        if one.own:
            for label in set(its):
                alike[label, one.own].append(index)
    pairs: set[tuple[int, int]] = set()
    for (label, _), members in alike.items():
        if len(members) < 2:
            continue
        for versions in _apart_by_folder([(index, taken[index]) for index in members]):
            first = versions[0][0]
            if len(versions) > 1 and _is_one_photo([name for _, name in versions], label, sizes[label]):
                pairs.update((first, index) for index, _ in versions[1:])
    return sorted(pairs)


def _apart_by_folder(members: list[tuple[int, _Name]]) -> list[list[tuple[int, _Name]]]:
    """By folder where numbering begins anew in each: where two folders hold the very same name."""
    if max(Counter(name.stem for _, name in members).values()) == 1:
        return [members]
    by_folder: dict[str, list[tuple[int, _Name]]] = defaultdict(list)
    for index, name in members:
        by_folder[name.folder].append((index, name))
    return list(by_folder.values())


def _is_one_photo(versions: Sequence[_Name], label: str, of_label: int) -> bool:
    """Whether what is left of these names is one that a single photo has."""
    if not any(name.marked for name in versions):
        return False
    known = {word.lower() for word in _WORD.findall(label)} | {"".join(_WORD.findall(label)).lower()}
    own = [word for word in versions[0].words if word not in _GENERIC and word not in known]
    digits = sum(len(word) for word in own if word.isdigit())
    letters = sum(len(word) for word in own if not word.isdigit())
    if not digits and len(versions) > _MOST_WORDS_ALONE:
        return False
    if len(versions) > max(_MOST_WORDS_ALONE, _MOST_OF_LABEL * of_label):
        return False
    folders = {name.folder for name in versions}
    original = len(folders) == 1 and any(not name.marked for name in versions)
    if original:
        if sum(name.copied for name in versions) > _MOST_COPIES:
            return False
        return digits > 0 or letters >= _LEAST_LETTERS
    if any(name.copied for name in versions):
        # ``2019 (1)`` to ``2019 (40)`` is how a file manager names forty photos.
        return False
    if all(name.sealed for name in versions):
        return digits + letters >= 2 and (digits > 0 or letters >= _LEAST_LETTERS)
    if digits >= _LEAST_DIGITS:
        return True
    return letters >= _LEAST_LETTERS and digits > 0
