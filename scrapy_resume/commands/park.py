"""``scrapy resume park``: keeps requests from being fetched until they are retried."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Final

from scrapy_resume.commands.arguments import add_filters, add_job, add_json, filters_of
from scrapy_resume.commands.invocation import Invocation

HELP: Final = "keep requests from being fetched until they are retried"


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the arguments."""
    add_job(parser)
    add_json(parser)
    add_filters(parser)
    parser.add_argument("--dry-run", action="store_true", help="only print how many they are")


def run(call: Invocation) -> int:
    """Park all matching requests or, if anything fails, none."""
    from scrapy_resume.steering import park

    filters = filters_of(call.arguments)
    if not filters:
        call.usage_error("give at least one filter")
    return call.change_requests(park, filters, "parked")
