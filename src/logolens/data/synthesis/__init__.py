"""From a logo's artwork to images of it as a camera meets it: artwork, carrier, placing, light, camera, file."""

from __future__ import annotations

from logolens.data.synthesis.artwork import Artwork, decoy
from logolens.data.synthesis.camera import encode
from logolens.data.synthesis.composing import LogoBox, compose, photo_size
from logolens.data.synthesis.marks import made_up_name, mark
from logolens.data.synthesis.reading import Collection, photo_among, read_artworks
from logolens.data.synthesis.synthesize import Synthesised, read_synthesised, synthesize

__all__ = [
    "Artwork",
    "Collection",
    "LogoBox",
    "Synthesised",
    "compose",
    "decoy",
    "encode",
    "made_up_name",
    "mark",
    "photo_among",
    "photo_size",
    "read_artworks",
    "read_synthesised",
    "synthesize",
]
