"""A prediction as notebooks show it."""

from __future__ import annotations

import base64
import html
from typing import TYPE_CHECKING, Any

from logolens.errors import LogolensError

if TYPE_CHECKING:
    from logolens.inference.results import Prediction

__all__ = ["as_html"]


def as_html(prediction: Prediction) -> str:
    """A prediction as a notebook shows it: the photo with its box, and bars of the likeliest labels.

    It is one picture, so that no name from outside becomes part of a page; its text is escaped.
    """
    from logolens.inference.visualize import draw_prediction, encoded

    picture = draw_prediction(_photo(prediction), prediction.to_json())
    data = base64.b64encode(encoded(picture, "PNG")).decode()
    text = html.escape(repr(prediction), quote=True)
    shape = f'style="max-width:100%" width="{picture.width // 2}"'
    return f'<img alt="{text}" title="{text}" {shape} src="data:image/png;base64,{data}">'


def _photo(prediction: Prediction) -> Any:
    """The photo again, where it can be had; a file may be gone by now."""
    from logolens.inference.inputs import inputs
    from logolens.io.images import open_apart

    if prediction.shown is None or prediction.error is not None:
        return None
    try:
        ((_, read, _),) = inputs(prediction.shown)
        return open_apart(read(), shrink_to=600)
    except LogolensError:
        return None
