"""``scrapy resume requests``: the requests of a job, all or those that a filter lets through."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from itertools import islice
from typing import Any, Final

from scrapy_resume.commands.call import Call, add_filters, add_job, add_json, filters_of, table

HELP: Final = "lists requests"

_HEADINGS: Final = ("STATE", "TRIES", "HTTP", "ERROR", "ITEMS", "URL")

ROWS_AT_ONCE: Final = 200
"""Rows that share the widths of their columns."""


def add_arguments(parser: ArgumentParser) -> None:
    """The arguments of ``scrapy resume requests``."""
    add_job(parser)
    add_json(parser)
    add_filters(parser)
    parser.add_argument("--limit", type=int, metavar="N", help="at most so many")


def run(call: Call) -> int:
    """Print the requests in the order in which they were found."""
    limit = call.arguments.limit
    if limit is not None and limit < 0:
        call.usage_error("--limit has to be a number from 0")
    try:
        rows = call.reports().requests(
            call.arguments.job, limit=limit, **filters_of(call.arguments)
        )
    except ValueError as error:
        call.usage_error(str(error))
    if call.arguments.json:
        call.print_json_array(rows)
        return 0
    count = 0
    while portion := list(islice(rows, ROWS_AT_ONCE)):
        heading = [] if count else [_HEADINGS]
        call.print_lines(table([*heading, *map(_row, portion)]))
        count += len(portion)
    if not count:
        print("There are no such requests.", file=sys.stderr)
    return 0


def _row(request: dict[str, Any]) -> tuple[str, ...]:
    return (
        request["state"] if request["not_before"] is None else "delayed",
        str(request["attempts"]),
        str(request["http_status"] or "-"),
        request["error"] or "-",
        str(request["items"]),
        request["url"],
    )
