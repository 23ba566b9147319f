"""Requests as a table, on a terminal or in plain lines."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from scrapy_resume.commands.invocation import Invocation
from scrapy_resume.commands.portions import Table, is_cut, print_rows
from scrapy_resume.commands.terminal_output import Column
from scrapy_resume.reporting.nouns import CRAWL_NOUNS, STAGE_NOUNS, Nouns


def print_requests(
    call: Invocation,
    rows: Iterator[dict[str, Any]],
    limit: int | None,
    nouns: Nouns = CRAWL_NOUNS,
) -> int:
    """Print the rows that ``row_limit(limit)`` has asked for. Returns how many it has printed."""
    return print_rows(call, _TABLE if nouns.has_http else _OF_TASKS, rows, cut=is_cut(limit))


def _row(request: dict[str, Any]) -> tuple[str, ...]:
    not_before = request["not_before"]
    return (
        request["state"] if not_before is None else "delayed",
        str(request["attempts"]),
        str(request["http_status"] or "-"),
        request["error"] or (f"until {not_before}" if not_before else "-"),
        str(request["items"]),
        request["url"],
    )


_COLUMNS: Final = (
    Column("STATE"),
    Column("TRIES", rank=3, right=True),
    Column("HTTP", right=True),
    Column("ERROR", rank=1),
    Column("ITEMS", rank=2, right=True),
    Column("URL"),
)
_TABLE: Final = Table(
    columns=_COLUMNS,
    cells=_row,
    flexible=len(_COLUMNS) - 1,
    styles={
        "done": "green",
        "failed": "red",
        "parked": "red",
        "ignored": "blue",
        "leased": "cyan",
        "delayed": "yellow",
    },
)


def _task_row(task: dict[str, Any]) -> list[str]:
    cells = list(_row(task))
    del cells[_HTTP]
    return cells


_HTTP: Final = 2
_TASK_COLUMNS: Final = (*_COLUMNS[:_HTTP], *_COLUMNS[_HTTP + 1 : -1], Column(STAGE_NOUNS.url))
_OF_TASKS: Final = _TABLE._replace(
    columns=_TASK_COLUMNS, cells=_task_row, flexible=len(_TASK_COLUMNS) - 1
)
