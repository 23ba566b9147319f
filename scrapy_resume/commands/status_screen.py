"""The screen that ``status`` shows for one job, on a terminal and in a pipe."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from scrapy_resume.commands import units
from scrapy_resume.commands.formats import (
    duration,
    error_of,
    job_name_of,
    number,
    shortened,
    status_with_reason,
)
from scrapy_resume.commands.step_lines import (
    counts_line,
    failure_line,
    retry_command,
    troubled_steps,
)
from scrapy_resume.commands.terminal_output import (
    bar,
    facts_table,
    section,
    some,
    sparkline,
    status_style,
    text,
    words,
)
from scrapy_resume.model import LIVE_STATUSES, JobKey
from scrapy_resume.reporting.documents import shown_custom
from scrapy_resume.reporting.forecast import (
    UNKNOWN,
    Forecast,
    forecast_of,
    pages_by_minute,
    shows_present_minute,
)
from scrapy_resume.reporting.job_error import error_line, way_out_of
from scrapy_resume.reporting.nouns import Nouns, nouns_of
from scrapy_resume.reporting.progress import percent, progress_of
from scrapy_resume.wording import counted

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.text import Text

    from scrapy_resume.reporting.reports import Reports
    from scrapy_resume.reporting.unit_progress import UnitProgress


_BAR_WIDTH: Final = 40
_WIDEST_BAR: Final = 72
_SHOWN_IN_FLIGHT: Final = 8
_SHOWN_FAILURES: Final = 5
_SHOWN_MINUTES: Final = 30
_SHOWN_CUSTOM: Final = 12
_SHOWN_HELD: Final = 8
_LONGEST_MESSAGE: Final = 100


@dataclass(frozen=True)
class StatusScreen:
    """What the screen shows."""

    answer: dict[str, Any]
    """The job's document of ``status --json``."""
    failures: Sequence[dict[str, Any]]
    """Some of the failed and parked requests."""
    lost: Sequence[dict[str, Any]]
    """What requests that are done have lost, by error: groups of ``failed --json``."""
    pages_by_minute: Sequence[float]
    """Pages in each of the last minutes; empty unless a run is live."""
    forecast: Forecast
    scaled: bool = False
    """The last of those minutes has not passed yet: its pages are scaled up to a whole one."""
    skipped: int = 0
    """Requests that are skipped for good."""
    step_failures: Sequence[dict[str, Any]] = ()
    """Failed and parked steps of items, by error."""

    def facts(self) -> Iterator[tuple[str, str]]:
        """Labels and what they stand for, in order."""
        answer, counts, nouns = self.answer, self.answer["requests"], self._nouns
        ended = _counts(counts, ("done", "failed", "parked", "ignored"))
        skipped = f"  ({number(self.skipped)} skipped for good)" if self.skipped else ""
        yield f"{nouns.request}s", ended + skipped
        yield "open", _counts(counts, ("pending", "delayed", "leased"))
        yield "items", _counts(answer["items"], ("stored", "dropped", "failed"))
        for place, (name, steps) in enumerate(answer["steps"].items()):
            yield "" if place else "steps", f"{name}: {counts_line(steps)}"
        if (by_state := units.summary(answer)) is not None:
            yield "units", by_state
        yield "success", percent(answer["success_rate"])
        yield "rate", _rate(answer)
        if self.pages_by_minute:
            peak, span = max(self.pages_by_minute), len(self.pages_by_minute)
            spark = sparkline(self.pages_by_minute)
            scaled = ", the last one scaled up" if self.scaled else ""
            pace = f"{spark} at most {peak:.0f} {nouns.page}s/min in the last {span} min{scaled}"
            yield "pace", pace
        yield "time", self._time()
        if self.forecast.soonest is not None and self.forecast.latest is None:
            found = f"it discovers {nouns.request}s as fast as it ends them"
            yield "outlook", f"no end in sight: {found}"
        if answer["metadata"]:
            pairs = (f"{key}={value}" for key, value in answer["metadata"].items())
            yield "metadata", ", ".join(pairs)
        if answer["custom"]:
            figures = shown_custom(answer["custom"], answer["custom_shares"])
            pairs = (f"{name} {figure}" for name, figure in figures)
            yield "custom", "  ".join(islice(pairs, _SHOWN_CUSTOM))

    def sections(self) -> Iterator[tuple[str, list[str], str]]:
        """(heading, lines, style of the lines) of each section below the facts."""
        answer, counts, nouns = self.answer, self.answer["requests"], self._nouns
        if answer["error"]:
            yield "error", [error_line(answer["error"])], "red"
        if answer["undelivered"]:
            undelivered = answer["undelivered"]
            ways = way_out_of(undelivered, job_name_of(answer))
            yield "feeds that are not delivered", [*undelivered, ways], "red"
        if answer["held"]:
            yield "held", list(_held(answer, nouns)), "red"
        if answer["in_flight"]:
            live = answer["status"] in LIVE_STATUSES
            heading = nouns.in_flight if live else f"{nouns.in_flight} at the end"
            in_flight = answer["in_flight"]
            yield heading, list(some(in_flight, _SHOWN_IN_FLIGHT, len(in_flight))), ""
        if self.failures:
            troubled = counts["failed"] + counts["parked"]
            lines = list(some(map(_failure, self.failures), len(self.failures), troubled))
            ways = f"to {nouns.fetch} them again: scrapy resume retry {job_name_of(answer)}"
            yield "failures", [*lines, ways], "red"
        if self.lost:
            heading = f"items or files lost: {number(answer['items']['failed'])}"
            yield heading, list(_lost(self.lost, job_name_of(answer), nouns)), "red"
        if self.step_failures:
            yield "failed steps", list(_failed_steps(self.step_failures, answer)), "red"

    @property
    def _nouns(self) -> Nouns:
        return nouns_of(self.answer["kind"])

    def _time(self) -> str:
        answer = self.answer
        runs = len(answer["runs"])
        line = f"{duration(answer['elapsed_seconds'])} in {counted(runs, 'run')}"
        if answer["status"] not in LIVE_STATUSES:
            return line
        return f"{line}, {progress_of(answer).eta.text()}"


