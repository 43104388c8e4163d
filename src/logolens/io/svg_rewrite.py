"""A drawing (SVG) written anew from what an XML parser saw in it, so that nothing in it reaches outside.

What is judged is what the parser's events say, never the raw text: quotes, blanks, entities, prefixes, comments and encodings
can hide nothing from it. Only elements and attributes that are known to draw are written; a reference stays when it names an
element of this drawing, or holds a picture (PNG, JPEG, GIF, WebP) that is really one. The renderer is given the result and
never the original.
"""

from __future__ import annotations

import base64
import binascii
import io
import math
import re
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes
from xml.parsers import expat
from xml.sax.saxutils import escape, quoteattr

from PIL import Image

from logolens.errors import ImageError

__all__ = ["MOST_TEXT", "Drawing", "rewrite"]

MOST_TEXT = 20_000_000
"""Bytes of text, unpacked, above which a drawing is refused unread."""

_DEEPEST = 200
_MOST_ELEMENTS = 200_000
"""Elements of the text, and those that come to be drawn once every use of one is followed."""

_MOST_PIXELS = 50_000_000
_LONGEST_ENTITY = 2_000

_SVG = "http://www.w3.org/2000/svg"
_XLINK = "http://www.w3.org/1999/xlink"
_XML = "http://www.w3.org/XML/1998/namespace"
_BETWEEN = "\n"  # Stands in no namespace's name, for the parser turns line breaks within attributes into blanks.

_SHAPES = (
    "a circle clipPath defs ellipse filter g image line linearGradient marker mask path pattern polygon polyline "
    "radialGradient rect stop svg switch symbol text textPath tref tspan use"
)
_EFFECTS = (
    "feBlend feColorMatrix feComponentTransfer feComposite feConvolveMatrix feDiffuseLighting feDisplacementMap "
    "feDistantLight feDropShadow feFlood feFuncA feFuncB feFuncG feFuncR feGaussianBlur feImage feMerge feMergeNode "
    "feMorphology feOffset fePointLight feSpecularLighting feSpotLight feTile feTurbulence"
)
_ATTRIBUTES = (
    "alignment-baseline amplitude azimuth background-color baseFrequency baseline-shift bias class clip clip-path "
    "clip-rule clipPathUnits color color-interpolation color-interpolation-filters color-profile color-rendering cx cy d "
    "diffuseConstant direction display divisor dominant-baseline dx dy edgeMode elevation enable-background exponent fill "
    "fill-opacity fill-rule filter filterUnits flood-color flood-opacity font font-family font-feature-settings "
    "font-kerning font-size font-size-adjust font-stretch font-style font-synthesis font-variant font-variation-settings "
    "font-weight fr fx fy glyph-orientation-horizontal glyph-orientation-vertical gradientTransform gradientUnits height "
    "id image-rendering in in2 inline-size intercept isolation k1 k2 k3 k4 kernelMatrix kernelUnitLength kerning "
    "lengthAdjust letter-spacing lighting-color limitingConeAngle line-height marker marker-end marker-mid marker-start "
    "markerHeight markerUnits markerWidth mask mask-border mask-clip mask-composite mask-image mask-mode mask-origin "
    "mask-position mask-size mask-type maskContentUnits maskUnits media method mix-blend-mode mode numOctaves offset "
    "opacity operator order orient overflow paint-order path pathLength patternContentUnits patternTransform patternUnits "
    "points pointsAtX pointsAtY pointsAtZ preserveAlpha preserveAspectRatio primitiveUnits r radius refX refY "
    "requiredExtensions requiredFeatures result rotate rx ry scale seed shape-image-threshold shape-inside shape-margin "
    "shape-padding shape-rendering shape-subtract side slope spacing specularConstant specularExponent spreadMethod "
    "startOffset stdDeviation stitchTiles stop-color stop-opacity stroke stroke-dasharray stroke-dashoffset "
    "stroke-linecap stroke-linejoin stroke-miterlimit stroke-opacity stroke-width style surfaceScale systemLanguage "
    "tableValues targetX targetY text-align text-align-last text-anchor text-decoration text-decoration-color "
    "text-decoration-fill text-decoration-line text-decoration-stroke text-decoration-style text-indent text-orientation "
    "text-overflow text-rendering text-underline-position textLength transform transform-box transform-origin type "
    "unicode-bidi values vector-effect version viewBox visibility white-space width word-spacing writing-mode x x1 x2 "
    "xChannelSelector y y1 y2 yChannelSelector z"
)
_DRAWN = frozenset(f"{_SHAPES} {_EFFECTS}".split())
_KNOWN = frozenset(_ATTRIBUTES.split())
_PLACEHOLDER = "<desc/>"

