"""`classify`: the classic label_image command line over graphs of `retrain` and over bundles."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from logolens.cli import main
from logolens.config import Preprocessing
from logolens.errors import BundleError, UsageError
from logolens.inference.classifier import Classifier
from logolens.io.images import fit
from logolens.models.calibration import Calibration, softmax
from logolens.models.head import Head
from logolens.recipes.retrain.graph_file import Graph, labels_text, load_graph
from logolens.recipes.retrain.label_image import classify

LABELS = ("Blue", "Green Co", "red", "teal", "violet", "white")
ROAD = Preprocessing(size=64)
HEAD = Head(
    ((np.random.default_rng(3).normal(0, 0.05, (12, 6)).astype(np.float32), np.zeros(6, dtype=np.float32)),),
)


@pytest.fixture
def graph(small_network: bytes, tmp_path: Path) -> Path:
    backbone = tmp_path / "backbone.onnx"
    backbone.write_bytes(small_network)
    path = tmp_path / "retrained_graph.pb"
    made = Graph.of(
        path,
        backbone,
        HEAD,
        Calibration(),
        labels=LABELS,
        preprocessing=ROAD,
        output="final_result",
        architecture="small",
    )
    path.write_bytes(made.model)
    return path


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    path = tmp_path / "retrained_labels.txt"
    path.write_text(labels_text(LABELS), encoding="utf-8")
    return path


@pytest.fixture
def photo(tmp_path: Path, draw_photo: Callable[..., Image.Image]) -> Path:
    path = tmp_path / "photo.png"
    draw_photo("acme", 1).save(path)
    return path


def ask(*arguments: object) -> int:
    return main(["classify", *map(str, arguments)])


def test_prints_the_time_and_the_best_five_as_the_classic_script_does(
    graph: Path, labels: Path, photo: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ask(f"--graph={graph}", f"--labels={labels}", f"--image={photo}") == 0
    out = capsys.readouterr().out
    assert re.match(r"\nEvaluation time \(1-image\): \d+\.\d{3}s\n\n", out)
    lines = re.findall(r"^(.+) \(score=(\d\.\d{5})\)$", out, re.MULTILINE)
    assert len(lines) == 5
    with Image.open(photo) as image:
        square = fit(image.convert("RGB"), ROAD)
    quarters = square.reshape(2, 32, 2, 32, 3).mean(axis=(1, 3)).transpose(2, 0, 1).reshape(1, 12)
    wanted = softmax(HEAD.logits(quarters.astype(np.float32)))[0]
    order = np.argsort(-wanted)[:5]
    assert [name for name, _ in lines] == [LABELS[place] for place in order]
    assert [float(score) for _, score in lines] == pytest.approx(wanted[order], abs=2e-5)


def test_runs_as_a_module_and_loads_no_torch(graph: Path, photo: Path) -> None:
    code = (
        "import runpy, sys; sys.argv = ['classify', *sys.argv[1:]]\n"
        "try: runpy.run_module('logolens.classify', run_name='__main__')\n"
        "except SystemExit as stop: assert not stop.code, stop.code\n"
        "heavy = {'torch', 'onnx', 'timm', 'torchvision', 'matplotlib', 'sklearn'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    command = [sys.executable, "-c", code, "--graph", str(graph), "--image", str(photo)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "Evaluation time (1-image)" in done.stdout
    done = subprocess.run(
        [sys.executable, "-m", "logolens.classify", "--help"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0
    assert "--input_height" in done.stdout


def test_a_folder_is_answered_image_by_image_and_broken_ones_are_counted(
    graph: Path, tmp_path: Path, make_photos: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    site = make_photos(tmp_path / "site", labels=("acme",), count=4)
    (site / "broken.jpg").write_bytes(b"\xff\xd8 nothing")
    extra = tmp_path / "logo.gif"
    Image.new("RGB", (40, 30), "blue").save(extra)
    assert ask("--graph", graph, "--image", site, "--image", extra, "--image", tmp_path / "absent.bmp") == 1
    out, err = capsys.readouterr()
    assert [line for line in out.splitlines() if line.endswith((".jpg", ".png", ".gif"))] == [
        *(str(site / "acme" / name) for name in ("acme-0.png", "acme-1.jpg", "acme-2.jpg", "acme-3.png")),
        str(extra),
    ]
    assert out.count("Evaluation time (1-image)") == 5
    assert "broken.jpg" in err
    assert "absent.bmp" in err
    assert "2 of 7 images could not be read" in err


def test_the_function_answers_in_order_with_scores_that_sum_to_one(graph: Path, photo: Path) -> None:
    answers = list(classify(graph, [str(photo), str(photo.with_name("none.jpg"))]))
    assert [Path(answer.image).name for answer in answers] == ["photo.png", "none.jpg"]
    assert sum(answers[0].scores.values()) == pytest.approx(1.0, abs=1e-5)
    assert list(answers[0].scores.values()) == sorted(answers[0].scores.values(), reverse=True)
    assert answers[0].seconds > 0
    assert answers[1].error == "there is no such file."
    assert not answers[1].scores


@pytest.mark.parametrize(
    "claims",
    [
        ["--input_height=64", "--input_width=64", "--input_mean=128", "--input_std", "128"],
        ["--input_layer=input", "--output_layer=final_result"],
        ["--input_layer=Mul", "--output_layer=import/final_result:0"],
        ["--input_layer=image"],
    ],
)
def test_claims_of_an_old_command_line_that_hold_are_accepted(graph: Path, photo: Path, claims: list[str]) -> None:
    assert ask("--graph", graph, "--image", photo, *claims) == 0


@pytest.mark.parametrize(
    ("claim", "sentence"),
    [
        ("--input_height=299", "input_height is 299, but the graph takes images of 64 x 64 pixels"),
        ("--input_width=299", "input_width is 299"),
        ("--input_mean=0", "input_mean is 0, but the graph has 127, 127, 127"),
        ("--input_std=255", "input_std is 255, but the graph has 128, 128, 128"),
        ("--input_mean=nan", "input_mean is nan"),
        ("--input_layer=other", "the one input image"),
        ("--output_layer=softmax", "the output final_result"),
    ],
)
def test_a_claim_that_the_graph_contradicts_is_an_error(
    graph: Path, photo: Path, claim: str, sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ask("--graph", graph, "--image", photo, claim) == 2
    out, err = capsys.readouterr()
    assert sentence in err
    assert "out: the graph prepares images itself" in err
    assert not out


def test_a_flag_that_is_nearly_right_is_named(graph: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert ask("--graph", graph, "--imaeg=x.jpg") == 2
    assert "Did you mean --image?" in capsys.readouterr().err.replace("'", "")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("Blue\nGreen Co\nred\nteal\nviolet\n", "it has 5 labels and the graph 6"),
        ("Blue\nred\nGreen Co\nteal\nviolet\nwhite\n", "line 2 says 'red' and the graph 'Green Co'"),
        ("blue\nGreen Co\nred\nteal\nviolet\nwhite\n", "line 1 says 'blue' and the graph 'Blue'"),
        ("", "holds no labels"),
    ],
)
def test_labels_that_differ_from_the_graph_are_an_error(
    graph: Path, labels: Path, photo: Path, text: str, sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    labels.write_text(text, encoding="utf-8")
    assert ask("--graph", graph, "--labels", labels, "--image", photo) == 1
    assert sentence in capsys.readouterr().err


def test_labels_with_windows_line_ends_and_no_last_one_are_the_same(graph: Path, labels: Path, photo: Path) -> None:
    labels.write_bytes("\r\n".join(LABELS).encode())
    assert ask("--graph", graph, "--labels", labels, "--image", photo) == 0
    labels.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(BundleError, match="not UTF-8"):
        classify(graph, [str(photo)], labels=labels)
    with pytest.raises(BundleError, match="no such file"):
        classify(graph, [str(photo)], labels=labels.with_name("absent.txt"))


def test_a_graph_that_is_none_is_an_error(graph: Path, photo: Path, tmp_path: Path, small_network: bytes) -> None:
    bad = tmp_path / "bad.pb"
    # The first bytes of a frozen TensorFlow graph: protocol buffers too, of another kind.
    tensorflow = b"\n\x2c\n\x05input\x12\x0bPlaceholder*\x0b\n\x05dtype\x12\x020\x01*\t\n\x05shape\x12\x00"
    for content, sentence in (
        (b"not a graph", "no ONNX model"),
        (b"", "no ONNX model"),
        (tensorflow, "no ONNX model"),
        (graph.read_bytes()[: graph.stat().st_size // 2], "no ONNX model"),
        (small_network, "does not tell its labels"),
    ):
        bad.write_bytes(content)
        with pytest.raises(BundleError, match=sentence):
            classify(bad, [str(photo)])
    with pytest.raises(BundleError, match="no such file"):
        classify(tmp_path / "absent.pb", [str(photo)])
    with pytest.raises(UsageError, match="No image"):
        classify(graph, [])


def test_metadata_that_was_tampered_with_is_an_error(graph: Path, photo: Path) -> None:
    content = graph.read_bytes()
    # One byte for one byte, so that the file stays whole.
    graph.write_bytes(content.replace(b'"violet", ', b'"violet:  '))
    with pytest.raises(BundleError, match="damaged metadata"):
        load_graph(graph)
    graph.write_bytes(content.replace(b'"violet", "white"', b'"violet; \xc3\xa4 white"'[:17]))
    with pytest.raises(BundleError, match="damaged metadata"):
        load_graph(graph)


def test_a_bundle_is_taken_as_a_graph(bundle: Any, capsys: pytest.CaptureFixture[str]) -> None:
    photo = next((bundle.data / "acme").glob("*.jpg"))
    (wanted,) = Classifier.load(bundle.path, views="whole").predict(photo)
    for graph in (bundle.path, bundle.path / "model.onnx"):
        labels = bundle.path / "labels.txt"
        assert ask("--graph", graph, "--labels", labels, "--image", photo, "--input_width=96") == 0
        first = re.findall(r"^(.+) \(score=(.+)\)$", capsys.readouterr().out, re.MULTILINE)[0]
        best = next(iter(wanted.scores.items()))
        assert first == (best[0], f"{best[1]:.5f}")
