"""The screen of one job: what ``status`` shows, on a terminal and in a pipe."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from scrapy_resume.commands import units
from scrapy_resume.commands.call import percent, progress_share
from scrapy_resume.commands.terminal import (
    bar,
    facts_table,
    section,
    sparkline,
    status_style,
    text,
    words,
)
from scrapy_resume.model import LIVE_STATUSES
from scrapy_resume.reporting.forecast import Forecast, outlook, pages_by_minute, whole

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.text import Text

    from scrapy_resume.reporting.reports import Reports


_BAR_WIDTH: Final = 40
_WIDEST_BAR: Final = 72
_SHOWN_IN_FLIGHT: Final = 8
_SHOWN_FAILURES: Final = 5
_SHOWN_MINUTES: Final = 30
_SHOWN_CUSTOM: Final = 12
_LONGEST_MESSAGE: Final = 100


@dataclass(frozen=True)
class StatusScreen:
    """A job's answer, and what the screen shows beside it."""

    answer: dict[str, Any]
    failures: Sequence[dict[str, Any]]
    """Some of the failed and parked requests."""
    paces: Sequence[float]
    """Pages in each of the last minutes; empty unless a run is live."""
    outlook: Forecast

    def heading(self) -> str:
        """The job and its status."""
        return f"{self.answer['job']}#{self.answer['number']}"

    def ended(self) -> int:
        """Requests that are no longer open."""
        counts = self.answer["requests"]
        return int(counts["total"] - counts["pending"] - counts["leased"])

    def facts(self) -> Iterator[tuple[str, str]]:
        """Names and what belongs to them, in order."""
        answer, counts = self.answer, self.answer["requests"]
        yield "requests", _counts(counts, ("done", "failed", "parked", "ignored"))
        yield "open", _counts(counts, ("pending", "delayed", "leased"))
        yield "items", _counts(answer["items"], ("stored", "dropped", "failed"))
        if (by_state := units.summary(answer["units"])) is not None:
            yield "units", by_state
        yield "success", percent(answer["success_rate"])
        yield "rate", _rate(answer)
        if self.paces:
            peak = f"at most {max(self.paces):.0f} pages/min"
            yield "pace", f"{sparkline(self.paces)} {peak} in the last {len(self.paces)} min"
        yield "time", self._time()
        if answer["metadata"]:
            pairs = (f"{key}={value}" for key, value in answer["metadata"].items())
            yield "metadata", ", ".join(pairs)
        if answer["custom"]:
            pairs = (f"{name} {value}" for name, value in answer["custom"].items())
            yield "custom", "  ".join(islice(pairs, _SHOWN_CUSTOM))

    def sections(self) -> Iterator[tuple[str, list[str], str]]:
        """Headings, the lines under them, and the style of those."""
        answer, counts = self.answer, self.answer["requests"]
        if answer["in_flight"]:
            live = answer["status"] in LIVE_STATUSES
            heading = "in flight" if live else "in flight at the end"
            in_flight = answer["in_flight"]
            yield heading, list(_some(in_flight, _SHOWN_IN_FLIGHT, len(in_flight))), ""
        if self.failures:
            troubled = counts["failed"] + counts["parked"]
            lines = list(_some(map(_failure, self.failures), len(self.failures), troubled))
            yield "failures", lines, "red"

    def _time(self) -> str:
        answer = self.answer
        runs = len(answer["runs"])
        line = f"{duration(answer['elapsed_seconds'])} in {runs} run{'' if runs == 1 else 's'}"
        if answer["status"] not in LIVE_STATUSES:
            return line
        return f"{line}, {self._eta()}"

    def _eta(self) -> str:
        soonest, latest = self.outlook
        known = self.answer["eta_seconds"]
        if self.answer["expected_total"]:
            return "no ETA yet" if known is None else f"ETA {duration(known)}"
        if soonest is None:
            if known is None:
                return "no ETA yet"
            return f"ETA {duration(known)} for what is known now"
        if latest is None:
            return f"ETA {duration(soonest)} at least: it finds as much as it fetches"
        if duration(soonest) == duration(latest):
            return f"ETA {duration(soonest)}"
        return f"ETA {duration(soonest)} to {duration(latest)}"


def look(reports: Reports, job: str | None) -> StatusScreen:
    """Ask the store. Raises ``JobNotFoundError`` and ``StoreError``."""
    with reports.together():
        return _look(reports, job)


