"""``scrapy resume steps``: the steps of a job's items, by state, error and day."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

from scrapy_resume.commands.arguments import add_job, add_json
from scrapy_resume.commands.formats import table
from scrapy_resume.commands.invocation import Invocation
from scrapy_resume.commands.step_lines import (
    DAY_COLUMNS,
    STEP_COLUMNS,
    day_row,
    failure_lines,
    retry_command,
    step_row,
)
from scrapy_resume.commands.terminal_output import Column, fitted_table, text

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from scrapy_resume.model import JobKey

HELP: Final = "show the steps of items: by state, with their errors, or by day"


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the arguments."""
    add_job(parser)
    add_json(parser)
    parser.add_argument(
        "--by-day", action="store_true", help="attempts, retries and success of each day (UTC)"
    )


def run(call: Invocation) -> int:
    """Print the steps, or what each day brought."""
    reports, key = call.reports(), call.find_job()
    by_day = call.arguments.by_day
    rows = reports.step_days(key) if by_day else reports.steps(key)
    if call.arguments.json:
        call.print_json(rows)
        return 0
    if not rows:
        what = "No attempt of a step has ended" if by_day else "Items have no steps"
        call.print_lines([f"{what} in {key}."])
        return 0
    columns, cells = (DAY_COLUMNS, day_row) if by_day else (STEP_COLUMNS, step_row)
    listed = [cells(row) for row in rows]
    call.print_screen(
        drawn=lambda console: _drawn(console, columns, listed),
        plain=lambda: table([[column.heading for column in columns], *listed]),
    )
    if not by_day:
        call.print_lines(_errors(key, rows))
    return 0


def _drawn(
    console: Console, columns: Sequence[Column], rows: Sequence[Sequence[str]]
) -> Iterator[RenderableType]:
    flexible = next(place for place, column in enumerate(columns) if column.heading == "STEP")
    yield fitted_table(console, columns, [[text(cell) for cell in row] for row in rows], flexible)


def _errors(key: JobKey, rows: Sequence[dict[str, Any]]) -> Iterator[str]:
    """The errors of each step, and what tries it again."""
    for row in rows:
        if not row["errors"]:
            continue
        yield ""
        for group in row["errors"]:
            yield from failure_lines({"step": row["step"], **group})
        yield f"to try them again: {retry_command(key, row['step'])}"
