"""The samples for who runs the service name what there is, and nginx takes the one that is for it."""

from __future__ import annotations

import configparser
import json
import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from service import eventually, picture, serving, write_colours

from logolens.cli import cli
from logolens.config import ServeSettings

pytest.importorskip("fastapi")
yaml: Any = pytest.importorskip("yaml")

SAMPLES = Path(__file__).resolve().parents[2] / "examples" / "serve"
RED = picture("red")


@pytest.fixture(scope="module")
def colours(tmp_path_factory: pytest.TempPathFactory, small_network: bytes) -> Path:
    return write_colours(tmp_path_factory.mktemp("served") / "colours", small_network)


def expressions() -> list[str]:
    """What the dashboard and the alerts ask Prometheus for."""
    dashboard = json.loads((SAMPLES / "grafana.json").read_text())
    alerts = yaml.safe_load((SAMPLES / "alerts.yml").read_text())
    found = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    return found + [rule["expr"] for group in alerts["groups"] for rule in group["rules"]]


def test_the_figures_that_are_asked_for_are_there(colours: Path) -> None:
    with serving({"colours": colours}) as service:
        assert service.predict(RED).status == 200
        assert service.predict(b"[" * 100_000, "application/json").status == 400
        text = service.ask("/metrics").body.decode()
    kinds = dict(re.findall(r"^# TYPE (logolens_\w+) (\w+)$", text, re.MULTILINE))
    labels: dict[str, set[str]] = {}
    for name, inside in re.findall(r"^(logolens_\w+?)(?:\{(.*)\})? \S+$", text, re.MULTILINE):
        labels.setdefault(name, set()).update(re.findall(r"(\w+)=", inside))
    assert len(expressions()) > 10
    for expression in expressions():
        used = re.findall(r"(logolens_\w+)(?:\{([^}]*)\})?", expression)
        for name, inside in used:
            base = re.sub(r"_(bucket|sum|count)$", "", name)
            assert name in kinds or kinds.get(base) == "histogram", name
            assert set(re.findall(r"(\w+)[=!]", inside)) <= labels.get(name, {"outcome", "reason"}), expression
        for group in re.findall(r"by \(([^)]*)\)", expression):
            known = set().union(*(labels.get(name, {"outcome", "reason"}) for name, _ in used))
            assert set(re.split(r",\s*", group)) <= known, expression


def test_prometheus_asks_where_the_service_answers(colours: Path) -> None:
    config = yaml.safe_load((SAMPLES / "prometheus.yml").read_text())
    (job,) = config["scrape_configs"]
    assert [(SAMPLES / name).exists() for name in config["rule_files"]] == [True]
    assert job["static_configs"][0]["targets"] == [f"127.0.0.1:{ServeSettings().port}"]
    with serving({"colours": colours}) as service:
        assert service.ask(job["metrics_path"]).status == 200
    if shutil.which("promtool"):
        subprocess.run(["promtool", "check", "config", str(SAMPLES / "prometheus.yml")], check=True)


def test_the_units_command_is_one(tmp_path: Path) -> None:
    unit = configparser.RawConfigParser(strict=False)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read(SAMPLES / "logolens.service")
    program, command, *arguments = shlex.split(unit["Service"]["ExecStart"])
    assert (Path(program).name, command) == ("logolens", "serve")
    (tmp_path / "brands").mkdir()
    cli.commands["serve"].make_context("serve", arguments)  # An option that there is not ends the test.
    assert float(unit["Service"]["TimeoutStopSec"]) > ServeSettings().drain_seconds
    assert unit["Service"]["ExecReload"].endswith("-HUP $MAINPID")
    if analyze := shutil.which("systemd-analyze"):
        shutil.copy(SAMPLES / "logolens.service", tmp_path / "logolens.service")
        text = (tmp_path / "logolens.service").read_text().replace(program, "/bin/true")
        (tmp_path / "logolens.service").write_text(text)
        ran = subprocess.run(
            [analyze, "verify", "--man=no", str(tmp_path / "logolens.service")], capture_output=True, text=True
        )
        assert "logolens.service" not in ran.stderr, ran.stderr


def nginx_config() -> str:
    return (SAMPLES / "nginx.conf").read_text()


def test_nginx_takes_what_the_service_takes() -> None:
    settings, text = ServeSettings(), nginx_config()
    megabytes = re.search(r"client_max_body_size (\d+)m;", text)
    seconds = re.search(r"proxy_read_timeout (\d+)s;", text)
    assert megabytes is not None
    assert seconds is not None
    assert int(megabytes[1]) << 20 >= settings.max_body
    assert int(seconds[1]) > settings.deadline
    assert f"server 127.0.0.1:{settings.port};" in text


@pytest.mark.skipif(shutil.which("nginx") is None, reason="needs nginx")
def test_behind_nginx_the_service_answers_below_its_prefix(colours: Path, tmp_path: Path) -> None:
    from service import Service

    from logolens.serve.running import address_of, listen

    with listen("127.0.0.1", 0) as bound:
        port = int(address_of(bound).rpartition(":")[2])
    with serving({"colours": colours}, allow_host=("logos.example.org",)) as service:
        sample = nginx_config().replace("127.0.0.1:8000", f"127.0.0.1:{service.port}")
        sample = sample.replace("listen 80;", f"listen 127.0.0.1:{port};")
        folders = "".join(
            f"{kind}_temp_path {tmp_path / kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        config = tmp_path / "nginx.conf"
        config.write_text(
            f"daemon off; pid {tmp_path}/pid; error_log stderr; worker_processes 1;\nevents {{}}\n"
            f"http {{ access_log off;\n{folders}{sample}\n}}\n"
        )
        process = subprocess.Popen(["nginx", "-p", str(tmp_path), "-c", str(config)])
        try:
            proxied = Service(port)
            eventually(lambda: proxied.is_alive("/logos/healthz"))
            assert proxied.ask("/logos", host="logos.example.org").status == 301
            page = proxied.ask("/logos/", host="logos.example.org")
            assert page.status == 200
            for name in re.findall(r'(?:href|src)="(page/[^"]+)"', page.body.decode()):
                assert proxied.ask(f"/logos/{name}", host="logos.example.org").status == 200
            answer = proxied.ask("/logos/v1/predict", RED, host="logos.example.org")
            assert answer.json["results"][0]["label"] == "red"
            assert proxied.ask("/logos/metrics", host="logos.example.org").status == 403
            assert proxied.ask("/logos/healthz", host="evil.example").status == 421
        finally:
            process.terminate()
            process.wait(20)
