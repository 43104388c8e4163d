"""What a classifier takes from Python, in whatever form images are at hand, and what comes back for notebooks and tables."""

from __future__ import annotations

import base64
import io
import pickle
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import Trained
from PIL import Image
from website import Reply, Server, serving

import logolens
from logolens import Classifier, LogolensError
from logolens.config import SourceSettings


@pytest.fixture(scope="module")
def classifier(bundle: Trained) -> Classifier:
    return Classifier.load(bundle.path, threads=2)


@pytest.fixture(scope="module")
def photo(bundle: Trained) -> Path:
    return next(path for path in sorted((bundle.data / "acme").iterdir()) if path.suffix == ".png")


def test_every_form_of_an_image_gives_the_same_answer(classifier: Classifier, photo: Path) -> None:
    data = photo.read_bytes()
    image = Image.open(photo).convert("RGB")
    array = np.asarray(image)
    wide = np.zeros((array.shape[0], array.shape[1] * 2, 3), np.uint8)
    wide[:, ::2] = array  # A view that is not contiguous.
    with open(photo, "rb") as file:
        forms: dict[str, Any] = {
            "str": str(photo),
            "path": photo,
            "bytes": data,
            "bytearray": bytearray(data),
            "memoryview": memoryview(data),
            "file": file,
            "stream": io.BytesIO(data),
            "pillow": image,
            "lazy": Image.open(photo),
            "array": array,
            "view": wide[:, ::2],
        }
        answers = {name: classifier.predict(form) for name, form in forms.items()}
    scores = classifier.predict(str(photo))[0].scores
    for name, (answer,) in answers.items():
        assert answer.scores == pytest.approx(scores, abs=1e-5), name
    assert answers["str"][0].image == answers["file"][0].image == str(photo)
    assert answers["bytes"][0].image == "image 1"


def test_many_images_come_in_any_iterable(classifier: Classifier, bundle: Trained) -> None:
    pandas = pytest.importorskip("pandas")
    paths = sorted((bundle.data / "acme").iterdir())[:3]
    expected = [one.label for one in classifier.predict(paths)]
    frame = pandas.DataFrame({"number": [1, 2, 3], "path": [str(path) for path in paths]}, index=[7, 8, 9])
    for many in (
        tuple(paths),
        iter(paths),
        (path for path in paths),
        (path.read_bytes() for path in paths),
        np.array([str(path) for path in paths]),
        np.array(paths, dtype=object),
        frame,
        frame["path"],
        frame.rename(columns={"path": "file"}),
        dict.fromkeys(paths).keys(),
    ):
        answers = classifier.predict(many)
        assert [one.label for one in answers] == expected
    assert classifier.predict([]) == []
    mixed = classifier.predict([paths[0], Image.open(paths[1]), paths[2].read_bytes(), "missing.jpg"])
    assert [one.label for one in mixed] == [*expected, None]
    assert [one.image for one in mixed] == [str(paths[0]), str(paths[1]), "image 3", "missing.jpg"]


@pytest.mark.parametrize(
    ("image", "said"),
    [
        (np.zeros((8, 8, 3), np.float32), "float32; it must be"),
        (np.zeros((8, 8, 3), np.float32), r"255 \* array"),
        (np.zeros((8, 8), np.uint8), r"shape \(8, 8\)"),
        (np.zeros((8, 8, 4), np.uint8), "Image.fromarray"),
        (np.zeros((3, 8, 8), np.uint8), "transpose"),
        (np.zeros((2, 8, 8, 3), np.uint8), "as a list"),
        (np.zeros((0, 8, 3), np.uint8), r"shape \(0, 8, 3\)"),
        (np.zeros((8, 8, 3), np.int64), "int64"),
        (np.array(3), r"shape \(\)"),
        (None, "None"),
        (3, "in a int"),
        ({"path": "a.jpg"}, "in a dict"),
        (io.StringIO("text"), "open it as bytes"),
    ],
)
def test_what_is_no_image_is_told_so(classifier: Classifier, image: Any, said: str) -> None:
    with pytest.raises(LogolensError, match=said):
        classifier.predict(image)
    if not isinstance(image, dict) and image is not None and not hasattr(image, "read"):
        with pytest.raises(LogolensError, match="image 2 is"):
            classifier.predict([b"no image", image])


def test_a_table_without_images_is_told_so(classifier: Classifier) -> None:
    pandas = pytest.importorskip("pandas")
    with pytest.raises(LogolensError, match=r"no column of images .* only photo"):
        classifier.predict(pandas.DataFrame({"photo": ["a.jpg"]}))
    with pytest.raises(LogolensError, match="image 2 is a float"):
        classifier.predict(pandas.DataFrame({"path": ["a.jpg", float("nan")]}))


def test_files_that_cannot_be_read_are_answers_with_errors(classifier: Classifier, photo: Path, tmp_path: Path) -> None:
    closed = open(photo, "rb")  # noqa: SIM115
    closed.close()
    with open(tmp_path / "new.bin", "wb") as writing:
        answers = classifier.predict([closed, writing, io.BytesIO(b""), io.BytesIO(b"no image"), photo])
    assert [one.error is None for one in answers] == [False, False, False, False, True]
    small = Classifier.load(classifier.bundle.path, limits=logolens.config.Limits(max_bytes=1000))
    (large,) = small.predict(io.BytesIO(photo.read_bytes() + bytes(2000)))
    assert "larger than 1,000 bytes" in str(large.error)


