"""``scrapy resume backup``: a job as one file, while it is crawled or not."""

from __future__ import annotations

import os
from argparse import ArgumentParser
from pathlib import Path
from typing import Final

from scrapy_resume.commands.acting import store_of
from scrapy_resume.commands.call import Call, add_json

HELP: Final = "writes a consistent copy of a job, a live one too, into a file"


def add_arguments(parser: ArgumentParser) -> None:
    """The arguments of ``scrapy resume backup``."""
    parser.add_argument("job", metavar="JOB", help="name, the latest job of it, or name#number")
    parser.add_argument("file", metavar="FILE", help="what to write")
    add_json(parser)
    parser.add_argument("--overwrite", action="store_true", help="replace FILE if it exists")


def run(call: Call) -> int:
    """Write the copy: the whole file or, if anything fails, none of it."""
    target = Path(os.path.realpath(call.arguments.file))
    _refuse_to_spoil(target, call)
    key = call.reports().find(call.arguments.job)
    unfinished = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        store_of(call).backup(key, unfinished)
        _refuse_to_spoil(target, call)
        unfinished.replace(target)
    finally:
        unfinished.unlink(missing_ok=True)
    size = target.stat().st_size
    if call.arguments.json:
        call.print_json({"job": str(key), "file": call.arguments.file, "bytes": size})
    else:
        call.print_lines([f"{key} is copied to {call.arguments.file} ({size:,} bytes)"])
    return 0


def _refuse_to_spoil(target: Path, call: Call) -> None:
    if target.exists() and not (target.is_file() and call.arguments.overwrite):
        raise FileExistsError(f"{call.arguments.file} exists; --overwrite replaces a file")
