"""The report in words: for a terminal, a pipe, a text file, and what the HTML page shares."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from scrapy_resume.commands.call import percent, table
from scrapy_resume.commands.terminal import Column, bar, fitted_table, status_style, text
from scrapy_resume.commands.units import summary
from scrapy_resume.reporting.forecast import whole

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.text import Text

Stage = Mapping[str, Any]

_COLUMNS: Final = (
    Column("JOB", style="bold"),
    Column("STATUS"),
    Column("", rank=6),
    Column("PROGRESS", right=True),
    Column("SUCCESS", rank=2, right=True),
    Column("ITEMS", rank=1, right=True),
    Column("FAILED", rank=3, right=True),
    Column("PAGES/MIN", rank=4, right=True),
    Column("ETA", rank=5),
)
_BAR: Final = 2
"""Which of the columns only a terminal has."""
_BAR_WIDTH: Final = 12


def plain(document: Mapping[str, Any]) -> Iterator[str]:
    """The lines of the report."""
    stages = document["stages"]
    yield f"{document['generated_at']}  {document['store']}"
    yield _summary(document["total"])
    yield ""
    headings = [column.heading for column in _COLUMNS]
    rows = [headings, *([str(cell) for cell in _row(stage)] for stage in stages)]
    yield from table([[*row[:_BAR], *row[_BAR + 1 :]] for row in rows])
    yield from _units(stages)
    yield from _remarks(stages)


def drawn(console: Console, document: Mapping[str, Any]) -> Iterator[RenderableType]:
    """The report on a terminal."""
    stages = document["stages"]
    yield text(_summary(document["total"]), "bold")
    yield text("")
    yield fitted_table(console, _COLUMNS, [_cells(stage) for stage in stages], flexible=0)
    yield from map(text, _units(stages))
    yield from (text(line, "yellow" if line else "") for line in _remarks(stages))


def _summary(total: Mapping[str, Any]) -> str:
    requests = total["requests"]
    ended = requests["total"] - requests["pending"] - requests["leased"]
    return (
        f"{total['jobs']} jobs, {total['running']} running, {total['completed']} completed;"
        f" {number(ended)} of {number(requests['total'])} requests ended,"
        f" success {percent(total['success_rate'])}, {number(total['items'])} items"
    )


def _row(stage: Stage) -> list[str]:
    name = f"{stage['job']}#{stage['number']}"
    counts = stage["requests"]
    if counts is None:
        return [name, stage["status"], "", *["-"] * (len(_COLUMNS) - 3)]
    return [
        name,
        stage["status"],
        "",
        percent(stage["progress"]),
        percent(stage["success_rate"]),
        number(stage["items"]["stored"]),
        number(counts["failed"] + counts["parked"]),
        rate(stage["pages_per_minute"]),
        eta(stage),
    ]


def _cells(stage: Stage) -> list[str | Text]:
    cells: list[str | Text] = list(_row(stage))
    cells[1] = text(stage["status"], status_style(stage["status"]))
    counts = stage["requests"]
    if counts is not None:
        failed = counts["failed"] + counts["parked"]
        cells[_BAR] = bar(_BAR_WIDTH, counts["done"], failed, counts["ignored"], whole(stage))
    return cells


def _units(stages: Sequence[Stage]) -> Iterator[str]:
    """How the units of those stages stand that have several."""
    shown = [(stage, summary(stage["units"])) for stage in stages]
    lines = [
        f"{stage['job']}#{stage['number']}: units  {counts}" for stage, counts in shown if counts
    ]
    yield from ["", *lines] if lines else []


def _remarks(stages: Sequence[Stage]) -> Iterator[str]:
    """What needs a look, and the most frequent errors."""
    for stage in stages:
        lines = [trouble_of(stage)] if trouble_of(stage) else []
        for group in stage["failures"][:3]:
            status = f" HTTP {group['http_status']}" if group["http_status"] else ""
            message = " ".join((group["error_message"] or "").split())[:80]
            lines.append(f"{number(group['count'])} x {group['error']}{status} {message}".rstrip())
        if lines:
            yield ""
            yield from (f"{stage['job']}#{stage['number']}: {line}" for line in lines)


def trouble_of(stage: Stage) -> str:
    """Why the stage needs a look; empty if it does not."""
    if stage["error"]:
        return str(stage["error"])
    if stage["stale"]:
        return f"stale: no progress since {stage['progressed_at']}"
    return ""


def number(amount: float) -> str:
    """``12000`` → ``12,000``."""
    return f"{amount:,.0f}"


def rate(a_minute: float | None) -> str:
    """A rate with as many digits as tell something; a dash for ``None``."""
    if a_minute is None:
        return "-"
    return f"{a_minute:,.0f}" if a_minute >= 100 else f"{a_minute:.1f}"


def eta(stage: Stage) -> str:
    """When it may end: a range, a lower bound, or a dash."""
    soonest, latest = stage["soonest_seconds"], stage["latest_seconds"]
    if soonest is None:
        known = stage["eta_seconds"]
        return duration(known) if known else "-"
    if latest is None:
        return f"over {duration(soonest)}"
    first, last = duration(soonest), duration(latest)
    return first if first == last else f"{first} to {last}"


def duration(seconds: float) -> str:
    """``3725`` → ``1 h 2 min``: as exact as it matters."""
    minutes = round(seconds / 60)
    if seconds < 60:
        return f"{seconds:.0f} s"
    hours, minutes = divmod(minutes, 60)
    if hours >= 48:
        return f"{hours // 24} d {hours % 24} h"
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"
