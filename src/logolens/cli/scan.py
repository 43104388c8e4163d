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

from logolens.cli.console import LINES_EVERY, counted, duration, hint, message, next_step, note, quoted
from logolens.cli.listing import Shape, listing_options
from logolens.cli.options import BUNDLE, brought, config_option, settings_from, settings_options
from logolens.cli.verbosity import verbosity
from logolens.config import Limits, ScanSettings, SourceSettings, VideoSettings

if TYPE_CHECKING:
    from logolens.scan import Progress, ScanResult

__all__ = ["scan"]

_FAILURES = ("match", "unsure", "error", "new-match", "new-unsure")


@click.command()
@click.argument("bundle", type=BUNDLE)
@click.argument("sources", nargs=-1, required=True)
@click.option(
    "--store", type=click.Path(path_type=Path), default=Path("scan.db"), show_default=True,
    help="File that keeps the results; a further scan with it looks only at what has changed.",
)  # fmt: skip
@click.option(
    "--fail-on", type=click.Choice(_FAILURES), multiple=True,
    help="End with exit code 3 when there is a match, a match or an unsure image, or an error; new-match and new-unsure: one "
    "that was less in the last scan or in --baseline. May be repeated.",
)  # fmt: skip
@listing_options
@settings_options(ScanSettings)
@settings_options(SourceSettings)
@settings_options(Limits)
@settings_options(VideoSettings)
@config_option
def scan(
    bundle: Path,
    sources: tuple[str, ...],
    store: Path,
    fail_on: tuple[str, ...],
    **values: Any,
) -> int:
    """Find every image and video among SOURCES that shows what is sought, with BUNDLE's answers.

    SOURCES are folders, files, patterns such as 'photos/*.jpg', lists, archives, URLs, web sites or buckets. A picture that
    stands in many places is looked at once and listed with all of them. Each is a match, unsure or clear: see --threshold
    and --unsure. A scan that is stopped goes on when the same command is run again.
    """
    from logolens.scan import Store, Wanted
    from logolens.scan import scan as run

    settings = settings_from(ScanSettings, values)
    source_settings = settings_from(SourceSettings, values)
    limits = settings_from(Limits, values)
    video_settings = settings_from(VideoSettings, values)
    shape = Shape.of(values, Wanted())
    shape.prepare(store)
    bundle = brought(bundle)
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
                    video_settings=video_settings,
                    progress=progress,
                )
        except (KeyboardInterrupt, SystemExit):
            hint("What was looked at is kept: run the same command to go on.")
            raise
        shape.write(results)
        shape.show(results, full=f"logolens results {quoted(store)}")
        _summarise(result, settings, store)
        if _fails(result, fail_on):
            return 3
        if result.facts.verdicts["error"] == result.facts.images - result.kept > 0:
            message(
                "Nothing could be read, so nothing was looked at; check the names of the sources, or open them in a viewer."
            )
            return 1
        return 0


def _fails(result: ScanResult, fail_on: tuple[str, ...]) -> bool:
    count, news = result.facts.verdicts, result.facts.news
    asked = {
        "match": count["match"],
        "unsure": count["match"] + count["unsure"],
        "error": count["error"],
        "new-match": news["match"],
        "new-unsure": news["match"] + news["unsure"],
    }
    return any(asked[name] for name in fail_on)


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


def _summarise(result: ScanResult, settings: ScanSettings, path: Path) -> None:
    facts = result.facts
    note(*result.notes)
    count, change = facts.verdicts, facts.changes
    hint(
        f"{counted(facts.images, 'image')}, {facts.pictures:,} different: {count['match']:,} match, {count['unsure']:,} "
        f"unsure, {count['clear']:,} clear, {count['error']:,} could not be read."
    )
    if settings.baseline is not None:
        news = facts.news
        hint(
            f"Beside {settings.baseline}: {news['match']:,} new match, {news['unsure']:,} new unsure; the others were known."
        )
    elif facts.run > 1 and change["same"] + change["changed"] + change["gone"]:
        hint(
            f"Since the last scan: {change['new']:,} new, {change['changed']:,} changed, {change['gone']:,} gone, "
            f"{change['same']:,} the same."
        )
    hint(f"{result.classified:,} looked at in {duration(result.seconds)}{_rate_sentence(result)}. Results: {path}")
    if count["match"] + count["unsure"]:
        next_step(f"logolens report {quoted(path)} -o report", "to work through them")


def _rate_sentence(result: ScanResult) -> str:
    return f", {_rate(result.classified / result.seconds)}" if result.classified and result.seconds else ""


def _rate(rate: float, what: str = "") -> str:
    """So many a second; where that would be less than one, how long one takes."""
    if rate >= 1:
        return f"{rate:.0f}{what and f' {what}' + 's' * (round(rate) != 1)} a second"
    seconds = 1 / rate
    each = f"an {what}" if what else "each"
    return f"{seconds:.0f} s {each}" if seconds < 60 else f"{seconds / 60:.1f} min {each}"


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
        if rate:
            said.append(_rate(rate, "image"))
        if count and rate:
            said.append(f"{duration((count - progress.done) / rate)} left")
        said += [
            f"{progress.found[verdict]:,} {verdict}"
            for verdict in ("match", "unsure", "error")
            if progress.found.get(verdict)
        ]
        return ", ".join(said)

    if not sys.stderr.isatty():
        last: float | None = None

        def on_progress(progress: Progress) -> None:
            nonlocal last
            said = words(progress)
            if last is None:
                hint("looking at images")  # Not before: what was asked for may not be possible.
            elif time.monotonic() - last >= LINES_EVERY:
                hint(said)
            else:
                return
            last = time.monotonic()

        yield on_progress
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
