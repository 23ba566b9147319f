"""``scrapy resume park``: requests are not fetched until they are retried."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Final

from scrapy_resume.commands.call import Call, add_filters, add_job, add_json, filters_of

HELP: Final = "requests are not fetched until they are retried"


def add_arguments(parser: ArgumentParser) -> None:
    """The arguments of ``scrapy resume park``."""
    add_job(parser)
    add_json(parser)
    add_filters(parser)
    parser.add_argument("--dry-run", action="store_true", help="only say how many they are")


def run(call: Call) -> int:
    """Change the requests that are meant, all of them or, if anything fails, none."""
    from scrapy_resume.steering import park

    filters = filters_of(call.arguments)
    if not filters:
        call.usage_error("which requests? Name at least one filter")
    return call.change(park, filters, "parked")
