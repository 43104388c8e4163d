"""One HTML page that holds everything it shows: no other file, no script, no other host."""

from __future__ import annotations

import base64
import html
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from logolens.config import BACKGROUND
from logolens.errors import UsageError
from logolens.evaluation.charts import CHART_STYLE, Chart, drawn
from logolens.io.atomic import write_file

__all__ = ["Code", "Figure", "Gallery", "Section", "Table", "Text", "Thumb", "Tiles", "page", "write_page"]


@dataclass(frozen=True)
class Text:
    """One paragraph."""

    text: str


@dataclass(frozen=True)
class Code:
    """Lines to copy, as in a shell or in Python."""

    text: str


@dataclass(frozen=True)
class Table:
    """A table; the columns whose positions are in `numbers` stand to the right."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    numbers: Sequence[int] = ()
    caption: str = ""


@dataclass(frozen=True)
class Tiles:
    """The few figures that matter most: (figure, what it is) each."""

    tiles: Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Figure:
    """A picture: the bytes of a PNG, JPEG, WebP or GIF file, and `alt`, what it shows to a person who cannot see it."""

    image: bytes
    alt: str
    caption: str = ""


@dataclass(frozen=True)
class Thumb:
    """One photo of a gallery. Where `true` and `predicted` are both given, a sign and a word say whether they agree."""

    image: bytes
    predicted: str | None = None
    true: str | None = None
    confidence: float | None = None
    caption: str = ""


@dataclass(frozen=True)
class Gallery:
    """Photos beside each other."""

    thumbs: Sequence[Thumb]
    caption: str = ""


Part = Text | Code | Table | Tiles | Figure | Gallery | Chart


@dataclass(frozen=True)
class Section:
    """A heading and what stands under it."""

    heading: str
    parts: Sequence[Part]


_STYLE = """
:root{color-scheme:light dark;--paper:#fff;--ink:#1a202c;--soft:#5b6472;--line:#dfe3e8;--tint:#f5f7f9;--blue:#1f5fa8;
--good:#17693a;--bad:#b42318}
@media(prefers-color-scheme:dark){:root{--paper:#14171c;--ink:#e6e9ee;--soft:#9aa4b2;--line:#2e343d;--tint:#1c2128;
--blue:#7db1ea;--good:#6fcf97;--bad:#ff9d8f}}
*{box-sizing:border-box}
body{margin:0;background:var(--paper);color:var(--ink);
font:16px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}
main{max-width:62rem;margin:0 auto;padding:2rem 1.1rem 4rem}
h1{font-size:1.9rem;line-height:1.2;margin:0 0 .6rem}
h2{font-size:1.25rem;margin:2.6rem 0 .8rem;padding-top:1.1rem;border-top:1px solid var(--line)}
p{max-width:44rem;margin:.7rem 0;overflow-wrap:anywhere}
.lead{font-size:1.08rem;color:var(--soft)}
pre{background:var(--tint);border:1px solid var(--line);border-radius:.5rem;padding:.8rem 1rem;overflow-x:auto;
font:.88rem/1.5 ui-monospace,SFMono-Regular,Menlo,Consolas,monospace}
.scroll{overflow-x:auto;margin:1rem 0}
table{border-collapse:collapse;font-size:.94rem}
caption,figcaption{color:var(--soft);font-size:.9rem;text-align:left;padding:.3rem 0}
th,td{padding:.38rem .9rem .38rem 0;text-align:left;border-bottom:1px solid var(--line);vertical-align:top}
th{font-weight:600;border-bottom-width:2px}
.number{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
figure{margin:1rem 0}
figure>img{display:block;max-width:100%;height:auto;border-radius:.5rem;background:#fff}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(9.5rem,1fr));gap:.8rem;margin:1.2rem 0;padding:0}
.tiles div{background:var(--tint);border:1px solid var(--line);border-radius:.6rem;padding:.8rem 1rem}
.tiles dd{margin:0;font-size:1.4rem;font-weight:650;line-height:1.25;font-variant-numeric:tabular-nums}
.tiles dt{color:var(--soft);font-size:.9rem}
.tiles div{display:flex;flex-direction:column-reverse;justify-content:flex-end}
.gallery{display:grid;grid-template-columns:repeat(auto-fill,minmax(9.5rem,1fr));gap:1rem;
list-style:none;padding:0;margin:1rem 0}
.gallery li{background:var(--tint);border:1px solid var(--line);border-radius:.6rem;overflow:hidden;font-size:.9rem}
.gallery img{display:block;width:100%;aspect-ratio:1;object-fit:contain;background:#fff}
.gallery div{padding:.55rem .7rem .7rem;overflow-wrap:anywhere;line-height:1.4}
.gallery b{display:block;font-size:.98rem}
.gallery span{color:var(--soft);display:block}
.gallery .right{color:var(--good)}.gallery .wrong{color:var(--bad)}
.gallery li.missed{border:2px dashed var(--bad)}
.gallery meter{width:100%;height:.6rem;margin:.25rem 0 .1rem}
"""


def page(title: str, *sections: Section, lead: str = "") -> str:
    """An HTML page of these sections. All text is escaped, and pictures are held inside.

    Args:
        title: the heading, and the name of the browser's tab.
        sections: in order.
        lead: a sentence or two below the title.

    Raises:
        UsageError: a picture is none of the formats that a page can hold, or a table's rows differ in length.
    """
    body = "\n".join(
        f"<section>\n<h2>{_escape(section.heading)}</h2>\n" + "\n".join(map(_part, section.parts)) + "\n</section>"
        for section in sections
    )
    opening = f'<p class="lead">{_escape(lead)}</p>\n' if lead else ""
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>{_escape(title)}</title>
<style>{_STYLE}{CHART_STYLE}</style>
</head>
<body>
<main>
<h1>{_escape(title)}</h1>
{opening}{body}
</main>
</body>
</html>
"""


def write_page(text: str, path: str | os.PathLike[str], *, force: bool = False) -> Path:
    """Write a page that `page` made, as UTF-8.

    Raises:
        UsageError: the file is there and `force` is not given, or it cannot be written.
    """
    return write_file(path, text.encode("utf-8", errors="replace"), force=force)


def _part(part: Part) -> str:
    if isinstance(part, Text):
        return f"<p>{_escape(part.text)}</p>"
    if isinstance(part, Code):
        return f"<pre>{_escape(part.text)}</pre>"
    if isinstance(part, Table):
        return _table(part)
    if isinstance(part, Tiles):
        tiles = "".join(
            f"<div><dt>{_escape(what)}</dt><dd>{_escape(figure.replace(' %', chr(0xA0) + '%'))}</dd></div>"
            for figure, what in part.tiles
        )
        return f'<dl class="tiles">{tiles}</dl>'
    if isinstance(part, Chart):
        caption = f"<figcaption>{_escape(part.caption)}</figcaption>" if part.caption else ""
        return f"<figure>{drawn(part)}{caption}</figure>"
    if isinstance(part, Figure):
        caption = f"<figcaption>{_escape(part.caption)}</figcaption>" if part.caption else ""
        return f'<figure><img src="{_inline(part.image)}" alt="{_escape(part.alt)}">{caption}</figure>'
    thumbs = "\n".join(_thumb(thumb) for thumb in part.thumbs)
    caption = f"<p>{_escape(part.caption)}</p>\n" if part.caption else ""
    return f'{caption}<ul class="gallery">\n{thumbs}\n</ul>'


def _table(table: Table) -> str:
    for number, row in enumerate(table.rows, start=1):
        if len(row) != len(table.columns):
            raise UsageError(
                f"Row {number} of a table has {len(row)} cells and the table {len(table.columns)} columns; "
                "make them equal."
            )

    def cells(kind: str, row: Sequence[str]) -> str:
        return "".join(
            f"<{kind}{' class=number' if i in table.numbers else ''}>{_escape(cell)}</{kind}>"
            for i, cell in enumerate(row)
        )

    caption = f"<caption>{_escape(table.caption)}</caption>" if table.caption else ""
    head = f"<thead><tr>{cells('th', table.columns)}</tr></thead>"
    body = "\n".join(f"<tr>{cells('td', row)}</tr>" for row in table.rows)
    return f'<div class="scroll" tabindex="0"><table>{caption}{head}<tbody>\n{body}\n</tbody></table></div>'


def _thumb(thumb: Thumb) -> str:
    lines, missed = [], False
    shown = "no logo" if thumb.true == BACKGROUND else thumb.true
    if thumb.predicted is not None:
        lines.append(f"<b>{_escape(thumb.predicted)}</b>")
    if thumb.confidence is not None:
        share = min(max(float(thumb.confidence), 0.0), 1.0)
        lines.append(
            f'<meter min="0" max="1" value="{share:.4f}" aria-hidden="true"></meter>'
            f"<span>{100 * share:.1f} % sure</span>"
        )
    if thumb.predicted is not None and thumb.true is not None:
        missed = thumb.predicted != thumb.true
        verdict = f"✗ wrong: it shows {shown}" if missed else "✓ right"
        lines.append(f'<span class="{"wrong" if missed else "right"}">{_escape(verdict)}</span>')
    elif thumb.true is not None:
        lines.append(f"<span>it shows {_escape(shown or '')}</span>")
    if thumb.caption:
        lines.append(f"<span>{_escape(thumb.caption)}</span>")
    alt = f"Photo of {shown}" if shown else "Photo"
    return (
        f'<li{" class=missed" if missed else ""}><img src="{_inline(thumb.image)}" alt="{_escape(alt)}" loading="lazy">'
        f"<div>{''.join(lines)}</div></li>"
    )


def _inline(image: bytes) -> str:
    signatures = {"png": b"\x89PNG\r\n\x1a\n", "jpeg": b"\xff\xd8\xff", "gif": b"GIF8"}
    kind = next((kind for kind, signature in signatures.items() if image.startswith(signature)), None)
    if kind is None and image[:4] == b"RIFF" and image[8:12] == b"WEBP":
        kind = "webp"
    if kind is None:
        raise UsageError("A picture for a page is no PNG, JPEG, WebP or GIF file; convert it first.")
    return f"data:image/{kind};base64,{base64.b64encode(image).decode()}"


def _escape(text: str) -> str:
    return html.escape(str(text), quote=True)
