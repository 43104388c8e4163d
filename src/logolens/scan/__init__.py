"""`scan`: find every image that shows what is sought, in a result store that survives whatever happens."""

from __future__ import annotations

import sys
import types
from typing import Any

from logolens.scan.pages import Page
from logolens.scan.progress import Progress
from logolens.scan.queries import Facts, Row, Wanted
from logolens.scan.run import ScanResult, scan
from logolens.scan.store import Store
from logolens.scan.store_reader import StoreReader

__all__ = ["Facts", "Page", "Progress", "Row", "ScanResult", "Store", "StoreReader", "Wanted", "scan"]


class _Callable(types.ModuleType):
    """A package that can be called: ``logolens.scan`` names both this package and the library's verb."""

    def __call__(self, *arguments: Any, **named: Any) -> ScanResult:
        """Run `scan`."""
        return scan(*arguments, **named)


sys.modules[__name__].__class__ = _Callable
