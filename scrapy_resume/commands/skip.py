"""``scrapy resume skip``: never fetches requests, in no later number of the job either."""

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
from scrapy_resume.commands.step_arguments import add_step_filters
from scrapy_resume.commands.step_change import StepChange, refuse_step_options, run_step_change

HELP: Final = "never fetch requests, in no later number of the job either"


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the arguments."""
    add_change_arguments(parser, "skip")
    add_step_filters(
        parser.add_argument_group(
            "steps of items (failed and parked ones are given up; --state, --missing and --limit"
            " are of steps then)"
        )
    )


def run(call: Invocation) -> int:
    """Skip all matching requests or, if anything fails, none."""
    from scrapy_resume.steering import skip, skip_steps
    from scrapy_resume.store.transaction.steering import to_skip
    from scrapy_resume.store.transaction.step_steering import steps_to_skip

    if call.arguments.step is not None:
        return run_step_change(call, StepChange(skip_steps, steps_to_skip, "given up"))
    refuse_step_options(call)
    filters = given_filters(call)
    change = Change(
        skip,
        to_skip,
        "skipped for good, until 'retry --skipped' undoes it",
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