_URL = re.compile(r"(?i)url\s*\(([^)]*)\)?")
_QUOTES = frozenset("\"'()<>")
_IMPORT = re.compile(r"(?i)@import\b[^;]*;?")
_DATA = re.compile(r"(?is)data:([^;,]*)((?:;[^;,]*)*),(.*)")
_PICTURES = {"PNG": "png", "JPEG": "jpeg", "GIF": "gif", "WEBP": "webp"}
_NAMED = frozenset(("image/png", "image/jpeg", "image/jpg", "image/gif", "image/webp"))
_LENGTH = re.compile(r"\s*([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)\s*(px|pt|pc|mm|cm|in|em|ex)?\s*")
_LONGEST_LENGTH, _LONGEST_BOX = 60, 300
_UNITS = {"px": 1.0, "pt": 4 / 3, "pc": 16.0, "mm": 96 / 25.4, "cm": 96 / 2.54, "in": 96.0, "em": 16.0, "ex": 8.0}
_UNPRINTABLE = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True)
class Drawing:
    """A drawing that reaches nothing outside itself.

    Attributes:
        text: an SVG document of its own, without a document type.
        is_wide: whether its longer side is the width.
        has_text: whether letters are drawn, for which fonts are needed.
        outside: how many references to something outside were left out.
    """

    text: str
    is_wide: bool
    has_text: bool
    outside: int


def rewrite(text: str) -> Drawing:
    """Parse a drawing and write it anew.

    Raises:
        ImageError: it is no well-formed XML, is no drawing, or is made to take too much to draw.
    """
    writer = _Writer(text)
    parser = expat.ParserCreate("utf-8", _BETWEEN)
    parser.buffer_text = True
    parser.specified_attributes = True  # Defaults that a document type declares are no renderer's business.
    parser.SetParamEntityParsing(expat.XML_PARAM_ENTITY_PARSING_NEVER)
    parser.EntityDeclHandler = writer.entity
    parser.StartElementHandler = writer.start
    parser.EndElementHandler = writer.end
    parser.CharacterDataHandler = writer.characters
    try:
        # In one piece: a long token that comes in many is read again for each.
        parser.Parse(text.encode("utf-8", "replace"), True)
    except expat.ExpatError as error:
        raise ImageError(f"This is a drawing (SVG) that cannot be drawn ({error}).") from error
    return writer.drawing()


