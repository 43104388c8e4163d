"""From a logo's artwork to images of it as a camera meets it: artwork, carrier, placing, light, camera, file."""

from __future__ import annotations

from logolens.synthesis.artwork import Artwork, decoy
from logolens.synthesis.camera import encode
from logolens.synthesis.composing import LogoBox, compose, photo_size

__all__ = ["Artwork", "LogoBox", "compose", "decoy", "encode", "photo_size"]
