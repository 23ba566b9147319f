"""The report as text, for a terminal, a pipe or a file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from scrapy_resume.commands.formats import error_of, job_name_of, number, rate, table
from scrapy_resume.commands.step_lines import (
    counts_line,
    failure_line,
    retry_command,
    troubled_steps,
)
from scrapy_resume.commands.terminal_output import Column, bar, fitted_table, status_style, text
from scrapy_resume.commands.units import summary
from scrapy_resume.reporting.job_error import error_line, way_out_of
from scrapy_resume.reporting.nouns import nouns_of, nouns_of_all
from scrapy_resume.reporting.progress import percent, progress_of
from scrapy_resume.wording import counted, plural

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
DAYS_SHOWN: Final = 7
_ERRORS_SHOWN: Final = 3
_BAR: Final = 2
"""The index of the column that only a terminal shows."""
_BAR_WIDTH: Final = 12


def plain(document: Mapping[str, Any]) -> Iterator[str]:
    """The lines of the report."""
    stages = document["stages"]
    yield f"{document['generated_at']}  {document['store']}"
    yield _summary(document["total"])
    yield ""
    headings = [column.heading for column in _columns(stages)]
    rows = [headings, *([str(cell) for cell in _row(stage)] for stage in stages)]
    yield from table([[*row[:_BAR], *row[_BAR + 1 :]] for row in rows])
    yield from _units(stages)
    yield from _retries(stages)
    yield from _steps(stages)
    yield from _remarks(stages)


def drawn(console: Console, document: Mapping[str, Any]) -> Iterator[RenderableType]:
    """The report on a terminal."""
    stages = document["stages"]
    yield text(_summary(document["total"]), "bold")
    yield text("")
    yield fitted_table(console, _columns(stages), [_cells(stage) for stage in stages], flexible=0)
    yield from map(text, _units(stages))
    yield from map(text, _retries(stages))
    yield from map(text, _steps(stages))
    yield from (text(line, "yellow" if line else "") for line in _remarks(stages))


def _columns(stages: Sequence[Stage]) -> list[Column]:
    heading = per_minute(stages).upper()
    return [
        column._replace(heading=heading) if column.heading == "PAGES/MIN" else column
        for column in _COLUMNS
    ]


def per_minute(stages: Sequence[Stage]) -> str:
    """The heading of the rates of these jobs."""
    nouns = nouns_of_all(stages)
    return "ended/min" if nouns is None else f"{nouns.page}s/min"


def _summary(total: Mapping[str, Any]) -> str:
    return (
        f"{jobs_of(total)}; {progress_of_all(total)},"
        f" success {percent(total['success_rate'])},"
        f" {number(total['items'])} {plural(total['items'], 'item')}"
    )


def progress_of_all(total: Mapping[str, Any]) -> str:
    """``45.5% (5,000/11,000)``, from the total of a report."""
    counts = f"{number(total['ended'])}/{number(total['whole'])}"
    return f"{percent(total['progress'])} ({counts})"


def jobs_of(total: Mapping[str, Any]) -> str:
    """``5 jobs: 1 active, 1 completed, 2 failed``, from the total of a report."""
    jobs = total["jobs"]
    kinds = ", ".join(f"{total[name]} {name}" for name in ("active", "completed", "failed"))
    return f"{jobs} job{'s'[: jobs != 1]}: {kinds}"


def _row(stage: Stage) -> list[str]:
    name = job_name_of(stage)
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
        eta_of(stage),
    ]


def _cells(stage: Stage) -> list[str | Text]:
    cells: list[str | Text] = list(_row(stage))
    cells[1] = text(stage["status"], status_style(stage["status"]))
    counts = stage["requests"]
    if counts is not None:
        failed = counts["failed"] + counts["parked"]
        cells[_BAR] = bar(
            _BAR_WIDTH, counts["done"], failed, counts["ignored"], progress_of(stage).whole
        )
    return cells


def _units(stages: Sequence[Stage]) -> Iterator[str]:
    """A line for each stage that has several units."""
    shown = [(stage, units_of(stage)) for stage in stages]
    lines = [f"{job_name_of(stage)}: {counts}" for stage, counts in shown if counts]
    yield from ["", *lines] if lines else []


def _retries(stages: Sequence[Stage]) -> Iterator[str]:
    """For each stage with rounds of retry: how many, and how the latest days went."""
    for stage in stages:
        rounds = sum(day["rounds"] for day in stage["history"])
        if not rounds:
            continue
        retried = sum(day["retried"] for day in stage["history"])
        yield ""
        yield (
            f"{job_name_of(stage)}: retries: {counted(rounds, 'round')}, "
            f"{number(retried)} {plural(retried, nouns_of(stage['kind']).request)}"
        )
        for day in stage["history"][-DAYS_SHOWN:]:
            yield (
                f"    {day['day']}: {number(day['attempts'])}"
                f" {plural(day['attempts'], 'attempt')}, {counted(day['rounds'], 'round')}, "
                f"{number(day['done'])} done, {number(day['failed'])} failed, "
                f"success {percent(day['success_rate'])}"
            )


def _steps(stages: Sequence[Stage]) -> Iterator[str]:
    """For each stage whose items have steps: their counts, and how the latest days went."""
    for stage in stages:
        name = job_name_of(stage)
        if stage["steps"]:
            yield ""
        for step, counts in (stage["steps"] or {}).items():
            yield f"{name}: step {step}: {counts_line(counts)}"
            days = [day for day in stage["step_days"] if day["step"] == step]
            for day in days[-DAYS_SHOWN:]:
                yield (
                    f"    {day['day']}: {number(day['attempts'])}"
                    f" {plural(day['attempts'], 'attempt')}, {number(day['retries'])}"
                    f" {'retry' if day['retries'] == 1 else 'retries'}, {number(day['done'])} done,"
                    f" {number(day['failed'])} failed, {number(day['skipped'])} skipped, "
                    f"success {percent(day['success_rate'])}"
                )
        for group in stage["step_failures"][:_ERRORS_SHOWN]:
            yield f"{name}: {failure_line(group)}"
        for step in troubled_steps(stage):
            yield f"{name}: to try them again: {retry_command(name, step)}"


def _remarks(stages: Sequence[Stage]) -> Iterator[str]:
    """What is wrong with a stage, and its most frequent errors."""
    for stage in stages:
        lines = [trouble_of(stage)] if trouble_of(stage) else []
        groups = stage["failures"]
        lines += [
            f"{number(group['count'])} x {error_of(group, 80)}" for group in groups[:_ERRORS_SHOWN]
        ]
        if len(groups) > _ERRORS_SHOWN:
            others = counted(len(groups) - _ERRORS_SHOWN, "other error")
            lines.append(f"... and {others}: scrapy resume failed {job_name_of(stage)}")
        if lines:
            yield ""
            yield from (f"{job_name_of(stage)}: {line}" for line in lines)


def units_of(stage: Stage) -> str | None:
    """The units of a stage in one line, named ones first; ``None`` if it has fewer than two."""
    counts = summary(stage)
    if counts is None:
        return None
    named = progress_of(stage).units
    about = "units" if named is None else named.text(stage["units_per_hour"])
    return f"{about}  {counts}"


def trouble_of(stage: Stage) -> str:
    """Why the stage needs attention; empty if it does not."""
    error, undelivered = stage["error"], stage["undelivered"]
    if error:
        told = error if isinstance(error, str) else error_line(error)
        more = way_out_of(undelivered, job_name_of(stage)) if undelivered else ""
        return f"{told}; {more}" if more else told
    if undelivered:
        owed = ", ".join(undelivered)
        return f"not delivered: {owed}; {way_out_of(undelivered, job_name_of(stage))}"
    if stage["stale"]:
        return f"stale: no progress since {stage['progressed_at']}"
    return ""


def eta_of(stage: Stage) -> str:
    """When the stage may end; a dash without an ETA, and where nothing is left."""
    eta = progress_of(stage).eta
    return (eta.amount() if eta.seconds else None) or "-"