def _look(reports: Reports, job: str | None) -> StatusScreen:
    answer = reports.job(job)
    name = f"{answer['job']}#{answer['number']}"
    counts = answer["requests"]
    failures: list[dict[str, Any]] = []
    for state in ("failed", "parked"):
        wanted = _SHOWN_FAILURES - len(failures)
        if counts[state] and wanted:
            failures += reports.requests(name, state=state, limit=wanted)
    if answer["status"] not in LIVE_STATUSES:
        return StatusScreen(answer, failures, (), Forecast(None, None))
    now = time.time()
    minutes = reports.minutes(name, since=now - 60 * _SHOWN_MINUTES)
    return StatusScreen(
        answer=answer,
        failures=failures,
        paces=pages_by_minute(minutes, now, _SHOWN_MINUTES),
        outlook=outlook(counts["pending"] + counts["leased"], minutes, now),
    )


def plain(screen: StatusScreen) -> Iterator[str]:
    """The lines of the screen where nobody looks: whole ones, however long."""
    answer = screen.answer
    share = progress_share(answer)
    filled = int(_BAR_WIDTH * (share or 0.0))
    drawn = "#" * filled + "-" * (_BAR_WIDTH - filled)
    yield f"{screen.heading()}  {_status(answer)}"
    yield f"[{drawn}] {percent(share)} ({screen.ended()}/{whole(answer)})"
    yield ""
    yield from (f"{name:<10}{fact}" for name, fact in screen.facts())
    for heading, lines, _ in screen.sections():
        yield ""
        yield heading
        yield from (f"  {line}" for line in lines)


def drawn(console: Console, screen: StatusScreen) -> RenderableType:
    """The screen on a terminal: as wide as that is."""
    from rich.console import Group
    from rich.text import Text

    answer, counts = screen.answer, screen.answer["requests"]
    told = f" {percent(progress_share(answer))} ({screen.ended()}/{whole(answer)})"
    width = max(8, min(console.width - len(told), _WIDEST_BAR))
    failed = counts["failed"] + counts["parked"]
    parts: list[RenderableType] = [
        _title(screen),
        Text.assemble(bar(width, counts["done"], failed, counts["ignored"], whole(answer)), told),
        text(""),
        facts_table(screen.facts()),
    ]
    for heading, lines, style in screen.sections():
        parts += section(heading, lines, style)
    return Group(*parts)


def _title(screen: StatusScreen) -> Text:
    status, _, rest = _status(screen.answer).partition(" ")
    style = status_style(screen.answer["status"])
    return words((screen.heading(), "bold"), ("  ", ""), (status, style), (f" {rest}", "dim"))


def _status(answer: dict[str, Any]) -> str:
    reason = f" ({answer['reason']})" if answer["reason"] else ""
    run = answer["runs"][-1] if answer["runs"] else None
    if run is None:
        return f"{answer['status']}, created {answer['created_at']}"
    if answer["status"] in LIVE_STATUSES:
        live = [run for run in answer["runs"] if run["status"] in LIVE_STATUSES] or [run]
        others = f" and {len(live) - 1} more" if len(live) > 1 else ""
        return f"{answer['status']} since {live[0]['started_at']} as {live[0]['worker']}{others}"
    when = answer["completed_at"] or run["ended_at"] or answer["updated_at"]
    return f"{answer['status']}{reason} at {when}, was {run['worker']}"


def _counts(counts: dict[str, int], names: Sequence[str]) -> str:
    return "  ".join(f"{name} {counts[name]}" for name in names)


def _rate(answer: dict[str, Any]) -> str:
    if answer["pages_per_minute"] is None:
        return "-"
    return f"{answer['pages_per_minute']:.1f} pages/min, {answer['items_per_minute']:.1f} items/min"


def duration(seconds: float) -> str:
    """``3725`` → ``1:02:05``; hours are not turned into days."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}"


def _failure(row: dict[str, Any]) -> str:
    status = f" {row['http_status']}" if row["http_status"] else ""
    message = " ".join((row["error_message"] or "").split())[:_LONGEST_MESSAGE]
    return f"{row['url']}  {row['state']}: {row['error'] or '-'}{status} {message}".rstrip()


def _some(lines: Iterable[str], shown: int, total: int) -> Iterator[str]:
    yield from islice(lines, shown)
    if total > shown:
        yield f"... and {total - shown} more"
