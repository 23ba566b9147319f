"""Arguments that several subcommands have in common."""

from __future__ import annotations

from argparse import ArgumentParser, ArgumentTypeError, Namespace
from math import isfinite
from typing import Any, Final

FILTERS: Final = ("state", "host", "status", "error", "callback", "url", "unit", "partial")
JOB_HELP: Final = "name (its latest job) or name#number"


def add_job(parser: ArgumentParser) -> None:
    """The argument ``JOB``, which may be left out."""
    parser.add_argument(
        "job",
        nargs="?",
        metavar="JOB",
        help=f"{JOB_HELP}; not needed if all jobs have the same name",
    )


def add_filters(parser: ArgumentParser) -> None:
    """The options that select requests; a request has to match all of them."""
    filters = parser.add_argument_group("filters (a request has to match all that are given)")
    filters.add_argument(
        "--state",
        metavar="STATE",
        help="pending, leased, done, failed, parked or ignored; several separated by commas",
    )
    filters.add_argument("--host", metavar="HOST", help="host of the URL, without a port")
    filters.add_argument("--status", type=int, metavar="CODE", help="HTTP status")
    filters.add_argument("--error", metavar="CLASS", help="class name of the error")
    filters.add_argument("--callback", metavar="NAME", help="name of the spider's method")
    filters.add_argument(
        "--url", metavar="GLOB", help="URL; * matches any text, ? any one character"
    )
    filters.add_argument("--unit", metavar="UNIT", help="unit that the request belongs to")
    filters.add_argument(
        "--partial", action="store_true", help="done, but with items that failed in a pipeline"
    )


def filters_of(arguments: Namespace) -> dict[str, Any]:
    """The options of ``add_filters`` that were given, by name."""
    given = {name: getattr(arguments, name) for name in FILTERS}
    given["state"] = given["state"].split(",") if given["state"] else None
    return {name: value for name, value in given.items() if value not in (None, False)}


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
