"""The command scan."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from logolens.cli.console import LINES_EVERY, duration, hint, message, note, print_json, refuse_to_replace, say, table
from logolens.cli.options import config_option, settings_from, settings_options
from logolens.cli.verbosity import verbosity
from logolens.config import Limits, ScanSettings, SourceSettings
from logolens.errors import UsageError, require

if TYPE_CHECKING:
    from logolens.scan import Progress, Row, ScanResult, Store

__all__ = ["scan"]

_SHOWN = 50
"""Rows that are printed for people; the files and the report hold all of them."""

_ERRORS_SHOWN = 10


@click.command()
@click.argument("bundle", type=click.Path(path_type=Path))
@click.argument("sources", nargs=-1, required=True)
@click.option(
    "--store", type=click.Path(path_type=Path), default=Path("scan.db"), show_default=True,
    help="File that keeps the results; a further scan with it looks only at what has changed.",
)  # fmt: skip
@click.option(
    "--fail-on", type=click.Choice(("match", "unsure", "error")), multiple=True,
    help="End with exit code 3 when there is a match, a match or an unsure image, or an error; may be repeated.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line and picture.")
@click.option(
    "--csv",
    type=click.Path(path_type=Path),
    help="Write the results as a CSV file; one of an earlier scan is replaced.",
)
@click.option("--parquet", type=click.Path(path_type=Path), help="Write the results as a Parquet file, likewise.")
@click.option("--force", is_flag=True, help="Let --csv and --parquet replace files that no scan has written.")
@settings_options(ScanSettings)
@settings_options(SourceSettings)
@settings_options(Limits)
@config_option
def scan(
    bundle: Path,
    sources: tuple[str, ...],
    store: Path,
    fail_on: tuple[str, ...],
    as_json: bool,
    csv: Path | None,
    parquet: Path | None,
    force: bool,
    **values: Any,
) -> int:
    """Find every image among SOURCES that shows what is sought, with BUNDLE's answers.

    SOURCES are folders, files, patterns such as 'photos/*.jpg', lists, archives, URLs, web sites or buckets. A picture that
    stands in many places is looked at once and listed with all of them. Each is a match, unsure or clear: see --threshold
    and --unsure. A scan that is stopped goes on when the same command is run again.
    """
    from logolens.scan import Store
    from logolens.scan import scan as run

    settings = settings_from(ScanSettings, values)
    source_settings = settings_from(SourceSettings, values)
    limits = settings_from(Limits, values)
    _prepare(store, csv, parquet, force)
    with _stopping_on_terminate(), Store(store) as results:
        try:
            with _progress_line(sources) as progress:
                result = run(
                    bundle,
                    sources,
                    results,
                    settings,
                    source_settings=source_settings,
                    limits=limits,
                    progress=progress,
                )
        except (KeyboardInterrupt, SystemExit):
            hint("What was looked at is kept: run the same command to go on.")
            raise
        _write(results, csv, parquet)
        if as_json:
            _print_json(results)
        else:
            _print(results, result)
        _summarise(results, result, store, quiet=as_json)
        if _fails(result, fail_on):
            return 3
        if result.facts.verdicts["error"] == result.facts.images - result.kept > 0:
            message(
                "Nothing could be read, so nothing was looked at; check the names of the sources, or open them in a viewer."
            )
            return 1
        return 0


def _fails(result: ScanResult, fail_on: tuple[str, ...]) -> bool:
    count = result.facts.verdicts
    return bool(
        ({"match", "unsure"} & set(fail_on) and count["match"])
        or ("unsure" in fail_on and count["unsure"])
        or ("error" in fail_on and count["error"])
    )


@contextmanager
def _stopping_on_terminate() -> Iterator[None]:
    """Let a polite request to end unwind the program, as an interrupt at the keyboard does."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, _: object) -> None:
        raise SystemExit(128 + number)

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _prepare(store: Path, csv: Path | None, parquet: Path | None, force: bool) -> None:
    """See that the tables can be written: at the end of a long scan it is too late to be told."""
    from logolens.scan.output import is_table

    if parquet is not None:
        require("pyarrow", "parquet")
    if store.resolve() in {path.resolve() for path in (csv, parquet) if path is not None}:
        raise UsageError(f"{store} is to keep the results; name another file for the table.")
    refuse_to_replace(csv, parquet, force=force, ours=is_table)


