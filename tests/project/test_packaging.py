"""What is published: a complete sdist and wheel that the package index takes, and the files that say how."""

from __future__ import annotations

import email
import os
import re
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sdist, and the wheel that is built from it alone."""
    pytest.importorskip("hatchling", reason="hatchling builds both; it comes with the extra dev")
    folder = tmp_path_factory.mktemp("dist")
    build = [sys.executable, "-m", "hatchling", "build", "-d", str(folder)]
    subprocess.run([*build, "-t", "sdist"], cwd=ROOT, check=True, capture_output=True, timeout=120)
    (sdist,) = folder.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        archive.extractall(folder / "unpacked", filter="data")
    (source,) = (folder / "unpacked").iterdir()
    subprocess.run([*build, "-t", "wheel"], cwd=source, check=True, capture_output=True, timeout=120)
    return folder


def tracked() -> list[str]:
    done = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip("this is no checkout")
    return [path for path in done.stdout.splitlines() if (ROOT / path).is_file()]


def test_the_sdist_holds_all_that_the_checkout_does(dist: Path) -> None:
    (source,) = (dist / "unpacked").iterdir()
    there = {path.relative_to(source).as_posix() for path in source.rglob("*") if path.is_file()}
    assert set(tracked()) - there <= set()
    assert there - set(tracked()) <= {"PKG-INFO"}


def test_the_wheel_holds_each_file_of_the_package_and_no_other(dist: Path) -> None:
    (wheel,) = dist.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if not name.split("/")[0].endswith(".dist-info")}
    assert names == {path.removeprefix("src/") for path in tracked() if path.startswith("src/")}
    assert "logolens/py.typed" in names


def test_the_package_index_takes_them(dist: Path) -> None:
    pytest.importorskip("twine", reason="twine checks both; it comes with the extra dev")
    files = [str(path) for path in dist.iterdir() if path.is_file()]
    assert len(files) == 2
    done = subprocess.run(
        [sys.executable, "-m", "twine", "check", "--strict", *files], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("PASSED") == 2


def test_no_link_of_the_index_page_is_dead(dist: Path) -> None:
    (wheel,) = dist.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        metadata = email.message_from_bytes(archive.read(name))
    page = str(metadata.get_payload(decode=False))
    assert "After a rebrand" in page
    assert "logolens scan" in page
    assert not re.findall(r"\]\((?!https?://)[^)]*\)", page)
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert re.findall(r"\]\((?!https?://)[^)]*\)", readme)  # Else there would be nothing to take out.


def test_the_citation_has_the_version() -> None:
    import logolens

    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert {"cff-version", "message", "title", "authors", "version", "license"} <= citation.keys()
    assert citation["version"] == logolens.__version__


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_workflows_say_that_they_were_never_run_and_name_what_is_there(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.startswith("# Never run on GitHub")
    workflow = yaml.safe_load(text)
    assert workflow["permissions"] == {"contents": "read"}
    targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    extras = set(re.findall(r"^(\w+) = \[$", (ROOT / "pyproject.toml").read_text(encoding="utf-8"), re.MULTILINE))
    for job in workflow["jobs"].values():
        assert job["timeout-minutes"] <= 60
        for step in job["steps"]:
            assert ("uses" in step) != ("run" in step)
            assert re.fullmatch(r"[\w.-]+/[\w./-]+@[\w./-]+", step.get("uses", "a/b@c"))
            run = step.get("run", "")
            # What comes from outside is never put into a script, where it would be run.
            assert "${{" not in run
            assert subprocess.run(["bash", "-n", "-c", run], check=False).returncode == 0
            assert set(re.findall(r"^make ([\w-]+)", run)) <= set(targets)
            for named in re.findall(r'"?\.\[([\w,]+)\]', run):
                assert set(named.split(",")) <= extras
            for test in re.findall(r"(?<![\w/])tests/[\w/.]+", run):
                assert (ROOT / test).exists(), test


def test_the_release_takes_a_tag_that_is_the_version_and_no_other(tmp_path: Path) -> None:
    import logolens

    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "release.yml").read_text(encoding="utf-8"))
    (script,) = (step["run"] for step in workflow["jobs"]["build"]["steps"] if "TAG" in step.get("env", {}))
    (tmp_path / "src" / "logolens").mkdir(parents=True)
    for name in ("src/logolens/_version.py", "CITATION.cff"):
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    (tmp_path / "CHANGELOG.md").write_text(f"# Changelog\n\n## {logolens.__version__} - 2026-12-01\n")
    run = ["bash", "-eo", "pipefail", "-c", script]
    for tag, code in ((f"v{logolens.__version__}", 0), ("v9.9.9", 1)):
        assert subprocess.run(run, cwd=tmp_path, env=os.environ | {"TAG": tag}, check=False).returncode == code
    (tmp_path / "CHANGELOG.md").write_text("# Changelog\n\n## Unreleased\n")
    assert subprocess.run(
        run, cwd=tmp_path, env=os.environ | {"TAG": f"v{logolens.__version__}"}, check=False
    ).returncode


def test_hooks_run_what_make_lint_does() -> None:
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
    entries = [hook["entry"] for repo in hooks["repos"] for hook in repo["hooks"]]
    lint = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert {" ".join(entry.split()[:2]).removeprefix(".venv/bin/") for entry in entries} == {
        "ruff check",
        "ruff format",
        "mypy --strict",
        "mypy --config-file",
        "python docs/reference.py",
    }
    for tool in ("ruff check", "ruff format", "mypy --strict", "mypy --config-file"):
        assert f"$(BIN)/{tool}" in lint


def test_templates_are_forms_that_ask_something() -> None:
    for path in (ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml"):
        form = yaml.safe_load(path.read_text(encoding="utf-8"))
        if path.stem != "config":
            assert {"name", "description", "body"} <= form.keys()
            assert all(part["attributes"]["label"] for part in form["body"])
