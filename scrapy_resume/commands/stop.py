"""``scrapy resume stop``: whoever crawls a job is asked to stop gracefully."""

from __future__ import annotations

import time
from argparse import ArgumentParser
from collections.abc import Collection
from typing import TYPE_CHECKING, Any, Final

from scrapy_resume.commands.acting import store_of
from scrapy_resume.commands.call import Call, add_job, add_json
from scrapy_resume.commands.outcome import fail, told_status
from scrapy_resume.model import LIVE_STATUSES

if TYPE_CHECKING:
    from scrapy_resume.reporting.reports import Reports

HELP: Final = "asks the workers of a job to stop gracefully, and waits for them"

TIMEOUT_SECONDS: Final = 60.0
LOOK_SECONDS: Final = 0.2


def add_arguments(parser: ArgumentParser) -> None:
    """The arguments of ``scrapy resume stop``."""
    add_job(parser)
    add_json(parser)
    parser.add_argument(
        "--timeout",
        type=float,
        default=TIMEOUT_SECONDS,
        metavar="SECONDS",
        help=f"how long to wait for them (default {TIMEOUT_SECONDS:g}; 0: not at all)",
    )


def run(call: Call) -> int:
    """Ask, and wait; 1 if they have not stopped in time (they will, when they are done)."""
    timeout_seconds = call.arguments.timeout
    if not timeout_seconds >= 0:
        call.usage_error("--timeout has to be a number from 0")
    reports = call.reports()
    key = reports.find(call.arguments.job)
    began = time.monotonic()
    asked = store_of(call).stop(key)
    answer, left = _wait(reports, str(key), [run.number for run in asked], timeout_seconds)
    seconds = time.monotonic() - began
    waited = timeout_seconds > 0
    if call.arguments.json:
        document = {
            "job": str(key),
            "asked": [run.worker for run in asked],
            "stopped": not left,
            "status": answer["status"],
            "reason": answer["reason"],
            "seconds": round(seconds, 3),
        }
        call.print_json(document)
    elif not asked:
        call.print_lines([f"{key} is not running: it is {told_status(answer)}"])
    elif not left:
        call.print_lines([f"{key} has stopped after {seconds:.1f} s: it is {told_status(answer)}"])
    elif not waited:
        call.print_lines([f"{', '.join(left)} is asked to stop crawling {key}"])
    if left and waited:
        return fail(
            f"{', '.join(left)} has not stopped crawling {key} in {timeout_seconds:g} s. It was "
            "asked, and ends when what is in flight is done; a second SIGTERM ends it at once"
        )
    return 0


def _wait(
    reports: Reports, job: str, asked: Collection[int], timeout_seconds: float
) -> tuple[dict[str, Any], list[str]]:
    """(the job as it is then, those of the workers that have not stopped)."""
    until = time.monotonic() + timeout_seconds
    while True:
        answer = reports.job(job)
        left = [
            run["worker"]
            for run in answer["runs"]
            if run["number"] in asked and run["status"] in LIVE_STATUSES
        ]
        if not left:
            # The runs are read after the job: it may have ended in between.
            return reports.job(job), left
        if time.monotonic() >= until:
            return answer, left
        time.sleep(LOOK_SECONDS)
