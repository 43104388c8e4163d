"""The pages say what the code does: commands parse, snippets run, links lead somewhere, the reference is up to date."""

from __future__ import annotations

import contextlib
import csv
import importlib.util
import json
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import click
import pytest
from PIL import Image
from video_files import write_video

from logolens.cli import cli, main

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")), ROOT / "examples" / "README.md"]
HOW_TO = ROOT / "docs" / "how-to"


def _name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def _load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"docs_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


REFERENCE = _load(ROOT / "docs" / "reference.py")
COMMANDS: dict[str, click.Command] = {" ".join(path[1:]): command for path, command in REFERENCE.commands()}


def blocks(page: Path, *languages: str) -> list[str]:
    """The fenced blocks of these languages, in their order."""
    found = re.findall(r"^```(\w*)\n(.*?)^```", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    return [text for language, text in found if language in languages]


def command_lines(page: Path) -> list[str]:
    """Each line of shell that a page shows."""
    lines = [line for text in blocks(page, "sh") for line in text.splitlines()]
    lines += [line[2:] for text in blocks(page, "console") for line in text.splitlines() if line.startswith("$ ")]
    return [line.split("  #")[0].strip() for line in lines if line.strip()]


def logolens_calls(line: str) -> Iterator[list[str]]:
    """The arguments of each call of logolens in a line of shell; pipes and redirections are cut away."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars="|;&<>()")
    lexer.whitespace_split = True
    words: list[str] = []
    for token in [*lexer, "|"]:
        if set(token) <= set("|;&<>()"):
            while words and re.fullmatch(r"\w+=.*", words[0]):
                words.pop(0)
            if words and words[0] == "logolens":
                yield words[1:]
            words = []
        else:
            words.append(token)


def parse(arguments: list[str]) -> click.Context:
    """Parse as the command line does, and run nothing."""
    context = cli.make_context("logolens", list(arguments))
    while isinstance(context.command, click.Group) and (rest := [*context._protected_args, *context.args]):
        name, command, after = context.command.resolve_command(context, rest)
        assert command is not None
        context = command.make_context(name, after, parent=context)
    return context


def test_the_reference_is_what_the_code_says() -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "docs" / "reference.py", "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"run `python docs/reference.py`:\n{done.stdout}{done.stderr}"


def test_the_check_of_the_reference_fails_where_it_differs(tmp_path: Path) -> None:
    shutil.copy(ROOT / "docs" / "reference.py", tmp_path)
    run = [sys.executable, str(tmp_path / "reference.py")]
    (tmp_path / "reference.md").write_text("# Reference\n", encoding="utf-8")
    done = subprocess.run([*run, "--check"], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "+### logolens train" in done.stdout
    assert (tmp_path / "reference.md").read_text(encoding="utf-8") == "# Reference\n"
    assert subprocess.run(run, check=False).returncode == 0
    assert (tmp_path / "reference.md").read_bytes() == (ROOT / "docs" / "reference.md").read_bytes()


def test_every_command_has_help_and_a_page() -> None:
    for name, command in COMMANDS.items():
        assert command.help, f"`logolens {name}` has no help"
        page = HOW_TO / f"{name.split()[0]}.md"
        assert page.is_file(), f"`logolens {name}` has no page {_name(page)}"
        assert f"logolens {name}" in page.read_text(encoding="utf-8"), f"{_name(page)} does not show `logolens {name}`"


def test_every_option_has_help() -> None:
    for name, command in COMMANDS.items():
        for option in command.params:
            if isinstance(option, click.Option):
                assert option.help, f"`logolens {name}` {option.opts[0]} has no help"
                assert option.help.endswith("."), f"`logolens {name}` {option.opts[0]}: its help is no sentence"


def test_every_page_is_reachable_from_the_readme() -> None:
    seen, waiting = set(), [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        if page not in seen:
            seen.add(page)
            waiting += [path for path, _ in _links(page) if path.suffix == ".md" and path.is_file()]
    assert set(PAGES) <= seen


def _links(page: Path) -> Iterator[tuple[Path, str]]:
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    for target in re.findall(r"\]\(([^)]+)\)", text):
        if not re.match(r"https?://", target):
            path, _, anchor = target.partition("#")
            yield ((page.parent / path).resolve() if path else page), anchor


def _anchors(page: Path) -> set[str]:
    titles = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_links_lead_somewhere(page: Path) -> None:
    for path, anchor in _links(page):
        assert path.exists(), f"{_name(page)} links to {path}"
        assert not anchor or anchor in _anchors(path), f"{_name(page)} links to #{anchor} of {path.name}"


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A video; where none can be written, what stands for one."""
    path = tmp_path_factory.mktemp("film") / "film.mp4"
    try:
        return write_video(path)
    except pytest.skip.Exception:
        path.write_bytes(b"no video")
        return path


@pytest.fixture
def desk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bundle: Any, make_photos: Callable[..., Path], film: Path
) -> Path:
    """A working folder in which the pages' snippets find the files that they name."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(bundle.path, "brands")
    make_photos(Path("photos"), count=8, none=20, seed=5)
    make_photos(Path("demo/data/unseen"), count=2, none=3, seed=6)
    shutil.copy("photos/acme/acme-1.jpg", "photo.jpg")
    shutil.copy(film, "film.mp4")
    with open("demo/data/train.csv", "w", newline="", encoding="utf-8") as file:
        rows = [(path, path.parent.name) for path in sorted(Path("photos").glob("*/*"))]
        csv.writer(file).writerows([("path", "label"), *((f"../../{path.as_posix()}", label) for path, label in rows)])
    return tmp_path


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_command_lines_parse(page: Path, desk: Path) -> None:
    for text in blocks(page, "toml"):
        (desk / "train.toml").write_text(text, encoding="utf-8")
    for line in command_lines(page):
        for arguments in logolens_calls(line):
            try:
                parse(arguments)
            except click.ClickException as error:
                pytest.fail(f"{_name(page)}: {line}\n{error.format_message()}")


def test_a_wrong_command_line_would_be_found() -> None:
    (arguments,) = logolens_calls("cat a.jpg | LOGOLENS_OFFLINE=1 logolens predict b 'c d.jpg' - --tops 3 > out.txt")
    assert arguments == ["predict", "b", "c d.jpg", "-", "--tops", "3"]
    with pytest.raises(click.UsageError, match="--tops"):
        parse(arguments)
    with pytest.raises(click.UsageError):
        parse(["datasets", "fetch", "flickr27", "data"])


def test_the_configuration_file_is_taken(desk: Path) -> None:
    (text,) = blocks(HOW_TO / "config.md", "toml")
    (desk / "train.toml").write_text(text, encoding="utf-8")
    values = parse(["train", "--config", "train.toml", "--out", "b", "--epochs", "300"]).params
    assert (values["data"], values["head"], values["epochs"]) == (Path("demo/data/train.csv"), "mlp", 300)
    assert values["max_false_alarms"] == 0.1
    assert parse(["predict", "brands", "photo.jpg", "--config", "train.toml"]).params["top"] == 3


RUN = {"evaluate", "predict", "summary", "backbones", "cache"}
"""The commands whose lines are run; training has tests of its own and takes longer."""


@pytest.mark.parametrize("page", [page for page in PAGES if command_lines(page)], ids=_name)
def test_command_lines_run(page: Path, desk: Path, own_cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (desk / "train.toml").write_text("[predict]\ntop = 3\n", encoding="utf-8")
    for line in command_lines(page):
        for arguments in logolens_calls(line):
            if arguments[0] not in RUN or "-" in arguments or "get timm/" in line or "hf://" in line:
                continue
            with _there(arguments[2:]):
                code = main(arguments)
            out, err = capsys.readouterr()
            assert code == 0, f"{_name(page)}: {line}\n{err}"
            if "--json" in arguments:
                assert all(json.loads(answer) for answer in out.splitlines())


@contextlib.contextmanager
def _there(arguments: list[str]) -> Iterator[None]:
    """Photos that a line names and that the composed data of the demo would hold, for as long as it runs."""
    made = []
    for argument in arguments:
        path = Path(argument.replace("*", "any"))
        if argument.startswith("demo/data/") and not path.exists():
            file = path if path.suffix else path / "photo.jpg"
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (80, 60), "orange").save(file)
            made.append(path if not path.suffix else path.parent)
    yield
    for path in made:
        shutil.rmtree(path)


CONSOLE = [(page, text) for page in PAGES for text in blocks(page, "console")]


@pytest.mark.parametrize(("page", "text"), CONSOLE, ids=[f"{_name(page)}-{n}" for n, (page, _) in enumerate(CONSOLE)])
def test_shown_output_has_the_form_of_real_output(
    page: Path, text: str, desk: Path, own_cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Numbers and labels differ between data sets; the rows of figures and the keys of JSON do not."""
    commands = re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]
    assert commands, f"{_name(page)}: a console block without a command"
    for line, _, shown in (command.partition("\n") for command in commands):
        assert shown.strip(), f"{_name(page)}: no output below `{line}`; run docs/rerun.py"
        (arguments,) = logolens_calls(line)
        if arguments[0] in ("train", "gallery"):  # They have tests of their own.
            continue
        with _there(arguments[2:]):
            assert main(arguments) == 0
        real = capsys.readouterr().out
        if "--json" in arguments:
            keys = {tuple(json.loads(answer)) for answer in real.splitlines()}
            assert {tuple(json.loads(answer)) for answer in shown.splitlines()} == keys
        elif arguments[0] == "evaluate":
            first = {_row(row) for row in real.split("\n\n")[0].splitlines()}
            assert {_row(row) for row in shown.split("\n\n")[0].strip().splitlines()} <= first


