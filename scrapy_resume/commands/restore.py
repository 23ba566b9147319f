"""``scrapy resume restore``: a job that was backed up is put back."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Final

from scrapy_resume.commands.acting import store_of
from scrapy_resume.commands.call import Call, add_json
from scrapy_resume.commands.outcome import told_status

HELP: Final = "puts a job back that was backed up, never over one that exists"


def add_arguments(parser: ArgumentParser) -> None:
    """The arguments of ``scrapy resume restore``."""
    parser.add_argument("file", metavar="FILE", help="what `scrapy resume backup` has written")
    add_json(parser)


def run(call: Call) -> int:
    """Put the job back under its own name and number: whole, or not at all."""
    key = store_of(call).restore(Path(call.arguments.file))
    answer = call.reports().job(str(key))
    if call.arguments.json:
        document = {
            "job": str(key),
            "file": call.arguments.file,
            "status": answer["status"],
            "requests": answer["requests"],
            "items": answer["items"],
        }
        call.print_json(document)
    else:
        counts = f"{answer['requests']['total']} requests, {answer['items']['stored']} items"
        call.print_lines([f"{key} is restored ({counts}): it is {told_status(answer)}"])
    return 0
