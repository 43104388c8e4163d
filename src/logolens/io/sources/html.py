"""What a web page shows and where it leads: every way in which HTML can name an image.

The page is read as a stream of tags, never built as a tree, so that one made to be deep or broken costs no more than its
length.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urljoin

from lxml import etree

from logolens.io.sources.css import read_css
from logolens.io.sources.mime import SCANNED_SUFFIXES, suffix_of

__all__ = ["Page", "read_html"]

_ICONS = {"icon", "apple-touch-icon", "apple-touch-icon-precomposed", "mask-icon", "fluid-icon", "image_src"}
_METAS = {
    *("og:image", "og:image:url", "og:image:secure_url", "og:logo", "twitter:image", "twitter:image:src", "thumbnail"),
    *("msapplication-tileimage", "msapplication-square70x70logo", "msapplication-square150x150logo"),
    *("msapplication-wide310x150logo", "msapplication-square310x310logo", "image", "thumbnailurl", "logo"),
}
_LINKED_DATA = {"image", "logo", "thumbnailurl", "contenturl", "photo", "primaryimageofpage", "thumbnail", "images"}
_LAZY = re.compile(
    r"data-(?:.*-)?(?:src|srcset|original|lazy|bg|background|background-image|bgset|image|img|poster|thumb|thumbnail|"
    r"hi-?res|large|full|zoom-image|fallback|flickity-lazyload)(?:-.*)?"
)
_DESCRIBED = re.compile(r"\s[0-9.]+[wxh]\s*(?:,|$)")
_REFRESH = re.compile(r"""^\s*[\d.]*\s*[;,]?\s*(?:url\s*=\s*)?["']?([^"'\s][^"']*)""", re.I)
_SVG_START, _SVG_END = re.compile(r"<svg\b", re.I), re.compile(r"</svg\s{0,9}>", re.I)
_SHAPE = re.compile(r"<(path|rect|circle|ellipse|polygon|polyline|text|line)\b", re.I)
_LONGEST_DRAWING = 1_000_000
_MOST_DRAWINGS = 2_000
_DEEPEST_FRAME = 3
"""Pages within pages (an iframe's srcdoc) that are read."""


@dataclass
class Page:
    """What stands on a page, as it is written there; nothing is resolved yet.

    Attributes:
        base: the address that relative ones start from, where the page names one.
        images: addresses of images, ``data:`` among them.
        links: pages that it leads to.
        sheets: stylesheets; their images count as the page's.
        manifests: web app manifests, which name icons.
        drawings: SVG that stands within the page.
        follow: false where the page asks not to follow its links.
    """

    base: str | None = None
    images: list[str] = field(default_factory=list)
    links: list[str] = field(default_factory=list)
    sheets: list[str] = field(default_factory=list)
    manifests: list[str] = field(default_factory=list)
    drawings: list[str] = field(default_factory=list)
    follow: bool = True


def read_html(text: str) -> Page:
    """All that a page names. Broken HTML is read as far as it goes, as a browser does."""
    return _read(text, 0)


def _read(text: str, depth: int) -> Page:
    target = _Reader(depth)
    parser = etree.HTMLParser(target=target, encoding="utf-8", huge_tree=True)
    try:
        parser.feed(text.replace("\0", " ").encode("utf-8", "replace") or b" ")
        parser.close()
    except (etree.LxmlError, AssertionError):
        pass  # What was read until then counts.
    page = target.page
    page.drawings = list(dict.fromkeys((*_drawings(text), *page.drawings)))[:_MOST_DRAWINGS]
    for name in ("images", "links", "sheets", "manifests"):
        setattr(page, name, list(dict.fromkeys(each for each in getattr(page, name) if each)))
    return page


class _Reader:
    """Receives the tags of a page, one by one."""

    def __init__(self, depth: int) -> None:
        self.page = Page()
        self._depth = depth
        self._held: list[str] | None = None
        self._holder = ""

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        tag = tag.lower().rpartition(":")[2] if isinstance(tag, str) else ""
        values = {key.lower(): value.strip() for key, value in attributes.items() if value}
        self._common(tag, values)
        method = getattr(self, f"_{tag}", None)
        if method is not None:
            method(values)

    def end(self, tag: str) -> None:
        if self._held is None or tag != self._holder:
            return
        text, self._held = "".join(self._held), None
        if tag == "style":
            self._css(text)
        else:
            self.page.images += _linked_data(text)

    def data(self, text: str) -> None:
        if self._held is not None:
            self._held.append(text)

    def comment(self, text: str) -> None:
        # Old pages show an image to some browsers alone, and hide CSS from others, in comments.
        if self._held is not None:
            self._held.append(text)

    def close(self) -> None:
        if self._held is not None:
            self.end(self._holder)

    def _common(self, tag: str, values: dict[str, str]) -> None:
        """What any element may have."""
        for key, value in values.items():
            if key == "style":
                self._css(value)
            elif key == "background":
                self.page.images.append(value)
            elif key.startswith("data-") and _LAZY.fullmatch(key):
                self._lazy(value)
            elif key == "srcset" or key == "imagesrcset":
                self.page.images += _set(value)
            elif key == "src" and tag not in ("img", "input", "iframe", "frame", "script"):
                self._if_image(value, values)
            elif key == "itemprop" and value.lower() in ("image", "logo", "thumbnailurl"):
                self.page.images += [values[name] for name in ("content", "href", "src") if name in values]

    def _lazy(self, value: str) -> None:
        if _DESCRIBED.search(value):
            self.page.images += _set(value)
        elif "url(" in value:
            self._css(value)
        elif value[:1] not in ("{", "[", "#") and " " not in value:
            suffix = suffix_of(_path(value))
            # A bare word such as data-image="hero" is no address.
            if suffix in SCANNED_SUFFIXES or (not suffix and "/" in value):
                self.page.images.append(value)

    def _if_image(self, value: str, values: dict[str, str]) -> None:
        if (
            values.get("type", "").lower().startswith("image/")
            or suffix_of(_path(value)) in SCANNED_SUFFIXES
            or _is_data(value)
        ):
            self.page.images.append(value)

    def _css(self, text: str) -> None:
        sheet = read_css(text)
        self.page.images += sheet.images
        self.page.sheets += sheet.imports

    def _img(self, values: dict[str, str]) -> None:
        self.page.images += [values[key] for key in ("src", "lowsrc") if key in values]

    def _input(self, values: dict[str, str]) -> None:
        if values.get("type", "").lower() == "image" and "src" in values:
            self.page.images.append(values["src"])

    def _image(self, values: dict[str, str]) -> None:
        for key in ("href", "xlink:href", "src"):
            if key in values and not values[key].startswith("#"):
                self.page.images.append(values[key])

    _feimage = _image

    def _use(self, values: dict[str, str]) -> None:
        self._image({key: value for key, value in values.items() if key != "src"})

    def _video(self, values: dict[str, str]) -> None:
        if "poster" in values:
            self.page.images.append(values["poster"])

    def _object(self, values: dict[str, str]) -> None:
        if "data" in values:
            self._if_image(values["data"], values)

    def _base(self, values: dict[str, str]) -> None:
        if self.page.base is None and "href" in values:
            self.page.base = values["href"]

    def _a(self, values: dict[str, str]) -> None:
        for key in ("href", "xlink:href"):
            if key in values:
                self.page.links.append(values[key])

    _area = _a

    def _iframe(self, values: dict[str, str]) -> None:
        # A frame that brings its own page shows that, whatever its src says.
        if "srcdoc" in values:
            self._framed(values["srcdoc"])
        elif "src" in values:
            self.page.links.append(values["src"])

    _frame = _iframe

    def _framed(self, text: str) -> None:
        """A page within the page counts as its own part."""
        if self._depth >= _DEEPEST_FRAME:
            return
        inner = _read(text, self._depth + 1)
        for name in ("images", "links", "sheets", "manifests"):
            if name == "links" and not inner.follow:
                continue
            there = getattr(inner, name)
            getattr(self.page, name).extend(_joined(inner.base, each) for each in there)
        self.page.drawings += inner.drawings

    def _link(self, values: dict[str, str]) -> None:
        href, kinds = values.get("href", ""), set(values.get("rel", "").lower().split())
        if kinds & _ICONS or (kinds & {"preload", "prefetch"} and values.get("as", "").lower() == "image"):
            self.page.images.append(href)
        if "stylesheet" in kinds or (kinds & {"preload", "prefetch"} and values.get("as", "").lower() == "style"):
            self.page.sheets.append(href)
        if "manifest" in kinds:
            self.page.manifests.append(href)
        if kinds & {"next", "prev", "amphtml"} or ("alternate" in kinds and "hreflang" in values):
            self.page.links.append(href)

    def _meta(self, values: dict[str, str]) -> None:
        content = values.get("content", "")
        name = (values.get("property") or values.get("name") or "").lower()
        if name in _METAS:
            self.page.images.append(content)
        if name in ("robots", "logolens") and {"nofollow", "none"} & set(re.split(r"[\s,;]+", content.lower())):
            self.page.follow = False
        if values.get("http-equiv", "").lower() == "refresh" and (found := _REFRESH.match(content)):
            self.page.links.append(found[1])

    def _style(self, values: dict[str, str]) -> None:
        self._held, self._holder = [], "style"

    def _script(self, values: dict[str, str]) -> None:
        if "json" in values.get("type", "").lower():
            self._held, self._holder = [], "script"


def _joined(base: str | None, address: str) -> str:
    """An address of a framed page, which starts from that page's own base where it names one."""
    if not base or _is_data(address):
        return address
    try:
        return urljoin(base, address)
    except ValueError:
        return address


def _path(value: str) -> str:
    return value.partition("#")[0].partition("?")[0]


def _is_data(value: str) -> bool:
    return value[:11].lower() == "data:image/"


def _set(value: str) -> list[str]:
    """The addresses of a srcset, as browsers part it: an address ends at a blank, and may hold commas itself."""
    found = []
    position = 0
    while candidate := re.compile(r"[\s,]*(\S+)").match(value, position):
        address, position = candidate[1], candidate.end()
        if address.endswith(","):
            address = address.rstrip(",")
        else:
            comma = value.find(",", position)
            position = len(value) if comma < 0 else comma + 1
        found.append(address)
    return found


def _linked_data(text: str) -> list[str]:
    """The images that JSON-LD names, wherever in it."""
    try:
        todo: list[Any] = [json.loads(_unwrapped(text), strict=False)]
    except (ValueError, RecursionError):
        return []
    found: list[str] = []
    while todo:
        value = todo.pop()
        if isinstance(value, list):
            todo += value
        elif isinstance(value, dict):
            for key, inner in value.items():
                if key.lower() in _LINKED_DATA:
                    found += _addresses(inner)
                if isinstance(inner, (dict, list)):
                    todo.append(inner)
    return found


def _unwrapped(text: str) -> str:
    """Without the CDATA marks that some pages put around it."""
    text = text.strip().removeprefix("//").lstrip().removeprefix("<![CDATA[")
    return text.removesuffix("]]>").rstrip().removesuffix("//")


def _addresses(value: Any) -> list[str]:
    found: list[str] = []
    for each in value if isinstance(value, list) else [value]:
        if isinstance(each, dict):
            each = each.get("url") or each.get("contentUrl") or each.get("@id")
        if isinstance(each, str) and each and not each.startswith("#"):
            found.append(each)
    return found


def _drawings(text: str) -> list[str]:
    """The SVG elements within the page, as written; those that only use symbols drawn elsewhere show nothing alone."""
    found: list[str] = []
    position = 0
    while len(found) < _MOST_DRAWINGS and (start := _SVG_START.search(text, position)):
        end = _SVG_END.search(text, start.end())
        if end is None:
            break
        position = end.end()
        drawing = text[start.start() : position]
        if len(drawing) <= _LONGEST_DRAWING and _SHAPE.search(drawing):
            found.append(drawing)
    return found
