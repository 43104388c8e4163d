"""What a person looks at: plots of a training run, pictures of predictions, the model card, an HTML page, and
the page on which a scan's results are worked through.

Pictures, card and pages need nothing but the core; the plots need the train extra.
"""

from __future__ import annotations

from logolens.report.card import model_card
from logolens.report.charts import Chart, Line
from logolens.report.explained import show_explanation
from logolens.report.page import Code, Figure, Gallery, Part, Section, Table, Text, Thumb, Tiles, page, write_page
from logolens.report.pictures import show_prediction, show_predictions
from logolens.report.plots import plot_confusion, plot_curves, write_history
from logolens.report.results import Result, Scanned, write_results
from logolens.report.thumbnails import thumbnail

__all__ = [
    "Chart",
    "Code",
    "Figure",
    "Gallery",
    "Line",
    "Part",
    "Result",
    "Scanned",
    "Section",
    "Table",
    "Text",
    "Thumb",
    "Tiles",
    "model_card",
    "page",
    "plot_confusion",
    "plot_curves",
    "show_explanation",
    "show_prediction",
    "show_predictions",
    "thumbnail",
    "write_history",
    "write_page",
    "write_results",
]
