"""``scrapy resume skip``: never fetches requests, in no later number of the job either."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Final

from scrapy_resume.commands.arguments import add_filters, add_job, add_json
from scrapy_resume.commands.change import BOUNDS, Change, run_change
from scrapy_resume.commands.invocation import Invocation

HELP: Final = "never fetch requests, in no later number of the job either"


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the arguments."""
    add_job(parser)
    add_json(parser)
    add_filters(parser, "skip at most N requests, those that were found first")
    parser.add_argument("--dry-run", action="store_true", help="only list them")


def run(call: Invocation) -> int:
    """Skip all matching requests or, if anything fails, none."""
    from scrapy_resume.steering import skip
    from scrapy_resume.store.transaction.steering import to_skip

    filters = call.filters()
    if not filters.keys() - BOUNDS:
        call.usage_error("give at least one filter")
    change = Change(
        skip,
        to_skip,
        "skipped for good, until 'retry --skipped' takes them",
        frozenset({"pending", "failed", "parked"}),
        remedies=KEPT,
    )
    return run_change(call, change, filters)


KEPT: Final = {
    "done": "done, and kept so (later numbers skip them)",
    "ignored": "ignored anyway",
    "skipped": "skipped already",
    "leased": "in hand (those that are not sent yet are dropped by the crawl)",
}
