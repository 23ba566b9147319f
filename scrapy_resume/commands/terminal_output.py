"""Output for a terminal, drawn with rich: text, bars, sparklines, tables.

rich is imported only when something is printed on a terminal.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Final, NamedTuple

from scrapy_resume.settings.masking import masked_text
from scrapy_resume.wording import ago as ago
from scrapy_resume.wording import escaped_controls as escaped_controls

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.table import Table
    from rich.text import Text

STATUS_STYLES: Final = {
    "initialized": "dim",
    "running": "green",
    "recovering": "cyan",
    "paused": "yellow",
    "cancelled": "yellow",
    "completed": "bold green",
}
TROUBLE: Final = "bold red"
"""The style of every other status: crashed, failed, damaged, unreadable."""

SPARKS: Final = "▁▂▃▄▅▆▇█"
SPARKS_ASCII: Final = "_.-=+*%#"

GAP: Final = 2
"""Columns between two columns of a table."""
SMALLEST_FLEXIBLE: Final = 0.45
"""Other columns are left out until the flexible one has this share of the width."""


class Column(NamedTuple):
    """A column of a table."""

    heading: str
    rank: int = 0
    """If the width does not suffice, columns with the highest rank are left out first; 0: never."""
    right: bool = False
    style: str = ""


def is_terminal() -> bool:
    """Whether standard output is a terminal."""
    return sys.stdout.isatty()


def terminal() -> Console:
    """The console on standard output, which has to be a terminal. ``NO_COLOR`` is obeyed."""
    from rich.console import Console

    if isinstance(sys.stdout, io.TextIOWrapper):
        # Characters that the terminal's encoding lacks are shown as escapes.
        sys.stdout.reconfigure(errors="backslashreplace")
    return Console(markup=False, highlight=False, emoji=False)


def speaks_unicode() -> bool:
    """Whether bars and sparklines may use characters beyond ASCII."""
    return (sys.stdout.encoding or "").lower().replace("-", "").startswith("utf")


def text(line: str, style: str = "") -> Text:
    """One line, cut off at the edge of the terminal; control characters are escaped."""
    from rich.text import Text

    return Text(printable(line), style, no_wrap=True, overflow="ellipsis")


def words(*parts: tuple[str, str]) -> Text:
    """One line as ``text`` gives it, made of parts with their own styles."""
    line = text("")
    for part, style in parts:
        line.append(printable(part), style)
    return line


def status_style(status: str) -> str:
    """The style for the status of a job or a run."""
    return STATUS_STYLES.get(status, TROUBLE)


def bar(width: int, done: int, failed: int, ignored: int, total: int) -> Text:
    """A bar of done, failed and ignored requests, out of ``total``; the rest is dashed."""
    from rich.text import Text

    full, rest = ("━", "╌") if speaks_unicode() else ("#", "-")
    edges = [0]
    for ended in (done, done + failed, done + failed + ignored):
        edges.append(int(width * ended / total) if total else 0)
    if failed and edges[2] == edges[1] and edges[1] > 0:
        edges[1] -= 1  # a single failure among thousands stays visible
    parts = [
        (full * (end - start), style)
        for start, end, style in zip(edges, edges[1:], ("green", "red", "blue"), strict=False)
    ]
    return Text.assemble(*parts, (rest * (width - edges[-1]), "dim"))


def sparkline(values: Sequence[float]) -> str:
    """One character for each value, as high as its share of the highest value."""
    sparks = SPARKS if speaks_unicode() else SPARKS_ASCII
    highest = max(values, default=0.0)
    if highest <= 0:
        return sparks[0] * len(values)
    steps = len(sparks) - 1
    return "".join(sparks[round(steps * value / highest)] for value in values)


def fitted_table(
    console: Console,
    columns: Sequence[Column],
    rows: Sequence[Sequence[str | Text]],
    flexible: int,
    heading: bool = True,
) -> Table:
    """A table that is no wider than the terminal, with one line for each row.

    The column with the index ``flexible`` is cut off at the width that the others leave. If that
    is too little, other columns are left out, those with the highest rank first.
    """
    from rich.table import Table
    from rich.text import Text

    cells = [[cell if isinstance(cell, Text) else text(cell) for cell in row] for row in rows]
    widths = [
        max([len(column.heading), *(row[at].cell_len for row in cells)])
        for at, column in enumerate(columns)
    ]
    shown = set(range(len(columns)))

    def left() -> int:
        return console.width - sum(widths[at] + GAP for at in shown if at != flexible)

    for at in sorted(shown, key=lambda at: -columns[at].rank):
        wanted = min(widths[flexible], int(console.width * SMALLEST_FLEXIBLE))
        if columns[at].rank and at != flexible and left() < wanted:
            shown.discard(at)
    table = Table(box=None, padding=(0, GAP, 0, 0), pad_edge=False, show_header=heading)
    for at in sorted(shown):
        column = columns[at]
        width = max(1, min(widths[at], left())) if at == flexible else widths[at]
        table.add_column(
            text(column.heading, "bold"),
            style=column.style,
            justify="right" if column.right else "left",
            no_wrap=True,
            overflow="ellipsis",
            width=width,
        )
    for row in cells:
        table.add_row(*(row[at] for at in sorted(shown)))
    return table


def facts_table(facts: Iterable[tuple[str, str | Text]]) -> Table:
    """Labels and facts in two columns; long facts are wrapped."""
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, GAP, 0, 0))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for name, fact in facts:
        table.add_row(name, fact if isinstance(fact, Text) else Text(printable(fact)))
    return table


def some(lines: Iterable[str], shown: int, total: int) -> Iterator[str]:
    """The first lines, and how many more of the ``total`` there are."""
    yield from islice(lines, shown)
    if total > shown:
        yield f"... and {total - shown} more"


def section(
    heading: str, lines: Iterable[str], style: str = "", indent: str = "  "
) -> Iterator[RenderableType]:
    """A heading and the lines under it, cut off at the edge of the terminal."""
    yield text("")
    yield text(heading, "bold")
    yield from (text(indent + line, style) for line in lines)


def printable(text: str) -> str:
    """The text as it may be shown to people: without the passwords of the URLs in it, and with
    control characters, and those that move or hide text, escaped."""
    return escaped_controls(masked_text(text))