def _held(answer: Mapping[str, Any], nouns: Nouns) -> Iterator[str]:
    held, job = answer["held"], job_name_of(answer)
    yield f"pending {nouns.request}s that the last run could not restore, by what the code lacks:"
    yield from some([f"{row['requests']}  {row['name']}" for row in held], _SHOWN_HELD, len(held))
    yield nouns.way_back + "set RESUME_RENAMED or RESUME_TRUSTED; the log of the run says which"
    yield f"names that are not trusted: scrapy resume verify {job}"
    yield f"to give {nouns.request}s up: scrapy resume park {job} --callback NAME"


def _lost(groups: Sequence[Mapping[str, Any]], job: str, nouns: Nouns) -> Iterator[str]:
    lines = []
    for group in groups:
        requests = counted(group["count"], nouns.request)
        message = shortened(group["error_message"], _LONGEST_MESSAGE)
        said = f"{group['error']}, for example: {message}" if message else group["error"]
        lines.append(f"{group['items_failed']} of {requests}, {said}")
    yield from some(lines, _SHOWN_FAILURES, len(lines))
    yield f"which {nouns.page}s: scrapy resume requests {job} --partial"
    yield f"to {nouns.fetch} them again: scrapy resume retry {job} --partial"


def _failed_steps(groups: Sequence[Mapping[str, Any]], answer: Mapping[str, Any]) -> Iterator[str]:
    yield from some(map(failure_line, groups), _SHOWN_FAILURES, len(groups))
    for name in troubled_steps(answer):
        yield f"to try them again: {retry_command(job_name_of(answer), name)}"


def look(reports: Reports, job: str | JobKey | None) -> StatusScreen:
    """Ask the store. Raises ``JobNotFoundError`` and ``StoreError``."""
    with reports.together():
        return _look(reports, job)


def _look(reports: Reports, job: str | JobKey | None) -> StatusScreen:
    answer = reports.job(job)
    key = JobKey(answer["job"], answer["number"])
    counts = answer["requests"]
    failures: list[dict[str, Any]] = []
    for state in ("failed", "parked"):
        wanted = _SHOWN_FAILURES - len(failures)
        if counts[state] and wanted:
            failures += reports.requests(key, state=state, limit=wanted)
    lost = []
    if answer["items"]["failed"]:
        lost = [group for group in reports.failures(key, examples=1) if group["items_failed"]]
    skipped = reports.skipped_count(key) if counts["ignored"] else 0
    failed_steps = reports.step_failures(key, examples=0) if troubled_steps(answer) else ()
    if answer["status"] not in LIVE_STATUSES:
        return StatusScreen(
            answer, failures, lost, (), UNKNOWN, skipped=skipped, step_failures=failed_steps
        )
    now = reports.now()
    minutes = reports.minutes(key, since=now - 60 * _SHOWN_MINUTES)
    return StatusScreen(
        answer=answer,
        failures=failures,
        lost=lost,
        pages_by_minute=pages_by_minute(minutes, now, _SHOWN_MINUTES),
        forecast=forecast_of(answer, minutes, now),
        scaled=shows_present_minute(now),
        skipped=skipped,
        step_failures=failed_steps,
    )


