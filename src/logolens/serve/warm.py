"""What is done before the first request, so that it need not pay for it."""

from __future__ import annotations

import io
from concurrent.futures import ThreadPoolExecutor

from PIL import Image

from logolens.io.decoder_pool import Decoder

__all__ = ["sample", "warm_decoder"]


def sample() -> bytes:
    """A small photo of nothing."""
    out = io.BytesIO()
    Image.effect_noise((320, 240), 64).convert("RGB").save(out, "JPEG")
    return out.getvalue()


def warm_decoder(decoder: Decoder) -> None:
    """Start all of a decoder's processes."""
    data = sample()
    with ThreadPoolExecutor(decoder.workers) as pool:
        list(pool.map(lambda _: decoder(data), range(decoder.workers)))
