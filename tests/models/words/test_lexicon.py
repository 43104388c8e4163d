"""Which words speak for which label: names, misreadings, short names, addresses, learned words, lists of names."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from logolens.errors import BundleError, DataError, UsageError
from logolens.models.words import Lexicon, Line, Reading, fold, is_address, names_of, read_names
from logolens.models.words.reader import reads

pytestmark = pytest.mark.skipif(not reads(), reason="the extra words is not installed")


def line(text: str, confidence: float = 1.0, box: tuple[float, float, float, float] = (0.2, 0.4, 0.8, 0.5)) -> Line:
    return Line(text, confidence, box, min(box[2] - box[0], box[3] - box[1]))


def lexicon(*labels: str, readings: list[Reading] | None = None, **names: tuple[str, ...]) -> Lexicon:
    return Lexicon.learn(labels, {label: names.get(label, names_of(label)) for label in labels}, readings or [])


def said(words: Lexicon, *lines: Line | str) -> dict[str, float]:
    scores, _ = words.evidence([line(one) if isinstance(one, str) else one for one in lines])
    assert (scores >= 0).all()
    return {label: float(score) for label, score in zip(words.labels, scores.sum(axis=1), strict=True) if score > 0}


def test_folding_leaves_letters_and_digits() -> None:
    assert fold("Nestlé-Café") == "nestlecafe"
    assert fold("L&M") == "lm"
    assert fold("Ｆｏｒｄ") == "ford"
    assert fold("Straße") == fold("STRASSE") == "strasse"
    assert fold("ŁÓDŹ") == "lodz"
    assert fold("Яндекс") == "яндекс"
    assert fold("可口可乐") == "可口可乐"
    assert fold("™ · !") == ""


@pytest.mark.parametrize(
    ("label", "name"),
    [
        ("RedBull", "Red Bull"),
        ("red_bull", "red bull"),
        ("IBMCloud", "IBM Cloud"),
        ("HP", "HP"),
        ("McDonalds", "Mc Donalds"),
        ("acme-2019", "acme 2019"),
        ("Яндекс", "Яндекс"),
    ],
)
def test_a_label_is_split_into_its_words(label: str, name: str) -> None:
    assert names_of(label) == (name,)


@pytest.mark.parametrize("label", ["007", "1", "x", "---", "٣٤"])
def test_numbers_and_single_letters_are_no_names(label: str) -> None:
    assert names_of(label) == ()


def test_a_name_is_known_however_it_is_written() -> None:
    words = lexicon("RedBull", "Cocacola")
    for text in ("RED BULL", "redbull", "Red-Bull", "the Red Bull team", "Réd Bull"):
        assert set(said(words, text)) == {"RedBull"}, text
    assert set(said(words, "Coca-Cola")) == {"Cocacola"}


def test_neighbours_are_joined_and_strangers_are_not() -> None:
    words = lexicon("RedBull")
    red, below = line("Red", box=(0.2, 0.2, 0.5, 0.3)), line("Bull", box=(0.2, 0.31, 0.5, 0.41))
    right, far = line("Bull", box=(0.53, 0.2, 0.8, 0.3)), line("Bull", box=(0.2, 0.8, 0.5, 0.9))
    assert "RedBull" in said(words, red, below)
    assert "RedBull" in said(words, red, right)
    assert said(words, red, far) == {}


def test_misread_letters_count_less_and_unlike_words_for_nothing() -> None:
    words = lexicon("Heineken", "Vodafone")
    right, close = said(words, "Heineken")["Heineken"], said(words, "Heinekcn")["Heineken"]
    assert 0 < close < right
    assert said(words, line("Heineken", 0.6))["Heineken"] == pytest.approx(0.6 * right)
    assert said(words, "Telefone") == {}


def test_short_names_must_match_exactly_and_stand_alone() -> None:
    words = lexicon("HP", "ups", "lm")
    assert set(said(words, "hp")) == {"HP"}
    assert set(said(words, "L&M")) == {"lm"}
    assert set(said(words, "call UPS today")) == {"ups"}
    for text in ("hq", "upset", "the hpx", "u p s t", "pups", "cups"):
        assert said(words, text) == {}, text


def test_a_name_run_together_with_another_word_counts_less() -> None:
    words = lexicon("Marlboro")
    assert 0 < said(words, "MarlboroGold")["Marlboro"] < said(words, "Marlboro Gold")["Marlboro"]


@pytest.mark.parametrize(
    "text", ["www.puma.com", "puma.com", "PUMA . com", "info@puma.de", "@puma", "http://puma.net/x", "visit puma.co.uk"]
)
def test_addresses_count_for_nothing(text: str) -> None:
    assert said(lexicon("Puma"), text) == {}


def test_an_address_read_in_two_parts_counts_for_nothing() -> None:
    words = lexicon("Puma")
    assert said(words, line("puma", box=(0.2, 0.4, 0.4, 0.5)), line(".com", box=(0.41, 0.4, 0.5, 0.5))) == {}
    assert not is_address("unicef@")  # So is ® often read.
    assert not is_address("St. Pauli")
    assert set(said(words, "PUMA®")) == {"Puma"}


def test_the_longer_name_covers_the_shorter_within_it() -> None:
    words = lexicon("adidas", "adidasOriginals")
    assert set(said(words, "adidas Originals")) == {"adidasOriginals"}
    assert set(said(words, "adidas")) == {"adidas"}


def test_words_of_three_groups_are_learned_and_others_not() -> None:
    def photos(label: str, text: str, groups: range) -> list[Reading]:
        return [Reading(label, group, (line(text),)) for group in groups]

    readings = [
        *photos("Intel", "leap ahead", range(3)),
        *[Reading("Intel", 9, (line("Pentium"),))] * 5,
        *photos("Intel", "2009", range(10, 16)),
        *photos("Puma", "store", range(20, 24)),
        *photos("none", "store", range(30, 40)),
    ]
    words = lexicon("Intel", "Puma", readings=readings)
    learned = {entry.word for entry in words.entries if not entry.named}
    assert {"leap", "ahead", "leap ahead"} <= learned
    assert not learned & {"Pentium", "2009", "store"}
    name, word = said(words, "Intel")["Intel"], said(words, "leap ahead")["Intel"]
    assert word < name


def test_a_name_that_other_labels_photos_show_counts_less() -> None:
    seen = [Reading("HP", group, (line("NBC"),)) for group in range(6)]
    assert said(lexicon("HP", "NBC", readings=seen), "NBC").get("NBC", 0) < said(lexicon("HP", "NBC"), "NBC")["NBC"]


def test_a_name_of_two_labels_speaks_for_neither() -> None:
    assert said(lexicon("old", "new", old=("acme",), new=("acme",)), "ACME") == {}


def test_a_list_of_names_says_little() -> None:
    labels = [
        "Adidas",
        "Heineken",
        "Vodafone",
        "Starbucks",
        "Porsche",
        "Citroen",
        "Google",
        "Unicef",
        "Ferrari",
        "Pepsi",
    ]
    words = lexicon(*labels)
    page = [line(label, box=(0.1, row / 10, 0.9, row / 10 + 0.06)) for row, label in enumerate(labels)]
    alone = said(words, "Heineken")["Heineken"]
    assert max(said(words, *page).values()) <= 0.31 * alone


def test_small_writing_among_much_says_little() -> None:
    rows = [line("lorem ipsum dolor sit amet", box=(0.05, 0.03 * row, 0.95, 0.03 * row + 0.02)) for row in range(30)]
    rows[7] = line("Heineken", box=(0.05, 0.21, 0.2, 0.23))
    words = lexicon("Heineken")
    assert said(words, *rows)["Heineken"] < 0.3 * said(words, "Heineken")["Heineken"]


def test_foreign_scripts_neither_match_nor_disturb() -> None:
    words = lexicon("Heineken", "Яндекс", "可口可乐")
    assert said(words, "Хайнекен пиво", "喜力啤酒") == {}
    assert set(said(words, "ЯНДЕКС")) == {"Яндекс"}
    assert set(said(words, "可口可乐")) == {"可口可乐"}


def test_a_proof_tells_the_word_and_its_place() -> None:
    _, proofs = lexicon("Heineken").evidence([line("Heinekcn beer", 0.9)])
    (proof,) = proofs
    assert (proof.word, proof.label, proof.name) == ("Heinekcn", "Heineken", "Heineken")
    assert proof.similarity == pytest.approx(7 / 8)
    assert proof.confidence == 0.9
    assert proof.box == (0.2, 0.4, 0.8, 0.5)
    assert proof.evidence > 0


def test_a_lexicon_survives_its_file() -> None:
    readings = [Reading("Intel", group, (line("leap ahead"),)) for group in range(4)]
    words = lexicon("Intel", "Puma", readings=readings)
    again = Lexicon.from_json(words.to_json(), words.labels)
    assert said(again, "leap ahead", "Intel") == pytest.approx(said(words, "leap ahead", "Intel"), abs=1e-3)


@pytest.mark.parametrize(
    "data",
    [
        None,
        [],
        {},
        {"labels": {"Puma": [{}]}},
        {"labels": {"Nike": [{"word": "x", "named": True, "photos": 0, "others": 0, "odds": 1}]}},
        {"labels": {"Puma": [{"word": "x", "named": True, "photos": 0, "others": 0, "odds": math.inf}]}},
    ],
)
def test_a_damaged_file_of_words_is_refused(data: object) -> None:
    with pytest.raises(BundleError, match="again"):
        Lexicon.from_json(data, ["Puma"])


def test_names_are_read_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "names.txt"
    file.write_text("# brands\n\nlm: L&M, LM Blue\r\nmarlboro\n007: Bond\n", encoding="utf-8-sig")
    assert read_names(file) == {"lm": ("L&M", "LM Blue"), "marlboro": (), "007": ("Bond",)}
    assert read_names(file, ["lm", "marlboro", "007", "more"])["lm"] == ("L&M", "LM Blue")


@pytest.mark.parametrize(
    ("text", "error", "told"),
    [
        ("", UsageError, "names no label"),
        ("# only this\n\n", UsageError, "names no label"),
        (": Nike\n", DataError, "line 1"),
        ("lm: x\n", DataError, "2 to"),
        ("lm: ok1\nnike: Nike\n", DataError, "line 2: there is no label nike"),
        ("LM: L&M\n", DataError, "did you mean lm"),
        ("lm: ™™\n", DataError, "cannot be read"),
    ],
)
def test_a_bad_file_of_names_is_refused(tmp_path: Path, text: str, error: type[Exception], told: str) -> None:
    file = tmp_path / "names.txt"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(error, match=told):
        read_names(file, ["lm", "marlboro"])


def test_a_file_of_names_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        read_names(tmp_path / "absent.txt")
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00\x01\x80")
    with pytest.raises(UsageError, match="UTF-8"):
        read_names(tmp_path / "binary")


def test_a_thousand_labels_and_a_full_page_take_no_long(tmp_path: Path) -> None:
    import time

    labels = [f"brand{chr(97 + n % 26)}{chr(97 + n // 26 % 26)}{chr(97 + n // 676)}" for n in range(1000)]
    words = lexicon(*labels)
    rows = [
        line(" ".join(f"w{row}x{word}" for word in range(12)), box=(0.05, row / 64, 0.95, row / 64 + 0.01))
        for row in range(64)
    ]
    begun = time.process_time()
    said(words, *rows)
    assert time.process_time() - begun < 3