class _Writer:
    """Takes the parser's events and writes what may stay."""

    def __init__(self, text: str) -> None:
        self._ampersands = text.count("&")
        self._parts: list[str] = []
        self._length = self._elements = self._outside = self._pixels = 0
        self._depth = self._dropped = 0  # _dropped: the depth from which all is left out, 0 for none.
        self._style: list[str] | None = None
        self._open: list[str] = []
        self._wide = True
        self._has_text = False
        self._uses = _Uses()
        self._effect_images: list[tuple[int, str, str]] = []

    def entity(
        self, name: str, is_parameter: bool, value: str | None, base: str | None, system: str | None, *_: str | None
    ) -> None:
        # Drawing programs declare their namespaces so. Entities that hold markup or one another, or that come from
        # elsewhere, are for harm alone.
        if is_parameter or value is None or len(value) > _LONGEST_ENTITY or any(sign in value for sign in "<&%"):
            raise ImageError("This drawing (SVG) declares entities that hold more than plain text, and is not drawn.")
        if self._ampersands * len(value) > MOST_TEXT:
            raise ImageError("This drawing (SVG) repeats an entity thousands of times, and is not drawn.")

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        self._elements += 1
        if self._depth > _DEEPEST:
            raise ImageError(f"This drawing (SVG) nests more than {_DEEPEST} elements, and is not drawn.")
        if self._elements > _MOST_ELEMENTS:
            raise ImageError(f"This drawing (SVG) comes to more than {_MOST_ELEMENTS:,} elements, and is not drawn.")
        if self._dropped:
            self._count_outside(attributes)
            return
        space, _, name = tag.rpartition(_BETWEEN)
        is_own = space in ("", _SVG)  # Old drawings name no space, and are drawn.
        if self._depth == 1 and not (is_own and name == "svg"):
            raise ImageError("This is a drawing (SVG) that cannot be drawn (its outermost element is not svg's).")
        if is_own and name == "style" and attributes.get("type", "text/css").strip() in ("", "text/css"):
            self._style, self._dropped = [], self._depth
        elif is_own and name in _DRAWN:
            self._element(name, attributes)
        else:
            # Style sheets count siblings (:first-child), so that something must stand where this stood.
            self._put(_PLACEHOLDER)
            self._dropped = self._depth
            self._count_outside(attributes)

    def end(self, tag: str) -> None:
        if self._dropped == self._depth:
            if self._style is not None:
                self._put(f"<style>{escape(self._inert_css(''.join(self._style)))}</style>")
                self._style = None
            self._dropped = 0
        elif not self._dropped:
            self._put(f"</{self._open.pop()}>")
            self._uses.leave()
        self._depth -= 1

    def characters(self, text: str) -> None:
        if self._style is not None:
            if self._dropped == self._depth:
                self._style.append(text)
                self._length += len(text)
        elif not self._dropped:
            self._put(escape(_printable(text)))

    def drawing(self) -> Drawing:
        names = self._uses.names
        for position, name, shown in self._effect_images:
            # A renderer takes the name of an element that is not there for a file's.
            if name in names:
                self._parts[position] = shown
            else:
                self._outside += 1
        self._uses.check()
        return Drawing("".join(self._parts), self._wide, self._has_text, self._outside)

    def _put(self, text: str) -> None:
        self._length += len(text)
        if self._length > MOST_TEXT:
            raise ImageError(f"This drawing (SVG) has more than {MOST_TEXT:,} bytes of text; simplify it.")
        self._parts.append(text)

    def _element(self, name: str, attributes: dict[str, str]) -> None:
        self._uses.enter(attributes.get("id"))
        self._has_text = self._has_text or name == "text"
        self._put(f"<{name}")
        self._open.append(name)
        if self._depth == 1:
            self._put(f' xmlns="{_SVG}" xmlns:xlink="{_XLINK}"')
            self._wide = _is_wide(attributes)
        for key, value in attributes.items():
            space, _, local = key.rpartition(_BETWEEN)
            if local == "href" and space in ("", _XLINK):
                self._reference(name, "href" if not space else "xlink:href", value)
            elif not space and local in _KNOWN:
                self._put(f" {local}={quoteattr(_printable(self._attribute(local, value)))}")
            elif space == _XML and local in ("space", "lang"):
                self._put(f" xml:{local}={quoteattr(_printable(value))}")
            elif local in ("src", "base", "href") and value.strip():
                self._outside += 1
        self._put(">")

    def _attribute(self, name: str, value: str) -> str:
        if name == "style":
            return self._inert_css(value)
        if "url" in value.lower():
            return self._inert_urls(value)
        return value

    def _reference(self, element: str, key: str, value: str) -> None:
        value = value.strip()
        if not value or element == "a":  # What a link leads to is no part of a picture.
            return
        if element in ("image", "feImage") and (picture := self._picture(value)) is not None:
            self._put(f' {key}="{picture}"')
        elif value.startswith("#") and len(value) > 1 and element != "image":
            shown = f" {key}={quoteattr(_printable(value))}"
            self._uses.name(value[1:])
            if element == "feImage":
                self._effect_images.append((len(self._parts), value[1:], shown))
                shown = ""
            self._put(shown)
        else:
            self._outside += not value.startswith("#") and not _DATA.fullmatch(value)

    def _picture(self, value: str) -> str | None:
        """A picture that is held in a reference, written anew as what its bytes are; None of anything else."""
        found = _DATA.fullmatch(value)
        if found is None or found[1].strip().lower() not in _NAMED:
            return None
        try:
            if any(each.strip().lower() == "base64" for each in found[2].split(";")):
                data = base64.b64decode(re.sub(r"\s+", "", unquote_to_bytes(found[3]).decode("latin-1")) + "==")
            else:
                data = unquote_to_bytes(found[3])
        except (binascii.Error, ValueError):
            return None
        try:
            with Image.open(io.BytesIO(data), formats=tuple(_PICTURES)) as image:
                kind, (width, height) = _PICTURES[str(image.format)], image.size
        except Exception:  # Of whatever kind: what is no picture is not shown.
            return None
        self._pixels += width * height
        if self._pixels > _MOST_PIXELS:
            raise ImageError(
                f"This drawing (SVG) holds pictures of more than {_MOST_PIXELS:,} pixels, and is not drawn."
            )
        return f"data:image/{kind};base64,{base64.b64encode(data).decode('ascii')}"

    def _inert_urls(self, value: str) -> str:
        def judged(found: re.Match[str]) -> str:
            inner = found[1].strip()
            if len(inner) > 1 and inner[0] in "\"'" and inner[-1] == inner[0]:
                inner = inner[1:-1].strip()
            if found[0].endswith(")") and len(inner) > 1 and inner[0] == "#" and not _QUOTES & set(inner):
                self._uses.name(inner[1:])
                return f"url({inner})"
            self._outside += not inner.lower().startswith(("#", "data:image/"))
            return "url(#none)"

        return _URL.sub(judged, value)

    def _inert_css(self, css: str) -> str:
        # Escapes spell what must not stand here in other letters; the renderer knows none of them.
        css = re.sub(r"(?i)href", "none", re.sub(r"/\*.*?(?:\*/|$)", " ", css.replace("\\", ""), flags=re.S))
        css, imports = _IMPORT.subn(" ", css)
        self._outside += imports
        return _printable(self._inert_urls(css))

    def _count_outside(self, attributes: dict[str, str]) -> None:
        for key, value in attributes.items():
            if key.rpartition(_BETWEEN)[2] in ("href", "src", "base"):
                self._outside += bool(value.strip()) and not value.strip().startswith(("#", "data:image/"))