def test_urls_are_fetched_under_guard(classifier: Classifier, photo: Path) -> None:
    with serving(Server()) as server:
        server.replies["/a.png"] = Reply(photo.read_bytes(), "image/png")
        url = f"{server.url}/a.png"
        (refused,) = classifier.predict(url)
        assert refused.label is None
        assert "private" in str(refused.error) or "address" in str(refused.error)
        open_to_all = SourceSettings(allow_private=True, retries=0)
        answers = classifier.predict([url, f"{server.url}/none.png", photo], sources=open_to_all)
        assert answers[0].scores == pytest.approx(answers[2].scores, abs=1e-5)
        assert answers[0].image == url
        assert answers[1].error is not None


def test_probabilities_are_rows_over_classes(classifier: Classifier, bundle: Trained, tmp_path: Path) -> None:
    paths = [next((bundle.data / label).iterdir()) for label in ("acme", "bolt", "none")]
    (tmp_path / "broken.jpg").write_text("no image")
    table = classifier.predict_proba([*paths, tmp_path / "broken.jpg"])
    assert table.shape == (4, len(classifier.classes))
    assert classifier.classes == ("acme", "bolt", "crest", "none")
    assert table[:3].sum(axis=1) == pytest.approx(1)
    assert np.isnan(table[3]).all()
    for row, answer in zip(table, classifier.predict(paths), strict=False):
        assert dict(zip(classifier.classes, row, strict=True)) == pytest.approx(answer.scores)
    assert classifier.predict_proba([]).shape == (0, 4)


def test_embeddings_bring_alike_photos_together(classifier: Classifier, bundle: Trained, photo: Path) -> None:
    paths = [*sorted((bundle.data / "acme").iterdir())[:4], *sorted((bundle.data / "bolt").iterdir())[:4]]
    rows = classifier.embed(paths)
    assert rows.dtype == np.float32
    assert rows.shape == (8, classifier.bundle.manifest["backbone"]["features"])
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    alike = unit @ unit.T
    same = (alike[:4, :4].sum() - 4) / 12
    assert same > alike[:4, 4:].mean()
    whole = Classifier.load(bundle.path, views="whole")
    assert whole.embed(photo) == pytest.approx(classifier.embed(photo), abs=1e-5)
    assert np.isnan(classifier.embed([b"no image", photo])[0]).all()
    assert len(classifier.embed([])) == 0


def test_embeddings_are_the_features_that_training_computes(classifier: Classifier, photo: Path) -> None:
    pytest.importorskip("torch")
    from logolens.models.backbones import prepare
    from logolens.models.session import Job, Session

    exported = prepare("efficientnet_lite0", size=96)
    session = Session(exported.path, classifier.bundle.preprocessing, outputs=("features",))
    (outcome,) = session.together([Job(photo.read_bytes)])
    assert classifier.embed(photo)[0] == pytest.approx(outcome.outputs[0][0], abs=1e-4)


def test_where_and_all_as_the_command_line_has_them(boxed: Trained) -> None:
    plain = Classifier.load(boxed.path)
    photo = sorted(boxed.data.parent.glob(f"{plain.labels[0]}-*.png"))[0]
    (answer,) = plain.predict(photo)
    assert answer.box is None
    (placed,) = plain.predict(photo, where=True)
    assert placed.box is not None
    assert placed.logos is None
    (several,) = plain.predict(photo, all=True)
    assert several.logos
    assert Classifier.load(boxed.path, all=True).predict(photo)[0].logos == several.logos
    whole = Classifier.load(boxed.path, views="whole")
    with pytest.raises(LogolensError, match="open it to look closer"):
        whole.predict(photo, where=True)


def test_what_notebooks_show(boxed: Trained, tmp_path: Path) -> None:
    classifier = Classifier.load(boxed.path)
    photo = sorted(boxed.data.parent.glob(f"{classifier.labels[0]}-*.png"))[0]
    assert re.fullmatch(r"Classifier\(bundle: \d+ labels( and none)?, views \w+\)", repr(classifier))
    odd = tmp_path / '<b onload="alert(1)">.png'
    odd.write_bytes(photo.read_bytes())
    answers = classifier.predict([odd, "missing.jpg"], where=True)
    assert len(repr(answers[0])) < 200
    assert repr(answers[0]).endswith(")")
    assert re.search(r"%( at \(.*\))?\)$", repr(answers[0]))
    assert repr(answers[1]).startswith("Prediction('missing.jpg': ")
    shown = answers._repr_html_()
    assert shown.count("<img ") == 2
    assert "<b onload" not in shown
    data = re.search(r"base64,([^\"]+)", answers[0]._repr_html_())
    assert data is not None
    with Image.open(io.BytesIO(base64.b64decode(data[1]))) as picture, Image.open(photo) as own:
        assert picture.width > own.width / 2  # The photo stands beside the bars.
    assert pickle.loads(pickle.dumps(answers[0])) == answers[0]
    odd.unlink()
    assert answers[0]._repr_html_().startswith("<img ")  # Its file is gone by now.
    many = classifier.predict([photo] * 13)
    assert "1 more" in many._repr_html_()


def test_answers_as_a_table(boxed: Trained) -> None:
    pytest.importorskip("pandas")
    classifier = Classifier.load(boxed.path)
    photo = sorted(boxed.data.parent.glob(f"{classifier.labels[0]}-*.png"))[0]
    frame = classifier.predict([photo, "missing.jpg"], where=True).to_dataframe()
    assert list(frame["image"]) == [str(photo), "missing.jpg"]
    assert frame["error"].isna().tolist() == [True, False]
    assert frame.loc[0, "left"] < frame.loc[0, "right"]
    assert frame.loc[0, f"score_{frame.loc[0, 'label']}"] == frame.loc[0, "confidence"]
    plain = classifier.predict([photo]).to_dataframe(scores=False)
    assert list(plain.columns) == ["image", "label", "confidence", "error"]
    assert list(classifier.predict([]).to_dataframe().columns) == ["image", "label", "confidence", "error"]
