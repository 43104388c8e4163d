"""What the service's page asks for beside answers: its own files, and the results of a scan."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("fastapi", reason="needs the extra serve")

from conftest import TOKEN, Trained, draw
from PIL import Image
from service import Service

from logolens.config import ScanSettings
from logolens.errors import StoreError
from logolens.scan import Store, StoreReader, Wanted, scan
from logolens.serve.browsing import Results

SCANNED = ScanSettings(isolate=False, threads=2, thumbnails="all", views="whole")


def test_the_page_and_its_files(page_service: Service) -> None:
    index = page_service.ask("/")
    assert (index.status, index.headers["content-type"]) == (200, "text/html; charset=utf-8")
    policy = index.headers["content-security-policy"]
    for part in (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "connect-src 'self'",
        "img-src 'self' blob: data:",
    ):
        assert part in policy
    assert "unsafe" not in policy
    text = index.body.decode()
    assert not [odd for odd in ("{{", "style=", "onclick", "<script>", "http:", "https:") if odd in text]
    assert page_service.ask("/", if_none_match=index.headers["etag"]).status == 304
    assert page_service.ask("/", method="HEAD").status == 200
    script = page_service.ask("/page/main.js")
    assert (script.status, script.headers["content-type"]) == (200, "text/javascript; charset=utf-8")


@pytest.mark.parametrize(
    "path",
    [
        *("/page/", "/page/nothing.js", "/page/index.html", "/page/../pages.py", "/page/..%2fpages.py"),
        *("/page/%2e%2e/pages.py", "/page//etc/passwd"),
    ],
)
def test_no_other_file_is_served(page_service: Service, path: str) -> None:
    refused = page_service.ask(path)
    assert refused.status == 404
    sentence = refused.error
    assert sentence.endswith(".")


def test_results_are_listed_as_the_store_has_them(page_service: Service, scan_store: Path) -> None:
    with StoreReader(scan_store) as results:
        rows = list(results.rows(order="confidence"))
        facts = results.facts()
    assert len(rows) == 68
    first = page_service.ask("/v1/results?limit=40").json
    rest = page_service.ask("/v1/results?limit=40&offset=40").json
    assert (first["total"], len(first["results"]), len(rest["results"])) == (68, 40, 28)
    listed = first["results"] + rest["results"]
    expected = [json.loads(json.dumps(row.to_json())) for row in rows]
    assert [{name: value for name, value in row.items() if name != "thumbnail"} for row in listed] == expected
    assert first["scan"]["verdicts"] == facts.verdicts
    assert str(scan_store.parent) not in json.dumps(first["scan"])
    assert [row["image"] for row in listed if not row["thumbnail"]] == [
        row.name for row in rows if row.verdict == "error"
    ]


def test_results_are_filtered(page_service: Service, scan_store: Path) -> None:
    with StoreReader(scan_store) as results:
        rows = list(results.rows())
    for verdict in ("match", "clear", "error"):
        assert page_service.ask(f"/v1/results?verdict={verdict}").json["total"] == sum(
            row.verdict == verdict for row in rows
        )
    two = page_service.ask("/v1/results?verdict=match&verdict=error&order=name&limit=200").json
    assert [row["image"] for row in two["results"]] == [row.name for row in rows if row.verdict in ("match", "error")]
    assert page_service.ask("/v1/results?label=bolt").json["total"] == sum(row.label == "bolt" for row in rows) > 10
    assert page_service.ask("/v1/results?label=nothing").json["total"] == 0
    assert page_service.ask("/v1/results?change=new").json["total"] == 68
    assert page_service.ask("/v1/results?text=ACME-1").json["total"] == sum("acme-1" in row.name for row in rows) == 10
    assert page_service.ask("/v1/results?text=_100%25").json["total"] == 1  # No sign in it stands for others.
    assert page_service.ask("/v1/results?text=bolt%2504").json["total"] == 0
    assert page_service.ask("/v1/results?text=%22%27%3B--").json["total"] == 0


@pytest.mark.parametrize(
    "query",
    [
        *("verdict=perhaps", "order=beauty", "limit=0", "limit=100000", "offset=-1", "offset=many", "change=old"),
        "lable=bolt",
    ],
)
def test_what_cannot_be_asked_of_results(page_service: Service, query: str) -> None:
    refused = page_service.ask(f"/v1/results?{query}")
    assert refused.status == 422
    sentence = refused.error
    name, value = query.split("=")
    assert sentence.startswith((f"{name} cannot be '{value}'", f"There is no parameter {name}; there are verdict"))
    assert sentence.endswith(".")


def test_thumbnails_come_from_the_store_alone(page_service: Service, scan_store: Path) -> None:
    row = page_service.ask("/v1/results?limit=1").json["results"][0]
    small = page_service.ask(f"/v1/results/{row['sha256']}/thumbnail")
    assert (small.status, small.headers["content-type"]) == (200, "image/jpeg")
    with StoreReader(scan_store) as results:
        assert small.body == results.thumbnail(row["sha256"])
    assert Image.open(io.BytesIO(small.body)).size == (96, 96)
    assert page_service.ask(f"/v1/results/{'0' * 64}/thumbnail").status == 404
    for wrong in ("zz", "0" * 63, "..%2f..%2fetc%2fpasswd"):
        assert page_service.ask(f"/v1/results/{wrong}/thumbnail").status in (404, 422)


def test_without_a_store_or_a_token_results_are_refused(guarded_service: Service) -> None:
    assert guarded_service.ask("/v1/results").status == 401
    refused = guarded_service.ask("/v1/results", authorization=f"Bearer {TOKEN}")
    assert refused.status == 404
    assert "--store" in refused.error
    assert guarded_service.ask("/").status == 200  # The page itself holds no secret.


def test_a_scan_that_goes_on_is_seen(bundle: Trained, tmp_path: Path) -> None:
    folder, now = tmp_path / "photos", [0.0]
    folder.mkdir()
    draw("acme", 1).save(folder / "one.png")
    asked: dict[str, Any] = {"wanted": Wanted(), "order": "name", "offset": 0, "limit": 9}
    Store(tmp_path / "results.db").close()
    results = Results(tmp_path / "results.db", clock=lambda: now[0])
    with pytest.raises(StoreError, match="holds no scan yet"):
        results.page(**asked)
    for number in (1, 2):
        draw("bolt", number).save(folder / f"more-{number}.png")
        with Store(tmp_path / "results.db") as writing:
            scan(bundle.path, [folder], writing, SCANNED)
        now[0] += 60
        assert results.page(**asked).total == number + 1
    (tmp_path / "results.db").write_bytes(b"no store" * 1000)
    now[0] += 60
    with pytest.raises(StoreError):
        results.page(**asked)
    results.close()


def test_a_service_is_not_started_with_what_is_no_store(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no such result store"):
        Results(tmp_path / "nothing.db")
    (tmp_path / "text.db").write_text("no store at all, but text that is long enough to be looked at")
    with pytest.raises(StoreError):
        Results(tmp_path / "text.db")


@pytest.mark.skipif(os.name != "posix", reason="needs the rights of POSIX")
def test_a_store_is_read_where_nothing_may_be_written(scan_store: Path, tmp_path: Path) -> None:
    # As in a container. Root may write wherever it likes until it is left without its privileges.
    script = "import sys; from logolens.scan import StoreReader; print(StoreReader(sys.argv[1]).facts().pictures)"
    bare = ["setpriv", "--bounding-set=-all"] if os.geteuid() == 0 else []
    if bare and shutil.which("setpriv") is None:
        pytest.skip("needs setpriv, of util-linux")
    shutil.copy(scan_store, tmp_path / "results.db")
    (tmp_path / "results.db").chmod(0o444)
    tmp_path.chmod(0o555)
    try:
        run = [*bare, sys.executable, "-c", script, str(tmp_path / "results.db")]
        done = subprocess.run(run, capture_output=True, text=True, check=False)
        assert [path.name for path in tmp_path.iterdir()] == ["results.db"]
    finally:
        tmp_path.chmod(0o755)
    assert done.stdout == "68\n", done.stderr
