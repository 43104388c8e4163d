"""What is wrong with a data set: files, copies, leaks, boxes, labels; and a list of what to leave out."""

from __future__ import annotations

from logolens.audit.findings import KINDS, SEVERITIES, Audit, Finding, Kind
from logolens.audit.fixes import write_fixes
from logolens.audit.page import write_audit
from logolens.audit.run import audit
from logolens.audit.summary import in_short

__all__ = ["KINDS", "SEVERITIES", "Audit", "Finding", "Kind", "audit", "in_short", "write_audit", "write_fixes"]
