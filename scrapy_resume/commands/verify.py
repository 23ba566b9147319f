"""``scrapy resume verify``: whether all that should hold of a job holds."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Final

from scrapy_resume.commands.acting import store_of
from scrapy_resume.commands.call import Call, add_job, add_json, one_line
from scrapy_resume.commands.outcome import fail
from scrapy_resume.errors import StoreDamagedError

HELP: Final = "checks that a job is whole, and that its parts fit one another"


def add_arguments(parser: ArgumentParser) -> None:
    """The arguments of ``scrapy resume verify``."""
    add_job(parser)
    add_json(parser)


def run(call: Call) -> int:
    """A line for each thing that does not hold, and 1 if there is any."""
    key = call.reports().find(call.arguments.job)
    try:
        checks, violations = store_of(call).verify(key)
    except StoreDamagedError as error:
        checks, violations = 1, [one_line(error)]
    if call.arguments.json:
        call.print_json({"job": str(key), "checks": checks, "violations": violations})
    elif violations:
        call.print_lines(violations)
    else:
        call.print_lines([f"{key} is whole: {checks} checks hold"])
    if violations:
        things = "1 thing does" if len(violations) == 1 else f"{len(violations)} things do"
        return fail(f"{things} not hold of {key}")
    return 0
