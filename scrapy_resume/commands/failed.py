"""``scrapy resume failed``: what has failed, by error."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Iterator
from typing import Any, Final

from scrapy_resume.commands.call import Call, add_job, add_json

HELP: Final = "failures grouped by error, with examples"


def add_arguments(parser: ArgumentParser) -> None:
    """The arguments of ``scrapy resume failed``."""
    add_job(parser)
    add_json(parser)
    parser.add_argument("--unit", metavar="UNIT", help="only what belongs to it")


def run(call: Call) -> int:
    """Print the errors, the most frequent first."""
    reports = call.reports()
    key = reports.find(call.arguments.job)
    groups = reports.failures(str(key), unit=call.arguments.unit)
    if call.arguments.json:
        call.print_json(groups)
    elif groups:
        call.print_lines(_lines(groups))
    else:
        call.print_lines([f"No request of {key} has failed."])
    return 0


def _lines(groups: list[dict[str, Any]]) -> Iterator[str]:
    for group in groups:
        status = f" (HTTP {group['http_status']})" if group["http_status"] else ""
        when = f"{group['first_at']} to {group['last_at']}"
        yield f"{group['count']} x {group['error']}{status}, {when}"
        if group["error_message"]:
            yield f"    {group['error_message'][:200]}"
        for url in group["examples"]:
            yield f"    {url}"
