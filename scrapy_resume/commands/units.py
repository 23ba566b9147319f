"""``scrapy resume units``: progress by unit."""

from __future__ import annotations

from argparse import ArgumentParser
from itertools import islice
from typing import Any, Final

from scrapy_resume.commands.arguments import add_job, add_json, add_unit_filters, count
from scrapy_resume.commands.formats import table
from scrapy_resume.commands.invocation import Invocation

HELP: Final = "show progress by unit: open, done and failed requests, items"

_HEADINGS: Final = ("STATE", "OPEN", "DONE", "FAILED", "PARKED", "ITEMS", "LAST", "UNIT", "CURSOR")

ROWS_AT_ONCE: Final = 200
"""Rows that are printed together, with the same column widths."""


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the arguments."""
    add_job(parser)
    add_json(parser)
    parser.add_argument(
        "--state",
        action="append",
        metavar="STATE",
        help="pending, in_progress, completed, partial, failed or parked; several with commas",
    )
    add_unit_filters(parser)
    parser.add_argument(
        "--error", action="append", metavar="CLASS", help="class name of the last error"
    )
    parser.add_argument("--limit", type=count, metavar="N", help="list at most N units")


def run(call: Invocation) -> int:
    """Print the units: those in progress first, completed ones last."""
    arguments = call.arguments
    filters = call.filters()
    try:
        rows = call.reports().units(arguments.job, **filters)
    except ValueError as error:
        call.usage_error(str(error))
    if arguments.json:
        call.print_json_array(rows)
        call.note_unknown(filters)
        return 0
    printed = 0
    while portion := list(islice(rows, ROWS_AT_ONCE)):
        heading = [] if printed else [_HEADINGS]
        call.print_lines(table([*heading, *map(_row, portion)]))
        printed += len(portion)
    if not printed:
        call.note("No units match.")
    call.note_unknown(filters)
    return 0


def _row(unit: dict[str, Any]) -> tuple[str, ...]:
    counts = (str(unit[name]) for name in ("open", "done", "failed", "parked", "items"))
    where = unit["cursor"] or "-"
    if unit["error"] and unit["failed"] + unit["parked"]:
        where = f"{where} ({unit['error']})"
    return (unit["state"], *counts, unit["last_at"] or "-", unit["unit"] or "?", where)


def summary(units: dict[str, int] | None) -> str | None:
    """The units by state in one line; ``None`` if the job has fewer than two."""
    if units is None or units["total"] < 2:
        return None
    counts = [f"{name} {count}" for name, count in units.items() if count and name != "total"]
    return "  ".join(counts)
