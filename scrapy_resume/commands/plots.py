"""Plots as inline SVG, stretched to the width that they get; their words are HTML beside them.

Everything that is passed in as text is escaped here.
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import Final, NamedTuple

from scrapy_resume.commands.terminal import printable

HEIGHT: Final = 100
"""Of a plot, in the units of its view; the page says how high it is."""
STEP: Final = 10
"""The width of one span in those units."""
GAP: Final = 1.5


class Part(NamedTuple):
    """A part of a bar: what it means, how much it is, and its class in the style sheet."""

    name: str
    amount: float
    style: str


def escaped(words: object) -> str:
    """Text for HTML, in an attribute too; control characters and what moves text are escapes."""
    return html.escape(printable(str(words)))


def columns(values: Sequence[Sequence[Part]], labels: Sequence[str]) -> str:
    """A column for each span, of parts on top of one another; a label shows under the mouse."""
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
        # The whole height answers to the mouse, not only what is drawn.
        area = f'<rect class="area" x="{at * STEP}" y="0" width="{STEP}" height="{HEIGHT}"/>'
        drawn.append(f"<g><title>{escaped(label)}</title>{area}{''.join(bars)}</g>")
    return _svg(len(values) * STEP, "".join(drawn))


def line(values: Sequence[float], labels: Sequence[str]) -> str:
    """One line over the spans, filled down to zero."""
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
    """One bar whose parts make up its whole length; a part that is not nothing can be seen."""
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
