"""How a scan's results are shown and written: by image or by page, for people or as JSON, and as tables."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from logolens.cli.console import counted, echo, hint, message, print_json, refuse_to_replace, table
from logolens.errors import UsageError, require

if TYPE_CHECKING:
    from logolens.scan import Page, Row, StoreReader, Wanted

__all__ = ["SHOWN", "Shape", "listing_options"]

Command = TypeVar("Command", bound=Callable[..., Any])

SHOWN = 50
"""Rows that are printed for people; the files and the report hold all of them."""

_ERRORS_SHOWN = 10

_OPTIONS = (
    click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line and picture, or page."),
    click.option(
        "--csv",
        type=click.Path(path_type=Path),
        help="Write the results as a CSV file, a row for each place; one of an earlier scan is replaced.",
    ),
    click.option(
        "--parquet",
        type=click.Path(path_type=Path),
        help="Write the results as a Parquet file, a row for each picture, likewise.",
    ),
    click.option("--force", is_flag=True, help="Let --csv and --parquet replace files that no scan has written."),
    click.option(
        "--by",
        type=click.Choice(("image", "page")),
        help="List what was found by image, or by the page that shows it. By page where pages were scanned, and by image "
        "otherwise and in JSON, if not given.",
    ),
    click.option(
        "--found", is_flag=True, help="Leave out of JSON and tables what is clear, could not be read, or is gone."
    ),
)


def listing_options(command: Command) -> Command:
    """A decorator that gives a command the flags that say how results are shown and written."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


@dataclass(frozen=True)
class Shape:
    """How results are shown and written.

    Attributes:
        wanted: which of them.
        by: ``image`` or ``page``; as suits what was scanned when None.
        as_json: as JSON lines.
        csv: table to write.
        parquet: table to write.
        force: whether tables may replace whatever is there.
        limit: at most so many are shown; for people the first of them when None.
    """

    wanted: Wanted
    by: str | None
    as_json: bool
    csv: Path | None
    parquet: Path | None
    force: bool
    limit: int | None = None

    @classmethod
    def of(cls, values: dict[str, Any], wanted: Wanted, limit: int | None = None) -> Shape:
        """Take the flags of `listing_options` out of a command's keyword arguments."""
        if values.pop("found"):
            wanted = replace(wanted, found=True)
        own = {name: values.pop(name) for name in ("by", "as_json", "csv", "parquet", "force")}
        return cls(wanted, **own, limit=limit)

    def prepare(self, store: Path) -> None:
        """See that the tables can be written: at the end of a long scan it is too late to be told."""
        from logolens.scan.output import is_table

        if self.parquet is not None:
            require("pyarrow", "parquet")
        if store.resolve() in {path.resolve() for path in (self.csv, self.parquet) if path is not None}:
            raise UsageError(f"{store} is to keep the results; name another file for the table.")
        refuse_to_replace(self.csv, self.parquet, force=self.force, ours=is_table)

    def write(self, store: StoreReader) -> None:
        """Write the tables."""
        from logolens.scan.output import write_csv, write_parquet

        if self.csv is not None:
            write_csv(store.rows(self.wanted), self.csv)
        if self.parquet is not None:
            write_parquet(store.rows(self.wanted), self.parquet)

    def show(self, store: StoreReader, *, full: str) -> None:
        """Print results; ``full`` is the command that prints all of them."""
        if self.as_json:
            found = store.pages(self.wanted, limit=self.limit) if self.by == "page" else self._rows(store)
            for one in found:
                print_json(one.to_json())
            return
        facts = store.facts()
        if self.by == "page" or (self.by is None and facts.on_pages and not self._asks_for_others):
            self._show_pages(store, full)
        else:
            self._show_rows(store, full)
        if self._asks_for_others:
            return
        for row in store.rows(replace(self.wanted, verdict="error"), limit=_ERRORS_SHOWN):
            if row.change != "gone":
                message(f"{row.name}: {row.error}")
        if facts.verdicts["error"] > _ERRORS_SHOWN and self.wanted.text is None:
            message(f"... and {counted(facts.verdicts['error'] - _ERRORS_SHOWN, 'more error')}.")
        if not facts.find and self.wanted.label is None:
            rows = [[label, f"{count:,}"] for label, count in facts.labelled.items()]
            table(None, ["label", "pictures"], rows, right=(1,))

    @property
    def _asks_for_others(self) -> bool:
        """Whether what is asked for may be other than what was found, as clear images are."""
        return self.wanted.verdict is not None or self.wanted.change is not None

    def _rows(self, store: StoreReader) -> Any:
        return store.rows(self.wanted, limit=self.limit)

    def _show_rows(self, store: StoreReader, full: str) -> None:
        wanted = self.wanted
        if wanted.verdict is None:
            wanted = replace(wanted, verdict=("match", "unsure"), found=wanted.change is None)
        most = self.limit or SHOWN
        for row in store.rows(wanted, order="confidence", limit=most):
            echo(_row_line(row))
        if self.limit is None and (count := store.count(wanted)) > most:
            message(f"These are the surest {most} of {count:,}; `{full} --limit {count}` prints all.")

    def _show_pages(self, store: StoreReader, full: str) -> None:
        found = store.pages(self.wanted, limit=self.limit)
        most = self.limit or SHOWN
        for page in found[:most]:
            echo(_page_line(page))
        if found:
            hint(f"{counted(len(found), 'place')} where something was found; --by image lists the images.")
        if len(found) > most:
            message(f"These are {most} of {len(found):,}; `{full} --by page --limit {len(found)}` prints all.")


def _row_line(row: Row) -> str:
    if row.verdict == "error":
        return f"{'':6}  error   {row.change:<7}  {row.name}: {row.error}"
    more = f"  (and {counted(len(row.places) - 1, 'more place')})" if len(row.places) > 1 else ""
    more += _times(row)
    decided = {"accept": "  accepted", "reject": "  rejected"}.get(row.decision or "", "")
    return f"{row.confidence:6.1%}  {row.verdict:<6}  {row.label}  {row.change:<7}  {row.name}{more}{decided}"


def _times(row: Row) -> str:
    """When a video shows it: the first time, and how many more there are."""
    from logolens.inference.videos import time_text

    parts = [one for one in (row.video or {}).get("appearances", ()) if one["label"] == row.label]
    if not parts:
        return ""
    first = f"{time_text(parts[0]['start'])} to {time_text(parts[0]['end'])}"
    return f"  {first}" + (f" (and {counted(len(parts) - 1, 'more time')})" if len(parts) > 1 else "")


def _page_line(page: Page) -> str:
    parts = [counted(page.matches, "match", "matches")] if page.matches else []
    parts += [f"{page.unsure:,} unsure"] if page.unsure else []
    new = f"  {page.new:,} new" if page.new else ""
    return f"{page.confidence:6.1%}  {', '.join(parts):<20}  {', '.join(page.labels)}{new}  {page.page}"
