"""``scrapy resume list``: all jobs."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

from scrapy_resume.commands.arguments import add_json
from scrapy_resume.commands.formats import job_name_of, table
from scrapy_resume.commands.invocation import Invocation
from scrapy_resume.commands.terminal_output import (
    Column,
    ago,
    bar,
    fitted_table,
    printable,
    status_style,
    text,
)
from scrapy_resume.reporting.progress import percent, progress_of
from scrapy_resume.reporting.times import seconds_of

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.text import Text

HELP: Final = "list all jobs, the most recently updated first"

_HEADINGS: Final = (
    "JOB",
    "STATUS",
    "PROGRESS",
    "UNITS",
    "SUCCESS",
    "ITEMS",
    "UPDATED",
    "ERROR",
    "ARGUMENTS",
)
_COLUMNS: Final = (
    Column("JOB", style="bold"),
    Column("STATUS"),
    Column("", rank=4),
    Column("PROGRESS", right=True),
    Column("UNITS", rank=2, right=True),
    Column("SUCCESS", rank=2, right=True),
    Column("ITEMS", rank=1, right=True),
    Column("UPDATED", rank=3, style="dim"),
    Column("ERROR", rank=1, style="red"),
    Column("ARGUMENTS", rank=5, style="dim"),
)
_BAR_WIDTH: Final = 16


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the arguments."""
    add_json(parser)


def run(call: Invocation) -> int:
    """Print the jobs; exit code 1 if one of them cannot be read."""
    reports = call.reports()
    jobs = reports.jobs()
    if call.arguments.json:
        call.print_json(jobs)
    elif jobs:
        call.print_screen(
            drawn=lambda console: _drawn(console, jobs, call.clock.now()),
            plain=lambda: table(_without_empty_columns([_HEADINGS, *map(_row, jobs)])),
        )
    else:
        call.print_lines([f"There are no jobs in {reports.location}."])
    for job in reports.half_deleted():
        call.note(f"{job} is half deleted: `scrapy resume reset {job} --yes` completes it")
    return call.fail_if_unreadable(jobs)


def _row(job: dict[str, Any]) -> tuple[str, ...]:
    return (
        job_name_of(job),
        job["status"],
        _progress(job),
        _units(job),
        percent(job["success_rate"]),
        str(job["items"]["stored"]) if job["items"] else "-",
        job["updated_at"] or "-",
        _error(job),
        _arguments(job),
    )


def _error(job: dict[str, Any]) -> str:
    """The class of the error that last kept a job from going on. (That of a job which cannot be
    read is on standard error.)"""
    error = job["error"]
    return printable(error["class"]) if isinstance(error, dict) else ""


def _progress(job: dict[str, Any]) -> str:
    """``45.5% (5000/11000)``, as everywhere else."""
    if not job["requests"]:
        return "-"
    progress = progress_of(job)
    if not progress.whole:
        return "-"
    return f"{percent(progress.share)} ({progress.ended}/{progress.whole})"


def _units(job: dict[str, Any]) -> str:
    """``12/522``: of the units that are named; empty if there are none."""
    units = progress_of(job).units if job["requests"] else None
    return "" if units is None else f"{units.ended}/{units.total}"


def _arguments(job: dict[str, Any]) -> str:
    """The spider arguments: what tells the jobs of one spider from one another."""
    pairs = (job["arguments"] or {}).items()
    return printable(" ".join(f"{name}={value}" for name, value in pairs))


def _without_empty_columns(rows: Sequence[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """The rows without the columns of which only the heading is there."""
    filled = [at for at in range(len(rows[0])) if any(row[at] for row in rows[1:])]
    return [tuple(row[at] for at in filled) for row in rows]


def _drawn(
    console: Console, jobs: Sequence[dict[str, Any]], now: float
) -> Iterator[RenderableType]:
    rows = [tuple(_cells(job, now)) for job in jobs]
    columns, *cells = _without_empty_columns([_COLUMNS, *rows])
    yield fitted_table(console, columns, cells, flexible=0)


def _cells(job: dict[str, Any], now: float) -> list[str | Text]:
    name, status, progress, units, success, items, updated, error, arguments = _row(job)
    counts = job["requests"]
    shown_bar: str | Text = ""
    if counts:
        failed = counts["failed"] + counts["parked"]
        whole = progress_of(job).whole
        shown_bar = bar(_BAR_WIDTH, counts["done"], failed, counts["ignored"], whole)
    if job["updated_at"]:
        updated = ago(max(0.0, now - seconds_of(updated)))
    shown_status = text(status, status_style(status))
    return [
        name,
        shown_status,
        shown_bar,
        progress,
        units,
        success,
        items,
        updated,
        error,
        arguments,
    ]
