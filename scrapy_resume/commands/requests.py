"""``scrapy resume requests``: the requests of a job, all or those that a filter lets through."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from scrapy_resume.commands import requestsfile
from scrapy_resume.commands.call import Call, add_filters, add_job, add_json, filters_of, table
from scrapy_resume.commands.newfile import new_file
from scrapy_resume.commands.terminal import Column, fitted_table, is_terminal, text

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.text import Text

HELP: Final = "lists requests"

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
"""Rows that share the widths of their columns."""
ROWS_ON_A_TERMINAL: Final = 1_000
"""Without ``--limit``: nobody reads on, and there may be millions."""


def add_arguments(parser: ArgumentParser) -> None:
    """The arguments of ``scrapy resume requests``."""
    add_job(parser)
    add_json(parser)
    add_filters(parser)
    parser.add_argument(
        "--limit",
        type=int,
        metavar="N",
        help=f"at most so many; on a terminal {ROWS_ON_A_TERMINAL:,} if it is not given",
    )
    parser.add_argument(
        "-o", "--output", metavar="FILE", help="write to a file: .csv, .json or .jsonl by its name"
    )
    parser.add_argument(
        "--overwrite", action="store_true", help="replace FILE if it exists, once all is written"
    )


def run(call: Call) -> int:
    """Print the requests in the order in which they were found."""
    limit = call.arguments.limit
    if limit is not None and limit < 0:
        call.usage_error("--limit has to be a number from 0")
    if call.arguments.output is not None:
        return _write(call, limit)
    cut = limit is None and not call.arguments.json and is_terminal()
    if cut:
        limit = ROWS_ON_A_TERMINAL + 1
    try:
        rows = call.reports().requests(
            call.arguments.job, limit=limit, **filters_of(call.arguments)
        )
    except ValueError as error:
        call.usage_error(str(error))
    if call.arguments.json:
        call.print_json_array(rows)
        return 0
    shown = islice(rows, ROWS_ON_A_TERMINAL) if cut else rows
    count = 0
    while portion := list(islice(shown, ROWS_AT_ONCE)):
        _print_portion(call, portion, first=not count)
        count += len(portion)
    if not count:
        print("There are no such requests.", file=sys.stderr)
    elif cut and next(rows, None) is not None:
        print(f"These are the first {count:,}; --limit N shows more.", file=sys.stderr)
    return 0


def _write(call: Call, limit: int | None) -> int:
    target = call.arguments.output
    try:
        format_name = requestsfile.format_of(target)
        reports = call.reports()
        key = reports.find(call.arguments.job)
        rows = reports.requests(str(key), limit=limit, **filters_of(call.arguments))
    except ValueError as error:
        call.usage_error(str(error))
    with new_file(target, call.arguments.overwrite) as file:
        count = requestsfile.write(file, format_name, rows)
    if call.arguments.json:
        document = {"job": str(key), "requests": count, "file": target, "format": format_name}
        call.print_json(document)
    else:
        call.print_lines([f"{count} requests of {key} are in {target} ({format_name})"])
    return 0


def _print_portion(call: Call, portion: Sequence[dict[str, Any]], first: bool) -> None:
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
