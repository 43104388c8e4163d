"""Whatever a file holds becomes upright RGB, or one sentence that says why not."""

from __future__ import annotations

import contextlib
import io
import os
import struct
import sys
import threading
import warnings
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, features

from logolens.config import Limits, Preprocessing
from logolens.errors import ImageError
from logolens.io.images import IMAGE_SUFFIXES, content_hash, fit, native_scale, open_rgb, read_bytes, stored_size


def encode(image: Image.Image, format: str, **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, format, **options)
    return out.getvalue()


def pixel(image: Image.Image, at: tuple[int, int] = (0, 0)) -> tuple[int, ...]:
    value = image.getpixel(at)
    assert isinstance(value, tuple)
    return value


@pytest.fixture
def scene(draw_photo: Any) -> Image.Image:
    return draw_photo("acme", 1, (90, 60))


# Reading the file


def test_read_bytes_gives_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(b"anything")
    assert read_bytes(path) == b"anything"
    assert read_bytes(str(path)) == b"anything"


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "big.jpg").write_bytes(bytes(101))
    for name, said in [("gone.jpg", "no such file"), ("empty.jpg", "empty"), ("", "folder"), ("big.jpg", "100 bytes")]:
        with pytest.raises(ImageError, match=said) as caught:
            read_bytes(tmp_path / name, Limits(max_bytes=100))
        assert str(tmp_path / name) in str(caught.value)
    assert len(read_bytes(tmp_path / "big.jpg", Limits(max_bytes=101))) == 101


def test_a_name_that_no_system_takes_is_an_image_error() -> None:
    for name in ("a\0b.jpg", "x" * 5000 + ".jpg"):
        with pytest.raises(ImageError):
            read_bytes(name)


@pytest.mark.skipif(
    os.name == "nt" or (hasattr(os, "geteuid") and os.geteuid() == 0), reason="root may read every file"
)
def test_a_file_without_permission(tmp_path: Path) -> None:
    path = tmp_path / "secret.jpg"
    path.write_bytes(b"x")
    path.chmod(0)
    with pytest.raises(ImageError, match=r"secret\.jpg.*ermission"):
        read_bytes(path)


def test_a_link_that_leads_nowhere_and_a_link_that_leads_to_a_photo(tmp_path: Path) -> None:
    (tmp_path / "photo").write_bytes(b"here")
    try:
        (tmp_path / "good").symlink_to(tmp_path / "photo")
        (tmp_path / "bad").symlink_to(tmp_path / "nothing")
    except OSError:
        pytest.skip("this system makes no links")
    assert read_bytes(tmp_path / "good") == b"here"
    with pytest.raises(ImageError, match="no such file"):
        read_bytes(tmp_path / "bad")


def test_content_hash_is_sha256() -> None:
    assert content_hash(b"") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert content_hash(b"a") != content_hash(b"b")


def test_suffixes_are_lower_case_with_a_dot() -> None:
    assert {".jpg", ".jpeg", ".png", ".webp", ".gif", ".tif", ".bmp"} <= IMAGE_SUFFIXES
    assert all(suffix == suffix.lower() and suffix.startswith(".") for suffix in IMAGE_SUFFIXES)
    assert ".svg" not in IMAGE_SUFFIXES


# Orientation

