"""``scrapy resume stop``: asks the workers of a job to stop gracefully."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Collection
from typing import TYPE_CHECKING, Any, Final

from scrapy_resume.commands.arguments import add_job, add_json, amount
from scrapy_resume.commands.formats import status_with_reason
from scrapy_resume.commands.invocation import Invocation
from scrapy_resume.commands.writable_store import writable_store
from scrapy_resume.model import LIVE_STATUSES
from scrapy_resume.reporting.nouns import nouns_of

if TYPE_CHECKING:
    from scrapy_resume.model import JobKey

HELP: Final = "ask the workers of a job to stop gracefully, and wait for them"

TIMEOUT_SECONDS: Final = 60.0
POLL_SECONDS: Final = 0.2
"""How often it is checked whether they have stopped."""


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the arguments."""
    add_job(parser)
    add_json(parser)
    parser.add_argument(
        "--timeout",
        type=amount,
        default=TIMEOUT_SECONDS,
        metavar="SECONDS",
        help=f"how long to wait for them (default {TIMEOUT_SECONDS:g}; 0: do not wait)",
    )


def run(call: Invocation) -> int:
    """Ask and wait; exit code 1 if they have not stopped in time (they will stop later)."""
    timeout_seconds = call.arguments.timeout
    key = call.find_job()
    began = call.clock.monotonic()
    asked = writable_store(call).stop(key)
    answer, left = _wait(call, key, [run.number for run in asked])
    seconds = call.clock.monotonic() - began
    waited = timeout_seconds > 0
    nouns = nouns_of(answer["kind"])
    noun, work = nouns.request, nouns.work
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
        call.print_lines([f"{key} is not running: it is {status_with_reason(answer)}"])
    elif not left:
        call.print_lines(
            [f"{key} has stopped after {seconds:.1f} s: it is {status_with_reason(answer)}"]
        )
    elif not waited:
        call.print_lines([f"{', '.join(left)} is asked to stop {work} {key}"])
    if left and waited:
        return call.fail(
            f"{', '.join(left)} has not stopped {work} {key} within {timeout_seconds:g} s. It "
            f"will stop when the {noun}s {nouns.in_flight} are finished; a second SIGTERM ends it "
            "at once"
        )
    return 0


def _wait(
    call: Invocation, key: JobKey, asked: Collection[int]
) -> tuple[dict[str, Any], list[str]]:
    """Wait for the runs that were ``asked`` (by number) to end.

    Returns (the job's document afterwards, workers that have not stopped).
    """
    reports = call.reports()
    deadline = call.clock.monotonic() + call.arguments.timeout
    while True:
        answer = reports.job(key)
        left = [
            run["worker"]
            for run in answer["runs"]
            if run["number"] in asked and run["status"] in LIVE_STATUSES
        ]
        if not left:
            # The document reads the runs after the job, which may have ended in between.
            return reports.job(key), left
        if call.clock.monotonic() >= deadline:
            return answer, left
        call.clock.sleep(POLL_SECONDS)
