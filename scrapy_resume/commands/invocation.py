"""One invocation of a subcommand: its arguments, the store that it asks, and its output."""

from __future__ import annotations

import json
import sys
import time
from argparse import Namespace
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NoReturn

from scrapy_resume.commands.arguments import filters_of
from scrapy_resume.commands.formats import one_line
from scrapy_resume.commands.terminal_output import is_terminal, printable, terminal
from scrapy_resume.reporting import times
from scrapy_resume.stderr import tell

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from scrapy.settings import Settings

    from scrapy_resume.model import JobKey
    from scrapy_resume.reporting.reports import Reports
    from scrapy_resume.settings.parse_location import StoreLocation


SHOWN: Final = 5
"""Lines that match nothing and are named."""


@dataclass(frozen=True)
class Clock:
    """The time, as subcommands know it; tests hand in another one."""

    now: Callable[[], float] = times.now
    """Seconds since the epoch."""
    monotonic: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    """Waits so many seconds."""


@dataclass(frozen=True)
class Invocation:
    """One invocation of a subcommand."""

    arguments: Namespace
    settings: Settings
    clock: Clock = field(default_factory=Clock)

    def store_location(self) -> StoreLocation:
        """The directory or URL that RESUME_STORE names. Raises ``ConfigurationError``."""
        from scrapy_resume.settings.location import store_location

        return store_location(self.settings)

    def reports(self) -> Reports:
        """The read side of the store that RESUME_STORE names. Raises ``ConfigurationError``."""
        from scrapy_resume.reporting.reports import open_store
        from scrapy_resume.settings.table import parse_setting
        from scrapy_resume.settings.trusted import trusted_packages

        codecs = parse_setting("RESUME_CODECS", self.settings)
        trusted = trusted_packages(self.settings)
        renamed = parse_setting("RESUME_RENAMED", self.settings)
        return open_store(self.store_location(), codecs, self.clock.now, trusted, renamed)

    def find_job(self) -> JobKey:
        """The job that the argument ``JOB`` names. Raises ``JobNotFoundError``."""
        return self.reports().find(self.arguments.job)

    def filters(self) -> dict[str, Any]:
        """The filters that were given, as keywords of ``reporting.filters.selection``.

        Ends the process with exit code 2 if they cannot be meant so. Raises ``OSError``.
        """
        try:
            filters = filters_of(self.arguments)
            if "urls" in filters:
                from scrapy_resume.reporting.filters import named_url

                filters["urls"] = [named_url(line) for line in filters["urls"]]
        except ValueError as error:
            self.usage_error(str(error))
        return filters

    def unknown_names(self, filters: Mapping[str, Any]) -> list[str]:
        """Those of the lines of ``--url-file`` and ``--unit-file`` that match nothing."""
        named = {name: filters[name] for name in ("urls", "units") if name in filters}
        return self.reports().unknown_names(self.arguments.job, **named) if named else []

    def note_unknown(self, filters: Mapping[str, Any]) -> None:
        """Say which lines of ``--url-file`` and ``--unit-file`` match nothing."""
        if unknown := self.unknown_names(filters):
            self.note(unknown_line(unknown))

    def print_json(self, document: Any) -> None:
        """Print one JSON document on standard output, whatever its encoding."""
        self._print(_as_json(document, indent=2))

    def print_json_array(self, rows: Iterable[Any]) -> None:
        """Print one JSON array, element by element: there may be very many."""
        opening = "["
        for row in rows:
            self._print(opening + _as_json(row), end="")
            opening = ",\n "
        self._print("]" if opening != "[" else "[]")

    def print_json_line(self, document: Any) -> None:
        """Print one JSON document in one line."""
        self._print(_as_json(document))

    def print_lines(self, lines: Iterable[str]) -> None:
        """Print lines for people; control characters from the web are escaped, and passwords in
        URLs are masked."""
        encoding = sys.stdout.encoding or "utf-8"
        for line in lines:
            self._print(printable(line).encode(encoding, "backslashreplace").decode(encoding))

    def print_screen(
        self,
        drawn: Callable[[Console], Iterable[RenderableType]],
        plain: Callable[[], Iterable[str]],
    ) -> None:
        """Print what is ``drawn`` if standard output is a terminal, otherwise ``plain`` lines."""
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

    def note(self, message: str) -> None:
        """Print one line beside the output, on standard error."""
        tell(printable(" ".join(message.split())))

    def fail(self, message: str) -> int:
        """Print one line on standard error. Returns the exit code of a failure."""
        self.note(f"scrapy resume: {message}")
        return 1

    def fail_if_unreadable(self, jobs: Iterable[dict[str, Any]]) -> int:
        """Returns the exit code: 1 if one of the documents is of a job that cannot be read: its
        ``error`` is a text, which is printed."""
        from scrapy_resume.errors import StoreError

        unreadable = [job["error"] for job in jobs if isinstance(job["error"], str)]
        if not unreadable:
            return 0
        more = f" (and {len(unreadable) - 1} more)" if len(unreadable) > 1 else ""
        return self.fail(one_line(StoreError(unreadable[0] + more)))

    def usage_error(self, message: str) -> NoReturn:
        """Print the usage and the message, and end the process with exit code 2."""
        self.arguments.usage_error(printable(message))
        raise SystemExit(2)


def unknown_line(unknown: Sequence[str]) -> str:
    """Says which lines of a file match nothing; of many, the first."""
    more = f" and {len(unknown) - SHOWN:,} more" if len(unknown) > SHOWN else ""
    lines = "1 line matches" if len(unknown) == 1 else f"{len(unknown):,} lines match"
    return f"{lines} no request of the job: {', '.join(unknown[:SHOWN])}{more}"


def _as_json(document: Any, indent: int | None = None) -> str:
    """JSON in printable ASCII: ``json`` does not escape DEL."""
    return json.dumps(document, indent=indent).replace("\x7f", "\\u007f")
