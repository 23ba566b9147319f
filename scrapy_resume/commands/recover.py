"""``scrapy resume recover``: what dead workers hold is taken back now."""

from __future__ import annotations

import logging
from argparse import ArgumentParser
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from scrapy_resume.commands.acting import store_of
from scrapy_resume.commands.call import Call, add_job, add_json
from scrapy_resume.commands.outcome import told_status

if TYPE_CHECKING:
    from scrapy_resume.store.contract import Recovery

HELP: Final = "takes back now what dead workers hold"


def add_arguments(parser: ArgumentParser) -> None:
    """The arguments of ``scrapy resume recover``."""
    add_job(parser)
    add_json(parser)
    parser.add_argument(
        "--timeout",
        type=float,
        metavar="SECONDS",
        help="shared stores: workers that were silent for longer are fenced as dead (default:"
        " their own RESUME_ORPHAN_TIMEOUT)",
    )


def run(call: Call) -> int:
    """Recover the job; nothing to take back is no failure."""
    from scrapy_resume.settings.table import parse_setting

    timeout_seconds = call.arguments.timeout
    if timeout_seconds is not None and not timeout_seconds >= 0:
        call.usage_error("--timeout has to be a number from 0")
    # The store logs whom it takes for dead; here that is the answer, on standard output.
    logging.getLogger("scrapy_resume").addHandler(logging.NullHandler())
    reports = call.reports()
    key = reports.find(call.arguments.job)
    crash_limit = parse_setting("RESUME_CRASH_LIMIT", call.settings)
    recovery = store_of(call).recover(key, crash_limit, timeout_seconds)
    answer = reports.job(str(key))
    if call.arguments.json:
        document = {
            "job": str(key),
            "workers": list(recovery.workers),
            "requests": recovery.requests,
            "parked": recovery.parked,
            "alive": list(recovery.alive),
            "status": answer["status"],
        }
        call.print_json(document)
    else:
        call.print_lines(_told(str(key), recovery, answer))
    return 0


def _told(job: str, recovery: Recovery, answer: dict[str, Any]) -> Iterator[str]:
    if recovery.workers:
        parked = f", {recovery.parked} of them parked" if recovery.parked else ""
        dead = ", ".join(recovery.workers)
        yield f"{recovery.requests} requests of {job} are taken back from {dead}{parked}"
    else:
        yield f"Nothing of {job} is held by dead workers: it is {told_status(answer)}"
    if recovery.alive:
        yield f"{', '.join(recovery.alive)} crawls it"
