"""``scrapy resume recover``: takes back the leases of dead workers now."""

from __future__ import annotations

import logging
from argparse import ArgumentParser
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from scrapy_resume.commands.arguments import add_job, add_json, amount
from scrapy_resume.commands.formats import status_with_reason
from scrapy_resume.commands.invocation import Invocation
from scrapy_resume.commands.writable_store import writable_store
from scrapy_resume.reporting.nouns import nouns_of
from scrapy_resume.wording import counted

if TYPE_CHECKING:
    from scrapy_resume.store.contract import Recovery

HELP: Final = "take back the requests that dead workers have leased"


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the arguments."""
    add_job(parser)
    add_json(parser)
    parser.add_argument(
        "--timeout",
        type=amount,
        metavar="SECONDS",
        help="in a shared store, workers without a heartbeat for so long count as dead and are"
        " fenced (default: their own RESUME_ORPHAN_TIMEOUT)",
    )


def run(call: Invocation) -> int:
    """Recover the job; exit code 0 also if there is nothing to take back."""
    from scrapy_resume.settings.table import parse_setting

    timeout_seconds = call.arguments.timeout
    # The store logs which workers are dead; the command prints them.
    logging.getLogger("scrapy_resume").addHandler(logging.NullHandler())
    reports = call.reports()
    key = call.find_job()
    crash_limit = parse_setting("RESUME_CRASH_LIMIT", call.settings)
    recovery = writable_store(call).recover(key, crash_limit, timeout_seconds)
    answer = reports.job(key)
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
        call.print_lines(_lines(str(key), recovery, answer))
    return 0


def _lines(job: str, recovery: Recovery, answer: dict[str, Any]) -> Iterator[str]:
    noun = nouns_of(answer["kind"]).request
    if recovery.workers:
        parked = f", {recovery.parked} of them parked" if recovery.parked else ""
        dead = ", ".join(recovery.workers)
        taken = f"{counted(recovery.requests, noun)} of {job}"
        verb = "is" if recovery.requests == 1 else "are"
        yield f"{taken} {verb} taken back from {dead}{parked}"
    else:
        yield f"No dead worker holds {noun}s of {job}: it is {status_with_reason(answer)}"
    if recovery.alive:
        yield f"Live workers: {', '.join(recovery.alive)}"
