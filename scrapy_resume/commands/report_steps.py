"""The steps of items in the report's HTML page: their states, errors, and success by day."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, timedelta
from typing import Any, Final

from scrapy_resume.commands.formats import job_name_of, number
from scrapy_resume.commands.step_lines import failure_line, retry_command, troubled_steps
from scrapy_resume.commands.svg_plots import Part, columns, escaped, stacked
from scrapy_resume.model import StepCounts
from scrapy_resume.reporting.progress import percent
from scrapy_resume.reporting.step_documents import STEP_STATES
from scrapy_resume.wording import counted

Stage = Mapping[str, Any]
Day = Mapping[str, Any]

_FEWEST_DAYS: Final = 2
"""A plot of one day shows nothing that the table does not."""
_DAYS_AT_MOST: Final = 120
"""In one plot: the latest ones."""
_ENDS: Final = ("done", "failed", "skipped")
_STYLES: Final = {"done": "done", "failed": "failed", "skipped": "ignored"}
"""The classes of the style sheet."""


def step_blocks(stage: Stage) -> Iterator[str]:
    """Blocks of the stage's card: one for all steps, and a plot for each step that was tried on
    several days."""
    if not stage["steps"]:
        return
    yield _states(stage)
    for step in stage["steps"]:
        days = [day for day in stage["step_days"] if day["step"] == step]
        plotted = _every_day(days)[-_DAYS_AT_MOST:]
        if len(plotted) >= _FEWEST_DAYS:
            yield _plot(step, plotted)
    if stage["step_days"]:
        yield _by_day(stage["step_days"])


def _states(stage: Stage) -> str:
    rows = "".join(_step(name, counts) for name, counts in stage["steps"].items())
    headings = "".join(f'<th class="n">{state}</th>' for state in (*STEP_STATES, "success"))
    errors = "".join(f"<li>{escaped(failure_line(one))}</li>" for one in stage["step_failures"])
    listed = f'<ul class="errors">{errors}</ul>' if errors else ""
    ways = "".join(
        f'<div class="muted small"><code>{escaped(retry_command(job_name_of(stage), step))}</code>'
        "</div>"
        for step in troubled_steps(stage)
    )
    return (
        f'<div class="scroll"><h3>Steps of items</h3><table><thead><tr><th>step</th><th></th>'
        f"{headings}</tr></thead><tbody>{rows}</tbody></table>{listed}{ways}</div>"
    )


def _step(name: str, counts: Mapping[str, int]) -> str:
    parts = [
        Part("done", counts["done"], "done"),
        Part("failed or parked", counts["failed"] + counts["parked"], "failed"),
        Part("skipped", counts["skipped"], "ignored"),
        Part("open", counts["pending"] + counts["running"], "open"),
    ]
    success = percent(StepCounts(**counts).success_rate)
    bar = stacked(parts, f"{success} of the steps {name} have succeeded")
    numbers = "".join(f'<td class="n">{number(counts[state])}</td>' for state in STEP_STATES)
    return (
        f'<tr><td class="host">{escaped(name)}</td><td class="wide">{bar}</td>{numbers}'
        f'<td class="n">{success}</td></tr>'
    )


def _every_day(days: Sequence[Day]) -> list[Day]:
    """The days from the first to the last: on some, nothing may have been tried."""
    if not days:
        return []
    known = {day["day"]: day for day in days}
    first, last = date.fromisoformat(days[0]["day"]), date.fromisoformat(days[-1]["day"])
    shown = (first + timedelta(days=at) for at in range((last - first).days + 1))
    return [known.get(day.isoformat()) or _nothing(day.isoformat()) for day in shown]


def _nothing(day: str) -> Day:
    counts = dict.fromkeys(("attempts", "retries", *_ENDS), 0)
    return {"day": day, **counts, "success_rate": None}


def _plot(step: str, days: Sequence[Day]) -> str:
    values = [[Part(name, day[name], _STYLES[name]) for name in _ENDS] for day in days]
    labels = [
        f"{day['day']}: {counted(day['attempts'], 'attempt')} ({number(day['retries'])} again), "
        f"{number(day['done'])} done, {number(day['failed'])} failed, "
        f"{number(day['skipped'])} skipped, success {percent(day['success_rate'])}"
        for day in days
    ]
    highest = max(sum(part.amount for part in parts) for parts in values)
    return (
        f"<div><h3>Attempts of {escaped(step)} by day</h3>"
        f'<div class="plot"><span class="top">{number(highest)}</span>'
        f"{columns(values, labels)}</div>"
        f'<div class="axis"><span>{escaped(days[0]["day"])}</span>'
        f"<span>{escaped(days[-1]['day'])}</span></div></div>"
    )


def _by_day(days: Sequence[Day]) -> str:
    names = ("attempts", "retries", *_ENDS)
    headings = "".join(f'<th class="n">{name}</th>' for name in (*names, "success"))
    rows = "".join(
        f"<tr><td>{escaped(day['day'])}</td><td>{escaped(day['step'])}</td>"
        + "".join(f'<td class="n">{number(day[name])}</td>' for name in names)
        + f'<td class="n">{percent(day["success_rate"])}</td></tr>'
        for day in days[-_DAYS_AT_MOST:]
    )
    return (
        '<div class="scroll"><h3>Steps by day</h3><table><thead><tr><th>day</th><th>step</th>'
        f"{headings}</tr></thead><tbody>{rows}</tbody></table></div>"
    )
