"""``scrapy resume park``: keeps requests from being fetched until they are retried."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Final

from scrapy_resume.commands.change import (
    Change,
    add_change_arguments,
    given_filters,
    run_change,
)
from scrapy_resume.commands.invocation import Invocation

HELP: Final = "keep requests from being fetched until they are retried"


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the arguments."""
    add_change_arguments(parser, "park")


def run(call: Invocation) -> int:
    """Park all matching requests or, if anything fails, none."""
    from scrapy_resume.steering import park
    from scrapy_resume.store.transaction.steering import to_park

    filters = given_filters(call)
    change = Change(park, to_park, "parked", frozenset({"pending", "failed"}), remedies={})
    return run_change(call, change, filters)
