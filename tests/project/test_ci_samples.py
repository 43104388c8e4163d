"""The samples for CI: each step that is shell is run, in the order and with the variables that the sample gives it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import Trained

SAMPLES = Path(__file__).parents[2] / "examples" / "ci"

Job = Callable[..., int]


def _bash(script: str, env: dict[str, str], shell: str = "bash") -> int:
    flags = ["--noprofile", "--norc", "-eo", "pipefail"] if shell == "bash" else ["-e"]
    done = subprocess.run([shell, *flags, "-c", script], env=env, capture_output=True, text=True, check=False)
    print(done.stdout, done.stderr)
    return done.returncode


def _github(given: dict[str, str], env: dict[str, str]) -> int:
    """As a runner takes a composite action: a step that fails ends the job but for those that always run."""
    action = yaml.safe_load((SAMPLES / "action.yml").read_text(encoding="utf-8"))
    assert action["runs"]["using"] == "composite"
    required = {name for name, its in action["inputs"].items() if its.get("required")}
    assert required == {"bundle", "sources", "find"}
    inputs = {name: str(its.get("default", "")) for name, its in action["inputs"].items()} | given
    code = 0
    for step in action["runs"]["steps"]:
        if "run" not in step or step["name"] == "Install" or (code and step.get("if") != "always()"):
            continue
        assert step["shell"] == "bash"
        own = {name: inputs[value.split("inputs.")[1].split()[0]] for name, value in step.get("env", {}).items()}
        code = code or _bash(step["run"], env | own)
    return code


def _gitlab(given: dict[str, str], env: dict[str, str]) -> int:
    job = yaml.safe_load((SAMPLES / "gitlab-ci.yml").read_text(encoding="utf-8"))["old-logo"]
    variables = job["variables"] | {name.upper(): value for name, value in given.items()}
    # GitLab runs the lines of a script in one shell, which ends at the first that fails; its images may have sh alone.
    code = _bash("\n".join(job["script"]), env | variables, "sh")
    assert _bash("\n".join(job["after_script"]), env | variables, "sh") == 0
    return code


@pytest.mark.parametrize("run", [_github, _gitlab])
@pytest.mark.skipif(sys.platform == "win32", reason="the samples are for Linux runners")
def test_a_job_fails_once_for_each_new_match_until_it_is_mended_or_rejected(
    run: Job, bundle: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "logolens").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m logolens "$@"\n')
    (folder / "logolens").chmod(0o755)
    env = os.environ | {"PATH": f"{folder}:{os.environ['PATH']}"}
    given = {"bundle": str(bundle.path), "sources": "public", "find": "acme"}
    old = sorted((bundle.data / "acme").iterdir())
    (tmp_path / "public").mkdir()
    shutil.copy(old[0], "public")

    assert run(given, env) == 0  # The first takes down what is known.
    assert Path("old-logo/index.html").is_file()
    assert Path("old-logo.csv").read_text().count("\n") == 2
    shutil.copy(old[1], "public")
    assert run(given, env) == 3
    assert run(given, env) == 3  # Run again it has not become known by that.
    rows: list[Any] = _rows("scan.db")
    new = next(row for row in rows if row.before is None)
    Path("decisions.json").write_text(
        '{"format": "logolens decisions", "version": 1, "decisions": [{"name": "public", "decision": "reject", '
        f'"label": "none", "sha256": "{new.sha256}"}}]}}'
    )
    assert run(given, env) == 0
    Path("decisions.json").unlink()


def _rows(store: str) -> list[Any]:
    from logolens.scan import Store, Wanted

    with Store(store) as results:
        results.against("known.db")
        return list(results.rows(Wanted(found=True)))
