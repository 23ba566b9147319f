"""``scrapy resume requests``: lists the requests of a job that match the filters."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import TYPE_CHECKING, Any, Final

from scrapy_resume.commands import requests_file
from scrapy_resume.commands.arguments import (
    add_filters,
    add_job,
    add_json,
    add_overwrite,
    add_skipped,
)
from scrapy_resume.commands.invocation import Invocation
from scrapy_resume.commands.output_file import output_file
from scrapy_resume.commands.portions import ROWS_ON_A_TERMINAL, row_limit
from scrapy_resume.commands.request_table import print_requests
from scrapy_resume.reporting.nouns import nouns_of
from scrapy_resume.wording import counted

if TYPE_CHECKING:
    from scrapy_resume.model import JobSummary

HELP: Final = "list requests"


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the arguments."""
    add_job(parser)
    add_json(parser)
    add_filters(parser, f"list at most N requests (default on a terminal: {ROWS_ON_A_TERMINAL:,})")
    add_skipped(parser)
    parser.add_argument(
        "-o", "--output", metavar="FILE", help="file to write, .csv, .json or .jsonl"
    )
    add_overwrite(parser)


def run(call: Invocation) -> int:
    """Print the requests in the order in which they were discovered."""
    filters = call.filters()
    if call.arguments.output is not None:
        return _write(call, filters)
    limit = filters.pop("limit", None)
    asked = limit if call.arguments.json else row_limit(limit)
    reports, key = call.reports(), call.find_job()
    nouns = nouns_of(reports.summary(key).kind)
    try:
        rows = reports.requests(key, limit=asked, **filters)
    except ValueError as error:
        call.usage_error(str(error))
    if call.arguments.json:
        call.print_json_array(rows)
    elif not print_requests(call, rows, limit, nouns):
        call.note(f"No {nouns.request}s match.")
    call.note_unknown(filters)
    return 0


def _write(call: Invocation, filters: dict[str, Any]) -> int:
    target = call.arguments.output
    try:
        format_name = requests_file.format_of(target)
        key = call.find_job()
        rows = call.reports().requests(key, **filters)
    except ValueError as error:
        call.usage_error(str(error))
    with output_file(call, target) as file:
        written = requests_file.write(file, format_name, rows)
    if call.arguments.json:
        document = {"job": str(key), "requests": written, "file": target, "format": format_name}
        call.print_json(document)
    else:
        call.print_lines([_written(written, call.reports().summary(key), target, format_name)])
    call.note_unknown(filters)
    return 0


def _written(count: int, job: JobSummary, target: str, format_name: str) -> str:
    verb = "is" if count == 1 else "are"
    some = counted(count, nouns_of(job.kind).request)
    return f"{some} of {job.key} {verb} in {target} ({format_name})"
