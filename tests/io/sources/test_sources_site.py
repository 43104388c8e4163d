"""A web site from end to end: every page, every image, and every page that an image stands on."""

from __future__ import annotations

import io
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import pytest
from website import Reply, Server, Website, picture, serving

from logolens.config import Limits, SourceSettings
from logolens.errors import ImageError
from logolens.io.sources import Source, gather
from logolens.io.sources.css import read_css
from logolens.io.sources.html import read_html
from logolens.io.sources.mime import decoded, kind_of
from logolens.io.sources.sitemaps import read_sitemap

LIMITS = Limits(max_bytes=2_000_000)


@dataclass
class Found:
    """All that a crawl gave."""

    images: dict[str, bytes] = field(default_factory=dict)
    places: defaultdict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    problems: dict[str, str] = field(default_factory=dict)
    sources: list[Source] = field(default_factory=list)


def look(start: str, **changes: Any) -> Found:
    given: dict[str, Any] = {"allow_private": True, "rate": 10_000.0, "connections": 8, "depth": 30, "retries": 3}
    given |= {"max_time": 4.0, "timeout": 3.0, "max_page_bytes": 1_000_000}
    found = Found()
    reads = []
    with ThreadPoolExecutor(16) as readers:
        for source in gather([start], SourceSettings(**(given | changes)), limits=LIMITS):
            found.sources.append(source)
            found.places[source.name] |= set(source.places)
            if not source.repeated:
                reads.append((source.name, readers.submit(source.read, LIMITS)))
        for name, read in reads:
            try:
                found.images[name] = read.result()
            except ImageError as error:
                found.problems[name] = str(error)
    return found


@pytest.fixture
def server() -> Iterator[Server]:
    with serving(Server()) as running:
        yield running


@pytest.mark.parametrize("faults", [False, True], ids=["plain", "with faults"])
def test_everything_on_a_site_is_found(faults: bool) -> None:
    site = Website(120, faults=faults)
    with serving(site.main), serving(site.cdn):
        found = look(site.start)
    asked = {site.main.url + path for path in site.main.asked}
    assert site.pages <= asked
    assert {name for name, data in site.images.items() if found.images.get(name) != data} == set()
    assert set(site.inline) <= set(found.images.values())
    assert {name for name in site.images if found.places[name] != site.places[name]} == set()
    assert site.lost <= set(found.problems)
    assert not [path for path in site.main.asked if path.startswith(site.forbidden)]
    assert len({source.name for source in found.sources if not source.repeated}) == sum(
        not source.repeated for source in found.sources
    )
    assert site.cdn.asked["/robots.txt"] == 1


@pytest.mark.slow
def test_a_site_gives_the_same_each_time() -> None:
    site = Website(40)
    with serving(site.main), serving(site.cdn):
        first, second = look(site.start), look(site.start)
    assert first.images == second.images
    assert first.places == second.places


def test_depth_pages_and_robots_bound_the_crawl(server: Server) -> None:
    for number in range(10):
        server.replies[f"/{number}"] = Reply(f"<a href=/{number + 1}>on</a><img src=/{number}.png>".encode())
        server.replies[f"/{number}.png"] = Reply(picture(number), "image/png")
    assert len(look(server.url + "/0", depth=0).images) == 1
    assert len(look(server.url + "/0", depth=3).images) == 4
    few = look(server.url + "/0", max_pages=5)
    assert len(few.images) == 5
    assert "--max-pages" in few.problems[server.url + "/0"]
    server.replies["/robots.txt"] = Reply(b"User-agent: logolens\nDisallow: /2\nDisallow: /1.png", "text/plain")
    obeyed = look(server.url + "/0")
    assert set(obeyed.images) == {server.url + "/0.png"}
    assert "robots.txt" in obeyed.problems[server.url + "/2"]
    assert "robots.txt" in obeyed.problems[server.url + "/1.png"]
    assert len(look(server.url + "/0", robots=False).images) == 10


