"""``scrapy resume report``: all stages together, as text, JSON or an HTML page."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from pathlib import Path
from typing import Any, Final

from scrapy_resume.commands.call import Call, add_json
from scrapy_resume.commands.newfile import new_file

HELP: Final = "all stages together: progress, success rate, throughput, ETA, failures"

FORMATS: Final = {".txt": "text", ".json": "json", ".html": "html", ".htm": "html"}


def add_arguments(parser: ArgumentParser) -> None:
    """The arguments of ``scrapy resume report``."""
    parser.add_argument(
        "jobs",
        nargs="*",
        metavar="JOB",
        help="name, the latest job of it, or name#number; the latest of each name if left out",
    )
    add_json(parser)
    parser.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        help="write to a file: text, JSON or an HTML page by its name (.txt, .json, .html)",
    )
    parser.add_argument(
        "--overwrite", action="store_true", help="replace FILE if it exists, once all is written"
    )


def run(call: Call) -> int:
    """Print the report, or write it to a file; 1 if a job of it cannot be read."""
    from scrapy_resume.commands import reporttext
    from scrapy_resume.reporting.overview import overview

    target = call.arguments.output
    format_name = None if target is None else _format_of(call, target)
    document = overview(call.reports(), call.arguments.jobs)
    if target is not None and format_name is not None:
        with new_file(target, call.arguments.overwrite) as file:
            for part in _parts(document, format_name):
                file.write(part.encode("utf-8", "backslashreplace"))
        _tell(call, document, target, format_name)
    elif call.arguments.json:
        call.print_json(document)
    else:
        call.print_screen(
            drawn=lambda console: reporttext.drawn(console, document),
            plain=lambda: reporttext.plain(document),
        )
    return call.tell_of_unreadable(document["stages"])


def _format_of(call: Call, target: str) -> str:
    format_name = FORMATS.get(Path(target).suffix.lower())
    if format_name is None:
        call.usage_error(f"{target}: the name has to end with one of {', '.join(FORMATS)}")
    return format_name


def _parts(document: dict[str, Any], format_name: str) -> Any:
    if format_name == "html":
        from scrapy_resume.commands.reportpage import page

        return page(document)
    if format_name == "json":
        return [json.dumps(document, indent=2), "\n"]
    from scrapy_resume.commands.reporttext import plain
    from scrapy_resume.commands.terminal import printable

    return (f"{printable(line)}\n" for line in plain(document))


def _tell(call: Call, document: dict[str, Any], target: str, format_name: str) -> None:
    jobs = [f"{stage['job']}#{stage['number']}" for stage in document["stages"]]
    if call.arguments.json:
        call.print_json({"jobs": jobs, "file": target, "format": format_name})
    else:
        call.print_lines([f"The report of {len(jobs)} jobs is in {target} ({format_name})"])
