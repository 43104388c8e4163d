"""Does any broken image end a run, hold it up, or take its memory?

Pictures of a dozen formats, drawings among them, are damaged at random by --seed (bytes changed, cut, repeated, swapped between
files, numbers in headers set to their extremes) and decoded in worker processes, as a scan and the service decode them. Printed
are, for each format, how many were decoded and how many refused; how many ended their process or took too long; the longest time
of an image; and the most memory of this process and of a worker.

python benchmarks/decode_mutants.py [--count 20000] [--seed 0] [--save FOLDER]
"""

from __future__ import annotations

import argparse
import base64
import gzip
import io
import random
import struct
import time
import zlib
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Lock

from common import table
from PIL import Image, features

from logolens.config import DecodeSettings
from logolens.errors import ImageError
from logolens.io.decoder_pool import Decoder
from logolens.io.images import content_hash

SECONDS = 10.0
"""How long an image may take."""

EXTREMES = tuple(
    struct.pack(order + kind, value)
    for order in "<>"
    for kind, values in (
        ("H", (0, 1, 0x7FFF, 0x8000, 0xFFFF)),
        ("I", (0, 1, 0xFFFF, 0x10000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)),
    )
    for value in values
)
SVG = """<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" viewBox="0 0 40 30">
<style>.a{{fill:url(#g)}}</style><defs><linearGradient id="g"><stop offset="0" stop-color="red"/><stop offset="1"/>
</linearGradient><filter id="f"><feGaussianBlur stdDeviation="1"/><feTurbulence numOctaves="2" baseFrequency=".1"/></filter>
<pattern id="p" width="9" height="9" patternUnits="userSpaceOnUse"><circle r="3"/></pattern><mask id="m"><rect width="30"
height="30" fill="#fff"/></mask></defs><rect class="a" width="40" height="20" mask="url(#m)"/><g filter="url(#f)"><path
d="M1 1C9 9 9 0 20 20z" transform="rotate(9 1 1)"/></g><use xlink:href="#u" x="3"/><text id="u" y="20">Aa</text>
<image width="9" height="9" href="data:image/png;base64,{png}"/><circle fill="url(#p)" r="9"/></svg>"""


def encoded(image: Image.Image, format: str, **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, format, **options)
    return out.getvalue()


def seeds() -> dict[str, list[bytes]]:
    """Small good files of each format, in its several kinds."""
    grey = Image.linear_gradient("L").resize((60, 40))
    colour = Image.merge("RGB", (grey, grey.rotate(90), grey.rotate(180)))
    clear = Image.merge("RGBA", (*colour.split(), grey))
    flat = colour.quantize(16)
    deep = grey.convert("I;16")
    png = encoded(colour, "PNG")
    svg = SVG.format(png=base64.b64encode(png).decode()).encode()
    kept = {
        "JPEG": [encoded(colour, "JPEG"), encoded(colour, "JPEG", progressive=True), encoded(colour.convert("CMYK"), "JPEG")],
        "PNG": [png, *(encoded(each, "PNG") for each in (clear, flat, deep, grey.convert("1")))],
        "GIF": [encoded(flat, "GIF"), encoded(flat, "GIF", save_all=True, append_images=[flat.rotate(90)])],
        "BMP": [encoded(colour, "BMP"), encoded(flat, "BMP"), encoded(grey.convert("1"), "BMP")],
        "TIFF": [encoded(colour, "TIFF", compression=f"tiff_{how}") for how in ("lzw", "adobe_deflate", "jpeg")]
        + [encoded(colour, "TIFF"), encoded(colour, "TIFF", compression="packbits")],
        "PPM": [encoded(colour, "PPM"), encoded(grey, "PPM"), b"P3 2 2 255 " + b"9 " * 12, b"Pf\n2 2\n-1\n" + bytes(16)],
        "TGA": [encoded(colour, "TGA"), encoded(flat, "TGA", compression="tga_rle")],
        "ICO": [encoded(clear, "ICO", sizes=[(16, 16), (32, 32)]), encoded(clear, "ICO", bitmap_format="bmp", sizes=[(16, 16)])],
        "SVG": [svg, gzip.compress(svg), svg.decode().encode("utf-16")],
    }  # fmt: skip
    if features.check("webp"):
        kept["WEBP"] = [encoded(clear, "WEBP"), encoded(colour, "WEBP", lossless=True)]
    if features.check("jpg_2000"):
        kept["JPEG2000"] = [encoded(colour, "JPEG2000"), encoded(clear, "JPEG2000", tile_size=(32, 32))]
    if features.check("avif"):
        kept["AVIF"] = [encoded(colour, "AVIF", speed=10), encoded(clear, "AVIF", speed=10)]
    return kept


