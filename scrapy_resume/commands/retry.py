"""``scrapy resume retry``: has failed and parked requests fetched again."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Final

from scrapy_resume.commands.arguments import add_skipped, count
from scrapy_resume.commands.change import Change, add_change_arguments, run_change
from scrapy_resume.commands.invocation import Invocation
from scrapy_resume.commands.step_arguments import add_step_filters
from scrapy_resume.commands.step_change import StepChange, refuse_step_options, run_step_change

HELP: Final = "fetch failed and parked requests again, or try a step of items again"


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the arguments."""
    add_change_arguments(parser, "retry")
    add_skipped(parser)
    parser.add_argument(
        "--dead",
        action="store_true",
        help="those that have failed in each of RESUME_RETRY_ROUNDS rounds",
    )
    parser.add_argument(
        "--max-attempts", type=count, metavar="N", help="only requests with at most N attempts"
    )
    add_step_filters(
        parser.add_argument_group(
            "steps of items (no page is fetched; --state, --missing and --limit are of steps then)"
        )
    )


def run(call: Invocation) -> int:
    """Retry all matching requests or, if anything fails, none."""
    from scrapy_resume.settings.table import parse_setting
    from scrapy_resume.steering import retry, retry_steps
    from scrapy_resume.store.transaction.steering import to_retry
    from scrapy_resume.store.transaction.step_steering import steps_to_retry

    if call.arguments.step is not None:
        steps = StepChange(retry_steps, steps_to_retry, "tried again", goes_on=True)
        return run_step_change(call, steps)
    refuse_step_options(call)

    filters = call.filters()
    if filters.get("skipped") and filters.get("state"):
        call.usage_error("what was skipped is ignored: give either --skipped or --state")
    if filters.get("dead") and filters.keys() & {"state", "skipped"}:
        call.usage_error("dead letters have failed: give --dead without --state and --skipped")
    filters["rounds"] = parse_setting("RESUME_RETRY_ROUNDS", call.settings)
    if filters.get("dead") and not filters["rounds"]:
        call.usage_error("there are no dead letters: RESUME_RETRY_ROUNDS is 0")
    if call.arguments.max_attempts is not None:
        filters["max_attempts"] = call.arguments.max_attempts
    states = ("ignored",) if filters.get("skipped") else ("failed", "parked")
    if filters.get("partial"):
        states = ("done",)
    change = Change(
        retry,
        to_retry,
        "{fetched} again",
        frozenset(states),
        goes_on=True,
    )
    return run_change(call, change, filters)
