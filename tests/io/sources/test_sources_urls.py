"""URLs: one spelling each, and no secrets in what is shown."""

from __future__ import annotations

import pytest

from logolens.io.sources.urls import Url, same_site


def url(text: str) -> Url:
    parsed = Url.parse(text)
    assert parsed is not None
    return parsed


@pytest.mark.parametrize(
    ("text", "base", "wanted"),
    [
        ("HTTP://Example.COM:80/a/../b/./c?x=1#f", None, "http://example.com/b/c?x=1"),
        ("https://example.com", None, "https://example.com/"),
        ("//cdn.test/x.png", "https://example.com/a", "https://cdn.test/x.png"),
        ("../x y.png", "https://example.com/a/b/c", "https://example.com/a/x%20y.png"),
        ("?q=2", "https://example.com/a?q=1", "https://example.com/a?q=2"),
        ("%7Euser/%e9%2fx", "http://e.test/", "http://e.test/~user/%E9%2Fx"),
        ("bild-ä.png", "http://bücher.test/", "http://xn--bcher-kva.test/bild-%C3%A4.png"),
        (" \n/x\t.png ", "http://e.test/", "http://e.test/x.png"),
        ("\\\\e.test\\x", "http://b.test/", "http://e.test/x"),
        ("100%.png", "http://e.test/", "http://e.test/100%25.png"),
        ("http://[2001:DB8::1]:8080/x", None, "http://[2001:db8::1]:8080/x"),
        ("http://u:p@e.test/x", None, "http://e.test/x"),
    ],
)
def test_one_spelling_for_each_url(text: str, base: str | None, wanted: str) -> None:
    parsed = Url.parse(text, base)
    assert parsed is not None
    assert parsed.text == wanted
    assert Url.parse(parsed.text) == Url(parsed.scheme, parsed.host, parsed.port, parsed.target)


@pytest.mark.parametrize(
    "text",
    [
        *(
            "javascript:alert(1)",
            "mailto:a@b.c",
            "data:image/png;base64,AA",
            "file:///etc/passwd",
            "ftp://e.test/x",
            "",
        ),
        *(
            "http://",
            "http:///x",
            "http://e.test:99999/",
            "http://[::1",
            "http://e test/",
            "http://e.test:0/",
            "http://-/",
        ),
        *("http://a@b@[/", "x" * 9000),
    ],
)
def test_what_is_no_web_address(text: str) -> None:
    assert Url.parse(text) is None


def test_names_hold_no_secrets() -> None:
    parsed = url("https://u:p@e.test/x.png?w=1&X-Amz-Signature=abc&token=t%20t&sig=&Key=k")
    assert parsed.name == "https://e.test/x.png?w=1&X-Amz-Signature=***&token=***&sig=&Key=***"
    assert "abc" in parsed.text


def test_what_one_site_is() -> None:
    start = url("https://example.org/")
    inside = ("https://example.org/x", "http://www.example.org/", "https://EXAMPLE.org:443/y")
    outside = (
        "https://example.org:8443/",
        "https://example.org.evil.test/",
        "https://notexample.org/",
        "https://a.example.org/",
    )
    assert all(same_site(url(each), start, subdomains=False) for each in inside)
    assert not any(same_site(url(each), start, subdomains=False) for each in outside)
    assert same_site(url("https://a.b.example.org/"), start, subdomains=True)
    assert not same_site(url("https://notexample.org/"), start, subdomains=True)
    assert not same_site(url("http://9.127.0.0.1/"), url("http://127.0.0.1/"), subdomains=True)
    assert not same_site(url("http://127.0.0.1:81/"), url("http://127.0.0.1:80/"), subdomains=False)