def _write(store: Store, csv: Path | None, parquet: Path | None) -> None:
    from logolens.scan.output import write_csv, write_parquet

    if csv is not None:
        write_csv(store.rows(), csv)
    if parquet is not None:
        write_parquet(store.rows(), parquet)


def _print_json(store: Store) -> None:
    for row in store.rows():
        print_json(row.to_json())


def _print(store: Store, result: ScanResult) -> None:
    from logolens.scan import Wanted

    shown = 0
    for row in store.rows(Wanted(("match", "unsure")), order="confidence"):
        if shown == _SHOWN:
            left = result.facts.verdicts["match"] + result.facts.verdicts["unsure"]
            hint(f"These are the surest {_SHOWN} of {left:,}; --csv, --json and `logolens report` have them all.")
            break
        if row.change != "gone":
            shown += 1
            say(_line(row))


def _line(row: Row) -> str:
    more = f"  (and {len(row.places) - 1} more places)" if len(row.places) > 1 else ""
    return f"{row.confidence:6.1%}  {row.verdict:<6}  {row.label}  {row.change:<7}  {row.name}{more}"


def _summarise(store: Store, result: ScanResult, path: Path, *, quiet: bool) -> None:
    from logolens.scan import Wanted

    facts = result.facts
    if not quiet:
        for row in store.rows(Wanted("error"), limit=_ERRORS_SHOWN):
            message(f"{row.name}: {row.error}")
        if facts.verdicts["error"] > _ERRORS_SHOWN:
            message(f"... and {facts.verdicts['error'] - _ERRORS_SHOWN:,} more errors.")
        if not facts.find:
            rows = [[label, f"{count:,}"] for label, count in facts.labelled.items()]
            table(None, ["label", "pictures"], rows, right=(1,))
    note(*result.notes)
    count, change = facts.verdicts, facts.changes
    hint(
        f"{facts.images:,} images, {facts.pictures:,} different: {count['match']:,} match, {count['unsure']:,} unsure, "
        f"{count['clear']:,} clear, {count['error']:,} could not be read."
    )
    if facts.run > 1 and change["same"] + change["changed"] + change["gone"]:
        hint(
            f"Since the last scan: {change['new']:,} new, {change['changed']:,} changed, {change['gone']:,} gone, "
            f"{change['same']:,} the same."
        )
    rate = result.looked / result.seconds if result.seconds else 0.0
    hint(f"{result.looked:,} looked at in {duration(result.seconds)}, {rate:.0f} a second. Results: {path}")


@contextmanager
def _progress_line(sources: tuple[str, ...]) -> Iterator[Callable[[Progress], None] | None]:
    """How far it is, how fast, and for how long: a line on a terminal; elsewhere one every ten seconds. ``-q`` silences both."""
    if verbosity() < 0:
        yield None
        return
    total = _Total(sources)
    recent: deque[tuple[float, int]] = deque(maxlen=50)

    def words(progress: Progress) -> str:
        now = time.monotonic()
        recent.append((now, progress.done))
        first, done = recent[0]
        rate = (progress.done - done) / (now - first) if now > first else 0.0
        count = progress.drawn if progress.exhausted else total.count
        said = [f"{progress.done:,}" + (f" of {count:,}" if count else f" of {progress.drawn:,} found so far")]
        said.append(f"{rate:.0f} images a second")
        if count and rate:
            said.append(f"{duration((count - progress.done) / rate)} left")
        said += [
            f"{progress.found[verdict]:,} {verdict}"
            for verdict in ("match", "unsure", "error")
            if progress.found.get(verdict)
        ]
        return ", ".join(said)

    if not sys.stderr.isatty():
        told = time.monotonic()

        def tell(progress: Progress) -> None:
            nonlocal told
            said = words(progress)
            if time.monotonic() - told >= LINES_EVERY:
                told = time.monotonic()
                hint(said)

        hint("looking at images")
        yield tell
        return
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    with Live(Text("Starting."), console=Console(stderr=True), transient=True, refresh_per_second=5) as live:
        yield lambda progress: live.update(Text(words(progress)))


class _Total:
    """How many images there are, counted beside the scan where they are folders of this machine; else None."""

    def __init__(self, sources: tuple[str, ...]) -> None:
        self.count: int | None = None
        if all(os.path.isdir(source) for source in sources):
            threading.Thread(target=self._count, args=(sources,), daemon=True).start()

    def _count(self, sources: tuple[str, ...]) -> None:
        from logolens.io.sources import walk

        self.count = sum(1 for source in sources for _ in walk(source))
