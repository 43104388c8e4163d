"""Files and folders that appear whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from logolens.io.atomic import place_folder, replace_folder


def test_a_folder_takes_the_place_of_whatever_is_there_and_a_placed_one_of_nothing(tmp_path: Path) -> None:
    for number, old in enumerate(("file", "link", "dangling", "folder", "nothing")):
        made, out = tmp_path / f"made{number}", tmp_path / f"out{number}"
        made.mkdir()
        (made / "new").write_text("new", "utf-8")
        if old == "file":
            out.write_text("old", "utf-8")
        elif old == "folder":
            out.mkdir()
            (out / "old").write_text("old", "utf-8")
        elif old != "nothing":
            target = tmp_path / f"elsewhere-{old}"
            out.symlink_to(target)
            if old == "link":
                target.mkdir()
                (target / "kept").write_text("kept", "utf-8")
        if old != "nothing":
            with pytest.raises(OSError):  # noqa: PT011  # The system has its own words.
                place_folder(made, out)
        replace_folder(made, out)
        assert [path.name for path in out.iterdir()] == ["new"], old
        assert not out.is_symlink()
    assert (tmp_path / "elsewhere-link" / "kept").is_file()
    assert not [path for path in tmp_path.iterdir() if path.name.startswith((".", "made"))]
    (tmp_path / "made").mkdir()
    (tmp_path / "empty").mkdir()
    place_folder(tmp_path / "made", tmp_path / "empty")
    assert not (tmp_path / "made").exists()
