"""The frame of a scan's report: its script and style from the package, and a policy that lets in nothing else."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from importlib.resources import files
from typing import Any

__all__ = ["as_json", "page_parts"]

_SCRIPTS = ("results", "decisions", "selection", "grid", "detail", "actions")
"""The parts of the page's script, in the order in which they need one another."""


def page_parts(title: str, facts: dict[str, Any], *, images_beside: bool) -> tuple[str, str]:
    """The page before and after its data.

    Args:
        title: the heading, and the name of the browser's tab.
        facts: what the script is told of the scan.
        images_beside: whether the page shows image files from beside it.
    """
    style = _text("style.css")
    script = '"use strict";\n(() => {\n' + "\n".join(_text(f"{name}.js") for name in _SCRIPTS) + "})();\n"
    values = {
        "policy": _policy(style, script, images_beside),
        "title": html.escape(title.encode("utf-8", "replace").decode()),
        "style": style,
        "script": script,
        "facts": as_json(facts),
    }
    # In one pass, so that a title that reads {{script}} stays a title.
    page = re.sub(r"\{\{(policy|title|style|script|facts)\}\}", lambda found: values[found[1]], _text("page.html"))
    opening, closing = page.split("{{data}}")
    return opening, closing


def as_json(value: Any) -> str:
    """JSON that can stand inside a script element: no < can end it, and any file name, however odd, survives."""
    return json.dumps(value, ensure_ascii=True, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")


def _policy(style: str, script: str, images_beside: bool) -> str:
    # A page opened from a disk has no origin that 'self' is sure to mean.
    images = "data: 'self' file:" if images_beside else "data:"
    return (
        f"default-src 'none'; script-src '{_hash(script)}'; style-src '{_hash(style)}'; img-src {images}; "
        "base-uri 'none'; form-action 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
    )


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _text(name: str) -> str:
    return (files("logolens.scan") / "review" / name).read_text(encoding="utf-8").replace("\r\n", "\n")
