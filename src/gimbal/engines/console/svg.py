"""Small drawings that the server makes itself: sparklines and the bars of a span waterfall.

Positions are SVG attributes, because the Content-Security-Policy allows no inline style; colours come from CSS classes.
"""

import math
from collections.abc import Sequence

import msgspec
from markupsafe import Markup

_WIDTH, _HEIGHT, _EDGE = 120.0, 28.0, 3.0


class SpanRow(msgspec.Struct, frozen=True, kw_only=True):
    """One row of a trace as the component `spans` shows it; parents come before their children."""

    id: str
    name: str
    kind: str
    """Kind of the span in the normal form: llm, chain, agent, tool, retriever …"""
    depth: int
    """0 for a root."""
    start_us: int
    end_us: int
    href: str
    """URL of the page with this span open."""
    note: str = ""
    """A few words more: the model, the cost."""
    failed: bool = False


def sparkline(values: Sequence[float | None], label: str = "", tone: str = "accent") -> Markup:
    """Return a line of 120 by 28 pixels; missing values leave a gap, never a zero. `label` is read out loud."""
    known = [value for value in values if value is not None and math.isfinite(value)]
    if not known:
        return Markup('<span class="missing">no data</span>')
    low, high = min(known), max(known)
    span = (high - low) or 1.0
    step = (_WIDTH - 2 * _EDGE) / max(1, len(values) - 1)
    runs: list[list[str]] = [[]]
    last = (0.0, 0.0)
    for index, value in enumerate(values):
        if value is None or not math.isfinite(value):
            runs.append([])
            continue
        y = _HEIGHT / 2 if low == high else _HEIGHT - _EDGE - (value - low) / span * (_HEIGHT - 2 * _EDGE)
        last = (_EDGE + index * step, y)
        runs[-1].append(f"{last[0]:.1f},{y:.1f}")
    drawn = Markup("").join(_run(points) for points in runs if points)
    words = label or f"from {known[0]:g} to {known[-1]:g}, lowest {low:g}, highest {high:g}"
    return Markup(
        '<svg class="spark spark-{}" viewBox="0 0 120 28" width="120" height="28" role="img" aria-label="{}">'
        '{}<circle cx="{:.1f}" cy="{:.1f}" r="2.5"/></svg>'
    ).format(tone, words, drawn, *last)


def _run(points: list[str]) -> Markup:
    if len(points) == 1:
        x, _, y = points[0].partition(",")
        return Markup('<circle cx="{}" cy="{}" r="1.5"/>').format(x, y)
    return Markup('<polyline points="{}"/>').format(" ".join(points))


def waterfall_bar(start_us: int, end_us: int, first_us: int, last_us: int, tone: str = "other") -> Markup:
    """Return the bar of one span, from `start_us` to `end_us`, in a trace that goes from `first_us` to `last_us`.

    The drawing stretches to the width of its cell; a span too short to see keeps a bar that can be seen.
    """
    whole = max(1, last_us - first_us)
    left = min(max((start_us - first_us) / whole, 0.0), 1.0) * 1000
    width = max(min((end_us - start_us) / whole, 1.0) * 1000, 3.0)
    left = min(left, 1000 - width)
    return Markup(
        '<svg class="wf" viewBox="0 0 1000 16" preserveAspectRatio="none" aria-hidden="true" focusable="false">'
        '<line class="wf-rail" x1="0" x2="1000" y1="8" y2="8"/>'
        '<rect class="wf-bar wf-{}" x="{:.1f}" y="3" width="{:.1f}" height="10" rx="2"/></svg>'
    ).format(tone, left, width)


def waterfall_axis(duration_us: int, steps: int = 4) -> list[float]:
    """Return the times in seconds at which a waterfall's axis has its marks, from 0 to the whole length."""
    return [duration_us / 1e6 * step / steps for step in range(steps + 1)]
