"""`scan`: find every image that shows what is sought, in a result store that survives whatever happens."""

from __future__ import annotations

from logolens.scan.progress import Progress
from logolens.scan.queries import Facts, Row, Wanted
from logolens.scan.run import ScanResult, scan
from logolens.scan.store import Store

__all__ = ["Facts", "Progress", "Row", "ScanResult", "Store", "Wanted", "scan"]
