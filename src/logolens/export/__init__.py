"""A bundle in other frameworks' formats, each held against the bundle before it is handed over."""

from logolens.export.exporting import FORMATS, ExportResult, export

__all__ = ["FORMATS", "ExportResult", "export"]
