"""A prediction as notebooks show it."""

from __future__ import annotations

import base64
import html
from typing import Any

from logolens.errors import LogolensError

__all__ = ["as_html"]


def as_html(text: str, facts: dict[str, Any], shown: Any) -> str:
    """A prediction as a notebook shows it: the photo with its box, and bars of the likeliest labels.

    It is one picture, so that no name from outside becomes part of a page; its text is escaped.

    Args:
        text: what stands for it where pictures are not shown.
        facts: as `Prediction.to_json` gives them.
        shown: what was asked about, as `Classifier.predict` takes it; None where that cannot be read.
    """
    from logolens.inference.visualize import draw_prediction, encoded

    picture = draw_prediction(None if shown is None else _photo(shown), facts)
    data = base64.b64encode(encoded(picture, "PNG")).decode()
    text = html.escape(text, quote=True)
    shape = f'style="max-width:100%" width="{picture.width // 2}"'
    return f'<img alt="{text}" title="{text}" {shape} src="data:image/png;base64,{data}">'


def _photo(shown: Any) -> Any:
    """The photo again, where it can be had; a file may be gone by now."""
    from logolens.inference.inputs import inputs
    from logolens.io.images import open_apart

    try:
        ((_, read, _),) = inputs(shown)
        return open_apart(read(), shrink_to=600)
    except LogolensError:
        return None