# EXIF 2.3, tag 0x0112: which visual side the stored row 0 and column 0 are, as operations on the upright pixels.
_STORED = {
    1: lambda u: u,
    2: lambda u: u[:, ::-1],
    3: lambda u: u[::-1, ::-1],
    4: lambda u: u[::-1],
    5: lambda u: u.transpose(1, 0, 2),
    6: lambda u: u.transpose(1, 0, 2)[::-1],
    7: lambda u: u.transpose(1, 0, 2)[::-1, ::-1],
    8: lambda u: u.transpose(1, 0, 2)[:, ::-1],
}


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP", "TIFF"])
def test_every_orientation_comes_out_upright(scene: Image.Image, orientation: int, format: str) -> None:
    upright = np.asarray(scene)
    stored = Image.fromarray(np.ascontiguousarray(_STORED[orientation](upright)))
    exif = Image.Exif()
    exif[0x0112] = orientation
    known: dict[str, dict[str, Any]] = {"JPEG": {"quality": 95, "subsampling": 0}, "WEBP": {"lossless": True}}
    options = known.get(format, {})
    data = encode(stored, format, exif=exif, **options)
    image = open_rgb(data)
    assert image.size == (90, 60)
    difference = np.abs(np.asarray(image).astype(int) - upright)
    assert difference.mean() < (2.0 if format == "JPEG" else 0.001)