def _row(line: str) -> str:
    return re.sub(r"\d+", "#", re.split(r"\s{2,}", line.strip())[0])


PYTHON = [page for page in PAGES if blocks(page, "python")]


@pytest.mark.parametrize("page", PYTHON, ids=_name)
def test_python_runs(page: Path, desk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    namespace: dict[str, Any] = {}
    for text in blocks(page, "python"):
        exec(compile(text, _name(page), "exec"), namespace)
    assert capsys.readouterr().out, f"{_name(page)}: its snippets print nothing"


def test_the_readme_opens_with_the_two_commands_and_a_picture() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    first = blocks(ROOT / "README.md", "sh")[0].splitlines()
    assert [line.split()[:2] for line in first] == [["make", "demo"], ["make", "test"]]
    assert text.index("make demo") < text.index("![") < text.index("## ")
    targets = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert re.search(r"^demo:", targets, re.MULTILINE)
    assert re.search(r"^test:", targets, re.MULTILINE)


def test_the_readme_says_first_what_it_is_for_and_is_short() -> None:
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    assert "After a rebrand" in lines[2]
    assert len(lines) < 120


def test_the_manifest_is_described(bundle: Any) -> None:
    manifest = json.loads((bundle.path / "manifest.json").read_text(encoding="utf-8"))
    assert list(manifest) == list(REFERENCE.MANIFEST) or set(manifest) == set(REFERENCE.MANIFEST)


def test_the_files_of_a_bundle_are_described(bundle: Any) -> None:
    text = (HOW_TO / "train.md").read_text(encoding="utf-8")
    for file in bundle.path.iterdir():
        assert f"`{file.name}`" in text, f"docs/how-to/train.md does not tell what {file.name} is"


def test_rerunning_a_page_replaces_what_commands_print(tmp_path: Path) -> None:
    rerun = _load(ROOT / "docs" / "rerun.py")
    assert (
        rerun.again("$ echo one\nold\n$ echo two; echo three\n", tmp_path)
        == "$ echo one\none\n$ echo two; echo three\ntwo\nthree\n"
    )
    with pytest.raises(SystemExit):
        rerun.again("$ exit 2\n", tmp_path)


def test_example_find_label(desk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    example = _load(ROOT / "examples" / "find_label.py")
    Path("photos/bolt/broken.jpg").write_bytes(b"no image")
    count = example.find("brands", "photos", "bolt", "found.csv", least=0.0)
    with open("found.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == count >= 1
    assert sum("bolt" in row["image"] for row in rows) > count / 2
    assert [row["confidence"] for row in rows] == sorted((row["confidence"] for row in rows), reverse=True)
    assert "broken.jpg" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="does not know nobody"):
        example.find("brands", "photos", "nobody", "found.csv")


@pytest.mark.slow
def test_example_compare_settings(desk: Path, train_settings: Any) -> None:
    example = _load(ROOT / "examples" / "compare_settings.py")
    figures = example.compare("demo/data/train.csv", "comparison", train_settings)
    assert set(figures) == set(example.TRIALS)
    assert all(low <= top1 <= high for top1, (low, high) in figures.values())
    assert all((Path("comparison") / name / "manifest.json").is_file() for name in figures)
