"""``scrapy resume requests``: lists the requests of a job that match the filters."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from scrapy_resume.commands import requests_file
from scrapy_resume.commands.arguments import (
    add_filters,
    add_job,
    add_json,
    add_overwrite,
    count,
    filters_of,
)
from scrapy_resume.commands.formats import table
from scrapy_resume.commands.invocation import Invocation
from scrapy_resume.commands.output_file import output_file
from scrapy_resume.commands.terminal_output import Column, fitted_table, is_terminal, text
from scrapy_resume.wording import counted

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.text import Text

    from scrapy_resume.model import JobKey

HELP: Final = "list requests"

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


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the arguments."""
    add_job(parser)
    add_json(parser)
    add_filters(parser)
    parser.add_argument(
        "--limit",
        type=count,
        metavar="N",
        help=f"list at most N requests (default on a terminal: {ROWS_ON_A_TERMINAL:,})",
    )
    parser.add_argument(
        "-o", "--output", metavar="FILE", help="file to write, .csv, .json or .jsonl"
    )
    add_overwrite(parser)


def run(call: Invocation) -> int:
    """Print the requests in the order in which they were discovered."""
    limit = call.arguments.limit
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
    printed = 0
    while portion := list(islice(shown, ROWS_AT_ONCE)):
        _print_portion(call, portion, first=not printed)
        printed += len(portion)
    if not printed:
        call.note("No requests match.")
    elif cut and next(rows, None) is not None:
        call.note(f"These are the first {printed:,}; --limit N shows more.")
    return 0


def _write(call: Invocation, limit: int | None) -> int:
    target = call.arguments.output
    try:
        format_name = requests_file.format_of(target)
        key = call.find_job()
        rows = call.reports().requests(key, limit=limit, **filters_of(call.arguments))
    except ValueError as error:
        call.usage_error(str(error))
    with output_file(call, target) as file:
        written = requests_file.write(file, format_name, rows)
    if call.arguments.json:
        document = {"job": str(key), "requests": written, "file": target, "format": format_name}
        call.print_json(document)
    else:
        call.print_lines([_written(written, key, target, format_name)])
    return 0


def _written(count: int, key: JobKey, target: str, format_name: str) -> str:
    verb = "is" if count == 1 else "are"
    return f"{counted(count, 'request')} of {key} {verb} in {target} ({format_name})"


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
