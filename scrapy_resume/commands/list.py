"""``scrapy resume list``: all jobs."""

from __future__ import annotations

import time
from argparse import ArgumentParser
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from scrapy_resume.commands.call import Call, add_json, percent, progress_share, table
from scrapy_resume.commands.terminal import Column, ago, bar, fitted_table, status_style, text
from scrapy_resume.reporting.forecast import whole

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.text import Text

HELP: Final = "all jobs, the latest first"

_HEADINGS: Final = ("JOB", "STATUS", "PROGRESS", "SUCCESS", "ITEMS", "UPDATED")
_COLUMNS: Final = (
    Column("JOB", style="bold"),
    Column("STATUS"),
    Column("", rank=4),
    Column("PROGRESS", right=True),
    Column("SUCCESS", rank=2, right=True),
    Column("ITEMS", rank=1, right=True),
    Column("UPDATED", rank=3, style="dim"),
)
_BAR_WIDTH: Final = 16


def add_arguments(parser: ArgumentParser) -> None:
    """The arguments of ``scrapy resume list``."""
    add_json(parser)


def run(call: Call) -> int:
    """Print the jobs; 1 if one of them cannot be read (the others are printed all the same)."""
    reports = call.reports()
    jobs = reports.jobs()
    if call.arguments.json:
        call.print_json(jobs)
    elif jobs:
        call.print_screen(
            drawn=lambda console: _drawn(console, jobs),
            plain=lambda: table([_HEADINGS, *map(_row, jobs)]),
        )
    else:
        call.print_lines([f"There are no jobs in {reports.location}."])
    return call.tell_of_unreadable(jobs)


def _row(job: dict[str, Any]) -> tuple[str, ...]:
    return (
        f"{job['job']}#{job['number']}",
        job["status"],
        percent(progress_share(job)),
        percent(job["success_rate"]),
        str(job["items"]["stored"]) if job["items"] else "-",
        job["updated_at"] or "-",
    )


def _drawn(console: Console, jobs: Sequence[dict[str, Any]]) -> Iterator[RenderableType]:
    now = time.time()
    yield fitted_table(console, _COLUMNS, [_cells(job, now) for job in jobs], flexible=0)


def _cells(job: dict[str, Any], now: float) -> list[str | Text]:
    name, status, progress, success, items, updated = _row(job)
    counts = job["requests"]
    shown_bar: str | Text = ""
    if counts:
        failed = counts["failed"] + counts["parked"]
        shown_bar = bar(_BAR_WIDTH, counts["done"], failed, counts["ignored"], whole(job))
    if job["updated_at"]:
        moment = datetime.strptime(f"{updated}+0000", "%Y-%m-%dT%H:%M:%SZ%z").timestamp()
        updated = ago(max(0.0, now - moment))
    return [name, text(status, status_style(status)), shown_bar, progress, success, items, updated]
