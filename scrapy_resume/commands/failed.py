"""``scrapy resume failed``: failed requests, grouped by error."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

from scrapy_resume.commands.arguments import add_job, add_json
from scrapy_resume.commands.formats import shortened
from scrapy_resume.commands.invocation import Invocation
from scrapy_resume.commands.step_lines import failure_lines, retry_command
from scrapy_resume.commands.terminal_output import text, words
from scrapy_resume.reporting.nouns import nouns_of
from scrapy_resume.wording import counted, counted_are

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from scrapy_resume.model import JobKey

HELP: Final = "show failed requests, and steps of items, grouped by error, with examples"


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the arguments."""
    add_job(parser)
    add_json(parser)
    parser.add_argument(
        "--unit",
        action="append",
        metavar="GLOB",
        help="only requests of this unit; * and ? as for --url; given twice, of either",
    )


def run(call: Invocation) -> int:
    """Print the errors, the most frequent first."""
    from scrapy_resume.reporting.reports import COUNTED_AT_MOST

    reports = call.reports()
    key = call.find_job()
    job = reports.summary(key)
    noun = nouns_of(job.kind).request
    groups = reports.failures(key, unit=call.arguments.unit)
    if call.arguments.json:
        call.print_json(groups)
    elif groups:
        call.print_screen(
            drawn=lambda console: _drawn(console, groups), plain=lambda: _lines(groups)
        )
    else:
        of_unit = " of that unit" if call.arguments.unit else ""
        call.print_lines([f"No {noun} of {key}{of_unit} has failed."])
    parked = job.counts.parked
    if parked and not (call.arguments.json or call.arguments.unit):
        some = counted_are(parked, noun)
        call.print_lines([f"{some} parked: scrapy resume requests {key} --state parked"])
    if not (call.arguments.json or call.arguments.unit):
        call.print_lines(_failed_steps(key, reports.step_failures(key)))
    failed = sum(group["count"] for group in groups if not group["items_failed"])
    if failed >= COUNTED_AT_MOST:
        call.note(f"Only the {failed:,} failed {noun}s that were discovered last are counted.")
    return 0


def _failed_steps(key: JobKey, groups: Sequence[dict[str, Any]]) -> Iterator[str]:
    """The steps of items that have failed, and what tries them again."""
    for step in dict.fromkeys(group["step"] for group in groups):
        own = [group for group in groups if group["step"] == step]
        count = sum(group["count"] for group in own)
        yield f"{counted(count, 'step')} {step!r} of items failed: {retry_command(key, step)}"
        for group in own:
            yield from (f"    {line}" for line in failure_lines(group))


def _lines(groups: list[dict[str, Any]]) -> Iterator[str]:
    for group in groups:
        status = f" (HTTP {group['http_status']})" if group["http_status"] else ""
        when = f"{group['first_at']} to {group['last_at']}"
        yield f"{group['count']} x {group['error']}{status}{_lost(group)}, {when}"
        if group["error_message"]:
            yield f"    {_message(group)}"
        for url in group["examples"]:
            yield f"    {url}"


def _lost(group: dict[str, Any]) -> str:
    """Of a group of requests that are done: what they lost."""
    lost = group["items_failed"]
    return f": done, {counted(lost, 'item')} lost" if lost else ""


def _message(group: dict[str, Any]) -> str:
    return shortened(group["error_message"], 200)


def _drawn(console: Console, groups: Sequence[dict[str, Any]]) -> Iterator[RenderableType]:
    for group in groups:
        status = f" HTTP {group['http_status']}" if group["http_status"] else ""
        yield words(
            (f"{group['count']:,} x ", "bold"),
            (f"{group['error']}{status}", "bold red"),
            (_lost(group), "red"),
            (f"  {group['first_at']} to {group['last_at']}", "dim"),
        )
        if group["error_message"]:
            yield text(f"  {_message(group)}")
        yield from (text(f"  {url}", "dim") for url in group["examples"])
