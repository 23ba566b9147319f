"""``scrapy resume status``: one job on one screen."""

from __future__ import annotations

import signal
import sys
from argparse import ArgumentParser
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final

from scrapy_resume.commands.arguments import add_job, add_json
from scrapy_resume.commands.formats import job_name_of, one_line
from scrapy_resume.commands.invocation import Invocation
from scrapy_resume.commands.step_lines import troubled_steps
from scrapy_resume.commands.terminal_output import is_terminal, terminal, text
from scrapy_resume.errors import StoreUnavailableError
from scrapy_resume.reporting.progress import progress_of

if TYPE_CHECKING:
    from scrapy_resume.commands.status_screen import StatusScreen
    from scrapy_resume.model import JobKey
    from scrapy_resume.reporting.reports import Reports

HELP: Final = "show one job on one screen: progress, rates, ETA, requests in flight, failures"

COMPLETED_WITH_FAILURES: Final = 3
NOT_COMPLETED: Final = 4

WATCH_SECONDS: Final = 1.0
"""How often ``--watch`` asks the store."""


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the arguments."""
    add_job(parser)
    add_json(parser)
    parser.add_argument(
        "--watch",
        action="store_true",
        help="refresh every second until the job is no longer live, or Ctrl-C",
    )
    parser.add_argument(
        "--check",
        action="store_true",
        help="exit with 0 if the job is completed without failures, 3 if it is completed with"
        " failed or parked requests or steps, 4 if it is not completed",
    )


def run(call: Invocation) -> int:
    """Print the job's status."""
    arguments = call.arguments
    if arguments.watch and arguments.json:
        call.usage_error("--json prints one document; it cannot be combined with --watch")
    reports = call.reports()
    if arguments.json:
        answer = reports.job(arguments.job)
        call.print_json(answer)
    elif arguments.watch:
        answer = watch(call, reports, call.find_job())
    else:
        answer = show(call, reports, arguments.job)
    return verdict(answer) if arguments.check else 0


def verdict(answer: dict[str, Any]) -> int:
    """The exit code of ``--check``."""
    if answer["status"] != "completed":
        return NOT_COMPLETED
    counts = answer["requests"]
    lost = answer["items"]["failed"] or troubled_steps(answer)
    return COMPLETED_WITH_FAILURES if counts["failed"] or counts["parked"] or lost else 0


def show(call: Invocation, reports: Reports, job: str | None) -> dict[str, Any]:
    """Print the screen once. Returns the document that it shows."""
    from scrapy_resume.commands.status_screen import drawn, look, plain

    screen = look(reports, job)
    if is_terminal():
        console = terminal()
        console.print(drawn(console, screen))
    else:
        call.print_lines(plain(screen))
    return screen.answer


def watch(call: Invocation, reports: Reports, job: JobKey) -> dict[str, Any]:
    """Print the screen every second until the job is no longer live, or until Ctrl-C.

    In a pipe a progress line is printed instead. While the store is unavailable, its error is
    shown and it is asked again. Returns the last document.
    """
    from scrapy_resume.commands.status_screen import look

    screen = look(reports, job)
    with _shown(call) as refresh, _ended_by_signals():
        refresh(screen, None)
        while _is_live(screen):
            call.clock.sleep(WATCH_SECONDS)
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
def _shown(call: Invocation) -> Iterator[Any]:
    """A function that shows a screen, and the error that kept it from being newer."""
    if not is_terminal():

        def print_line(screen: StatusScreen, trouble: str | None) -> None:
            call.print_lines([trouble or line_of(screen)])
            sys.stdout.flush()

        yield print_line
        return
    from rich.console import Group
    from rich.live import Live

    from scrapy_resume.commands.status_screen import drawn

    console = terminal()
    with Live(console=console, auto_refresh=False, redirect_stdout=False) as live:

        def redraw(screen: StatusScreen, trouble: str | None) -> None:
            shown = drawn(console, screen)
            note = [text(""), text(trouble, "red")] if trouble else []
            live.update(Group(shown, *note), refresh=True)

        yield redraw


def line_of(screen: StatusScreen) -> str:
    """The job, its status, and the progress line of the crawl's log."""
    answer = screen.answer
    return f"{job_name_of(answer)} {answer['status']} | {progress_of(answer).line()}"


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    """Ctrl-C and SIGTERM end the block quietly, so that the terminal is restored."""

    def end(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, end)
    try:
        with suppress(KeyboardInterrupt):
            yield
    finally:
        signal.signal(signal.SIGTERM, before)
