"""``scrapy resume report``: all stages side by side, as text, JSON or an HTML page."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from pathlib import Path
from typing import Any, Final

from scrapy_resume.commands.arguments import JOB_HELP, add_json, add_overwrite
from scrapy_resume.commands.formats import job_name_of
from scrapy_resume.commands.invocation import Invocation
from scrapy_resume.commands.output_file import output_file
from scrapy_resume.wording import counted

HELP: Final = "show all stages side by side: progress, success rate, throughput, ETA, failures"

FORMATS: Final = {".txt": "text", ".json": "json", ".html": "html", ".htm": "html"}


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "jobs",
        nargs="*",
        metavar="JOB",
        help=f"{JOB_HELP}; by default the latest job of each name",
    )
    add_json(parser)
    parser.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        help="file to write: text, JSON or an HTML page, by its extension (.txt, .json, .html)",
    )
    add_overwrite(parser)


def run(call: Invocation) -> int:
    """Print the report or write it to a file; exit code 1 if one of its jobs cannot be read."""
    from scrapy_resume.commands import report_text
    from scrapy_resume.reporting.overview import overview
    from scrapy_resume.settings.table import parse_setting

    target = call.arguments.output
    format_name = None if target is None else _format_of(call, target)
    stale_seconds = parse_setting("RESUME_STALE_AFTER", call.settings)
    document = overview(call.reports(), call.arguments.jobs, stale_seconds)
    if target is not None and format_name is not None:
        with output_file(call, target) as file:
            for part in _parts(document, format_name):
                file.write(part.encode("utf-8", "backslashreplace"))
        _confirm(call, document, target, format_name)
    elif call.arguments.json:
        call.print_json(document)
    else:
        call.print_screen(
            drawn=lambda console: report_text.drawn(console, document),
            plain=lambda: report_text.plain(document),
        )
    return call.fail_if_unreadable(document["stages"])


def _format_of(call: Invocation, target: str) -> str:
    format_name = FORMATS.get(Path(target).suffix.lower())
    if format_name is None:
        call.usage_error(f"{target}: the name must end with one of {', '.join(FORMATS)}")
    return format_name


def _parts(document: dict[str, Any], format_name: str) -> Any:
    if format_name == "html":
        from scrapy_resume.commands.report_page import page

        return page(document)
    if format_name == "json":
        return [json.dumps(document, indent=2), "\n"]
    from scrapy_resume.commands.report_text import plain
    from scrapy_resume.commands.terminal_output import printable

    return (f"{printable(line)}\n" for line in plain(document))


def _confirm(call: Invocation, document: dict[str, Any], target: str, format_name: str) -> None:
    jobs = [job_name_of(stage) for stage in document["stages"]]
    if call.arguments.json:
        call.print_json({"jobs": jobs, "file": target, "format": format_name})
    else:
        call.print_lines(
            [f"The report of {counted(len(jobs), 'job')} is in {target} ({format_name})"]
        )
