"""``scrapy resume units``: progress in the terms of the job."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from itertools import islice
from typing import Any, Final

from scrapy_resume.commands.call import Call, add_job, add_json, table

HELP: Final = "progress by unit: pages and items done, open, failed"

_HEADINGS: Final = ("STATE", "OPEN", "DONE", "FAILED", "PARKED", "ITEMS", "LAST", "UNIT", "CURSOR")

ROWS_AT_ONCE: Final = 200
"""Rows that share the widths of their columns."""


def add_arguments(parser: ArgumentParser) -> None:
    """The arguments of ``scrapy resume units``."""
    add_job(parser)
    add_json(parser)
    parser.add_argument(
        "--state",
        metavar="STATE",
        help="pending, in_progress, completed, partial, failed or parked",
    )
    parser.add_argument("--limit", type=int, metavar="N", help="at most so many")


def run(call: Call) -> int:
    """Print the units, those at work or in trouble first."""
    arguments = call.arguments
    if arguments.limit is not None and arguments.limit < 0:
        call.usage_error("--limit has to be a number from 0")
    try:
        rows = call.reports().units(arguments.job, arguments.state, arguments.limit)
    except ValueError as error:
        call.usage_error(str(error))
    if arguments.json:
        call.print_json_array(rows)
        return 0
    count = 0
    while portion := list(islice(rows, ROWS_AT_ONCE)):
        heading = [] if count else [_HEADINGS]
        call.print_lines(table([*heading, *map(_row, portion)]))
        count += len(portion)
    if not count:
        print("There are no such units.", file=sys.stderr)
    return 0


def _row(unit: dict[str, Any]) -> tuple[str, ...]:
    counts = (str(unit[name]) for name in ("open", "done", "failed", "parked", "items"))
    where = unit["cursor"] or "-"
    if unit["error"] and unit["failed"] + unit["parked"]:
        where = f"{where} ({unit['error']})"
    return (unit["state"], *counts, unit["last_at"] or "-", unit["unit"] or "?", where)


def summary(units: dict[str, int] | None) -> str | None:
    """What ``status`` says of them; ``None``: nothing, where there is one at most."""
    if units is None or units["total"] < 2:
        return None
    counts = [f"{name} {count}" for name, count in units.items() if count and name != "total"]
    return "  ".join(counts)