@pytest.mark.parametrize(
    ("robots", "images"),
    [
        (Reply(status=404), 1),
        (Reply(status=403), 1),
        (Reply(status=500), 0),
        (Reply(reset=True), 0),
        (Reply(b"\xff\xfe\0garbage <html> User-agent"), 1),
        (Reply(b"User-agent: *\nDisallow: /"), 0),
        (Reply(b"User-agent: other\nDisallow: /"), 1),
        (Reply(status=302, headers={"Location": "/other.txt"}), 0),
    ],
)
def test_robots_txt_in_all_its_states(server: Server, robots: Reply, images: int) -> None:
    server.replies["/robots.txt"] = robots
    server.replies["/other.txt"] = Reply(b"User-agent: *\nDisallow: /")
    server.replies["/"] = Reply(b"<img src=a.png>")
    server.replies["/a.png"] = Reply(picture(1), "image/png")
    found = look(server.url, retries=0)
    assert len(found.images) == images
    assert bool(found.problems) is not bool(images)


def test_pages_may_ask_not_to_be_followed(server: Server) -> None:
    server.replies["/"] = Reply(b"<a href=a>a</a><a href=b>b</a><a href=c>c</a>")
    server.replies["/a"] = Reply(b"<meta name=robots content='noindex, NOFOLLOW'><a href=d>d</a><img src=a.png>")
    server.replies["/b"] = Reply(b"<a href=d>d</a>", headers={"X-Robots-Tag": "nofollow"})
    server.replies["/c"] = Reply(b"")
    server.replies["/d"] = Reply(b"<img src=d.png>")
    server.replies["/a.png"] = server.replies["/d.png"] = Reply(picture(1), "image/png")
    assert set(look(server.url).images) == {server.url + "/a.png"}
    assert set(look(server.url, robots=False).images) == {server.url + "/a.png", server.url + "/d.png"}


def test_other_hosts_are_not_crawled_but_their_images_are_taken(server: Server) -> None:
    with serving(Server()) as other:
        other.replies["/page"] = other.replies["/"] = Reply(b"<img src=/no.png>")
        other.replies["/yes.png"] = Reply(picture(1), "image/png")
        body = f"<a href='{other.url}/page'>x</a><img src='{other.url}/yes.png'><a href=/out>y</a>"
        server.replies["/"] = Reply(body.encode())
        server.replies["/out"] = Reply(status=302, headers={"Location": other.url + "/page"})
        found = look(server.url)
        assert set(found.images) == {other.url + "/yes.png"}
        assert not found.problems
        assert "/page" not in other.asked
        # Where the first address itself redirects, the site is there.
        server.replies["/"] = Reply(status=301, headers={"Location": other.url + "/"})
        other.replies["/no.png"] = Reply(picture(2), "image/png")
        assert set(look(server.url).images) == {other.url + "/no.png"}


def test_a_crawl_of_a_private_address_is_refused_unless_allowed(server: Server) -> None:
    server.replies["/"] = Reply(b"<img src=a.png>")
    found = look(server.url, allow_private=False)
    assert not found.images
    assert "--allow-private" in next(iter(found.problems.values()))
    assert not server.asked


def test_the_address_of_an_image_is_that_image(server: Server) -> None:
    server.replies["/a.bin"] = Reply(picture(1), "text/html")
    found = look(server.url + "/a.bin")
    assert found.images == {server.url + "/a.bin": picture(1)}


def test_credentials_are_used_and_never_shown(server: Server) -> None:
    server.replies["/"] = Reply(b"<img src=a.png>")
    server.replies["/a.png"] = Reply(picture(1), "image/png")
    found = look(f"http://me:hunter2@127.0.0.1:{server.port}/")
    assert set(found.images) == {server.url + "/a.png"}
    assert all(headers.get("authorization") for path, headers, _ in server.seen)
    assert "hunter2" not in repr([(s.name, s.places, s.problem, s.stamp) for s in found.sources])


