"""The fix list: a table of what was found that `logolens train --exclude` takes."""

from __future__ import annotations

import csv
import io
import os
from pathlib import Path

from logolens.data.checks.findings import Audit
from logolens.io.atomic import write_file

__all__ = ["COLUMNS", "write_fixes"]

COLUMNS = ("path", "action", "kind", "label", "suggested", "score", "detail")
"""The columns of a fix list; ``action`` is ``exclude`` or ``look``, and may be changed by hand."""


def write_fixes(audit: Audit, path: str | os.PathLike[str], *, force: bool = False) -> Path:
    """Write one row a photo and finding, as CSV in UTF-8. Paths stand as the data set names them.

    Raises:
        UsageError: the file is there and `force` is not given, or it cannot be written.
    """
    stream = io.StringIO(newline="")
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(COLUMNS)
    for finding in audit.findings:
        score = "" if finding.score is None else f"{finding.score:.4f}"
        for name in finding.photos:
            action = "exclude" if name in finding.exclude else "look"
            about = (finding.kind, finding.label or "", finding.suggested or "", score, finding.detail)
            writer.writerow([name, action, *about])
    return write_file(path, stream.getvalue().encode("utf-8", "surrogateescape"), force=force)
