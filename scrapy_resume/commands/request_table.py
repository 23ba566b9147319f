"""Requests as a table, on a terminal or in plain lines."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from scrapy_resume.commands.formats import table
from scrapy_resume.commands.invocation import Invocation
from scrapy_resume.commands.terminal_output import Column, fitted_table, is_terminal, text

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.text import Text

_HEADINGS: Final = ("STATE", "TRIES", "HTTP", "ERROR", "ITEMS", "URL")

_COLUMNS: Final = (
    Column("STATE"),
    Column("TRIES", rank=3, right=True),
    Column("HTTP", right=True),
    Column("ERROR", rank=1),
    Column("ITEMS", rank=2, right=True),
    Column("URL"),
)
_STYLES: Final = {
    "done": "green",
    "failed": "red",
    "parked": "red",
    "ignored": "blue",
    "leased": "cyan",
    "delayed": "yellow",
}

ROWS_AT_ONCE: Final = 200
"""Rows that are printed together, with the same column widths."""
ROWS_ON_A_TERMINAL: Final = 1_000
"""The limit on a terminal without ``--limit``: there may be millions."""


def row_limit(limit: int | None) -> int | None:
    """How many rows to ask for: on a terminal, one more than are shown without a limit."""
    return ROWS_ON_A_TERMINAL + 1 if limit is None and is_terminal() else limit


def print_requests(call: Invocation, rows: Iterator[dict[str, Any]], limit: int | None) -> int:
    """Print the rows that ``row_limit(limit)`` has asked for. Returns how many it has printed."""
    cut = limit is None and is_terminal()
    shown = islice(rows, ROWS_ON_A_TERMINAL) if cut else rows
    printed = 0
    while portion := list(islice(shown, ROWS_AT_ONCE)):
        _print_portion(call, portion, first=not printed)
        printed += len(portion)
    if printed and cut and next(rows, None) is not None:
        call.note(f"These are the first {printed:,}; --limit N shows more.")
    return printed


def _print_portion(call: Invocation, portion: Sequence[dict[str, Any]], first: bool) -> None:
    heading = [_HEADINGS] if first else []
    call.print_screen(
        drawn=lambda console: _drawn(console, portion, first),
        plain=lambda: table([*heading, *map(_row, portion)]),
    )


def _drawn(
    console: Console, portion: Sequence[dict[str, Any]], first: bool
) -> Iterator[RenderableType]:
    rows = [_cells(request) for request in portion]
    yield fitted_table(console, _COLUMNS, rows, len(_COLUMNS) - 1, heading=first)


def _cells(request: dict[str, Any]) -> list[str | Text]:
    state, *rest = _row(request)
    return [text(state, _STYLES.get(state, "")), *rest]


def _row(request: dict[str, Any]) -> tuple[str, ...]:
    return (
        request["state"] if request["not_before"] is None else "delayed",
        str(request["attempts"]),
        str(request["http_status"] or "-"),
        request["error"] or "-",
        str(request["items"]),
        request["url"],
    )
