"""``scrapy resume park``: keeps requests from being fetched until they are retried."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Final

from scrapy_resume.commands.arguments import add_filters, add_job, add_json
from scrapy_resume.commands.change import BOUNDS, Change, run_change
from scrapy_resume.commands.invocation import Invocation

HELP: Final = "keep requests from being fetched until they are retried"


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the arguments."""
    add_job(parser)
    add_json(parser)
    add_filters(parser, "park at most N requests, those that were found first")
    parser.add_argument("--dry-run", action="store_true", help="only list them")


def run(call: Invocation) -> int:
    """Park all matching requests or, if anything fails, none."""
    from scrapy_resume.steering import park
    from scrapy_resume.store.transaction.steering import to_park

    filters = call.filters()
    if not filters.keys() - BOUNDS:
        call.usage_error("give at least one filter")
    change = Change(park, to_park, "parked", frozenset({"pending", "failed"}), remedies={})
    return run_change(call, change, filters)