class _Uses:
    """Which named elements show which others: what is drawn may grow with the power of what is written."""

    def __init__(self) -> None:
        self._own: dict[str, int] = {"": 0}
        self._used: dict[str, list[str]] = {"": []}
        self._stack: list[str] = [""]

    @property
    def names(self) -> set[str]:
        return {name for name in self._own if name}

    def enter(self, name: str | None) -> None:
        name = name or self._stack[-1]
        if name not in self._own:
            self._own[name], self._used[name] = 0, []
            self._used[self._stack[-1]].append(name)
        self._own[name] += 1
        self._stack.append(name)

    def leave(self) -> None:
        self._stack.pop()

    def name(self, name: str) -> None:
        """The element that is open shows the one of this name."""
        self._used[self._stack[-1]].append(name)

    def check(self) -> None:
        """Raises ImageError when too much would be drawn."""
        weights: dict[str, int] = {}

        def weight(name: str, above: tuple[str, ...]) -> int:
            if name in above or name not in self._own or len(above) > _DEEPEST:
                return 0
            if name not in weights:
                below = sum(weight(each, (*above, name)) for each in self._used[name])
                weights[name] = min(_MOST_ELEMENTS + 1, self._own[name] + below)
            return weights[name]

        if max(weight(name, ()) for name in self._own) > _MOST_ELEMENTS:
            raise ImageError(f"This drawing (SVG) comes to more than {_MOST_ELEMENTS:,} elements, and is not drawn.")


def _is_wide(root: dict[str, str]) -> bool:
    """Whether the longer side is the width, from the root's own attributes, as a renderer takes them."""
    try:
        box = [float(part) for part in re.split(r"[\s,]+", root.get("viewBox", "")[:_LONGEST_BOX].strip())]
    except ValueError:
        box = []
    sides = [_length(root.get("width")), _length(root.get("height"))]
    if len(box) == 4:
        sides = [box[2 + place] if side is None else side for place, side in enumerate(sides)]
    width, height = sides
    if width is None or height is None or not math.isfinite(width) or not math.isfinite(height):
        return True
    return width >= height


def _length(text: str | None) -> float | None:
    """A length in pixels; None of a share and of what is no length."""
    found = _LENGTH.fullmatch((text or "")[:_LONGEST_LENGTH])
    return float(found[1]) * _UNITS[found[2] or "px"] if found else None


def _printable(text: str) -> str:
    return _UNPRINTABLE.sub(" ", text)
