"""``scrapy resume restore``: puts a job from a backup back into the store."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Final

from scrapy_resume.commands.arguments import add_json
from scrapy_resume.commands.formats import status_with_reason
from scrapy_resume.commands.invocation import Invocation
from scrapy_resume.commands.refused_names import refused_names
from scrapy_resume.commands.writable_store import writable_store
from scrapy_resume.reporting.nouns import nouns_of
from scrapy_resume.wording import counted

HELP: Final = "restore a job from a backup, never over an existing job"


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("file", metavar="FILE", help="file that `scrapy resume backup` wrote")
    add_json(parser)


def run(call: Invocation) -> int:
    """Restore the job under its own name and number: completely, or not at all. What its crawl
    would refuse to restore is named on standard error."""
    from scrapy_resume.settings.parse_location import check_file_name

    check_file_name(call.arguments.file)
    key = writable_store(call).restore(Path(call.arguments.file))
    answer = call.reports().job(key)
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
        counts = ", ".join(
            (
                counted(answer["requests"]["total"], nouns_of(answer["kind"]).request),
                counted(answer["items"]["stored"], "item"),
            )
        )
        call.print_lines([f"{key} is restored ({counts}): it is {status_with_reason(answer)}"])
    for sentence in refused_names(call, key):
        call.note(f"scrapy resume: {sentence}")
    return 0
