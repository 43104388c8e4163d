"""A web site on loopback that has everything a crawler meets, and knows what is on it."""

from __future__ import annotations

import base64
import colorsys
import contextlib
import gzip
import io
import json
import socket
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from PIL import Image

__all__ = ["Reply", "Server", "Website", "picture", "serving"]

Headers = dict[str, str]


@dataclass
class Reply:
    """What the server answers at one path.

    ``first`` is answered to the first requests instead, one each; ``login``, as in ``me:secret``, must be given.
    """

    body: bytes = b""
    type: str = "text/html; charset=utf-8"
    status: int = 200
    headers: Headers = field(default_factory=dict)
    delay: float = 0.0
    drip: float = 0.0
    cut: int | None = None
    reset: bool = False
    endless: bool = False
    login: str = ""
    first: list[Reply] = field(default_factory=list)


class Server:
    """A real HTTP server in threads; counts what it is asked for."""

    def __init__(self) -> None:
        self.replies: dict[str, Reply] = {}
        self.asked: Counter[str] = Counter()
        self.seen: list[tuple[str, Headers, float]] = []
        self.stop = threading.Event()
        self._lock = threading.Lock()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                with contextlib.suppress(OSError):
                    outer._answer(self)

            def log_message(self, *_: Any) -> None:
                pass

        class Quiet(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 128

            def handle_error(self, *_: Any) -> None:
                pass

        self.http = Quiet(("127.0.0.1", 0), Handler)
        self.port = self.http.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"

    def reply(self, path: str) -> Reply:
        """What a path is answered with."""
        return self.replies.get(path) or Reply(b"nothing here", status=404)

    def _answer(self, handler: BaseHTTPRequestHandler) -> None:
        path = handler.path
        reply = self.reply(path)
        with self._lock:
            count = self.asked[path]
            self.asked[path] += 1
            self.seen.append((path, {k.lower(): v for k, v in handler.headers.items()}, time.monotonic()))
        if count < len(reply.first):
            reply = reply.first[count]
        if reply.login:
            wanted = "Basic " + base64.b64encode(reply.login.encode()).decode()
            if handler.headers.get("Authorization") != wanted:
                reply = Reply(status=401)
        if reply.delay:
            self.stop.wait(reply.delay)
        if reply.reset:
            handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            handler.close_connection = True
            handler.connection.shutdown(socket.SHUT_RDWR)
            return
        tag = reply.headers.get("ETag")
        if tag and handler.headers.get("If-None-Match") == tag:
            handler.send_response(304)
            handler.send_header("ETag", tag)
            handler.end_headers()
            return
        handler.send_response(reply.status)
        handler.send_header("Content-Type", reply.type)
        for key, value in reply.headers.items():
            handler.send_header(key, value)
        if not reply.endless and "Content-Length" not in reply.headers:
            handler.send_header("Content-Length", str(len(reply.body)))
        handler.end_headers()
        if reply.endless:
            handler.close_connection = True
            while not self.stop.is_set():
                handler.wfile.write(b"x" * 65536)
        if reply.drip:
            for byte in reply.body:
                if self.stop.wait(reply.drip):
                    return
                handler.wfile.write(bytes([byte]))
            return
        handler.wfile.write(reply.body if reply.cut is None else reply.body[: reply.cut])
        if reply.cut is not None:
            handler.close_connection = True


@contextlib.contextmanager
def serving(server: Server) -> Iterator[Server]:
    """The server runs within the block."""
    thread = threading.Thread(target=server.http.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.stop.set()
        server.http.shutdown()
        server.http.server_close()
        thread.join()


def picture(number: int, kind: str = "PNG", size: tuple[int, int] = (24, 16)) -> bytes:
    """An image of its own for each number."""
    colour = tuple(int(255 * part) for part in colorsys.hsv_to_rgb(number * 0.618 % 1, 0.8, 0.9))
    image = Image.new("RGB", size, colour)
    for bit in range(24):
        image.putpixel((bit % size[0], 0), (255, 255, 255) if number >> bit & 1 else (0, 0, 0))
    out = io.BytesIO()
    image.save(out, kind)
    return out.getvalue()


class Website:
    """A site of many pages and a second host for some of its images.

    Attributes:
        pages: the address of every page that a crawler of this site must read.
        images: what is at each address of an image that stands on a page; of images within pages, their bytes alone.
        places: the pages that each of them stands on.
        lost: addresses that cannot be had, each of which must be told of.
        forbidden: paths that robots.txt forbids.
    """

    def __init__(self, count: int = 200, *, faults: bool = True) -> None:
        self.main, self.cdn = Server(), Server()
        self.pages: set[str] = set()
        self.images: dict[str, bytes] = {}
        self.places: defaultdict[str, set[str]] = defaultdict(set)
        self.inline: dict[bytes, str] = {}
        self.lost: set[str] = set()
        self.forbidden = ("/private/",)
        self._number = 0
        self._faults = faults
        self._build(count)

    @property
    def start(self) -> str:
        """The address to begin at."""
        return f"{self.main.url}/"

    def _build(self, count: int) -> None:
        root = self.main
        hidden = count // 10  # pages that only the sitemap names
        paths = ["/"] + [f"/section-{i % 7}/page-{i}.html" for i in range(1, count)]
        linked = count - hidden
        shared = self._image("/shared/logo.png", [f"{root.url}{path}" for path in paths])
        sheet = f"body{{background:url('{shared}')}} /* url(no.png) */ @import 'more/deep.css';"
        root.replies["/css/site.css"] = Reply(sheet.encode(), "text/css")
        deep = self._image("/css/more/deep.png", [f"{root.url}{path}" for path in paths])
        root.replies["/css/more/deep.css"] = Reply(b"@import url(../site.css);h1{background:url(deep.png)}", "text/css")
        assert deep.endswith("/css/more/deep.png")
        for index, path in enumerate(paths):
            children = [paths[child] for child in (3 * index + 1, 3 * index + 2, 3 * index + 3) if child < linked]
            self._page(index, path, children)
        lines = "".join(f"<url><loc>{root.url}{path}</loc></url>" for path in paths[linked:])
        extra = f"<url><loc>{root.url}{paths[-1]}</loc><image:image><image:loc>"
        extra += self._image("/mapped.png", [root.url + paths[-1]]) + "</image:loc></image:image></url>"
        packed = gzip.compress(f"<?xml version='1.0'?><urlset>{lines}{extra}</urlset>".encode())
        root.replies["/maps/one.xml.gz"] = Reply(packed, "application/octet-stream")
        index_of = f"<sitemapindex><sitemap><loc>{root.url}/maps/one.xml.gz</loc></sitemap></sitemapindex>"
        root.replies["/maps.xml"] = Reply(index_of.encode(), "text/xml")
        robots = f"User-agent: *\nDisallow: /private/\nSitemap: {root.url}/maps.xml\n"
        root.replies["/robots.txt"] = Reply(robots.encode(), "text/plain")
        root.replies["/private/secret.html"] = Reply(b"<img src=secret.png>")
        root.replies["/private/secret.png"] = Reply(picture(999_999), "image/png")
        self.lost.add(f"{root.url}/private/secret.html")

    def _image(self, path: str, pages: list[str], *, cdn: bool = False, kind: str = "PNG", **reply: Any) -> str:
        """Put a new image somewhere; its address."""
        self._number += 1
        server = self.cdn if cdn else self.main
        data = picture(self._number, kind)
        server.replies[path] = Reply(data, reply.pop("type", f"image/{kind.lower()}"), **reply)
        url = server.url + path
        self.images[url] = data
        self.places[url] |= set(pages)
        return url

    def _page(self, index: int, path: str, children: list[str]) -> None:
        here = self.main.url + path
        self.pages.add(here)
        parts = [self._reference(index * 3 + turn, here) for turn in range(3)]
        links = []
        for turn, child in enumerate(children):
            way = (index + turn) % 5
            if way == 0:
                self.main.replies[f"/go/{child}"] = Reply(status=302, headers={"Location": child})
                child = f"/go/{child}"
            links.append(
                f'<map><area href="{child}#top"></map>'
                if way == 1
                else f'<iframe src="{child}"></iframe>'
                if way == 2
                else f"<a href='{child}?'>x</a>".replace("?'", "'")
            )
        links += ['<a href="/">home</a>', f'<a href="{path}#self">self</a>', '<a href="mailto:a@b.c">m</a>']
        links.append('<a href="http://elsewhere.invalid/">out</a><a href="javascript:void(0)">j</a>')
        if index == 0:
            links.append('<a href="/private/secret.html">secret</a>')
            links += self._broken()
        body = (
            f"<!DOCTYPE html><html><head><title>{index} &eacute;\u00e9</title>"
            f'<link rel="stylesheet" href="/css/site.css">{"".join(parts)}<body>{"".join(links)}'
        )
        reply = Reply(body.encode())
        if self._faults:
            reply = self._disturbed(index, reply)
        self.main.replies[path] = reply

    def _disturbed(self, index: int, reply: Reply) -> Reply:
        """A page that fails at first, lies, or is slow."""
        kind = index % 12
        if kind == 1:
            reply.first = [Reply(b"oops", status=500)]
        elif kind == 2:
            reply.first = [Reply(b"busy", status=429, headers={"Retry-After": "0"})]
        elif kind == 3:
            reply.first = [Reply(reply.body, cut=len(reply.body) // 2)]
        elif kind == 4:
            reply.first = [Reply(reset=True)]
        elif kind == 5:
            reply.type = "image/png"  # It says so, and is a page.
        elif kind == 6:
            reply.delay = 0.05
        elif kind == 7:
            reply.body, reply.headers = gzip.compress(reply.body), {"Content-Encoding": "gzip"}
        elif kind == 8:
            reply.type = "text/html; charset=rot13"
        elif kind == 9:
            reply.body = reply.body.decode().encode("utf-16")
        return reply

    def _broken(self) -> list[str]:
        """Links and images that come to nothing: each must be told of, and stop nothing."""
        root = self.main
        if not self._faults:
            return []
        root.replies["/circle-a"] = Reply(status=302, headers={"Location": "/circle-b"})
        root.replies["/circle-b"] = Reply(status=302, headers={"Location": "/circle-a"})
        root.replies["/always-500"] = Reply(b"no", status=500)
        root.replies["/huge-page"] = Reply(b"<p>", endless=True)
        root.replies["/huge.png"] = Reply(b"\x89PNG\r\n\x1a\n", "image/png", endless=True)
        root.replies["/circle.png"] = Reply(status=301, headers={"Location": "/circle.png"})
        root.replies["/drip.png"] = Reply(b"x" * 10_000, "image/png", drip=0.1)
        root.replies["/gone-away"] = Reply(status=302, headers={"Location": "http://elsewhere.invalid/"})
        for number in range(60):
            root.replies[f"/calendar?day={number}"] = Reply(f"<a href='/calendar?day={number + 1}'>next</a>".encode())
        root.replies["/deep"] = Reply(b"<div>" * 50_000)
        lost = ("/circle-a", "/always-500", "/huge-page", "/missing.html", "/huge.png", "/circle.png", "/drip.png")
        self.lost |= {root.url + path for path in (*lost, "/missing.png")}
        links = [f"<a href='{path}'>x</a>" for path in (*lost[:4], "/gone-away", "/calendar?day=0", "/deep")]
        return links + [f"<img src='{path}'>" for path in (*lost[4:], "/missing.png")] + ["<a href='http://[bad'>b</a>"]

    def _reference(self, turn: int, page: str) -> str:
        """One image, named in one of the many ways."""
        name, pages = f"/img/{turn}", [page]
        faults: dict[str, Any] = {}
        if self._faults:
            kinds: list[dict[str, Any]] = [
                {"first": [Reply(b"x", status=503, headers={"Retry-After": "0"})]},
                {"first": [Reply(b"\x89PNG", "image/png", headers={"Content-Length": "900"}, cut=4)]},
                {"type": "text/html"},
                {"delay": 0.05},
                {"first": [Reply(reset=True)]},
            ]
            faults = kinds[turn // 29 % 7] if turn // 29 % 7 < len(kinds) else {}

        def image(tail: str = ".png", **more: Any) -> str:
            return self._image(name + tail, pages, **{**faults, **more})

        way = turn % 29
        if way == 0:
            return f"<img src='{image()}'>"
        if way == 1:
            return f"<img srcset='{image('a.png')} 1x, {image('b.png')} 2x'>"
        if way == 2:
            return f"<picture><source srcset='{image('.webp', kind='WEBP')}'><img src='{image()}'></picture>"
        if way == 3:
            return f"<div style=\"background-image: url('{image()}')\"></div>"
        if way == 4:
            return f"<style>.a{{background:#fff url({image()}) no-repeat}}</style>"
        if way == 5:
            return f"<link rel='shortcut icon' href='{image('.ico', kind='ICO', type='image/x-icon')}'>"
        if way == 6:
            return f"<link rel=apple-touch-icon href={image()}>"
        if way == 7:
            icons = json.dumps({"icons": [{"src": image()}]})
            self.main.replies[name + ".webmanifest"] = Reply(icons.encode(), "application/manifest+json")
            return f"<link rel=manifest href={name}.webmanifest>"
        if way == 8:
            return f'<meta property="og:image" content="{image()}">'
        if way == 9:
            return f'<meta name="twitter:image" content="{image()}">'
        if way == 10:
            return f"<video poster='{image()}'></video>"
        if way == 11:
            return f"<input type=image src='{image()}'>"
        if way == 12:
            return f"<object data='{image()}'></object>"
        if way == 13:
            return f"<embed src='{image()}'>"
        if way == 14:
            return f"<svg width=1 height=1><image xlink:href='{image()}'/></svg>"
        if way == 15:
            self._number += 1
            data = picture(self._number)
            self.inline[data] = page
            return f"<img src='data:image/png;base64,{base64.b64encode(data).decode()}'>"
        if way == 16:
            return f"<img src='data:image/gif;base64,R0lGODlhAQABAAAAACw=' data-src='{image()}'>"
        if way == 17:
            return f"<img data-srcset='{image('s.png')} 100w, {image('l.png')} 900w'>"
        if way == 18:
            linked = json.dumps(
                {"@graph": [{"@type": "Organization", "logo": {"url": image()}}, {"image": [image("2.png")]}]}
            )
            return f'<script type="application/ld+json">{linked}</script>'
        if way == 19:
            return f"<noscript><img src='{image()}'></noscript>"
        if way == 20:
            return f"<a href='{image('.jpg', kind='JPEG')}'>large</a>"
        if way == 21:
            return f"<table background='{image()}'><tr><td>x</table>"
        if way == 22:
            self.main.replies[name + ".css"] = Reply(f"a{{b:image-set('{image()}' 1x)}}".encode(), "text/css")
            return f"<link rel=stylesheet href={name}.css>"
        if way == 23:
            return f"<img src='{image(cdn=True)}'>"
        if way == 24:
            target = image("-real.png", cdn=True)
            # The image's name is the address that the page gives; its bytes are where that leads.
            self.main.replies[name + ".png"] = Reply(status=307, headers={"Location": target})
            url = self.main.url + name + ".png"
            self.images[url], self.places[url] = self.images.pop(target), self.places.pop(target)
            return f"<img src='{name}.png'>"
        if way == 25:
            return f"<IMG SRC={image('.bmp', kind='BMP', type='application/octet-stream')}><p <b>>"
        if way == 26:
            return f"<img src='{image('-é ü.png'.encode().hex() + '.png')}?w=1&amp;h=2' alt>".replace(
                "?w=1&amp;h=2", ""
            )
        if way == 27:
            return f"<div data-bg='{image()}'></div>"
        return f"<link rel=preload as=image href='{image()}'><!-- <img src=commented.png> -->"