def mutant(rng: random.Random, data: bytes, other: bytes) -> bytes:
    """A file with a few faults; a third of them stand in its first hundred bytes, where sizes are told."""
    made = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 3, 8))):
        if not made:
            break
        at = rng.randrange(min(len(made), 100) if rng.random() < 0.33 else len(made))
        kind = rng.randrange(8)
        if kind < 3:
            made[at] ^= 1 << rng.randrange(8)
        elif kind == 3:
            made[at] = rng.choice((0, 1, 0x7F, 0x80, 0xFF))
        elif kind == 4:
            number = rng.choice(EXTREMES)
            made[at : at + len(number)] = number
        elif kind == 5:
            del made[at : at + rng.randrange(1, 64)]
        elif kind == 6:
            made[at:at] = made[at : at + rng.randrange(1, 64)] * rng.randrange(1, 4)
        else:
            begin = rng.randrange(max(1, len(other)))
            made[at : at + 16] = other[begin : begin + 16]
    if made.startswith(b"\x89PNG") and rng.random() < 0.7:
        mend(made)  # A wrong checksum would be all that is ever found.
    return bytes(made[: rng.randrange(len(made) + 1)] if rng.random() < 0.05 else made)


def mend(png: bytearray) -> None:
    """Write the checksums of a PNG's chunks anew."""
    at = 8
    while at + 12 <= len(png):
        end = at + 8 + int.from_bytes(png[at : at + 4], "big")
        if end + 4 > len(png):
            return
        png[end : end + 4] = zlib.crc32(png[at + 4 : end]).to_bytes(4, "big")
        at = end + 4


def peak(pid: int | str) -> int:
    """The most memory that a process has held, in megabytes; 0 where the system does not tell."""
    try:
        text = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    except OSError:
        return 0
    return next((int(line.split()[1]) // 1024 for line in text.splitlines() if line.startswith("VmHWM")), 0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=20_000, help="how many broken images")
    parser.add_argument("--seed", type=int, default=0, help="of what is broken in them")
    parser.add_argument("--workers", type=int, default=2, help="processes that decode")
    parser.add_argument("--save", type=Path, help="folder for those that end their process or take too long")
    given = parser.parse_args()
    kept = seeds()
    whole = [data for group in kept.values() for data in group]
    rng = random.Random(given.seed)
    formats = list(kept)
    jobs = [
        (name := rng.choice(formats), mutant(rng, rng.choice(kept[name]), rng.choice(whole)))
        for _ in range(given.count)
    ]
    decoded: Counter[str] = Counter()
    refused: Counter[str] = Counter()
    bad: list[tuple[str, str, bytes]] = []
    longest, most, lock = [0.0], [0], Lock()

    def one(job: tuple[str, bytes]) -> None:
        name, data = job
        began = time.monotonic()
        problem = ""
        try:
            image = decoder(data, shrink_to=224)
            assert image.mode == "RGB"
        except ImageError as error:
            problem = str(error)
        took = time.monotonic() - began
        with lock:
            (refused if problem else decoded)[name] += 1
            longest[0] = max(longest[0], took)
            most[0] = max([most[0], *(peak(worker.pid) for worker in list(decoder._idle.queue) if worker is not None)])
            if "ends the process" in problem or "took longer" in problem or "more memory than" in problem:
                bad.append((name, problem, data))

    began = time.monotonic()
    with (
        Decoder(given.workers, DecodeSettings(decode_seconds=SECONDS, decode_memory=1_000_000_000)) as decoder,
        ThreadPoolExecutor(given.workers) as pool,
    ):
        for _ in pool.map(one, jobs):
            pass
    table(["format", "decoded", "refused"], [[name, f"{decoded[name]:,}", f"{refused[name]:,}"] for name in formats])
    ends = [entry for entry in bad if "ends the process" in entry[1]]
    late = [entry for entry in bad if "took longer" in entry[1]]
    print(f"\n{given.count:,} images in {time.monotonic() - began:.0f} s")
    print("run ended             0 (this line is reached)")
    print(f"ended their process   {len(ends)}")
    print(f"took over {SECONDS:g} s        {len(late)}")
    print(f"wanted over 1 GB      {len(bad) - len(ends) - len(late)}")
    print(f"longest               {longest[0]:.2f} s")
    print(f"most memory           {peak('self')} MB here, {most[0]} MB in a worker")
    for name, problem, data in bad:
        print(f"  {name}: {problem[:100]}")
        if given.save is not None:
            given.save.mkdir(parents=True, exist_ok=True)
            (given.save / f"{name.lower()}-{content_hash(data)[:12]}").write_bytes(data)


if __name__ == "__main__":
    main()
