"""Bundles on the Hugging Face Hub: pushed, brought, taken from the cache, and whatever stands in the way."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hub import Hub, Repository, hub_on_loopback

import logolens
from logolens.bundle.hub import hub_address, name_of, shown_as
from logolens.bundle.push import push
from logolens.cli import main
from logolens.errors import BundleError, DownloadError, UsageError

pytest.importorskip("huggingface_hub", reason="needs the extra hub")

# The client's own, with the HTTP library that it asks for.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")

WRITES, READS = "hf_writes", "hf_reads"


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """An empty Hub, where acme has a token that writes and one that reads; the client's cache is the test's own."""
    import huggingface_hub.constants

    for name in ("HF_HUB_CACHE", "HF_HUB_OFFLINE", "LOGOLENS_OFFLINE", "HF_TOKEN_PATH"):
        monkeypatch.delenv(name, raising=False)
    # The client reads this one when it is imported, which another test may have done.
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_TOKEN_PATH", str(tmp_path / "no-token"))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setenv("HF_TOKEN", WRITES)
    with hub_on_loopback() as found:
        found.tokens = {WRITES: ("acme", True), READS: ("acme", False)}
        monkeypatch.setenv("HF_ENDPOINT", found.url)
        _point_client_at(found, monkeypatch)
        yield found


def _point_client_at(hub: Hub, patch: pytest.MonkeyPatch) -> None:
    """Say in the client, too, where the Hub is: its earlier releases go by what they read when they were imported."""
    import huggingface_hub.constants

    patch.setattr(huggingface_hub.constants, "ENDPOINT", hub.url)
    template = hub.url + "/{repo_id}/resolve/{revision}/{filename}"
    patch.setattr(huggingface_hub.constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)


@pytest.fixture(scope="module")
def first_push(bundle: Any, tmp_path_factory: pytest.TempPathFactory) -> Repository:
    """What a push leaves on a Hub; done once, for it takes a second."""
    with pytest.MonkeyPatch.context() as patch, hub_on_loopback() as found:
        found.tokens = {WRITES: ("acme", True)}
        for name, value in (("HF_ENDPOINT", found.url), ("HF_TOKEN", WRITES), ("LOGOLENS_OFFLINE", "")):
            patch.setenv(name, value)
        _point_client_at(found, patch)
        push(bundle.path, "hf://acme/logos")
        return found.repositories["acme/logos"]


@pytest.fixture
def pushed(hub: Hub, first_push: Repository) -> Hub:
    """A Hub with a bundle in acme/logos."""
    commits = [(sha, dict(files)) for sha, files in first_push.commits]
    hub.repositories["acme/logos"] = Repository(commits=commits)
    return hub


def card_of(hub: Hub) -> tuple[dict[str, Any], str]:
    _, front, text = hub.files("acme/logos")["README.md"].decode().split("---\n", 2)
    return yaml.safe_load(front), text


# The way there and back


def test_what_was_pushed_answers_as_before_and_without_the_hub(
    hub: Hub, bundle: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.large = (".onnx", ".safetensors", ".png")
    done = push(bundle.path, "hf://acme/logos", private=True)
    assert done.changed
    assert done.private
    assert hub.repositories["acme/logos"].private
    manifest = json.loads((bundle.path / "manifest.json").read_text())
    assert set(hub.files("acme/logos")) == {".gitattributes", "manifest.json", *manifest["files"]}
    assert hub.files("acme/logos")["model.onnx"] == (bundle.path / "model.onnx").read_bytes()
    assert len(hub.repositories["acme/logos"].commits) == 2, "one commit beside the first of the Hub"

    photo = next((bundle.data / "acme").iterdir())
    wanted = logolens.load(bundle.path, threads=1).predict(photo)[0].scores
    monkeypatch.setenv("HF_TOKEN", READS)
    there = logolens.load("hf://acme/logos", threads=1)
    assert there.predict(photo)[0].scores == wanted
    assert repr(there).startswith("Classifier(hf://acme/logos: 3 labels")
    assert there.bundle.path.is_relative_to(tmp_path / "hf" / "hub")
    assert shown_as(there.bundle.path) == done.address.replace(done.address[-40:], done.address[-40:][:12])

    asked = len(hub.asked)
    assert logolens.load(done.address, threads=1).predict(photo)[0].scores == wanted
    assert len(hub.asked) == asked, "a commit that is there needs nobody"
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert logolens.load("hf://acme/logos", threads=1).bundle.path == there.bundle.path
    assert len(hub.asked) == asked
    monkeypatch.delenv("HF_HUB_OFFLINE")
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    assert logolens.load("hf://acme/logos", threads=1).bundle.path == there.bundle.path


def test_the_commands_take_an_address(pushed: Hub, bundle: Any, tmp_path: Path, capsys: Any) -> None:
    photo = next((bundle.data / "bolt").iterdir())
    assert main(["predict", "hf://acme/logos", str(photo)]) == 0
    assert "bolt" in capsys.readouterr().out
    assert main(["summary", "hf://acme/logos@main"]) == 0
    assert "efficientnet_lite0" in capsys.readouterr().out
    store = tmp_path / "scan.db"
    assert main(["scan", "hf://acme/logos", str(photo), "--store", str(store), "--no-isolate"]) == 0
    assert main(["results", str(store)]) == 0
    assert "with hf://acme/logos" in capsys.readouterr().err
    page = tmp_path / "page.html"
    data = tmp_path / "data" / "bolt"
    data.mkdir(parents=True)
    shutil.copy(photo, data)
    given = ["evaluate", "hf://acme/logos", str(data.parent), "--views", "whole", "--out", str(page)]
    assert main(given) == 0
    assert re.search(r"How good is hf://acme/logos@[0-9a-f]{12}\?", page.read_text())


def test_the_service_takes_an_address(pushed: Hub) -> None:
    from logolens.cli.serve import _named

    named = _named(("hf://acme/logos", "two=hf://acme/logos@main"))
    assert list(named) == ["logos", "two"]
    assert named["logos"] == named["two"]
    assert name_of(named["logos"]) == "hf://acme/logos"


def test_the_card_has_what_the_hub_reads(pushed: Hub, bundle: Any) -> None:
    facts, text = card_of(pushed)
    assert facts["pipeline_tag"] == "image-classification"
    assert facts["library_name"] == "logolens"
    assert facts["license"] == "apache-2.0"
    assert "logo-recognition" in facts["tags"]
    assert facts["metrics"] == ["accuracy", "f1"]
    (model,) = facts["model-index"]
    test = json.loads((bundle.path / "manifest.json").read_text())["metrics"]["test"]
    assert model["results"][0]["metrics"][0]["value"] == pytest.approx(test["top1"], abs=1e-4)
    assert "`BUNDLE` stands for `hf://acme/logos`" in text
    assert text.lstrip().startswith("# Logo classifier of 3 labels")


def test_a_card_that_a_person_wrote_stands(hub: Hub, bundle: Any, tmp_path: Path) -> None:
    own = Path(shutil.copytree(bundle.path, tmp_path / "own"))
    (own / "README.md").write_text("---\nlicense: mit\nlanguage: de\n---\n# Unsere Logos\n", encoding="utf-8")
    push(own, "hf://acme/logos")
    facts, text = card_of(hub)
    assert (facts["license"], facts["language"], facts["library_name"]) == ("mit", "de", "logolens")
    assert text.strip() == "# Unsere Logos"
    assert logolens.load("hf://acme/logos", threads=1).labels == ("acme", "bolt", "crest")
    (own / "README.md").write_text("---\nlicense: [\n---\n")
    with pytest.raises(UsageError, match=r"front matter of README.md is no YAML"):
        push(own, "hf://acme/logos", force=True)


def test_the_command_line_with_nothing_but_the_environment(hub: Hub, bundle: Any, tmp_path: Path) -> None:
    hub.large = (".onnx",)
    photo = next((bundle.data / "acme").iterdir())
    env = {**os.environ, "HF_HUB_DISABLE_XET": "1"}

    def run(*arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "logolens", *arguments]
        return subprocess.run(command, capture_output=True, text=True, env={**env, **more}, check=False)

    done = run("push", str(bundle.path), "hf://acme/logos")
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == f"{hub.url}/acme/logos"
    (address,) = re.findall(r"logolens predict (hf://acme/logos@[0-9a-f]{40}) IMAGES", done.stderr)
    assert "Everyone can read it" in done.stderr
    assert logolens.load(address, threads=1).labels == ("acme", "bolt", "crest")
    found = run("predict", address, str(photo), "--json", HF_HUB_OFFLINE="1", HF_ENDPOINT="http://127.0.0.1:9")
    assert json.loads(found.stdout)["label"] == "acme", found.stderr


# What is there already


def test_nothing_is_replaced_unless_it_is_said(pushed: Hub, bundle: Any, tmp_path: Path) -> None:
    other = Path(shutil.copytree(bundle.path, tmp_path / "other"))
    assert not push(bundle.path, "hf://acme/logos").changed
    from logolens.bundle.validation import sealed

    manifest = json.loads((other / "manifest.json").read_text())
    del manifest["files"]["curves.png"]
    (other / "manifest.json").write_text(json.dumps(sealed({**manifest, "mark": "another"})))
    before = pushed.files("acme/logos")
    with pytest.raises(UsageError, match=r"holds another bundle; .*--force"):
        push(other, "hf://acme/logos")
    pushed.repositories["acme/logos"].commit({**before, "notes.txt": b"ours"})
    with pytest.raises(UsageError, match=r"files that are not a bundle's, as notes.txt"):
        push(other, "hf://acme/logos")
    assert len(pushed.repositories["acme/logos"].commits) == 3
    assert push(other, "hf://acme/logos", force=True).changed
    after = pushed.files("acme/logos")
    assert after["notes.txt"] == b"ours"
    assert "curves.png" not in after, "a file of the earlier bundle stayed"
    assert json.loads(after["manifest.json"])["mark"] == "another"


def test_a_repository_of_something_else_is_left_alone(hub: Hub, bundle: Any) -> None:
    hub.repositories["acme/bert"] = Repository()
    hub.repositories["acme/bert"].commit({"README.md": b"# BERT", "manifest.json": b"{}", "model.onnx": b"x"})
    with pytest.raises(UsageError, match=r"not a bundle's, as README.md"):
        push(bundle.path, "hf://acme/bert")
    with pytest.raises(UsageError, match=r"everyone sees it, so --private does not hold"):
        push(bundle.path, "hf://acme/bert", private=True, force=True)
    assert len(hub.repositories["acme/bert"].commits) == 1


def test_who_pushed_meanwhile_is_not_written_over(pushed: Hub, bundle: Any) -> None:
    def meanwhile(repository: Repository) -> None:
        pushed.in_between = None
        repository.commit({"theirs.txt": b"x"})

    pushed.in_between = meanwhile
    with pytest.raises(DownloadError, match="changed by somebody else meanwhile; run the same command again"):
        push(bundle.path, "hf://acme/logos", force=True, license="mit")
    assert pushed.files("acme/logos") == {"theirs.txt": b"x"}


# What stands in the way


@pytest.mark.parametrize(
    "address",
    ["hf://logos", "hf://", "hf://acme/logos/more", "hf://acme/../logos", "hf://acme/lo gos", "hf://-a/b", "hf://a/b.git",
     "hf://acme/logos@", "hf://acme/logos@../x", "hf://acme/a--b", "hf:///acme/logos", "hf://acme/logos\n"],
)  # fmt: skip
def test_what_is_no_address_is_one_sentence(address: str, capsys: Any) -> None:
    with pytest.raises(UsageError, match=r"is no address on the Hugging Face Hub; write hf://OWNER|is no revision"):
        logolens.load(address)
    assert main(["predict", address, "x.jpg"]) == 2
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [("train", "photos", "--out", "hf://acme/logos"), ("gallery", "rename", "hf://acme/logos", "acme", "bolt"),
     ("gallery", "add", "hf://acme/logos", "x.png", "--label", "acme")],
)  # fmt: skip
def test_what_is_written_goes_to_a_folder(
    arguments: tuple[str, ...], make_photos: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    make_photos(tmp_path / "photos", count=1)
    shutil.copy(tmp_path / "photos" / "acme" / "acme-0.png", "x.png")
    assert main(list(arguments)) == 2
    assert "put it there with `logolens push FOLDER hf://acme/logos`" in capsys.readouterr().err
    assert {path.name for path in tmp_path.iterdir()} == {"photos", "x.png"}


def test_addresses_and_paths() -> None:
    assert hub_address("brands") is None
    assert hub_address(Path("hf") / "a") is None
    assert str(hub_address(Path("hf://acme/logos@v1.0"))) == "hf://acme/logos@v1.0"
    assert str(hub_address("hf://acme/logos@refs/pr/1")) == "hf://acme/logos@refs/pr/1"


@pytest.mark.parametrize(
    ("address", "token", "sentence"),
    [
        ("hf://acme/absent", None, "There is no repository acme/absent on .*it is private and HF_TOKEN is not set"),
        ("hf://acme/absent", READS, "There is no repository acme/absent on .*your token .* may not see it"),
        ("hf://acme/logos@v9", None, "has no revision v9; .*without an @ the newest is taken"),
        ("hf://acme/logos", "hf_old", "does not know your token; set HF_TOKEN"),
        ("hf://acme/secret", None, "it is private and HF_TOKEN is not set"),
        ("hf://acme/gated", None, "only to those who asked for it: ask on"),
        ("hf://acme/bert", None, "is no bundle: it has no manifest.json. Name a repository that `logolens push` wrote"),
    ],
)
def test_what_cannot_be_brought_says_what_to_do(
    address: str, token: str | None, sentence: str, pushed: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("secret", "gated", "bert"):
        pushed.repositories[f"acme/{name}"] = Repository(private=name == "secret", gated=name == "gated")
        pushed.repositories[f"acme/{name}"].commit({"README.md": b"x"})
    monkeypatch.setenv("HF_TOKEN", token) if token else monkeypatch.delenv("HF_TOKEN")
    with pytest.raises(DownloadError, match=sentence):
        logolens.load(address)


@pytest.mark.parametrize("name", ["model.onnx", "split.csv"])
def test_a_broken_file_is_refused_and_fetched_again(name: str, pushed: Hub) -> None:
    files = pushed.files("acme/logos")
    whole = files[name]
    files[name] = whole[:-1] + b"!"
    for _ in range(2):
        with pytest.raises(BundleError, match=rf"{name} is not the file that the bundle's manifest promises"):
            logolens.load("hf://acme/logos")
    files[name] = whole
    there = logolens.load("hf://acme/logos", threads=1).bundle.path
    (there / name).resolve().write_bytes(b"the disk forgot it")
    assert (logolens.load("hf://acme/logos", threads=1).bundle.path / name).read_bytes() == whole


def test_without_a_network_the_cache_is_all_there_is(pushed: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(DownloadError, match=r"not in the cache .*HF_HUB_OFFLINE forbids.*logolens summary"):
        logolens.load("hf://acme/logos")
    monkeypatch.delenv("HF_HUB_OFFLINE")
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(DownloadError, match=r"127.0.0.1:9 cannot be reached .*Check the network, HF_ENDPOINT"):
        logolens.load("hf://acme/logos")
    monkeypatch.setenv("HF_ENDPOINT", pushed.url)
    there = logolens.load("hf://acme/logos", threads=1).bundle.path
    pushed.down = 500
    assert logolens.load("hf://acme/logos", threads=1).bundle.path == there
    (there / "split.csv").unlink()
    monkeypatch.setenv("LOGOLENS_OFFLINE", "1")
    with pytest.raises(DownloadError, match=r"split.csv is not in the cache .*because of LOGOLENS_OFFLINE"):
        logolens.load("hf://acme/logos")


@pytest.mark.parametrize(
    ("to", "token", "error", "sentence"),
    [
        ("hf://acme/new", "", DownloadError, "To push, set HF_TOKEN"),
        ("hf://acme/new", READS, DownloadError, "may not write acme/new; .*/settings/tokens"),
        ("hf://other/new", WRITES, DownloadError, "may not write other/new"),
        ("hf://acme/new", "hf_old", DownloadError, "does not know your token"),
        ("hf://acme/new@main", WRITES, UsageError, "names a revision"),
        ("acme/new", WRITES, UsageError, "is no address on the Hugging Face Hub"),
    ],
)
def test_what_cannot_be_pushed_says_what_to_do(
    to: str, token: str, error: type[Exception], sentence: str, hub: Hub, bundle: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", token)
    with pytest.raises(error, match=sentence):
        push(bundle.path, to)
    assert hub.repositories == {}


def test_nothing_is_pushed_that_is_broken_or_when_offline(
    hub: Hub, bundle: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = Path(shutil.copytree(bundle.path, tmp_path / "broken"))
    (broken / "split.csv").write_text("altered")
    with pytest.raises(BundleError, match=r"split.csv was altered"):
        push(broken, "hf://acme/new")
    with pytest.raises(UsageError, match="is no licence as the Hub names them"):
        push(bundle.path, "hf://acme/new", license="My own!")
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(DownloadError, match="cannot be reached"):
        push(bundle.path, "hf://acme/new")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(DownloadError, match="HF_HUB_OFFLINE is set, so nothing is sent"):
        push(bundle.path, "hf://acme/new")
    assert hub.asked == []
