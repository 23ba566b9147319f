"""What every subcommand is called with, and how it speaks."""

from __future__ import annotations

import json
import sys
from argparse import Namespace
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NoReturn

from scrapy_resume.commands.terminal import is_terminal, printable, terminal

if TYPE_CHECKING:
    from argparse import ArgumentParser

    from rich.console import Console, RenderableType
    from scrapy.settings import Settings

    from scrapy_resume.reporting.reports import Reports


FILTERS: Final = ("state", "host", "status", "error", "callback", "url", "unit", "partial")


@dataclass(frozen=True)
class Call:
    """One call of a subcommand."""

    arguments: Namespace
    settings: Settings

    def store_location(self) -> str:
        """Where the settings say that jobs are kept. Raises ``ConfigurationError``."""
        from scrapy_resume.settings.location import store_location

        return store_location(self.settings)

    def reports(self) -> Reports:
        """The read side of the store that the settings name. Raises ``ConfigurationError``."""
        from scrapy_resume.reporting.reports import open_store
        from scrapy_resume.settings.table import parse_setting

        codecs = parse_setting("RESUME_CODECS", self.settings)
        return open_store(self.store_location(), codecs=codecs)

    def change(self, change: Callable[..., int], filters: dict[str, Any], what: str) -> int:
        """Change the requests that are meant by a function of ``steering``, and say how many."""
        dry_run = self.arguments.dry_run
        key = self.reports().find(self.arguments.job)
        try:
            count = change(self.store_location(), str(key), dry_run=dry_run, **filters)
        except ValueError as error:
            self.usage_error(str(error))
        if self.arguments.json:
            self.print_json({"job": str(key), "requests": count, "dry_run": dry_run})
        else:
            verb = "would be" if dry_run else "are"
            self.print_lines([f"{count} requests of {key} {verb} {what}"])
        return 0

    def print_json(self, document: Any) -> None:
        """One JSON document on standard output, whatever its encoding."""
        self._print(_as_json(document, indent=2))

    def print_json_array(self, rows: Iterable[Any]) -> None:
        """One JSON array on standard output, an element at a time: there may be very many."""
        opening = "["
        for row in rows:
            self._print(opening + _as_json(row), end="")
            opening = ",\n "
        self._print("]" if opening != "[" else "[]")

    def print_lines(self, lines: Iterable[str]) -> None:
        """Lines for people; what came from the web cannot steer their terminal."""
        encoding = sys.stdout.encoding or "utf-8"
        for line in lines:
            self._print(printable(line).encode(encoding, "backslashreplace").decode(encoding))

    def print_screen(
        self,
        drawn: Callable[[Console], Iterable[RenderableType]],
        plain: Callable[[], Iterable[str]],
    ) -> None:
        """What is ``drawn`` on a terminal of its width, ``plain`` lines anywhere else."""
        if not is_terminal():
            self.print_lines(plain())
            return
        from rich.console import Group

        console = terminal()
        with suppress(BrokenPipeError):
            console.print(Group(*drawn(console)))

    def _print(self, text: str, end: str = "\n") -> None:
        # A reader that leaves early must not change the exit code of `status --check`.
        with suppress(BrokenPipeError):
            print(text, end=end)

    def tell_of_unreadable(self, jobs: Iterable[dict[str, Any]]) -> int:
        """The exit code: 1 if one of the jobs has an ``error``, told on standard error."""
        from scrapy_resume.errors import StoreError

        unreadable = [job["error"] for job in jobs if job.get("error")]
        if not unreadable:
            return 0
        more = f" (and {len(unreadable) - 1} more)" if len(unreadable) > 1 else ""
        print(f"scrapy resume: {one_line(StoreError(unreadable[0] + more))}", file=sys.stderr)
        return 1

    def usage_error(self, message: str) -> NoReturn:
        """Ends the process with exit code 2."""
        self.arguments.usage_error(message)
        raise SystemExit(2)


def _as_json(document: Any, indent: int | None = None) -> str:
    """In ASCII that any terminal shows as it is: JSON does not ask for DEL to be escaped."""
    return json.dumps(document, indent=indent).replace("\x7f", "\\u007f")


def add_job(parser: ArgumentParser) -> None:
    """The argument ``JOB``."""
    parser.add_argument(
        "job",
        nargs="?",
        metavar="JOB",
        help="name, the latest job of it, or name#number; left out if there is just one",
    )


def add_filters(parser: ArgumentParser) -> None:
    """The options that say which requests are meant: those that all of them hold for."""
    filters = parser.add_argument_group("filters")
    filters.add_argument(
        "--state", metavar="STATE", help="pending, leased, done, failed, parked or ignored"
    )
    filters.add_argument("--host", metavar="HOST", help="the host of the URL, without a port")
    filters.add_argument("--status", type=int, metavar="CODE", help="the HTTP status")
    filters.add_argument("--error", metavar="CLASS", help="the class name of the error")
    filters.add_argument("--callback", metavar="NAME", help="the name of the spider's method")
    filters.add_argument("--url", metavar="GLOB", help="* is any text, ? any character")
    filters.add_argument("--unit", metavar="UNIT", help="what the request belongs to")
    filters.add_argument(
        "--partial", action="store_true", help="done, with items that failed in a pipeline"
    )


def filters_of(arguments: Namespace) -> dict[str, Any]:
    """What was given of ``add_filters``, by name."""
    given = {name: getattr(arguments, name) for name in FILTERS}
    given["state"] = given["state"].split(",") if given["state"] else None
    return {name: value for name, value in given.items() if value not in (None, False)}


def add_json(parser: ArgumentParser) -> None:
    """The option ``--json``."""
    parser.add_argument(
        "--json", action="store_true", help="one JSON document on standard output, nothing else"
    )


def table(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Lines with the columns under one another; the last one is as long as it likes."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        yield "  ".join(cells).rstrip()


def one_line(error: Exception) -> str:
    """An error's message as one line that can be printed."""
    text = str(error)
    if isinstance(error, OSError) and error.strerror:
        text = f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return printable(" ".join(text.split()) or type(error).__name__)


def percent(share: float | None) -> str:
    """``0.982`` → ``98.2%``; a dash for ``None``. Only what is whole is 100%."""
    if share is None:
        return "-"
    shown = f"{100 * share:.1f}%"
    return "99.9%" if shown == "100.0%" and share < 1 else shown


def progress_share(answer: dict[str, Any]) -> float | None:
    """What is no longer open, of the pages that are expected, or else of all requests that are
    known; ``None`` without any."""
    counts = answer["requests"]
    if not counts or not counts["total"]:
        return None
    ended: int = counts["total"] - counts["pending"] - counts["leased"]
    return ended / int(max(counts["total"], answer["expected_total"] or 0))
