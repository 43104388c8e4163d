"""Run the console blocks of the pages again and write what they print back into them.

    python docs/rerun.py FOLDER [PAGE ...]

FOLDER is where they run; it must hold ``demo``, as `logolens demo` writes it. A line that begins with ``$ `` is a
command, what stands below it is what it printed on standard output.
"""

from __future__ import annotations

import argparse
import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BLOCK = re.compile(r"(?<=```console\n)(.*?)(?=^```)", re.DOTALL | re.MULTILINE)


def again(block: str, folder: Path) -> str:
    """A console block with the output of its commands as it is now."""
    lines = []
    for line in block.splitlines():
        if line.startswith("$ "):
            done = subprocess.run(["bash", "-c", line[2:]], cwd=folder, capture_output=True, text=True, check=False)
            if done.returncode > 1:
                raise SystemExit(f"{line}\n{done.stderr}")
            lines += [line, *(shown.rstrip() for shown in done.stdout.strip("\n").splitlines())]
    return "".join(f"{line}\n" for line in lines)


def main() -> None:
    """Rewrite the pages that are named, or all of them."""
    parser = argparse.ArgumentParser(description="Run the console blocks of the pages again.")
    parser.add_argument("folder", type=Path, help="where to run them; holds `demo`")
    parser.add_argument("pages", type=Path, nargs="*", help="the pages; all of them if none is named")
    given = parser.parse_args()
    for page in given.pages or [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]:
        text = page.read_text(encoding="utf-8")
        page.write_text(BLOCK.sub(lambda found: again(found[0], given.folder), text), encoding="utf-8")


if __name__ == "__main__":
    main()
