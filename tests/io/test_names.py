"""Names from outside: one written form that can be read back, and nothing that steers a screen."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from logolens.io.names import file_name, shown, text_of

NAMES = [
    b"plain.jpg",
    "caf\u00e9.jpg".encode(),
    b"caf\xe9.jpg",
    b"\xff\xfe",
    rb"back\slash.jpg",
    rb"looks\xff like.jpg",
    rb"looks\x5cxff.jpg",
    b"both\\\xff\\xe9.jpg",
    b"\\x\xe9\xff",
    "\U0001f600\u202e".encode() + b"\x80",
    b"line\nbreak\x1b[2J",
    b"half \xe2\x82",
]


def test_every_name_is_valid_text_and_can_be_read_back() -> None:
    texts = [text_of(os.fsdecode(name)) for name in NAMES]
    for name, text in zip(NAMES, texts, strict=True):
        text.encode()  # Lone surrogates could not be.
        assert os.fsencode(file_name(text)) == name
    assert len(set(texts)) == len(NAMES)


def test_the_escape_is_the_one_that_is_documented() -> None:
    assert text_of(os.fsdecode(b"caf\xe9.jpg")) == r"caf\xe9.jpg"
    assert text_of(r"caf\xe9.jpg") == r"caf\x5cxe9.jpg"
    assert text_of(r"C:\photos\a.jpg") == r"C:\photos\a.jpg"
    assert text_of("caf\u00e9.jpg") == "caf\u00e9.jpg"


@pytest.mark.parametrize("environment", [{}, {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}])
def test_the_written_form_is_the_same_in_every_locale(environment: dict[str, str], tmp_path: object) -> None:
    code = (
        "import os, json, sys; from logolens.io.names import file_name, text_of; names = os.listdir(sys.argv[1]);"
        "print(json.dumps(sorted(map(text_of, names)))); assert sorted(map(file_name, map(text_of, names))) == sorted(names)"
    )
    folder = os.fsencode(str(tmp_path))
    for name in (b"caf\xe9.jpg", "caf\u00e9.jpg".encode()):
        with open(os.path.join(folder, name), "wb"):
            pass
    told = subprocess.run(
        [sys.executable, "-c", code, folder], env={**os.environ, **environment}, capture_output=True, check=True
    )
    assert json.loads(told.stdout) == sorted([r"caf\xe9.jpg", "caf\u00e9.jpg"])


def test_nothing_that_steers_a_screen_is_shown() -> None:
    assert shown("a\x1b[31m\n b\r\x9bA\u202e\u2028\x07\x7f") == r"a\x1b[31m\n b\r\x9bA\u202e\u2028\x07\x7f"
    assert shown("caf\u00e9 \U0001f468\u200d\U0001f469\u200d\U0001f467 \u00a0\u3000") == (
        "caf\u00e9 \U0001f468\u200d\U0001f469\u200d\U0001f467 \u00a0\u3000"
    )
    assert shown(os.fsdecode(b"\xff\n")) == r"\xff\n"
