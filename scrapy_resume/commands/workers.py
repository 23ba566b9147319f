"""``scrapy resume workers``: who works on a job, and who shows no sign of life."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

from scrapy_resume.commands.arguments import add_job, add_json
from scrapy_resume.commands.formats import duration, table
from scrapy_resume.commands.invocation import Invocation
from scrapy_resume.commands.terminal_output import (
    TROUBLE,
    Column,
    fitted_table,
    section,
    some,
    status_style,
    text,
)
from scrapy_resume.reporting.nouns import Nouns, nouns_of

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.text import Text

HELP: Final = "show who works on a job, since when, the last heartbeat, what is in hand"

SHOWN_IN_HAND: Final = 8
"""URLs, or keys of tasks, of each worker; ``--json`` has all."""

_COLUMNS: Final = (
    Column("WORKER", style="bold"),
    Column("STATUS"),
    Column("RUN", rank=2, right=True),
    Column("SINCE", rank=3),
    Column("HEARTBEAT", right=True),
    Column("IN HAND", right=True),
    Column("PAGES", rank=1, right=True),
    Column("ITEMS", rank=1, right=True),
)


def _columns(nouns: Nouns) -> list[Column]:
    pages = f"{nouns.page}s".upper()
    return [
        column._replace(heading=pages) if column.heading == "PAGES" else column
        for column in _COLUMNS
    ]


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the arguments."""
    add_job(parser)
    add_json(parser)


def run(call: Invocation) -> int:
    """Print the workers that have not ended, by run."""
    reports = call.reports()
    key = call.find_job()
    nouns = nouns_of(reports.summary(key).kind)
    workers = reports.workers(key)
    if call.arguments.json:
        call.print_json(workers)
        return 0
    if workers:
        call.print_screen(
            drawn=lambda console: _drawn(console, workers, nouns),
            plain=lambda: _plain(workers, nouns),
        )
    else:
        status = reports.job(key)["status"]
        call.print_lines([f"Nobody works on {key}, which is {status}."])
    call.print_lines(_remedies(str(key), workers, nouns))
    return 0


def _remedies(job: str, workers: Sequence[dict[str, Any]], nouns: Nouns) -> Iterator[str]:
    statuses = {status_of(worker) for worker in workers}
    if "crashed" in statuses:
        yield (
            f"`scrapy resume recover {job}` takes back what dead workers have in hand; so does the"
            f" next {nouns.crawl} of the job."
        )
    if "stale" in statuses:
        yield (
            "A stale worker's process is there, but shows no sign of life: end it, and run the same"
            " command again."
        )


def status_of(worker: dict[str, Any]) -> str:
    """``running``; ``stale``: alive, without a heartbeat for too long; ``crashed``: dead."""
    if worker["status"] == "running" and worker["stale"]:
        return "stale"
    status: str = worker["status"]
    return status


def _row(worker: dict[str, Any]) -> list[str]:
    return [
        worker["worker"],
        status_of(worker),
        str(worker["run"]),
        worker["started_at"],
        f"{duration(worker['silent_seconds'])} ago",
        str(len(worker["in_hand"])),
        str(worker["pages"]),
        str(worker["items"]),
    ]


def _in_hand(workers: Sequence[dict[str, Any]]) -> Iterator[tuple[str, list[str]]]:
    """(heading, lines) for each worker that has something in hand."""
    for worker in workers:
        urls = worker["in_hand"]
        if urls:
            lines = list(some(urls, SHOWN_IN_HAND, len(urls)))
            yield f"in hand of {worker['worker']}", lines


def _plain(workers: Sequence[dict[str, Any]], nouns: Nouns) -> Iterator[str]:
    yield from table([[column.heading for column in _columns(nouns)], *map(_row, workers)])
    for heading, lines in _in_hand(workers):
        yield ""
        yield heading
        yield from (f"  {line}" for line in lines)


def _drawn(
    console: Console, workers: Sequence[dict[str, Any]], nouns: Nouns
) -> Iterator[RenderableType]:
    rows: list[list[str | Text]] = []
    for worker in workers:
        cells: list[str | Text] = list(_row(worker))
        status = status_of(worker)
        cells[1] = text(status, TROUBLE if worker["stale"] else status_style(status))
        rows.append(cells)
    yield fitted_table(console, _columns(nouns), rows, flexible=0)
    for heading, lines in _in_hand(workers):
        yield from section(heading, lines)