def test_links_relative_to_nowhere_have_an_end(server: Server) -> None:
    class Endless(dict[str, Reply]):
        def get(self, path: str, default: Any = None) -> Any:
            return Reply(b"<a href='more/'>more</a><a href='other/more/'>x</a>") if path != "/robots.txt" else None

    server.replies = Endless()
    assert not look(server.url, depth=100, max_pages=400).images
    assert len(server.asked) < 400


def test_a_crawl_that_is_left_half_way_ends_its_threads(server: Server) -> None:
    import threading

    server.replies["/"] = Reply(b"<img src=a.png>" + b"".join(b"<a href=/%d>x</a>" % n for n in range(50)))
    sources = gather([server.url], SourceSettings(allow_private=True))
    next(sources)
    sources.close()  # type: ignore[attr-defined]
    assert not [each for each in threading.enumerate() if each.name.startswith("logolens-crawl")]


def test_drawings_within_a_page_are_images(server: Server) -> None:
    drawing = "<svg viewBox='0 0 8 4'><linearGradient id='g'/><rect width=8 height=4 fill=#f00 /><text>&nbsp;a & b</text></svg>"
    server.replies["/"] = Reply(f"<p>{drawing}<p>{drawing}<svg><use href='#x'/></svg>".encode())
    found = look(server.url)
    ((name, data),) = found.images.items()
    assert name.startswith("inline:svg/")
    pytest.importorskip("resvg_py")
    from logolens.io.images import open_rgb

    assert open_rgb(data).getpixel((100, 100)) == (255, 0, 0)


def test_pdf_files_that_a_site_links_to_are_looked_into(server: Server) -> None:
    pytest.importorskip("pypdfium2")
    from PIL import Image

    out = io.BytesIO()
    Image.new("RGB", (200, 100), "red").save(out, "PDF")
    server.replies["/"] = Reply(b"<a href=brochure.pdf>get</a><a href=film.mp4>see</a><a href=data.bin>x</a>")
    server.replies["/brochure.pdf"] = Reply(out.getvalue(), "application/pdf")
    server.replies["/data.bin"] = Reply(bytes(5_000_000), "application/octet-stream")
    found = look(server.url)
    assert f"{server.url}/brochure.pdf!/page-1" in found.images
    assert found.places[f"{server.url}/brochure.pdf!/page-1"] == {server.url + "/"}
    assert not found.problems
    assert "/film.mp4" not in server.asked


# What pages hold


def test_srcset_as_browsers_part_it() -> None:
    page = read_html("<img srcset='data:image/png;base64,A,B 1x, https://c.test/w_1,h_2/a.png 2x,b.png, c.png 10w'>")
    assert page.images == ["data:image/png;base64,A,B", "https://c.test/w_1,h_2/a.png", "b.png", "c.png"]


def test_css_in_all_its_spellings() -> None:
    sheet = read_css(
        "@charset 'x'; @import 'a.css'; @import url( \"b.css\" ) screen; @IMPORT URL(c.css);@namespace url(http://n);"
        "a{background:URL( 'x y.png' )} b{background:url(p\\29 q.png)} /* url(no.png) */ c{d:url(data:image/png;base64,AA)}"
        "@font-face{src:url(f.woff2),url(f.svg)} e{f:-webkit-image-set(url(s.png) 1x, 'img/t.png' 2x)} g{h:url(#i)} j{k:url(l.png"
    )
    assert sheet.imports == ["a.css", "b.css", "c.css"]
    assert sheet.images == ["x y.png", "p)q.png", "data:image/png;base64,AA", "s.png", "l.png", "img/t.png"]


@pytest.mark.parametrize(
    "text",
    [
        *("<div>" * 300_000, "<b><p><a><i>" * 100_000, "<!--" * 500_000, "<svg>" * 300_000, "<style>" * 300_000),
        *("<style>" + "@font-face{" * 200_000, "<style>" + "url(" * 500_000, "<style>/*" + "*" * 2_000_000),
        *("<img srcset='" + ", " * 900_000, "<script type=json>" + "[" * 900_000, "<style>" + '@import "\\' * 200_000),
        *("<img data-src='" + " 1w" * 600_000 + "'>", "<x " + "a=1 " * 300_000 + ">", "\0" * 100_000, "\ud800<p"),
    ],
    ids=range(15),
)
def test_pages_made_to_take_for_ever_do_not(text: str) -> None:
    assert read_html(text + "<img src=a.png>").links == []


