"""``scrapy resume backup``: copies a job into one file, also while it is crawled."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Final

from scrapy_resume.commands.arguments import JOB_HELP, add_json, add_overwrite
from scrapy_resume.commands.invocation import Invocation
from scrapy_resume.commands.output_file import output_path
from scrapy_resume.commands.writable_store import writable_store

HELP: Final = "write a consistent copy of a job, live or not, to a file"


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("job", metavar="JOB", help=JOB_HELP)
    parser.add_argument("file", metavar="FILE", help="file to write")
    add_json(parser)
    add_overwrite(parser)


def run(call: Invocation) -> int:
    """Write the copy: the complete file or, if anything fails, none."""
    target = call.arguments.file
    with output_path(call, target) as unfinished:
        key = call.find_job()
        writable_store(call).backup(key, unfinished)
        size = unfinished.stat().st_size
    if call.arguments.json:
        call.print_json({"job": str(key), "file": target, "bytes": size})
    else:
        call.print_lines([f"{key} is copied to {target} ({size:,} bytes)"])
    return 0
