"""Arguments that several subcommands have in common."""

from __future__ import annotations

from argparse import ArgumentParser, ArgumentTypeError, Namespace
from math import isfinite
from typing import Any, Final, Protocol

from scrapy_resume.commands.named_lines import STANDARD_INPUT, UsageError, lines_of

STATES: Final = "pending, leased, done, failed, parked or ignored"
FILES: Final = {"url_file": "urls", "unit_file": "units"}
"""Options that name files → the filters that get their lines."""
FILTERS: Final = (
    "state",
    "host",
    "status",
    "error",
    "callback",
    "url",
    "unit",
    "missing",
    *FILES.values(),
    "partial",
    "skipped",
    "dead",
    "limit",
)
JOB_HELP: Final = "name (its latest job) or name#number"


class Options(Protocol):
    """A parser, or a group of its arguments."""

    def add_argument(self, *names: str, **how: Any) -> Any:
        """As of ``argparse``."""


def add_job(parser: ArgumentParser) -> None:
    """The argument ``JOB``, which may be left out."""
    parser.add_argument(
        "job",
        nargs="?",
        metavar="JOB",
        help=f"{JOB_HELP}; not needed if all jobs have the same name",
    )


def add_filters(parser: ArgumentParser, limit: str) -> None:
    """The options that select requests; a request has to match all of them.

    ``limit``: the help of ``--limit``.
    """
    filters = parser.add_argument_group(
        "filters (a request has to match all that are given; of one that is given twice, either)"
    )
    filters.add_argument(
        "--state",
        action="append",
        metavar="STATE",
        help=f"{STATES}; several separated by commas",
    )
    _add(filters, "--host", "HOST", "host of the URL, without a port")
    filters.add_argument("--status", action="append", type=int, metavar="CODE", help="HTTP status")
    _add(filters, "--error", "CLASS", "class name of the error")
    _add(filters, "--callback", "NAME", "name of the spider's method; of a Rule, its callback's")
    _add(filters, "--url", "GLOB", "URL; * matches any text, ? any one character")
    add_unit_filters(filters)
    filters.add_argument(
        "--url-file", metavar="FILE", help="file of URLs, one in a line; -: standard input"
    )
    _add(filters, "--missing", "FIELD", "a stored item of it lacks the field, or has it empty")
    filters.add_argument(
        "--partial", action="store_true", help="done, but with items that failed in a pipeline"
    )
    filters.add_argument("--limit", type=count, metavar="N", help=limit)


def add_skipped(parser: ArgumentParser) -> None:
    """The option that selects what was skipped for good."""
    parser.add_argument(
        "--skipped", action="store_true", help="requests that 'skip' or RESUME_SKIP has skipped"
    )


def add_unit_filters(parser: Options) -> None:
    """The options that select units."""
    _add(parser, "--unit", "GLOB", "unit that the request belongs to; * and ? as for --url")
    parser.add_argument(
        "--unit-file", metavar="FILE", help="file of units, one in a line; -: standard input"
    )


def _add(parser: Options, name: str, value: str, text: str) -> None:
    parser.add_argument(name, action="append", metavar=value, help=text)


def filters_of(arguments: Namespace) -> dict[str, Any]:
    """The filters that were given, by the names that ``reporting.filters.selection`` has for them.

    Reads the files that they name. Raises ``UsageError``, and ``OSError`` if one cannot be read.
    """
    given = {name: getattr(arguments, name, None) for name in FILTERS}
    if given["state"]:
        given["state"] = [one for text in given["state"] for one in text.split(",")]
    names = {option: getattr(arguments, option, None) for option in FILES}
    if list(names.values()).count(STANDARD_INPUT) > 1:
        raise UsageError("--url-file and --unit-file cannot both be read from standard input")
    for option, name in names.items():
        if name is not None:
            given[FILES[option]] = lines_of(name, f"--{option.replace('_', '-')}")
    return {
        name: value for name, value in given.items() if value is not None and value is not False
    }


def add_json(parser: ArgumentParser) -> None:
    """The option ``--json``."""
    parser.add_argument(
        "--json", action="store_true", help="print one JSON document on standard output"
    )


def add_overwrite(parser: ArgumentParser) -> None:
    """The option ``--overwrite``."""
    parser.add_argument(
        "--overwrite",
        action="store_true",
        help="replace FILE if it exists, once the new content is complete",
    )


def count(text: str) -> int:
    """An argument type: a whole number, 0 or more."""
    if not text.isdecimal():
        raise ArgumentTypeError(f"{text!r} is not a whole number of 0 or more")
    return int(text)


def amount(text: str) -> float:
    """An argument type: a finite number, 0 or more."""
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not (isfinite(number) and number >= 0):
        raise ArgumentTypeError(f"{text!r} is not a number of 0 or more")
    return number
