"""Plots as inline SVG, stretched to the width of the page; their labels are HTML beside them.

Text that is passed in is escaped here.
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import Final, NamedTuple

from scrapy_resume.commands.terminal_output import printable

HEIGHT: Final = 100
"""The height of a plot in units of its view box; the style sheet scales it."""
STEP: Final = 10
"""The width of one span, in the same units."""
GAP: Final = 1.5


class Part(NamedTuple):
    """A part of a bar: its name, its amount, and its class in the style sheet."""

    name: str
    amount: float
    style: str


def escaped(words: object) -> str:
    """Text for HTML, also in attributes; control and bidirectional characters are escaped."""
    return html.escape(printable(str(words)))


def columns(values: Sequence[Sequence[Part]], labels: Sequence[str]) -> str:
    """A column of stacked parts for each span; its label is shown as a tooltip."""
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
        # The tooltip covers the whole height, not only the bars.
        area = f'<rect class="area" x="{at * STEP}" y="0" width="{STEP}" height="{HEIGHT}"/>'
        drawn.append(f"<g><title>{escaped(label)}</title>{area}{''.join(bars)}</g>")
    return _svg(len(values) * STEP, "".join(drawn))


def line(values: Sequence[float], labels: Sequence[str]) -> str:
    """A line over the spans, filled down to zero; each span has its label as a tooltip."""
    highest = max(values, default=0.0) or 1.0
    points = [
        (at * STEP + STEP / 2, HEIGHT - HEIGHT * value / highest) for at, value in enumerate(values)
    ]
    if not points:
        return _svg(STEP, "")
    if len(points) == 1:
        points = [(0.0, points[0][1]), (float(STEP), points[0][1])]
    path = " L".join(f"{x:.1f},{y:.2f}" for x, y in points)
    first, last = points[0][0], points[-1][0]
    areas = "".join(
        f'<rect class="area" x="{at * STEP}" y="0" width="{STEP}" height="{HEIGHT}">'
        f"<title>{escaped(label)}</title></rect>"
        for at, label in enumerate(labels)
    )
    fill = f'<path class="fill" d="M{first:.1f},{HEIGHT} L{path} L{last:.1f},{HEIGHT} Z"/>'
    stroke = f'<path class="stroke" vector-effect="non-scaling-stroke" d="M{path}"/>'
    return _svg(len(values) * STEP, f"{fill}{stroke}{areas}")


def stacked(parts: Sequence[Part], label: str) -> str:
    """A bar of parts that fill its whole length; every part that is not 0 is visible."""
    total = sum(part.amount for part in parts)
    drawn = "".join(
        f'<i class="{part.style}" style="flex:{part.amount / total:.6f} 0 0"'
        f' title="{escaped(f"{part.name} {part.amount:,.0f}")}"></i>'
        for part in parts
        if total and part.amount
    )
    return f'<div class="bar" role="img" aria-label="{escaped(label)}">{drawn}</div>'


def _svg(width: int, content: str) -> str:
    return (
        f'<svg viewBox="0 0 {max(width, STEP)} {HEIGHT}" preserveAspectRatio="none"'
        f' aria-hidden="true">{content}</svg>'
    )