def plain(screen: StatusScreen) -> Iterator[str]:
    """The screen as whole lines, for a pipe or a file."""
    answer = screen.answer
    filled = int(_BAR_WIDTH * (progress_of(answer).share or 0.0))
    drawn = "#" * filled + "-" * (_BAR_WIDTH - filled)
    yield f"{job_name_of(answer)}  {_status(answer)}"
    yield f"[{drawn}] {_progress(answer)}"
    units = progress_of(answer).units
    if units is not None:
        filled = int(_BAR_WIDTH * units.ended / units.total)
        yield f"[{'#' * filled}{'-' * (_BAR_WIDTH - filled)}] {_unit_progress(units)}"
    yield ""
    yield from (f"{name:<10}{fact}" for name, fact in screen.facts())
    for heading, lines, _ in screen.sections():
        yield ""
        yield heading
        yield from (f"  {line}" for line in lines)


def drawn(console: Console, screen: StatusScreen) -> RenderableType:
    """The screen on a terminal, as wide as the terminal."""
    from rich.console import Group
    from rich.text import Text

    answer, counts = screen.answer, screen.answer["requests"]
    progress, whole = f" {_progress(answer)}", progress_of(answer).whole
    units = progress_of(answer).units
    beside = max(len(progress), 0 if units is None else 1 + len(_unit_progress(units)))
    width = max(8, min(console.width - beside, _WIDEST_BAR))
    failed = counts["failed"] + counts["parked"]
    parts: list[RenderableType] = [
        _title(screen),
        Text.assemble(bar(width, counts["done"], failed, counts["ignored"], whole), progress),
    ]
    if units is not None:
        shown = bar(width, units.completed, units.ended - units.completed, 0, units.total)
        parts.append(Text.assemble(shown, f" {_unit_progress(units)}"))
    parts += [text(""), facts_table(screen.facts())]
    for heading, lines, style in screen.sections():
        parts += section(heading, lines, style)
    return Group(*parts)


def _title(screen: StatusScreen) -> Text:
    status, _, rest = _status(screen.answer).partition(" ")
    style = status_style(screen.answer["status"])
    return words(
        (job_name_of(screen.answer), "bold"), ("  ", ""), (status, style), (f" {rest}", "dim")
    )


def _progress(answer: dict[str, Any]) -> str:
    progress = progress_of(answer)
    return f"{percent(progress.share)} ({progress.ended}/{progress.whole})"


def _unit_progress(units: UnitProgress) -> str:
    return f"{percent(units.ended / units.total)} ({units.ended}/{units.total} units)"


def _status(answer: dict[str, Any]) -> str:
    run = answer["runs"][-1] if answer["runs"] else None
    if run is None:
        return f"{answer['status']}, created {answer['created_at']}"
    if answer["status"] in LIVE_STATUSES:
        live = [run for run in answer["runs"] if run["status"] in LIVE_STATUSES] or [run]
        others = f" and {len(live) - 1} more" if len(live) > 1 else ""
        return f"{answer['status']} since {live[0]['started_at']} as {live[0]['worker']}{others}"
    when = answer["completed_at"] or run["ended_at"] or answer["updated_at"]
    if answer["status"] != "crashed" and answer["reason"] != run["reason"]:
        when = answer["updated_at"]  # a command has changed the job since
    return f"{status_with_reason(answer)} at {when}, was {run['worker']}"


def _counts(counts: dict[str, int], names: Sequence[str]) -> str:
    return "  ".join(f"{name} {counts[name]}" for name in names)


def _rate(answer: dict[str, Any]) -> str:
    if answer["pages_per_minute"] is None:
        return "-"
    pages = f"{answer['pages_per_minute']:.1f} {nouns_of(answer['kind']).page}s/min"
    shown = f"{pages}, {answer['items_per_minute']:.1f} items/min"
    if answer["units_per_hour"] and progress_of(answer).units is not None:
        shown += f", {answer['units_per_hour']:.1f} units/hour"
    return shown


def _failure(row: dict[str, Any]) -> str:
    return f"{row['url']}  {row['state']}: {error_of(row, _LONGEST_MESSAGE)}"
