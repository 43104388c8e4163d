"""Bodies are taken apart as they should be, and what is made to cost much is refused before it does."""

from __future__ import annotations

import base64
import json
import random
import time
import tracemalloc
from typing import Any

import pytest

pytest.importorskip("fastapi")

from logolens.config import ServeSettings
from logolens.serve import form_body, json_body
from logolens.serve.bodies import Upload, uploads
from logolens.serve.refusal import Refusal

SETTINGS = ServeSettings(max_images=8, max_bytes=100_000, allow_urls=True)
JSON, FORM = "application/json", "multipart/form-data; boundary=b"
SIZE = 4_000_000


def filled(begin: bytes, member: bytes, end: bytes = b"") -> bytes:
    return begin + member * (SIZE // len(member)) + end


PART = b'\r\n--b\r\nContent-Disposition: form-data; name="%s"; filename="a"\r\n\r\n'
FIRST = (PART % b"files")[2:]
COSTLY: dict[str, tuple[str, bytes, tuple[int, ...]]] = {
    "empty objects": (JSON, filled(b'{"images":[', b"{},", b"{}]}"), (422,)),
    "images": (JSON, filled(b'{"images":[', b'{"base64":""},', b'{"base64":""}]}'), (413,)),
    "addresses": (JSON, filled(b'{"urls":[', b'"",', b'""]}'), (413,)),
    "numbers": (JSON, filled(b'{"images":[', b"1,", b"1]}"), (422,)),
    "brackets": (JSON, filled(b"", b"["), (422,)),
    "deep objects": (JSON, filled(b'{"images":', b'{"a":'), (422,)),
    "deep in an image": (JSON, filled(b'{"images":[{"base64":', b"["), (422,)),
    "the same key": (JSON, filled(b'{"images":[{', b'"base64":"",'), (422,)),
    "other keys": (JSON, b"{" + b",".join(b'"%d":1' % n for n in range(SIZE // 10)) + b"}", (422,)),
    "a long key": (JSON, filled(b'{"', b"a", b'":1}'), (422,)),
    "a long name": (JSON, filled(b'{"images":[{"base64":"","name":"', b"a", b'"}]}'), (422,)),
    "quotes in a name": (JSON, filled(b'{"images":[{"base64":"","name":"', b'\\"', b'"}]}'), (422,)),
    "a long address": (JSON, filled(b'{"urls":["http://', b"a", b'"]}'), (422,)),
    "quotes in base64": (JSON, filled(b'{"images":[{"base64":"', b'\\"', b'"}]}'), (400,)),
    "slashes in base64": (JSON, filled(b'{"images":[{"base64":"', b"\\", b'"}]}'), (400,)),
    "no end of a string": (JSON, filled(b'{"images":[{"base64":"', b"A"), (400,)),
    "a long number": (JSON, filled(b"", b"1"), (422,)),
    "a long type of data": (JSON, filled(b'{"images":[{"base64":"data:', b"a", b',AAAA"}]}'), (400,)),
    "UTF-16": (JSON, json.dumps({"urls": ["a"]}).encode("utf-16"), (400,)),
    "blanks": (JSON, filled(b'{"images":', b" "), (400,)),
    "empty parts": (FORM, filled(b"--b", b"\r\n\r\n--b", b"--\r\n"), (413,)),
    "parts of nothing": (FORM, filled(b"--b", b"\r\n--b", b"--\r\n"), (413,)),
    "small parts": (FORM, filled(b"", PART % b"x", b"\r\n--b--\r\n"), (413,)),
    "files": (FORM, filled(b"", PART % b"files", b"\r\n--b--\r\n"), (413,)),
    "fields in a head": (FORM, filled(b"--b\r\n", b"a: b\r\n", b"\r\n\r\n--b--"), (400,)),
    "a head without an end": (FORM, filled(b"--b\r\na: ", b"b", b"\r\n--b--"), (400,)),
    "options": (FORM, b"--b\r\nContent-Disposition: form-data" + b";" * 16_000 + b"\r\n\r\n\r\n--b--", (400,)),
    "near boundaries": (FORM, filled(FIRST, b"\r\n--bx", b"\r\n--b--"), (400,)),
    "no boundary": (FORM, filled(b"", b"\r\n--"), (400,)),
    "a long preamble": (FORM, filled(b"", b"\r\n-"), (400,)),
    "options of the type": (FORM + ";a=b" * 15_000, FIRST + b"a\r\n--b--", (400,)),
    "a long boundary": (f"multipart/form-data; boundary={'b' * 3_000}", FIRST, (400,)),
}


@pytest.mark.parametrize("case", COSTLY)
def test_what_is_made_to_cost_much_does_not(case: str) -> None:
    kind, body, statuses = COSTLY[case]
    tracemalloc.start()
    began = time.process_time()
    try:
        with pytest.raises(Refusal) as refused:
            uploads(kind, body, SETTINGS)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert refused.value.status in statuses, str(refused.value)
    assert str(refused.value).endswith(".")
    assert len(str(refused.value)) < 300
    assert peak < 1_500_000  # Nothing is built of it; a general reader builds 30 times the body.
    assert time.process_time() - began < 2


class _NoTimeLeftError(Exception):
    pass


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        (JSON, filled(b'{"images":', b" ", b'[{"base64":"AA=="}]}')),
        (JSON, filled(b'{"images":[{"base64":"', b"AAAA", b'"}]}')),
        (FORM, filled(FIRST, b"a", b"\r\n--b--")),
        (FORM, filled(FIRST, b"\r", b"\r\n--b--")),
    ],
)
def test_a_body_that_takes_its_time_is_given_up_in_the_middle(kind: str, body: bytes) -> None:
    calls: list[int] = []
    uploads(kind, body, SETTINGS, lambda: calls.append(1))
    assert len(calls) >= 3

    def check() -> None:
        calls.append(1)
        if len(calls) > 2:
            raise _NoTimeLeftError

    calls.clear()
    with pytest.raises(_NoTimeLeftError):
        uploads(kind, body, SETTINGS, check)
    assert len(calls) == 3


def test_an_image_that_is_too_large_is_not_kept() -> None:
    encoded = base64.b64encode(bytes(SIZE))
    body = b'{"images":[{"base64":"' + encoded + b'","name":"big"},{"base64":"QUJD"}]}'
    tracemalloc.start()
    try:
        first, second = uploads(JSON, body, SETTINGS)
        assert tracemalloc.get_traced_memory()[1] < 1_500_000
    finally:
        tracemalloc.stop()
    assert (first.name, first.data, first.status, "larger than 100,000" in str(first.error)) == ("big", b"", 413, True)
    assert (second.name, second.data) == ("image 2", b"ABC")
    form = FIRST + bytes(SIZE) + PART % b"files" + b"ABC\r\n--b--"
    assert [(each.data, each.status) for each in uploads(FORM, form, SETTINGS)] == [(b"", 413), (b"ABC", 422)]


@pytest.fixture(params=[None, 1, 7])
def step(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """As many bytes at a time as there are in fact, and so few that everything is cut everywhere."""
    if request.param is not None:
        monkeypatch.setattr(json_body, "_STEP", request.param)
        monkeypatch.setattr(form_body, "_STEP", request.param)


@pytest.mark.usefixtures("step")
def test_json_is_read_as_any_reader_reads_it() -> None:
    rng = random.Random(0)
    indents: list[int | str | None] = [None, 1, "\t"]
    for number in range(60):
        images = [
            {"base64": base64.b64encode(rng.randbytes(rng.randrange(60))).decode(), "name": rng.choice(NAMES)}
            for _ in range(rng.randrange(1, 9))
        ]
        given: dict[str, Any] = {"images": images} if number % 3 else {"urls": [rng.choice(NAMES) for _ in images]}
        body = json.dumps(given, ensure_ascii=number % 2 == 0, indent=rng.choice(indents)).encode()
        if number % 5 == 0:
            body = b"\xef\xbb\xbf \r\n" + body.replace(b"/", b"\\/") + b"\n"
        found = uploads(JSON, body, SETTINGS)
        if "urls" in given:
            assert [each.url for each in found] == given["urls"]
        else:
            assert [each.data for each in found] == [base64.b64decode(image["base64"]) for image in images]
            names = ["".join(filter(str.isprintable, image["name"]))[:255] for image in images]
            assert [each.name for each in found] == [name or f"image {at}" for at, name in enumerate(names, 1)]


NAMES = [
    "",
    "a.jpg",
    "é ü.png",
    'quo"te\\',
    "日本",
    "\U0001f600",
    "x" * 300,
    "a/b/../c",
    "line\nbreak",
    "\x7f",
    "http://a/b?c=d",
]

WRITTEN = {
    b'"/+A="': b"\xff\xe0",
    b'"\\/\\u002bA\\u003D"': b"\xff\xe0",
    b'"\\u002f\\u002BA="': b"\xff\xe0",
    b'"data:image/png;base64,/+A="': b"\xff\xe0",
    b'" / + A = "': b"\xff\xe0",
    b'"/+\\r\\nA=\\n"': b"\xff\xe0",
    b'""': b"",
    b'"data:,"': b"",
}
NO_BASE64 = [
    b'"/+A"',
    b'"/"',
    b'"=AAA"',
    b'"AA=A"',
    b'"AA==AAAA"',
    b'"-_AA"',
    b'"AA\\u0041A"',
    b'"AA\\x"',
    b'"AAA\\"',
    b'"data:AAAA"',
]


@pytest.mark.usefixtures("step")
def test_base64_is_read_as_programs_write_it() -> None:
    for written, wanted in WRITTEN.items():
        (found,) = uploads(JSON, b'{"images":[{"base64":' + written + b"}]}", SETTINGS)
        assert found.data == wanted, written
    for written in NO_BASE64:
        with pytest.raises(Refusal) as refused:
            uploads(JSON, b'{"images":[{"base64":' + written + b"}]}", SETTINGS)
        assert refused.value.status == 400, written


@pytest.mark.usefixtures("step")
@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400), (b" ", 400), (b"nul", 400), (b"null", 422), (b"1", 422), (b'"a"', 422), (b"{}", 422), (b"[]", 422),
        (b'{"images"}', 400), (b'{"images":[]', 400), (b'{"images":[]}', 422), (b'{"images":[]}x', 400),
        (b'{"images":[{"base64":""}]} {}', 400), (b'{"images":[{"base64":""},]}', 400), (b'{"images":{}}', 422),
        (b'{"images":[{"base64":""}],"urls":["a"]}', 422), (b'{"images":[{"base64":"","size":1}]}', 422),
        (b'{"images":[{"name":"a"}]}', 422), (b'{"images":[{"base64":1}]}', 422), (b'{"images":[null]}', 422),
        (b'{"images":[{"base64":"" "name":""}]}', 400), (b'{"urls":[1]}', 422), (b'{"urls":["a" "b"]}', 400),
        (b'{"urls":["a\x01"]}', 400), (b'{"urls":["\\q"]}', 400), (b'{"urls":["\xff"]}', 400), (b'{"urls":["a', 400),
        (b"{'urls':['a']}", 400), (b'{"images":[{}]}', 422), (b'{"images":[{"base64":"AA==","base64":"AA=="}]}', 422),
    ],
)  # fmt: skip
def test_json_that_is_none_or_another(body: bytes, status: int) -> None:
    with pytest.raises(Refusal) as refused:
        uploads(JSON, body, SETTINGS)
    assert refused.value.status == status, str(refused.value)


