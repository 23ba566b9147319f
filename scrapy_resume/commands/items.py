"""``scrapy resume items``: lists the stored items of a job, with their pages, units and steps."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Iterator
from itertools import chain
from typing import Any, Final

from scrapy_resume.commands.arguments import add_filters, add_job, add_json
from scrapy_resume.commands.invocation import Invocation
from scrapy_resume.commands.item_table import plain_items, print_items
from scrapy_resume.commands.portions import ROWS_ON_A_TERMINAL, row_limit
from scrapy_resume.commands.step_arguments import (
    add_step_filters,
    step_filters,
    unknown_keys,
    unknown_keys_line,
)
from scrapy_resume.reporting.nouns import nouns_of

HELP: Final = "list stored items, with their pages, units and steps"


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the arguments."""
    add_job(parser)
    add_json(parser)
    add_filters(parser, f"list at most N items (default on a terminal: {ROWS_ON_A_TERMINAL:,})")
    steps = parser.add_argument_group(
        "steps (of items that have steps, with those that are not visible yet)"
    )
    add_step_filters(steps)
    steps.add_argument(
        "--step-state",
        action="append",
        metavar="STATE",
        help="a step (or that of --step) is pending, running, done, failed, parked or skipped;"
        " several with commas",
    )
    parser.add_argument(
        "--urls",
        dest="only_urls",
        action="store_true",
        help="print only the URLs of their pages, each once",
    )


def run(call: Invocation) -> int:
    """Print the items in the order in which they were stored."""
    arguments = call.arguments
    if arguments.only_urls and arguments.json:
        call.usage_error("--urls prints lines: give it without --json")
    if arguments.outdated and arguments.step is None:
        call.usage_error("--outdated needs --step")
    filters = call.filters()
    steps = step_filters(call)
    if arguments.step is not None:
        steps["step"] = arguments.step
    if arguments.step_state:
        steps["step_state"] = [one for text in arguments.step_state for one in text.split(",")]
    limit = filters.pop("limit", None)
    asked = limit if arguments.json or arguments.only_urls else row_limit(limit)
    key = call.find_job()
    rows = call.reports().item_records(key, limit=asked, **steps, **filters)
    try:
        first = next(rows, None)
    except ValueError as error:
        call.usage_error(str(error))
    records = iter(()) if first is None else chain((first,), rows)
    if arguments.json:
        call.print_json_array(plain_items(records))
    elif arguments.only_urls:
        call.print_lines(_urls(records))
    elif first is None:
        call.note("No items match.")
    else:
        nouns = nouns_of(call.reports().summary(key).kind)
        shows_steps = bool(steps) or bool(call.reports().step_names(key))
        print_items(call, records, limit, steps=shows_steps, nouns=nouns)
    return _note_unknown(call, filters, steps)


def _urls(records: Iterator[dict[str, Any]]) -> Iterator[str]:
    """The URLs of pages. Items of one page mostly follow one another; all URLs are held in
    memory."""
    yield from dict.fromkeys(record["url"] for record in records if record["url"])


def _note_unknown(call: Invocation, filters: dict[str, Any], steps: dict[str, Any]) -> int:
    """Returns the exit code: 1 if the step is none of the job's."""
    call.note_unknown(filters)
    if unknown := unknown_keys(call, steps):
        call.note(unknown_keys_line(unknown))
    step = call.arguments.step
    others = None if step is None else call.reports().unknown_step(call.arguments.job, step)
    if others is None:
        return 0
    names = f"there are {', '.join(others)}" if others else "its items have no steps"
    call.note(f"The job has no step {step!r}; {names}")
    return 1 if others else 0
