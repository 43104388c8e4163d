"""A bundle in other frameworks' formats, each held against the bundle before it is handed over."""

from logolens.export.export_bundle import FORMATS, ExportResult, export

__all__ = ["FORMATS", "ExportResult", "export"]