def parsed(kind: str, body: bytes) -> list[Upload]:
    return uploads(kind, body, SETTINGS)


def general(body: bytes) -> list[bytes]:
    """What the parser of python-multipart finds."""
    from python_multipart.multipart import MultipartParser

    found: list[bytes] = []
    on_data = lambda data, start, end: found.append(found.pop() + data[start:end])  # noqa: E731
    parser = MultipartParser(b"b", {"on_part_begin": lambda: found.append(b""), "on_part_data": on_data})
    parser.write(body)
    return found


@pytest.mark.usefixtures("step")
def test_forms_are_read_as_python_multipart_reads_them() -> None:
    rng = random.Random(0)
    pieces = [
        b"a",
        b"\r",
        b"\n",
        b"\r\n",
        b"-",
        b"--",
        b"b",
        b"--b",
        b"\r\n--",
        b"\r\n-b",
        b"\0",
        b"\r\n\r\n",
        b"--b--",
    ]
    for _ in range(60):
        contents = [b"".join(rng.choices(pieces, k=rng.randrange(12))) for _ in range(rng.randrange(1, 8))]
        contents = [
            content for content in contents if b"\r\n--b" not in content and not content.startswith(b"--b")
        ] or [b""]
        body = rng.choice([b"", b"preamble\r\n"]) + b"".join(
            (PART % b"files")[2:] + content + b"\r\n" for content in contents
        )
        body += b"--b--" + rng.choice([b"", b"\r\n", b"\r\nepilogue"])
        found = [each.data for each in parsed(FORM, body)]
        assert found == contents
        if not body.startswith(b"preamble"):  # It takes none.
            assert found == general(body)


def test_what_stands_in_a_forms_heads() -> None:
    body = (
        b'--b  \t\r\ncontent-type: image/png\r\nCONTENT-DISPOSITION: form-data; filename="\xc3\xa9;.png"; name=files\r\n\r\none'
        b'\r\n--b\r\nContent-Disposition: form-data; name="other"\r\n\r\nvalue'
        b"\r\n--b\r\n\r\nno head"
        b'\r\n--b\r\nContent-Disposition: form-data; name="files"\r\n\r\n\r\n--b--ignored'
    )
    assert [(each.name, each.data) for each in parsed(FORM, body)] == [("é;.png", b"one"), ("image 2", b"")]
    quoted = 'multipart/form-data; charset=utf-8; boundary="b"'
    assert len(parsed(quoted, body)) == 2
    for cut in (body[:-20], body[:40], body[:3], b"--c--", b"--b--"):
        with pytest.raises(Refusal) as refused:
            parsed(FORM, cut)
        assert refused.value.status == 400
