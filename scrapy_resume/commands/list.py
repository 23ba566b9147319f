"""``scrapy resume list``: all jobs."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from typing import Any, Final

from scrapy_resume.commands.call import Call, add_json, one_line, percent, progress_share, table
from scrapy_resume.errors import StoreError

HELP: Final = "all jobs, the latest first"

_HEADINGS: Final = ("JOB", "STATUS", "PROGRESS", "SUCCESS", "ITEMS", "UPDATED")


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
        call.print_lines(table([_HEADINGS, *map(_row, jobs)]))
    else:
        call.print_lines([f"There are no jobs in {reports.location}."])
    unreadable = [job["error"] for job in jobs if job.get("error")]
    if unreadable:
        more = f" (and {len(unreadable) - 1} more)" if len(unreadable) > 1 else ""
        print(f"scrapy resume: {one_line(StoreError(unreadable[0] + more))}", file=sys.stderr)
    return 1 if unreadable else 0


def _row(job: dict[str, Any]) -> tuple[str, ...]:
    return (
        f"{job['job']}#{job['number']}",
        job["status"],
        percent(progress_share(job)),
        percent(job["success_rate"]),
        str(job["items"]["stored"]) if job["items"] else "-",
        job["updated_at"] or "-",
    )
