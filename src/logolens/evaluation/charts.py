"""Line charts as SVG, drawn without any library, in the colours of the page that holds them."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["CHART_STYLE", "Chart", "Line", "drawn"]

_WIDTH, _HEIGHT = 460, 320
_LEFT, _RIGHT, _TOP, _LOW = 58, 24, 14, 46
_TICKS = 5

CHART_STYLE = """
.chart{display:block;max-width:100%;height:auto;font-size:12px}
.chart text{fill:var(--soft)}
.chart .grid{stroke:var(--line);stroke-width:1}
.chart .line{fill:none;stroke:var(--blue);stroke-width:2.2}
.chart .even{stroke:var(--soft);stroke-dasharray:5 4;stroke-width:1.4}
.chart circle{fill:var(--blue)}
"""
"""What a page that holds charts adds to its style."""


@dataclass(frozen=True)
class Line:
    """Points from left to right, as (x, y) shares; `even` draws it as a dashed line to compare with, without marks."""

    points: Sequence[tuple[float, float]]
    even: bool = False


@dataclass(frozen=True)
class Chart:
    """Lines over shares.

    Attributes:
        lines: what is drawn.
        x: what the horizontal axis is, from 0 to 1.
        y: what the vertical axis is.
        top: where the vertical axis ends; at least a hair above 0.
        alt: what it shows to a person who cannot see it.
        caption: what stands below.
    """

    lines: Sequence[Line]
    x: str
    y: str
    alt: str
    top: float = 1.0
    caption: str = ""


def drawn(chart: Chart) -> str:
    """The chart as an SVG element."""
    top = max(chart.top, 1e-6)

    def at(x: float, y: float) -> tuple[float, float]:
        across, down = _WIDTH - _LEFT - _RIGHT, _HEIGHT - _TOP - _LOW
        return _LEFT + min(max(x, 0.0), 1.0) * across, _HEIGHT - _LOW - min(max(y / top, 0.0), 1.0) * down

    parts = []
    for number in range(_TICKS + 1):
        share = number / _TICKS
        x, y = at(share, 0)[0], at(0, share * top)[1]
        parts.append(f'<line class="grid" x1="{_LEFT}" y1="{y:.1f}" x2="{_WIDTH - _RIGHT}" y2="{y:.1f}"/>')
        parts.append(f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{_percent(share * top, top)}</text>')
        parts.append(f'<text x="{x:.1f}" y="{_HEIGHT - _LOW + 17}" text-anchor="middle">{100 * share:.0f} %</text>')
    middle = (_LEFT + _WIDTH - _RIGHT) / 2
    parts.append(f'<text x="{middle}" y="{_HEIGHT - 8}" text-anchor="middle">{html.escape(chart.x)}</text>')
    upright = (_HEIGHT - _LOW + _TOP) / 2
    parts.append(
        f'<text x="14" y="{upright}" text-anchor="middle" transform="rotate(-90 14 {upright})">{html.escape(chart.y)}</text>'
    )
    for line in chart.lines:
        places = [at(*point) for point in line.points]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        parts.append(f'<polyline class="line{" even" if line.even else ""}" points="{path}"/>')
        if not line.even:
            parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5"/>' for x, y in places]
    label = html.escape(chart.alt, quote=True)
    frame = f'class="chart" viewBox="0 0 {_WIDTH} {_HEIGHT}" width="{_WIDTH}" role="img" aria-label="{label}"'
    return f"<svg {frame}>{''.join(parts)}</svg>"


def _percent(value: float, top: float) -> str:
    return f"{100 * value:.0f} %" if top in (0.05, 0.1, 0.25, 0.5, 1.0) else f"{100 * value:.2f} %"
