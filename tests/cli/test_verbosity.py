"""How much commands tell: -v and -q, and the library's log records."""

from __future__ import annotations

import ast
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import Trained

import logolens
from logolens.cli import cli, main

SOURCE = Path(logolens.__file__).parent
TOLD_ELSEWHERE = {
    "cli/recipes.py",
    "cli/serve.py",
    "cli/verbosity.py",
    "io/hugging_face.py",
    "models/backbones/onnx_export.py",
    "serve/logs.py",
}
"""Modules that name a logger that is not their own: they say where records go, or silence another package's."""


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    logger = logging.getLogger("logolens")
    before = logger.handlers[:], logger.level
    yield
    logger.handlers, logger.level = before
    logging.getLogger("logolens.recipes").setLevel(logging.NOTSET)


@pytest.fixture
def asked(bundle: Trained) -> list[str]:
    photo = sorted((bundle.data / "acme").iterdir())[0]
    return ["predict", str(bundle.path), str(photo), "gone.jpg", "--threads", "1"]


def told(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    code = main(arguments)
    out, err = capsys.readouterr()
    return code, out, err


def test_verbose_tells_what_is_done_and_answers_the_same(asked: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    plain = told(asked, capsys)
    verbose = told([*asked, "-v"], capsys)
    assert verbose[:2] == plain[:2]
    assert "INFO logolens.inference.classifier: " in verbose[2]
    assert "logolens." not in plain[2]
    assert "gone.jpg" in plain[2]
    assert told(asked, capsys) == plain, "a verbose command makes the next one verbose"


def test_twice_verbose_tells_all_detail(
    make_photos: object, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = make_photos(tmp_path / "photos", count=3)  # type: ignore[operator]
    arguments = ["datasets", "convert", str(data), "--format", "csv"]
    assert "DEBUG" not in told([*arguments, str(tmp_path / "once"), "-v"], capsys)[2]
    assert "DEBUG logolens.data.loading: " in told([*arguments, str(tmp_path / "twice"), "-vv"], capsys)[2]


def test_quiet_leaves_hints_out_and_errors_in(asked: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert "Any timm model" in told(["backbones"], capsys)[2]
    for arguments in (["backbones", "-q"], ["-q", "backbones"], ["backbones", "--quiet"]):
        code, out, err = told(arguments, capsys)
        assert (code, err) == (0, "")
        assert "mobilenet_v2" in out
    code, out, err = told([*asked, "-qq"], capsys)
    assert code == 1
    assert "acme" in out
    assert "gone.jpg" in err


def test_notes_stay_until_it_is_asked_for_twice(
    make_photos: object, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = make_photos(tmp_path / "photos", count=3)  # type: ignore[operator]
    (data / "acme" / "broken.jpg").write_bytes(b"no image")
    arguments = ["datasets", "convert", str(data), "--format", "csv"]
    code, _, err = told([*arguments, str(tmp_path / "one"), "-q"], capsys)
    assert code == 0
    assert "Note: " in err
    assert "broken.jpg" in err
    assert "are written" not in err
    assert told([*arguments, str(tmp_path / "two"), "-qq"], capsys)[::2] == (0, "")


@pytest.mark.skipif(os.name != "posix", reason="terminals of their own are had on POSIX systems alone")
def test_quiet_shows_no_progress_on_a_terminal(make_photos: object, tmp_path: Path) -> None:
    import pty

    data = make_photos(tmp_path / "photos", count=3)  # type: ignore[operator]
    seen = {}
    for flag in ("", "-q"):
        ours, theirs = pty.openpty()
        command = [sys.executable, "-m", "logolens", "datasets", "convert", str(data), str(tmp_path / f"out{flag}")]
        run = subprocess.Popen(
            [*command, "--format", "csv", *filter(None, [flag])], stderr=theirs, stdout=subprocess.DEVNULL
        )
        os.close(theirs)
        text = b""
        try:
            while piece := os.read(ours, 65536):
                text += piece
        except OSError:  # Linux says so where others say that the end is reached.
            pass
        os.close(ours)
        assert run.wait() == 0
        seen[flag] = text
    assert b"reading photos" in seen[""]
    assert seen["-q"] == b""


def test_every_command_takes_both_and_is_listed_once(capsys: pytest.CaptureFixture[str]) -> None:
    _, listed, _ = told(["--help"], capsys)
    for name, command in cli.commands.items():
        assert [line.split()[0] for line in listed.splitlines() if line.strip()].count(name) == 1, name
        assert {"verbose", "quiet"} <= {each.name for each in command.params}, name
    for title in ("Data:", "Model:", "Find:", "As the classic scripts:"):
        assert title in listed


def test_the_library_says_nothing_of_its_own() -> None:
    code = "import logging, logolens; logging.getLogger('logolens.data').warning('a warning')"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout + run.stderr == ""
    run = subprocess.run(
        [sys.executable, "-c", code.replace(";", "; logging.basicConfig();")],
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stderr == "WARNING:logolens.data:a warning\n"


def test_a_module_logs_under_its_own_name() -> None:
    loggers = 0
    for path in sorted(SOURCE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "logging.getLogger":
                loggers += 1
                if path.relative_to(SOURCE).as_posix() not in TOLD_ELSEWHERE:
                    assert ast.unparse(node) == "logging.getLogger(__name__)", path
    assert loggers > 10
