"""``scrapy resume verify``: checks the integrity of a job."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Final

from scrapy_resume.commands.arguments import add_job, add_json
from scrapy_resume.commands.formats import one_line
from scrapy_resume.commands.invocation import Invocation
from scrapy_resume.commands.refused_names import refused_names
from scrapy_resume.commands.writable_store import writable_store
from scrapy_resume.errors import StoreDamagedError
from scrapy_resume.wording import counted

HELP: Final = "check that a job is undamaged, consistent, and names only code that is trusted"


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the arguments."""
    add_job(parser)
    add_json(parser)


def run(call: Invocation) -> int:
    """Print a line for each violation; exit code 1 if there is any."""
    key = call.find_job()
    try:
        checks, violations = writable_store(call).verify(key)
        checks, violations = checks + 1, violations + refused_names(call, key)
    except StoreDamagedError as error:
        checks, violations = 1, [one_line(error)]
    if call.arguments.json:
        call.print_json({"job": str(key), "checks": checks, "violations": violations})
    elif violations:
        call.print_lines(violations)
    else:
        call.print_lines([f"{key} is consistent: {checks} checks passed"])
    if violations:
        return call.fail(f"{key} is inconsistent: {counted(len(violations), 'violation')}")
    return 0
