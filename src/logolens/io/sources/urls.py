"""URLs: one spelling for each, without credentials in it, and which belong to one site."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from urllib.parse import quote, unquote, urljoin, urlsplit

__all__ = ["Login", "Url", "digest_of", "is_url", "redacted", "same_site"]

_LONGEST = 8_000
_PORTS = {"http": 80, "https": 443}
_HOST = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,62}\.?)+", re.ASCII)
_IPV6 = re.compile(r"\[[0-9a-f:.]+\]", re.ASCII)
_SAFE = "!$&'()*+,;=:@/-._~%[]|^"
_BAD_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")
_PERCENT = re.compile(r"%([0-9A-Fa-f]{2})")
_UNRESERVED = re.compile(r"[A-Za-z0-9._~-]")
_DOT_SEGMENT = re.compile(r"^\.{1,2}$")
_SECRET = re.compile(
    r"(?i)^(x-amz-(signature|credential|security-token)|x-goog-(signature|credential)|signature|sig|sign|token|auth|"
    r"access_?token|id_?token|refresh_?token|api_?key|key|apikey|password|passwd|pwd|secret|client_?secret|"
    r"awsaccesskeyid|session_?id|jwt|code|credentials?)$"
)

Login = tuple[str, str]
"""A user's name and password, kept beside a URL and never in it."""


@dataclass(frozen=True)
class Url:
    """An http or https URL in one spelling, without fragment and credentials.

    Attributes:
        scheme: http or https.
        host: lower case, in ASCII; IPv6 addresses in brackets.
        port: always a number.
        target: path and query, as they are sent.
        login: what stood before the host, if anything.
    """

    scheme: str
    host: str
    port: int
    target: str
    login: Login | None = None

    @staticmethod
    def parse(text: str, base: str | None = None) -> Url | None:
        """A URL as people and pages write it, or None where it is of another kind or makes no sense.

        Args:
            text: absolute, or relative to ``base``.
            base: the address of the page that it stands on.
        """
        # As browsers read it: tabs and line breaks inside are dropped, backslashes of the web's schemes are slashes.
        text = re.sub(r"[\t\r\n]", "", text.strip(" \t\r\n\f\0")).split("#", 1)[0]
        if len(text) > _LONGEST:
            return None
        head, mark, query = text.partition("?")
        if not re.match(r"(?i)(?!https?:)[a-z][a-z0-9+.-]*:", head):
            head = head.replace("\\", "/")
        text = head + mark + query
        try:
            parts = urlsplit(urljoin(base, text) if base else text)
            port = parts.port
        except ValueError:
            return None
        scheme = parts.scheme.lower()
        host = _host(parts.hostname or "")
        if scheme not in _PORTS or host is None or port == 0:
            return None
        path = _spelled(_without_dots(parts.path) or "/", _SAFE)
        if not path.startswith("/"):
            path = "/" + path
        target = path + ("?" + _spelled(parts.query, _SAFE + "?") if parts.query else "")
        login = None
        if parts.username or parts.password:
            login = (unquote(parts.username or ""), unquote(parts.password or ""))
        return Url(scheme, host, port or _PORTS[scheme], target, login)

    @property
    def origin(self) -> str:
        """Scheme, host and port, as one text."""
        return f"{self.scheme}://{self.authority}"

    @property
    def authority(self) -> str:
        """Host and port, the port left out where it is the scheme's own."""
        return self.host if self.port == _PORTS[self.scheme] else f"{self.host}:{self.port}"

    @property
    def path(self) -> str:
        """The path alone."""
        return self.target.partition("?")[0]

    @property
    def text(self) -> str:
        """The URL to ask for; its query may hold secrets."""
        return self.origin + self.target

    @property
    def name(self) -> str:
        """The URL to show and to store: whatever in the query looks like a key, a token or a signature is starred out."""
        return redacted(self.text)


def is_url(text: str) -> bool:
    """Whether a text is meant as a URL of the web."""
    return re.match(r"(?i)\s*https?://", text) is not None


def digest_of(address: str) -> bytes:
    """Sixteen bytes by which an address is remembered where there may be millions of them (BLAKE2b, RFC 7693)."""
    return hashlib.blake2b(address.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def redacted(text: str) -> str:
    """A URL without credentials: neither before the host, nor as a key, token or signature in the query."""
    head, mark, query = text.partition("?")
    head = re.sub(r"^([A-Za-z][\w+.-]*://)[^/]*@", r"\1", head)
    if not mark:
        return head
    pieces = []
    for piece in query.split("&"):
        key, equals, value = piece.partition("=")
        pieces.append(f"{key}=***" if equals and value and _SECRET.match(unquote(key)) else piece)
    return head + mark + "&".join(pieces)


def same_site(url: Url, start: Url, *, subdomains: bool) -> bool:
    """Whether a page belongs to the site that is crawled: the same host and port, with or without ``www.``.

    http and https of one host are one site where both stand at their usual ports.
    """
    usual = all(each.port == _PORTS[each.scheme] for each in (url, start))
    if not usual and (url.scheme, url.port) != (start.scheme, start.port):
        return False
    here, home = url.host.removeprefix("www."), start.host.removeprefix("www.")
    if here == home:
        return True
    # An address has no subdomains, and neither has a bare name such as localhost.
    return subdomains and "." in home and not home.replace(".", "").isdigit() and here.endswith("." + home)


def _host(host: str) -> str | None:
    host = unquote(host).lower()
    if ":" in host:
        bracketed = f"[{host}]"
        return bracketed if _IPV6.fullmatch(bracketed) else None
    try:
        host = host.encode("idna").decode("ascii").lower() if not host.isascii() else host
    except UnicodeError:
        return None
    return host if len(host) <= 253 and _HOST.fullmatch(host) else None


def _spelled(text: str, safe: str) -> str:
    """Percent-encoded in one way: unsafe characters encoded, needlessly encoded ones not, capitals in the code."""
    text = _BAD_PERCENT.sub("%25", text)
    text = _PERCENT.sub(lambda found: _decoded(found[0]), text)
    return quote(text, safe=safe, errors="replace")


def _decoded(code: str) -> str:
    character = chr(int(code[1:], 16))
    return character if _UNRESERVED.match(character) else code.upper()


def _without_dots(path: str) -> str:
    """``/a/../b/./c`` to ``/b/c``; urljoin does so for relative URLs alone."""
    if "/." not in path:
        return path
    kept: list[str] = []
    pieces = path.split("/")
    for index, piece in enumerate(pieces):
        plain = piece.lower().replace("%2e", ".")
        if not _DOT_SEGMENT.match(plain):
            kept.append(piece)
            continue
        if plain == ".." and len(kept) > 1:
            kept.pop()
        if index == len(pieces) - 1:
            kept.append("")
    return "/".join(kept)
