"""Plots as SVG elements within a page: no scripts, no style attributes, colors by class.

What people who cannot see them read is a table below. Text that is passed in is escaped here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from markupsafe import Markup, escape

from scrapy_resume.web.words import shown

HEIGHT: Final = 100
STEP: Final = 10
"""The width of one span. Both in units of the view box, which is stretched to its place."""
GAP: Final = 1.5
LONE_SPANS: Final = 8
"""A single column has its place among so many."""


class Part(NamedTuple):
    """A part of a bar or a column: its amount, and its class in the style sheet."""

    amount: float
    style: str


class Line(NamedTuple):
    """A line: its values, and its class."""

    values: Sequence[float]
    style: str


def columns(values: Sequence[Sequence[Part]], labels: Sequence[str]) -> Markup:
    """A column of stacked parts for each span, with its label as a tooltip."""
    highest = max((sum(part.amount for part in parts) for parts in values), default=0.0)
    drawn = []
    for at, (parts, label) in enumerate(zip(values, labels, strict=True)):
        top = float(HEIGHT)
        bars = []
        for part in parts:
            height = HEIGHT * part.amount / highest if highest else 0.0
            top -= height
            if height:
                bars.append(
                    f'<rect class="{part.style}" x="{at * STEP + GAP / 2}" y="{top:.2f}"'
                    f' width="{STEP - GAP}" height="{height:.2f}"/>'
                )
        drawn.append(f"<g>{_hit(at, label)}{''.join(bars)}</g>")
    # A single column would be a wall.
    return _plot(len(values) if len(values) > 1 else LONE_SPANS, "".join(drawn))


def lines(series: Sequence[Line], labels: Sequence[str]) -> Markup:
    """Lines over the spans, the first one filled; each span has its label as a tooltip."""
    count = len(labels)
    highest = max((max(line.values, default=0.0) for line in series), default=0.0) or 1.0
    drawn = []
    for number, line in enumerate(series):
        points = [
            (at * STEP + STEP / 2, HEIGHT - HEIGHT * value / highest)
            for at, value in enumerate(line.values)
        ]
        if len(points) == 1:
            points = [(0.0, points[0][1]), (float(STEP), points[0][1])]
        path = " L".join(f"{x:.1f},{y:.2f}" for x, y in points)
        if not path:
            continue
        if number == 0:
            first, last = points[0][0], points[-1][0]
            area = f"M{first:.1f},{HEIGHT} L{path} L{last:.1f},{HEIGHT} Z"
            drawn.append(f'<path class="fill {line.style}" d="{area}"/>')
        drawn.append(
            f'<path class="stroke {line.style}" vector-effect="non-scaling-stroke" d="M{path}"/>'
        )
    hits = "".join(_hit(at, label) for at, label in enumerate(labels))
    return _plot(count, "".join(drawn) + hits)


def bar(parts: Sequence[Part], total: float) -> Markup:
    """A bar out of ``total``; every part that is not 0 is visible."""
    drawn, at = [], 0.0
    for part in parts:
        if total <= 0 or part.amount <= 0:
            continue
        width = max(1000 * part.amount / total, 4.0)
        width = min(width, 1000 - at)
        drawn.append(
            f'<rect class="{part.style}" x="{at:.1f}" y="0" width="{width:.1f}" height="10"/>'
        )
        at += width
    return Markup(
        '<svg class="bar" viewBox="0 0 1000 10" preserveAspectRatio="none" aria-hidden="true"'
        f' focusable="false">{"".join(drawn)}</svg>'
    )


def spark(values: Sequence[float]) -> Markup:
    """A small line, the newest value at the right."""
    if not any(values):
        return Markup("")
    highest = max(values)
    points = " ".join(
        f"{at * 100 / max(1, len(values) - 1):.1f},{22 - 20 * value / highest:.1f}"
        for at, value in enumerate(values)
    )
    return Markup(
        '<svg class="spark" viewBox="0 0 100 24" preserveAspectRatio="none" aria-hidden="true"'
        f' focusable="false"><polyline vector-effect="non-scaling-stroke" points="{points}"/></svg>'
    )


def timeline(spans: Sequence[tuple[float, float, str, str]]) -> Markup:
    """Runs on a line: (from, to) as shares from 0 to 1, the class, the label."""
    drawn = []
    for began, ended, style, label in spans:
        x = 1000 * min(max(began, 0.0), 0.996)
        width = max(1000 * (min(ended, 1.0) - began), 4.0)
        drawn.append(
            f'<rect class="{style}" x="{x:.1f}" y="1" width="{width:.1f}" height="10">'
            f"<title>{escape(shown(label))}</title></rect>"
        )
    return Markup(
        '<svg class="timeline" viewBox="0 0 1000 12" preserveAspectRatio="none"'
        f' aria-hidden="true" focusable="false">{"".join(drawn)}</svg>'
    )


def _hit(at: int, label: str) -> str:
    """The tooltip covers the whole height, not only what is drawn."""
    return (
        f'<rect class="hit" x="{at * STEP}" y="0" width="{STEP}" height="{HEIGHT}">'
        f"<title>{escape(shown(label))}</title></rect>"
    )


def _plot(count: int, content: str) -> Markup:
    return Markup(
        f'<svg class="plot" viewBox="0 0 {max(count, 1) * STEP} {HEIGHT}"'
        f' preserveAspectRatio="none" aria-hidden="true" focusable="false">{content}</svg>'
    )