@pytest.mark.parametrize("value", [0, 9, 65535])
def test_an_orientation_that_does_not_exist_changes_nothing(scene: Image.Image, value: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = value
    assert np.array_equal(np.asarray(open_rgb(encode(scene, "PNG", exif=exif))), np.asarray(scene))


def test_damaged_exif_is_no_reason_to_refuse_a_photo(scene: Image.Image) -> None:
    data = encode(scene, "JPEG", exif=b"Exif\0\0II*\0\x08\0\0\0\xff\xff\x12\x01")
    assert open_rgb(data).size == stored_size(open_rgb(data)) == (90, 60)


# Modes


def test_transparency_lies_over_white() -> None:
    image = Image.new("RGBA", (4, 1))
    for x, colour in enumerate([(255, 0, 0, 255), (255, 0, 0, 0), (0, 0, 0, 128), (0, 0, 0, 0)]):
        image.putpixel((x, 0), colour)
    for format in ("PNG", "TIFF"):
        opened = open_rgb(encode(image, format))
        assert opened.mode == "RGB"
        assert pixel(opened, (0, 0)) == (255, 0, 0)
        assert pixel(opened, (1, 0)) == (255, 255, 255)
        assert all(abs(value - 127) <= 1 for value in pixel(opened, (2, 0)))
        assert pixel(opened, (3, 0)) == (255, 255, 255)


def test_transparency_of_other_modes_lies_over_white_too() -> None:
    grey = Image.new("LA", (2, 1), (0, 0))
    grey.putpixel((1, 0), (90, 255))
    opened = open_rgb(encode(grey, "PNG"))
    assert (pixel(opened), pixel(opened, (1, 0))) == ((255, 255, 255), (90, 90, 90))

    palette = Image.new("P", (3, 1))
    palette.putpalette([10, 20, 30, 200, 100, 50, 0, 0, 0])
    palette.putpixel((1, 0), 1)
    palette.putpixel((2, 0), 2)
    # One index that is clear, and an alpha for each index.
    for transparency, last in ((2, (255, 255, 255)), (b"\xff\xff\x00", (255, 255, 255)), (b"\xff\xff\xff", (0, 0, 0))):
        opened = open_rgb(encode(palette, "PNG", transparency=transparency))
        assert (pixel(opened), pixel(opened, (1, 0)), pixel(opened, (2, 0))) == ((10, 20, 30), (200, 100, 50), last)

    key = Image.new("RGB", (2, 1), (1, 2, 3))
    key.putpixel((1, 0), (9, 9, 9))
    opened = open_rgb(encode(key, "PNG", transparency=(1, 2, 3)))
    assert (pixel(opened), pixel(opened, (1, 0))) == ((255, 255, 255), (9, 9, 9))


def test_grey_bilevel_and_palette() -> None:
    for image in (Image.new("L", (2, 2), 77), Image.new("RGB", (2, 2), (77, 77, 77)).quantize()):
        assert pixel(open_rgb(encode(image, "PNG"))) == (77, 77, 77)
    bilevel = Image.new("1", (2, 1))
    bilevel.putpixel((1, 0), 1)
    opened = open_rgb(encode(bilevel, "PNG"))
    assert (pixel(opened), pixel(opened, (1, 0))) == ((0, 0, 0), (255, 255, 255))


def test_cmyk_jpeg_has_its_colours() -> None:
    red = Image.new("CMYK", (16, 16), (0, 255, 255, 0))
    r, g, b = pixel(open_rgb(encode(red, "JPEG", quality=95)), (8, 8))
    assert r > 200
    assert g < 60
    assert b < 60


def test_sixteen_bits_are_scaled_and_not_clipped() -> None:
    values = np.array([[0, 257 * 64, 257 * 128, 65535]], dtype=np.uint16)
    for format in ("PNG", "TIFF", "PPM"):
        opened = np.asarray(open_rgb(encode(Image.fromarray(values), format)))
        assert np.abs(opened[0, :, 0].astype(int) - [0, 64, 128, 255]).max() <= 1, format


def test_eight_bits_in_a_file_of_sixteen_keep_their_brightness() -> None:
    values = np.array([[0, 40, 200]], dtype=np.uint16)
    assert np.asarray(open_rgb(encode(Image.fromarray(values), "PNG")))[0, :, 0].tolist() == [0, 40, 200]


def test_integers_and_floats() -> None:
    for values, expected in [
        (np.array([[0, 100, 255]], dtype=np.int32), [0, 100, 255]),
        (np.array([[0, 32768, 65535]], dtype=np.int32), [0, 127, 255]),
        (np.array([[0.0, 0.5, 1.0]], dtype=np.float32), [0, 127, 255]),
        (np.array([[0.0, 100.0, 255.0]], dtype=np.float32), [0, 100, 255]),
        (np.array([[np.nan, -5.0, 1.0]], dtype=np.float32), [0, 0, 255]),
    ]:
        opened = np.asarray(open_rgb(encode(Image.fromarray(values), "TIFF")))
        assert opened.shape == (1, 3, 3)
        assert np.abs(opened[0, :, 0].astype(int) - expected).max() <= 1, values


def test_infinity_in_a_float_image_does_not_end_the_run() -> None:
    values = np.array([[0.0, np.inf, 1.0]], dtype=np.float32)
    assert open_rgb(encode(Image.fromarray(values), "TIFF")).mode == "RGB"


@pytest.mark.parametrize("format", ["GIF", "WEBP", "PNG", "TIFF"])
def test_of_several_frames_the_first(format: str) -> None:
    if format == "WEBP" and not features.check("webp"):
        pytest.skip("this Pillow reads no WebP")
    frames = [Image.new("RGB", (20, 20), colour) for colour in ("red", "lime", "blue")]
    options: dict[str, Any] = {"lossless": True} if format == "WEBP" else {}
    data = encode(frames[0], format, save_all=True, append_images=frames[1:], **options)
    assert pixel(open_rgb(data), (10, 10)) == (255, 0, 0)


def test_other_formats(scene: Image.Image) -> None:
    formats = ["BMP", "PPM", "TGA", "GIF"]
    formats += ["JPEG2000"] if features.check("jpg_2000") else []
    formats += ["AVIF"] if features.check("avif") else []
    for format in formats:
        data = encode(scene, format)
        opened = open_rgb(data)
        assert opened.size == (90, 60), format
        assert stored_size(opened) is None, format
        assert np.abs(np.asarray(opened).astype(int) - np.asarray(scene)).mean() < 25, format


def test_a_camera_file_of_several_pictures_opens_as_its_first(scene: Image.Image) -> None:
    data = encode(scene, "MPO", save_all=True, append_images=[Image.new("RGB", (90, 60), "white")])
    opened = open_rgb(data)
    assert opened.size == (90, 60)
    assert np.abs(np.asarray(opened).astype(int) - np.asarray(scene)).mean() < 10


def test_a_photo_of_one_pixel_and_one_that_is_a_stripe() -> None:
    assert open_rgb(encode(Image.new("RGB", (1, 1), "red"), "PNG")).size == (1, 1)
    stripe = open_rgb(encode(Image.new("RGB", (20000, 50), "red"), "JPEG"), shrink_to=96)
    assert stripe.size == (20000, 50)  # No scale keeps 96 rows, so it is left whole.
    assert fit(stripe, Preprocessing(size=96)).shape == (96, 96, 3)


# What is no image


def _broken() -> dict[str, bytes]:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8))
    jpeg, png, tiff = encode(noise, "JPEG"), encode(noise, "PNG"), encode(noise, "TIFF", compression="tiff_lzw")
    return {
        "empty": b"",
        "text": b"This is a text file, whatever its name.\n" * 10,
        "html": b"<!doctype html><title>404</title>",
        "half an SVG": b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><path d=',
        "zeros": bytes(1000),
        "half a JPEG": jpeg[: len(jpeg) // 2],
        "a JPEG's start": jpeg[:3],
        "half a PNG": png[: len(png) // 2],
        "a PNG's signature": png[:8],
        "a PNG with a flipped bit": png[:100] + bytes([png[100] ^ 1]) + png[101:],
        "half a TIFF": tiff[: len(tiff) // 2],
        "half a GIF": encode(noise, "GIF")[:500],
        "half a BMP": encode(noise, "BMP")[:500],
        "half a WebP": encode(noise, "WEBP")[:500],
        "PDF": b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n1 0 obj",
        "EPS, which would start another program": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
    }


@pytest.mark.parametrize("kind", _broken())
def test_what_is_broken_is_one_short_sentence(kind: str) -> None:
    with pytest.raises(ImageError) as caught:
        open_rgb(_broken()[kind])
    message = str(caught.value)
    assert message.endswith(".")
    assert "\n" not in message
    assert "0x" not in message
    assert "BytesIO" not in message
    assert len(message) < 260


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("shrink_to", [None, 20, 60])
def test_stored_size_is_that_of_the_file_at_whatever_scale_it_was_decoded(mode: str, shrink_to: int | None) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    data = encode(Image.new(mode, (180, 120)), "JPEG", exif=exif)
    opened = open_rgb(data, shrink_to=shrink_to)
    assert stored_size(opened) == (180, 120)
    assert opened.size == {None: (120, 180), 20: (30, 45), 60: (60, 90)}[shrink_to]


def _png_header(width: int, height: int) -> bytes:
    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(100_000))) + chunk(b"IEND", b"")


def _peak() -> int:
    """The most memory this process has held, in bytes."""
    resource = pytest.importorskip("resource")
    return int(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss) * (1 if sys.platform == "darwin" else 1024)


def test_a_bomb_is_refused_before_it_takes_memory() -> None:
    before = _peak()
    for width, height in ((30_000, 30_000), (100_000, 600), (2_000_000_000, 2)):
        with pytest.raises(ImageError, match=r"pixels|cannot be read"):
            open_rgb(_png_header(width, height))
    assert _peak() - before < 50_000_000


def test_a_bomb_inside_an_icon_is_refused_too() -> None:
    # The icon's own directory says 16 x 16; what counts is the PNG in it.
    inner = encode(Image.new("L", (4000, 4000)), "PNG")
    icon = struct.pack("<HHH", 0, 1, 1) + struct.pack("<BBBBHHII", 16, 16, 0, 0, 1, 32, len(inner), 22) + inner
    with pytest.raises(ImageError, match="4000 x 4000 pixels, more than the limit"):
        open_rgb(icon, limits=Limits(max_pixels=1_000_000))


def test_an_icon_opens(scene: Image.Image) -> None:
    assert open_rgb(encode(scene.resize((32, 32)), "ICO", sizes=[(32, 32)])).size == (32, 32)


def test_the_limit_on_pixels_is_exact(scene: Image.Image) -> None:
    data = encode(scene, "PNG")
    assert open_rgb(data, limits=Limits(max_pixels=5400)).size == (90, 60)
    with pytest.raises(ImageError, match="90 x 60 pixels, more than the limit of 5399"):
        open_rgb(data, limits=Limits(max_pixels=5399))


# Shrinking


@pytest.mark.parametrize(
    ("size", "shrink_to", "expected"),
    [
        ((1600, 1200), 150, 8),
        ((1600, 1200), 151, 4),
        ((1600, 1200), 300, 4),
        ((1600, 1200), 600, 2),
        ((1600, 1200), 601, 1),
        ((1600, 1200), 5000, 1),
        ((1199, 5000), 150, 4),
        ((10, 10), 224, 1),
    ],
)
def test_native_scale(size: tuple[int, int], shrink_to: int, expected: int) -> None:
    assert native_scale(size, shrink_to) == expected
    assert native_scale(size[::-1], shrink_to) == expected


@pytest.mark.parametrize("size", [(1600, 1200), (1599, 1203), (700, 3000), (301, 299), (224, 224), (10, 10)])
@pytest.mark.parametrize("shrink_to", [37, 96, 224])
def test_shrinking_keeps_the_sides_that_were_promised(draw_photo: Any, size: tuple[int, int], shrink_to: int) -> None:
    data = encode(draw_photo("bolt", 2, size), "JPEG", quality=90)
    shrunk = open_rgb(data, shrink_to=shrink_to)
    scale = native_scale(size, shrink_to)
    assert shrunk.size == tuple(-(-side // scale) for side in size)
    assert min(shrunk.size) >= min(shrink_to, *size)
    square = Preprocessing(size=32)
    whole = fit(open_rgb(data), square).astype(int)
    assert np.abs(fit(shrunk, square) - whole).mean() < 6


def test_only_a_jpeg_is_shrunk_while_it_is_decoded(draw_photo: Any) -> None:
    photo = draw_photo("bolt", 2, (800, 600))
    assert open_rgb(encode(photo, "PNG"), shrink_to=50).size == (800, 600)
    grey = encode(photo.convert("L"), "JPEG")
    assert open_rgb(grey, shrink_to=50).size == (100, 75)
    assert open_rgb(grey, shrink_to=50).mode == "RGB"


def test_a_shrunk_photo_is_upright(draw_photo: Any) -> None:
    photo = draw_photo("crest", 3, (800, 600))
    exif = Image.Exif()
    exif[0x0112] = 6
    shrunk = open_rgb(encode(photo.rotate(90, expand=True), "JPEG", exif=exif), shrink_to=100)
    assert shrunk.size == (200, 150)
    small = np.asarray(photo.resize((200, 150))).astype(int)
    assert np.abs(np.asarray(shrunk) - small).mean() < 6


# To the network's square


def test_squash_crop_and_pad() -> None:
    image = Image.new("RGB", (200, 100), "red")
    image.paste((0, 0, 255), (0, 0, 50, 100))
    squash = fit(image, Preprocessing(size=64))
    crop = fit(image, Preprocessing(size=64, resize="crop"))
    pad = fit(image, Preprocessing(size=64, resize="pad"))
    for square in (squash, crop, pad):
        assert square.shape == (64, 64, 3)
        assert square.dtype == np.uint8
    assert squash[32, 8].tolist() == [0, 0, 255]
    assert squash[32, 60].tolist() == [255, 0, 0]
    assert (crop[:, 4:] == [255, 0, 0]).all()  # The blue quarter at the left falls outside the middle square.
    assert pad[5, 32].tolist() == pad[60, 32].tolist() == [127, 127, 127]
    assert pad[32, 60].tolist() == [255, 0, 0]


def test_the_filters_differ_and_each_is_deterministic(scene: Image.Image) -> None:
    squares = {
        name: fit(scene, Preprocessing(size=48, interpolation=name)) for name in ("bilinear", "bicubic", "lanczos")
    }
    assert len({square.tobytes() for square in squares.values()}) == 3
    assert np.array_equal(squares["lanczos"], fit(scene, Preprocessing(size=48, interpolation="lanczos")))


# Warnings


def test_decoding_leaves_no_warning_and_no_trace_in_the_filters_whatever_the_threads_do(scene: Image.Image) -> None:
    odd = encode(scene, "JPEG", exif=b"Exif\0\0II*\0\x08\0\0\0\xff\xff\x12\x01")
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        with Image.open(io.BytesIO(odd)) as image:
            image.getexif().get(0x0112)
    assert seen, "this photo no longer makes Pillow warn; find another for this test"

    failures: list[Exception] = []

    def work() -> None:
        for _ in range(60):
            try:
                open_rgb(odd)
            except Exception as error:
                failures.append(error)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        before = list(warnings.filters)
        threads = [threading.Thread(target=work) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not failures
        assert warnings.filters == before


@pytest.mark.parametrize("size", [(1, 65_536), (65_536, 1), (1, 50_000_000)])
def test_a_side_without_end_is_refused_whatever_the_area(size: tuple[int, int]) -> None:
    with pytest.raises(ImageError, match="a side longer than the limit of 65535"):
        open_rgb(encode(Image.new("1", size), "PNG"))
    assert open_rgb(encode(Image.new("1", (1, 65_535)), "PNG")).size == (1, 65_535)


@pytest.mark.skipif(not features.check("jpg_2000"), reason="this Pillow reads no JPEG 2000")
def test_what_jpeg_2000_takes_is_judged_before_it_is_decoded() -> None:
    small = encode(Image.new("RGB", (1000, 1000), "red"), "JPEG2000")
    assert open_rgb(small).size == (1000, 1000)
    large = encode(Image.new("RGB", (5800, 5800), "red"), "JPEG2000")
    for data in (large, encode(Image.new("RGBA", (5050, 5050), "red"), "JPEG2000")):
        with pytest.raises(ImageError, match="more memory to decode"):
            open_rgb(data)
    # What the file's own header says is not what is decoded.
    start = small.index(b"\xff\x4f\xff\x51") + 8
    lying = small[:start] + struct.pack(">II", 20_000, 20_000) + small[start + 8 :]
    with pytest.raises(ImageError, match="more memory to decode"):
        open_rgb(lying)
    for cut in range(0, len(small), 7):
        with contextlib.suppress(ImageError):
            open_rgb(small[:cut])


def test_what_is_converted_in_bands_is_what_is_converted_at_once() -> None:
    rng = np.random.default_rng(1)
    clear = Image.fromarray(rng.integers(0, 256, (1100, 1203, 4), np.uint8), "RGBA")
    white = Image.new("RGBA", clear.size, "white")
    assert open_rgb(encode(clear, "PNG")).tobytes() == Image.alpha_composite(white, clear).convert("RGB").tobytes()
    deep = rng.integers(0, 40_000, (1100, 1203), np.uint16)
    deep[-1, -1] = 40_000  # The brightest stands in the last band.
    shown = np.asarray(open_rgb(encode(Image.fromarray(deep), "PNG")))
    assert (shown[..., 0] == (deep / 65535 * 255).astype(np.uint8)).all()


def test_a_huge_image_of_any_format_comes_at_the_scale_that_is_asked_for() -> None:
    data = encode(Image.linear_gradient("L").resize((4500, 3000)).convert("RGB"), "PNG", compress_level=1)
    image = open_rgb(data, shrink_to=300)
    assert image.size == (563, 375)
    assert stored_size(image) == (4500, 3000)
    assert open_rgb(data).size == (4500, 3000)
    whole = np.asarray(open_rgb(data).resize((9, 9), Image.Resampling.BOX)).astype(int)
    assert np.abs(whole - np.asarray(image.resize((9, 9), Image.Resampling.BOX)).astype(int)).max() <= 1