def test_charsets() -> None:
    text = "<meta charset=windows-1251><p>\u041f\u0440\u0438</p>"
    assert decoded(text.encode("cp1251")) == text
    assert decoded("é".encode("latin-1")) == "é"
    assert decoded("é".encode(), "rot13") == "é"
    assert decoded("é".encode("utf-16")) == "é"
    assert decoded(b"\x93x\x94", "iso-8859-1") == "\u201cx\u201d"
    assert decoded(b"\xff", "no-such-charset") == "ÿ"
    assert decoded("é".encode("cp1252"), "utf-8") == "é"


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "BMP", "WEBP", "TIFF", "ICO", "AVIF", "PPM", "JPEG2000"])
def test_images_are_known_by_their_bytes(kind: str) -> None:
    assert kind_of(picture(3, kind, (64, 64))[:1024]) == "image"


def test_sitemaps_in_their_forms() -> None:
    import gzip

    urls = b"<urlset><url><loc> http://e.test/?a=1&amp;b </loc><image:image><image:loc>i.png</image:loc></image:image></url>"
    for data in (
        urls,
        gzip.compress(urls),
        b"\xef\xbb\xbf" + urls,
        urls.replace(b"<url>", b"<sm:url>").replace(b"<loc", b"<sm:loc"),
    ):
        further, (entry,) = read_sitemap(data)
        assert (further, entry.page, entry.images) == ([], "http://e.test/?a=1&b", ["i.png"])
    assert read_sitemap(b"<sitemapindex><sitemap><loc><![CDATA[http://e.test/s]]></loc></sitemap>")[0] == [
        "http://e.test/s"
    ]
    assert [entry.page for entry in read_sitemap(b"http://e.test/1\n\nhttp://e.test/2")[1]] == [
        "http://e.test/1",
        "http://e.test/2",
    ]
    bomb = b'<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]><urlset><url><loc>&b;</loc></url></urlset>'
    assert read_sitemap(bomb)[1][0].page == "&b;"
    many = b"".join(b"<url><loc>http://e.test/%d</loc></url>" % number for number in range(10**6, 10**9, 10**6 + 7))
    pages = [entry.page for entry in read_sitemap(gzip.compress(b"<urlset>" + many)[:-2000])[1]]
    assert 10 < len(pages) < 998  # What breaks off half way gives its first half.
    assert pages[:2] == ["http://e.test/1000000", "http://e.test/2000007"]
    assert read_sitemap(b"") == ([], [])


def test_a_page_within_the_page_is_read_with_its_own_base() -> None:
    inner = (
        "<base href='https://c.test/in/'><img src='a.png'><a href='/more'>x</a><style>p{background:url(b.png)}</style>"
    )
    deep = "<iframe srcdoc='" + inner.replace("'", "&#39;") + "'></iframe><svg viewBox='0 0 1 1'><path d='M0 0'/></svg>"
    page = read_html(
        f'<img src=top.png><iframe src=never.html srcdoc="{deep.replace("&", "&amp;").replace("<", "&lt;")}"></iframe>'
    )
    assert page.images == ["top.png", "https://c.test/in/a.png", "https://c.test/in/b.png"]
    assert page.links == ["https://c.test/more"]
    assert len(page.drawings) == 1
    assert page.base is None


def test_pages_within_pages_without_end_are_left() -> None:
    text = "<img src=x.png>"
    for _ in range(6):
        text = '<img src=y.png><iframe srcdoc="' + text.replace("&", "&amp;").replace('"', "&quot;") + '"></iframe>'
    assert read_html(text).images == ["y.png"]
