"""``scrapy resume units``: progress by unit."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Mapping
from typing import Any, Final

from scrapy_resume.commands.arguments import add_job, add_json, add_unit_filters, count
from scrapy_resume.commands.invocation import Invocation
from scrapy_resume.commands.portions import Table, print_rows
from scrapy_resume.commands.terminal_output import Column
from scrapy_resume.reporting.progress import units_of

HELP: Final = "show progress by unit: open, done and failed requests, items"


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
    has_steps = bool(call.reports().step_names(arguments.job))
    printed = print_rows(call, _WITH_STEPS if has_steps else _TABLE, rows)
    if not printed:
        call.note("No units match.")
    call.note_unknown(filters)
    return 0


def _row(unit: dict[str, Any]) -> tuple[str, ...]:
    names = ("open", "done", "failed", "parked", "items", "items_failed")
    troubled = unit["failed"] + unit["parked"] + unit["items_failed"]
    return (
        unit["state"],
        *(str(unit[name]) for name in names),
        str(unit["http_status"] or "-") if troubled else "-",
        (unit["error"] or "-") if troubled else "-",
        unit["last_at"] or "-",
        unit["unit"] or "?",
        unit["cursor"] or "-",
    )


def _plain_row(unit: dict[str, Any]) -> list[str]:
    """The error stands behind the cursor."""
    cells = list(_row(unit))
    error = cells.pop(_ERROR)
    if error != "-":
        cells[-1] += f" ({error})"
    return cells


_COLUMNS: Final = (
    Column("STATE"),
    Column("OPEN", rank=2, right=True),
    Column("DONE", right=True),
    Column("FAILED", right=True),
    Column("PARKED", rank=4, right=True),
    Column("ITEMS", right=True),
    Column("LOST", rank=3, right=True),
    Column("HTTP", rank=1, right=True),
    Column("ERROR", rank=5),
    Column("LAST", rank=6, style="dim"),
    Column("UNIT", style="bold"),
    Column("CURSOR", rank=7, style="dim"),
)
_ERROR: Final = 8
_TABLE: Final = Table(
    columns=_COLUMNS,
    cells=_row,
    flexible=10,
    styles={
        "completed": "green",
        "partial": "yellow",
        "failed": "red",
        "parked": "red",
        "in_progress": "cyan",
    },
    plain_headings=[c.heading for place, c in enumerate(_COLUMNS) if place != _ERROR],
    plain_cells=_plain_row,
)


def _stepped_row(unit: dict[str, Any]) -> list[str]:
    """With the items of which a step has not ended."""
    cells = list(_row(unit))
    cells.insert(_LOST, str(unit["items_open"]))
    return cells


def _plain_stepped_row(unit: dict[str, Any]) -> list[str]:
    cells = _plain_row(unit)
    cells.insert(_LOST, str(unit["items_open"]))
    return cells


_LOST: Final = 6
_STEPPED_COLUMNS: Final = (
    *_COLUMNS[:_LOST],
    Column("ITEMS OPEN", rank=3, right=True),
    *_COLUMNS[_LOST:],
)
_WITH_STEPS: Final = _TABLE._replace(
    columns=_STEPPED_COLUMNS,
    cells=_stepped_row,
    flexible=_TABLE.flexible + 1,
    plain_headings=[
        column.heading for place, column in enumerate(_STEPPED_COLUMNS) if place != _ERROR + 1
    ],
    plain_cells=_plain_stepped_row,
)


def summary(answer: Mapping[str, Any]) -> str | None:
    """The units of a job's document by state in one line: the named ones, which its bar counts too,
    if there are several; ``None`` if the job has fewer than two of either."""
    units = answer["units" if units_of(answer) is None else "named_units"]
    if units is None or units["total"] < 2:
        return None
    counts = [f"{name} {count}" for name, count in units.items() if count and name != "total"]
    return "  ".join(counts)
