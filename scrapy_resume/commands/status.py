"""``scrapy resume status``: one job on one screen."""

from __future__ import annotations

import signal
import sys
import time
from argparse import ArgumentParser
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final

from scrapy_resume.commands.call import Call, add_job, add_json, one_line, percent, progress_share
from scrapy_resume.commands.terminal import is_terminal, terminal, text
from scrapy_resume.errors import StoreUnavailableError
from scrapy_resume.reporting.forecast import whole

if TYPE_CHECKING:
    from scrapy_resume.commands.statusscreen import StatusScreen
    from scrapy_resume.reporting.reports import Reports

HELP: Final = "one job on one screen: progress, rates, what is in flight, failures"

COMPLETED_WITH_FAILURES: Final = 3
NOT_COMPLETED: Final = 4

WATCH_SECONDS: Final = 1.0
"""Between two looks."""


def add_arguments(parser: ArgumentParser) -> None:
    """The arguments of ``scrapy resume status``."""
    add_job(parser)
    add_json(parser)
    parser.add_argument(
        "--watch",
        action="store_true",
        help="look again every second, until nobody crawls the job any more, or Ctrl-C",
    )
    parser.add_argument(
        "--check",
        action="store_true",
        help="exit with 0 if completed without failures, 3 if completed with failed or parked"
        " requests, 4 if not completed",
    )


def run(call: Call) -> int:
    """Print the job's status."""
    arguments = call.arguments
    if arguments.watch and arguments.json:
        call.usage_error("--json is one document: leave --watch out")
    reports = call.reports()
    if arguments.json:
        answer = reports.job(arguments.job)
        call.print_json(answer)
    elif arguments.watch:
        answer = watch(call, reports, str(reports.find(arguments.job)))
    else:
        answer = show(call, reports, arguments.job)
    return verdict(answer) if arguments.check else 0


def verdict(answer: dict[str, Any]) -> int:
    """The exit code of ``--check``."""
    if answer["status"] != "completed":
        return NOT_COMPLETED
    counts = answer["requests"]
    return COMPLETED_WITH_FAILURES if counts["failed"] or counts["parked"] else 0


def show(call: Call, reports: Reports, job: str | None) -> dict[str, Any]:
    """Print the screen once; returns the answer that it shows."""
    from scrapy_resume.commands.statusscreen import drawn, look, plain

    screen = look(reports, job)
    if is_terminal():
        console = terminal()
        console.print(drawn(console, screen))
    else:
        call.print_lines(plain(screen))
    return screen.answer


def watch(call: Call, reports: Reports, job: str) -> dict[str, Any]:
    """Print the screen anew until nobody crawls the job, or until Ctrl-C.

    In a pipe it is one line each time. A store that is out for now is asked again.
    """
    from scrapy_resume.commands.statusscreen import look

    screen = look(reports, job)
    with _shown(call) as refresh, _ended_by_signals():
        refresh(screen, None)
        while _is_live(screen):
            time.sleep(WATCH_SECONDS)
            trouble = None
            try:
                screen = look(reports, job)
            except StoreUnavailableError as error:
                trouble = one_line(error)
            refresh(screen, trouble)
    return screen.answer


def _is_live(screen: StatusScreen) -> bool:
    from scrapy_resume.model import LIVE_STATUSES

    return screen.answer["status"] in LIVE_STATUSES


@contextmanager
def _shown(call: Call) -> Iterator[Any]:
    """How a screen, and the trouble that kept it from being newer, is shown."""
    if not is_terminal():

        def print_line(screen: StatusScreen, trouble: str | None) -> None:
            call.print_lines([trouble or line_of(screen)])
            sys.stdout.flush()

        yield print_line
        return
    from rich.console import Group
    from rich.live import Live

    from scrapy_resume.commands.statusscreen import drawn

    console = terminal()
    with Live(console=console, auto_refresh=False, redirect_stdout=False) as live:

        def redraw(screen: StatusScreen, trouble: str | None) -> None:
            shown = drawn(console, screen)
            note = [text(""), text(trouble, "red")] if trouble else []
            live.update(Group(shown, *note), refresh=True)

        yield redraw


def line_of(screen: StatusScreen) -> str:
    """The screen in one line, in the form of the crawl's own log."""
    answer = screen.answer
    rate = answer["items_per_minute"]
    eta = answer["eta_seconds"]
    return " | ".join(
        (
            f"{screen.heading()} {answer['status']}",
            f"{percent(progress_share(answer))} ({screen.ended()}/{whole(answer)})",
            f"success {percent(answer['success_rate'])}",
            f"{(rate or 0.0) / 60:.1f} items/s",
            f"ETA {'unknown' if eta is None else f'{eta / 60:.1f} min'}",
        )
    )


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    """Ctrl-C, and SIGTERM, end what is within, and nothing else: the terminal is left in order."""

    def end(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, end)
    try:
        with suppress(KeyboardInterrupt):
            yield
    finally:
        signal.signal(signal.SIGTERM, before)
