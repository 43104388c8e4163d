"""Photos that name another label, or one where there should be none."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image, ImageDraw, ImageFont

from logolens.config import AuditSettings
from logolens.errors import UsageError
from logolens.evaluation.audit import audit
from logolens.evaluation.audit import written as module
from logolens.models.words import reads

pytestmark = pytest.mark.skipif(not reads(), reason="the extra words is not installed")


def picture(text: str, shade: int) -> Image.Image:
    image = Image.new("RGB", (300, 200), (200, 210, shade))
    ImageDraw.Draw(image).text(
        (20, 70), text, fill="black", font=ImageFont.load_default(size=24 if " x " in text else 40)
    )
    return image


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    written = {
        "heineken": ["Heineken", "HEINEKEN", "Vodafone", "Vodafone x Heineken"],
        "vodafone": ["Vodafone", "vodafone", "nothing", ""],
        "none": ["", "some text", "Heineken", "www.heineken.com"],
    }
    for label, texts in written.items():
        (tmp_path / "photos" / label).mkdir(parents=True)
        for number, text in enumerate(texts):
            picture(text, 20 * number + len(label)).save(tmp_path / "photos" / label / f"{number}.png")
    return tmp_path / "photos"


def test_names_of_other_labels_are_told(photos: Path) -> None:
    found = audit(photos, AuditSettings(labels=False)).of("other-name")
    assert {(one.photos[0], one.suggested) for one in found} == {
        ("heineken/2.png", "vodafone"),
        ("none/2.png", "heineken"),
    }
    for one in found:
        assert "is written in it" in one.detail
        ((x1, y1, x2, y2),) = one.boxes
        assert 0 <= x1 < x2 <= 300
        assert 40 < y1 < y2 < 140


def test_further_names_are_heeded_and_reading_may_be_left_out(photos: Path, tmp_path: Path) -> None:
    names = tmp_path / "names.txt"
    names.write_text("vodafone: some text\n", encoding="utf-8")
    found = audit(photos, AuditSettings(labels=False, names=names)).of("other-name")
    assert ("none/1.png", "vodafone") in {(one.photos[0], one.suggested) for one in found}
    assert not audit(photos, AuditSettings(labels=False, words="off")).of("other-name")
    names.write_text("", encoding="utf-8")
    with pytest.raises(UsageError):
        audit(photos, AuditSettings(labels=False, names=names))


def test_without_the_extra_a_note_says_so(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "reads", lambda: False)
    found = audit(photos, AuditSettings(labels=False))
    assert not found.of("other-name")
    assert any("logolens[words]" in note for note in found.notes)
