"""Tables of any length, printed in portions: there may be millions of rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from scrapy_resume.commands.formats import table
from scrapy_resume.commands.invocation import Invocation
from scrapy_resume.commands.terminal_output import Column, fitted_table, is_terminal, text

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.text import Text

ROWS_AT_ONCE: Final = 200
"""Rows that are printed together, with the same column widths."""
ROWS_ON_A_TERMINAL: Final = 1_000
"""The limit on a terminal without ``--limit``."""


class Table(NamedTuple):
    """How the rows of a command are shown."""

    columns: Sequence[Column]
    cells: Callable[[dict[str, Any]], Sequence[str]]
    """A row's texts, one for each column."""
    flexible: int
    """The column that is cut off where a terminal is narrow."""
    styles: Mapping[str, str] = MappingProxyType({})
    """Of the first cell, by its text."""
    plain_headings: Sequence[str] | None = None
    """Where there is no terminal; ``None``: those of the columns."""
    plain_cells: Callable[[dict[str, Any]], Sequence[str]] | None = None
    """The same for a row's texts; ``None``: ``cells``."""


def is_cut(limit: int | None) -> bool:
    """Whether no more than ``ROWS_ON_A_TERMINAL`` are shown: nobody has given a limit."""
    return limit is None and is_terminal()


def row_limit(limit: int | None) -> int | None:
    """How many rows to ask for: one more than are shown, where they are cut."""
    return ROWS_ON_A_TERMINAL + 1 if is_cut(limit) else limit


def print_rows(
    call: Invocation, shape: Table, rows: Iterator[dict[str, Any]], *, cut: bool = False
) -> int:
    """Print rows, if they are ``cut`` the first ones, with a note if there are more. Returns how
    many it has printed."""
    shown = islice(rows, ROWS_ON_A_TERMINAL) if cut else rows
    printed = 0
    while portion := list(islice(shown, ROWS_AT_ONCE)):
        _print_portion(call, shape, portion, first=not printed)
        printed += len(portion)
    if printed and cut and next(rows, None) is not None:
        call.note(f"These are the first {printed:,}; --limit N shows more.")
    return printed


def _print_portion(
    call: Invocation, shape: Table, portion: Sequence[dict[str, Any]], *, first: bool
) -> None:
    call.print_screen(
        drawn=lambda console: _drawn(console, shape, portion, first=first),
        plain=lambda: table(_plain(shape, portion, first=first)),
    )


def _plain(shape: Table, portion: Sequence[dict[str, Any]], *, first: bool) -> list[Sequence[str]]:
    headings = shape.plain_headings or [column.heading for column in shape.columns]
    rows = map(shape.plain_cells or shape.cells, portion)
    return [headings, *rows] if first else list(rows)


def _drawn(
    console: Console, shape: Table, portion: Sequence[dict[str, Any]], *, first: bool
) -> Iterator[RenderableType]:
    rows = [_styled(shape, row) for row in portion]
    yield fitted_table(console, shape.columns, rows, shape.flexible, heading=first)


def _styled(shape: Table, row: dict[str, Any]) -> Sequence[str | Text]:
    first, *rest = shape.cells(row)
    return [text(first, shape.styles.get(first, "")), *rest]
