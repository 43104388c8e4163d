"""What is wrong with a data set: files, copies, leaks, boxes, labels; and a list of what to leave out."""

from __future__ import annotations

from logolens.data.checks.findings import KINDS, SEVERITIES, Audit, Finding, Kind
from logolens.data.checks.summary import in_short
from logolens.evaluation.audit.audit import audit
from logolens.evaluation.audit.fixes import write_fixes
from logolens.evaluation.audit.page import write_audit

__all__ = ["KINDS", "SEVERITIES", "Audit", "Finding", "Kind", "audit", "in_short", "write_audit", "write_fixes"]
