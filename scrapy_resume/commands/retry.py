"""``scrapy resume retry``: failed and parked requests are fetched again."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Final

from scrapy_resume.commands.call import Call, add_filters, add_job, add_json, filters_of

HELP: Final = "failed and parked requests are fetched again"


def add_arguments(parser: ArgumentParser) -> None:
    """The arguments of ``scrapy resume retry``."""
    add_job(parser)
    add_json(parser)
    add_filters(parser)
    parser.add_argument(
        "--max-attempts", type=int, metavar="N", help="only what was tried at most so often"
    )
    parser.add_argument("--dry-run", action="store_true", help="only say how many they are")


def run(call: Call) -> int:
    """Change the requests that are meant, all of them or, if anything fails, none."""
    from scrapy_resume.steering import retry

    filters = filters_of(call.arguments)
    if call.arguments.max_attempts is not None:
        filters["max_attempts"] = call.arguments.max_attempts
    return call.change(retry, filters, "to be fetched again, now if it is being crawled")
