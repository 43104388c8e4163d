"""Does any text end or hold up the parsers that are written in Python?

Each parser is given what a coverage-guided fuzzer (atheris, `pip install atheris`; no part of logolens) makes of small good
examples. A find is whatever raises something else than the parser's own error, takes over 10 s, or over 2 GB. Without atheris
the examples are damaged at random, which finds less. Finds are written to --out, one file each; give one with --again to see it.

python benchmarks/fuzz_parsers.py [TARGET ...] [--seconds 600] [--out fuzz-finds] [--again FILE]
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import io
import json
import random
import subprocess
import sys
import tarfile
import tempfile
import time
import traceback
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

SECONDS = 10
MEGABYTES = 2000


def _table(work: Path) -> Callable[[bytes], object]:
    from logolens.data import Notes
    from logolens.data.table import list_table
    from logolens.errors import DataError

    def test(data: bytes) -> None:
        file = work / f"t{('.csv', '.tsv', '.jsonl')[data[0] % 3 if data else 0]}"
        file.write_bytes(data[1:])
        with contextlib.suppress(DataError):
            list_table(file, Notes())

    return test


def _manifest(work: Path) -> Callable[[bytes], object]:
    from logolens.bundle.format import load_bundle
    from logolens.errors import BundleError

    def test(data: bytes) -> None:
        (work / "manifest.json").write_bytes(data)
        with contextlib.suppress(BundleError):
            load_bundle(work)

    return test


def _svg(work: Path) -> Callable[[bytes], object]:
    from logolens.errors import ImageError
    from logolens.io.svg import _text
    from logolens.io.svg_rewrite import rewrite

    def test(data: bytes) -> None:
        with contextlib.suppress(ImageError):
            made = rewrite(_text(data)).text
            assert rewrite(made).outside == 0, "what was written anew refers to something outside"

    return test


def _archive(work: Path) -> Callable[[bytes], object]:
    from logolens.config import SourceSettings
    from logolens.errors import ArchiveError, ImageError
    from logolens.io.sources.archives import archive_images
    from logolens.io.unpack import unpack

    def test(data: bytes) -> None:
        settings = SourceSettings(max_members=2_000)
        for source in archive_images("x", lambda: io.BytesIO(data), len(data), settings):
            with contextlib.suppress(ImageError):
                source.read()
        (work / "a").write_bytes(data)
        with tempfile.TemporaryDirectory(dir=work) as place, contextlib.suppress(ArchiveError):
            unpack(work / "a", Path(place) / "out")

    return test


def _text_of(name: str, function: str) -> Callable[[Path], Callable[[bytes], object]]:
    def made(work: Path) -> Callable[[bytes], object]:
        call = getattr(importlib.import_module(f"logolens.io.sources.{name}"), function)
        return lambda data: call(data.decode("utf-8", "replace"))

    return made


def _sitemap(work: Path) -> Callable[[bytes], object]:
    from logolens.io.sources.sitemaps import read_sitemap

    return read_sitemap


def _robots(work: Path) -> Callable[[bytes], object]:
    from protego import Protego

    def test(data: bytes) -> None:
        # As `logolens.io.sources.robots` calls it.
        with contextlib.suppress(ValueError, RecursionError):
            rules = Protego.parse(data.decode("utf-8", "replace"))
            rules.can_fetch("https://example.org/a/b.html?c=d%20e", "logolens")
            list(rules.sitemaps)
            rules.crawl_delay("logolens")

    return test


def _jpeg2000(work: Path) -> Callable[[bytes], object]:
    from logolens.config import Limits
    from logolens.errors import ImageError
    from logolens.io.jpeg2000 import check_codestreams

    def test(data: bytes) -> None:
        with contextlib.suppress(ImageError):
            check_codestreams(data, Limits())

    return test


TARGETS: dict[str, Callable[[Path], Callable[[bytes], object]]] = {
    "table": _table,
    "manifest": _manifest,
    "svg": _svg,
    "sitemap": _sitemap,
    "srcset": _text_of("html", "_set"),
    "html": _text_of("html", "read_html"),
    "css": _text_of("css", "read_css"),
    "robots": _robots,
    "archive": _archive,
    "jpeg2000": _jpeg2000,
}


def examples(target: str) -> list[bytes]:
    """Small good ones, from which a fuzzer sets out."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name in ("a.png", f"{'long/' * 30}b.png", "ü.png"):
            info = tarfile.TarInfo(name)
            info.size = 4
            tar.addfile(info, io.BytesIO(b"abcd"))
    zipped = io.BytesIO()
    with zipfile.ZipFile(zipped, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.png", b"abcd" * 9)
    drawing = (
        '<?xml version="1.0"?><!DOCTYPE svg [<!ENTITY n "x">]><svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9" '
        'xmlns:xlink="http://www.w3.org/1999/xlink"><style>@import "a"; .a{fill:url(#b)}</style><image href="data:image/png;'
        'base64,aaaa"/><use xlink:href="#b"/><g id="b" style="fill:url( \'#b\' )">&n;<![CDATA[x]]></g><!-- c --></svg>'
    )
    manifest: dict[str, Any] = {
        "format": 2, "files": {"labels.txt": "0" * 64}, "calibration": {"temperature": 1.0, "threshold": 0.5},
        "preprocessing": {"size": 224, "resize": "squash", "mean": [1, 2, 3], "std": [1, 1, 1]},
        "closer": None, "settings": {"views": "auto", "pooling": "x"}, "stack": {},
    }  # fmt: skip
    calibration = {"temperature": 1.0, "slope": 1.0, "threshold": None}
    whole: dict[str, Any] = {
        **manifest, "format": 3, "labels": ["a", "b"], "background": True,
        "closer": {"calibration": calibration, "weights": {"network": 1.0, "reason": "x"}, "experts": ["matcher"],
                   "localiser": True, "words": {"models": {"a": "b"}}},
        "gallery": {"labels": {"a": {"threshold": 0.1, "references": 1, "views": 2}}, "begun": "references"},
        "backbone": {"features": 9, "parameters": 9, "size": 224}, "layers": [{"name": "a", "kind": "b",
        "shape": [1], "parameters": 1, "trainable": False}], "pairs": [{"labels": ["a", "b"], "used": True}],
        "head": {"kind": "gallery"},
        "data": {}, "metrics": {},
    }  # fmt: skip
    digits = tarfile.TarInfo("7" * 200 + ".png")
    digits.pax_headers = {"comment": "5 a=b 3", "SCHILY.xattr.user.x": "9" * 400}
    shared = io.BytesIO()
    with tarfile.open(
        fileobj=shared, mode="w", format=tarfile.PAX_FORMAT, pax_headers={"hdrcharset": "BINARY", "x": "y"}
    ) as tar:
        tar.addfile(digits)
    kept: dict[str, list[str | bytes]] = {
        "table": [
            "0path,label,x1,y1,x2,y2,split\na.jpg,acme,1,2,3,4,train\nb.jpg,none,,,,,\n",
            '2{"path": "a.jpg", "label": "acme", "boxes": [[1, 2, 3, 4]]}\n{"image": "b", "label": "c"}\n',
            "1file\tclass\n'a b.jpg'\tc\n",
        ],
        "manifest": [json.dumps(manifest), json.dumps(whole)],
        "svg": [drawing, drawing.encode("utf-16")],
        "sitemap": [
            '<urlset xmlns:image="x"><url><loc> http://a/b?c&amp;d </loc><image:image><image:loc>e</image:loc></image:image>'
            "</url></urlset>",
            "<sitemapindex><sitemap><loc><![CDATA[http://a]]></loc></sitemap></sitemapindex>",
            "http://a\nhttp://b\n",
        ],
        "srcset": ["a.jpg 1x, b,c.png 2x,d 100w 2h", "data:image/png;base64,aa== 1x,,"],
        "html": [
            '<base href="/x/"><img src=a srcset="b 1x, c 2x" data-src="d"><picture><source srcset=e></picture><style>a{'
            'background:url(f)}</style><svg viewBox="0 0 1 1"><path d="M0 0"/></svg><noscript><img src=g></noscript>'
            '<script type="application/ld+json">{"image": ["h", {"url": "i"}]}</script><meta property="og:image" content=j>'
            '<meta http-equiv=refresh content="0; url=k"><a href=l>m</a>',
        ],
        "css": ['@import url("a.css"); /* b */ @font-face{src:url(c)} d{background:image-set("e" 1x,url(f\\29 ) 2x)}'],
        "robots": ["User-agent: *\nDisallow: /a*b$\nAllow: /c%20d\nCrawl-delay: 1\nSitemap: http://a/s.xml\n"],
        "archive": [packed.getvalue(), zipped.getvalue(), shared.getvalue()],
        "jpeg2000": [b"\0\0\0\x0cjP  \r\n\x87\n\xff\x4f\xff\x51" + bytes(range(48))],
    }  # fmt: skip
    return [each.encode() if isinstance(each, str) else each for each in kept[target]]


def fuzz(target: str, seconds: int, out: Path) -> None:
    """Fuzz in this process, which ends with it."""
    import atheris

    with atheris.instrument_imports(include=["logolens.io", "logolens.data", "logolens.bundle", "tarfile", "protego"]):
        import protego  # noqa: F401

        import logolens.bundle.format
        import logolens.data.table
        import logolens.io.sources.html
        import logolens.io.svg
        import logolens.io.unpack  # noqa: F401
    with tempfile.TemporaryDirectory() as work:
        corpus = Path(work) / "corpus"
        corpus.mkdir()
        for number, data in enumerate(examples(target)):
            (corpus / f"{number}").write_bytes(data)
        inside = Path(work) / "work"
        inside.mkdir()
        flags = [f"-max_total_time={seconds}", f"-timeout={SECONDS}", f"-rss_limit_mb={MEGABYTES}", "-max_len=20000"]
        atheris.Setup([sys.argv[0], *flags, f"-artifact_prefix={out}/{target}-", str(corpus)], TARGETS[target](inside))
        atheris.Fuzz()


def damage(target: str, seconds: int, out: Path) -> int:
    """Damage the examples at random; for machines without atheris."""
    rng, count, ends = random.Random(0), 0, time.monotonic() + seconds
    with tempfile.TemporaryDirectory() as work:
        test, kept = TARGETS[target](Path(work)), examples(target)
        while time.monotonic() < ends:
            made = bytearray(rng.choice(kept))
            for _ in range(rng.choice((1, 1, 2, 4, 16))):
                at = rng.randrange(len(made) + 1)
                piece = rng.choice((rng.randbytes(1), b"", bytes(made[at : at + 9]) * rng.randrange(1, 99)))
                made[at : at + rng.randrange(3)] = piece
            began = time.monotonic()
            count += 1
            try:
                test(bytes(made))
                if time.monotonic() - began < SECONDS:
                    continue
            except Exception:
                traceback.print_exc()
            (out / f"{target}-{count}").write_bytes(made)
            return 1
    print(f"Done {count} runs")
    return 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("targets", nargs="*", help=f"what to fuzz; all if not given: {', '.join(TARGETS)}")
    parser.add_argument("--seconds", type=int, default=600, help="time for each")
    parser.add_argument("--out", type=Path, default=Path("fuzz-finds"), help="folder for finds")
    parser.add_argument("--again", type=Path, help="a find; give its target, too")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if unknown := [name for name in given.targets if name not in TARGETS]:
        parser.error(f"{unknown[0]} is no target; choose among {', '.join(TARGETS)}")
    if given.again is not None:
        with tempfile.TemporaryDirectory() as work:
            TARGETS[given.targets[0]](Path(work))(given.again.read_bytes())
        print("No find any more.")
        return
    given.out.mkdir(parents=True, exist_ok=True)
    if given.inside:
        if importlib.util.find_spec("atheris") is None:
            sys.exit(damage(given.targets[0], given.seconds, given.out))
        fuzz(given.targets[0], given.seconds, given.out.resolve())
        return
    for target in given.targets or TARGETS:
        command = [
            sys.executable,
            __file__,
            target,
            "--inside",
            "--seconds",
            str(given.seconds),
            "--out",
            str(given.out),
        ]
        done = subprocess.run(command, capture_output=True, text=True, errors="replace")
        lines = (done.stdout + done.stderr).splitlines()
        runs = next((line for line in reversed(lines) if line.startswith("Done ")), "")
        print(f"{target:<9}  {'no find' if done.returncode == 0 else 'FIND'}  {runs}", flush=True)
        if done.returncode:
            print("\n".join(f"    {line}" for line in lines[-25:] if line.strip())[:3000], flush=True)


if __name__ == "__main__":
    main()
