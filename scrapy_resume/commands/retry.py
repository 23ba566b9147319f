"""``scrapy resume retry``: has failed and parked requests fetched again."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Final

from scrapy_resume.commands.arguments import add_filters, add_job, add_json, count, filters_of
from scrapy_resume.commands.invocation import Invocation

HELP: Final = "fetch failed and parked requests again"


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the arguments."""
    add_job(parser)
    add_json(parser)
    add_filters(parser)
    parser.add_argument(
        "--max-attempts", type=count, metavar="N", help="only requests with at most N attempts"
    )
    parser.add_argument("--dry-run", action="store_true", help="only print how many they are")


def run(call: Invocation) -> int:
    """Retry all matching requests or, if anything fails, none."""
    from scrapy_resume.steering import retry

    filters = filters_of(call.arguments)
    if call.arguments.max_attempts is not None:
        filters["max_attempts"] = call.arguments.max_attempts
    return call.change_requests(
        retry, filters, "fetched again: at once if the job is live, otherwise by its next crawl"
    )
