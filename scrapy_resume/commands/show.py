"""``scrapy resume show``: prints everything about a job."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

from scrapy_resume.commands.arguments import add_job, add_json
from scrapy_resume.commands.formats import job_name_of, shortened, status_with_reason, table
from scrapy_resume.commands.invocation import Invocation
from scrapy_resume.commands.step_lines import STEP_COLUMNS, step_row
from scrapy_resume.commands.terminal_output import (
    Column,
    facts_table,
    fitted_table,
    status_style,
    text,
)
from scrapy_resume.model import StepCounts
from scrapy_resume.reporting.documents import shown_custom
from scrapy_resume.reporting.job_error import error_line
from scrapy_resume.reporting.nouns import Nouns, nouns_of
from scrapy_resume.reporting.progress import percent
from scrapy_resume.wording import counted

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.text import Text
    from scrapy.settings import Settings

    Cells = Sequence[str]

HELP: Final = "show a job in detail: runs, workers, settings, input files, hosts, HTTP statuses"

RUNS_SHOWN: Final = 20
"""Only the last runs; ``--json`` has all."""

_RUNS: Final = (
    Column("RUN", right=True),
    Column("STATUS"),
    Column("REASON", rank=2),
    Column("STARTED", rank=1),
    Column("ENDED", rank=3),
    Column("PAGES", right=True),
    Column("ITEMS", right=True),
    Column("WORKER"),
)
_HOSTS: Final = (
    Column("HOST"),
    Column("REQUESTS", right=True),
    Column("OPEN", rank=1, right=True),
    Column("DONE", right=True),
    Column("FAILED", right=True),
)
_FAILURES: Final = (
    Column("COUNT", right=True),
    Column("ERROR"),
    Column("HTTP", rank=2, right=True),
    Column("MESSAGE", rank=1),
    Column("EXAMPLE"),
)
_STEP_FAILURES: Final = (
    Column("COUNT", right=True),
    Column("STEP"),
    Column("ERROR"),
    Column("MESSAGE", rank=1),
    Column("EXAMPLE"),
)
_ENDED: Final = ("total", "done", "failed", "parked", "ignored")
_OPEN: Final = ("pending", "delayed", "leased")
"""As in ``status``: what is delayed is a part of what is pending."""
_STATUSES: Final = (Column("HTTP", right=True), Column("REQUESTS", right=True))


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the arguments."""
    add_job(parser)
    add_json(parser)


def run(call: Invocation) -> int:
    """Print the job."""
    answer = call.reports().details(call.arguments.job)
    answer["settings"] = settings_of_note(call.settings)
    if call.arguments.json:
        call.print_json(answer)
    else:
        call.print_screen(
            drawn=lambda console: _drawn(console, answer), plain=lambda: _plain(answer)
        )
    return 0


def settings_of_note(settings: Settings) -> dict[str, str]:
    """The ``RESUME_*`` settings that differ from their defaults where the command is run."""
    from scrapy_resume.settings.masking import without_password
    from scrapy_resume.settings.table import SETTINGS

    given = {row.name: settings.get(row.name, row.default) for row in SETTINGS}
    return {
        row.name: without_password(str(given[row.name]))
        for row in SETTINGS
        if given[row.name] != row.default
    }


def _facts(answer: dict[str, Any]) -> Iterator[tuple[str, str]]:
    yield "job", job_name_of(answer)
    if nouns_of(answer["kind"]).has_http:
        yield "spider", answer["spider"]
    else:
        yield "kind", answer["kind"]
    yield "status", status_with_reason(answer)
    for name in ("created", "updated", "completed"):
        if answer[f"{name}_at"]:
            yield name, answer[f"{name}_at"]
    counts, items = answer["requests"], answer["items"]
    noun = nouns_of(answer["kind"]).request
    for name, states in ((f"{noun}s", _ENDED), ("open", _OPEN)):
        yield name, "  ".join(f"{state} {counts[state]}" for state in states)
    if answer["skipped"]:
        yield "skipped", f"{answer['skipped']} skipped for good, a part of ignored"
    yield "items", "  ".join(f"{name} {count}" for name, count in items.items())
    yield "success", percent(answer["success_rate"])
    yield (
        "start()" if noun == "request" else "inputs",
        "exhausted" if answer["start_exhausted"] else "not exhausted",
    )
    if answer["custom"]:
        figures = shown_custom(answer["custom"], answer["custom_shares"])
        yield "custom", "  ".join(f"{name}={figure}" for name, figure in figures)
    for name in ("arguments", "metadata", "settings"):
        if answer.get(name):
            yield name, "  ".join(f"{key}={value}" for key, value in answer[name].items())
    if answer["resume_point"]:
        yield "position", _place(answer["resume_point"])
    for row in answer["inputs"]:
        yield "input", f"{row['state']}  {row['file']}  {row['sha256']}"
    if answer["error"]:
        yield "error", error_line(answer["error"])
    for feed in answer["undelivered"]:
        yield "owes feed", feed
    for row in answer["held"]:
        yield "held", f"{counted(row['requests'], noun)}, for want of {row['name']}"
    if answer["workers"]:
        yield "workers", "  ".join(answer["workers"])


def _place(point: dict[str, Any]) -> str:
    """The page that was finished last, and its unit if that is not the page itself."""
    unit = "" if point["unit"] in (None, point["url"]) else f" of unit {point['unit']}"
    return f"{point['url']}{unit}, finished {point['at']}"


def _tables(answer: dict[str, Any]) -> Iterator[tuple[str, Sequence[Column], list[Cells], int]]:
    """(title, columns, rows, index of the column that is cut off) of each table."""
    runs, nouns = answer["runs"][-RUNS_SHOWN:], nouns_of(answer["kind"])
    if runs:
        earlier = len(answer["runs"]) - len(runs)
        title = f"runs (after {earlier} earlier ones)" if earlier else "runs"
        yield title, _runs(nouns), [_run(run) for run in runs], len(_RUNS) - 1
    if answer["failures"]:
        groups = [_failure(group) for group in answer["failures"]]
        yield "failures", _FAILURES, groups, len(_FAILURES) - 1
    if answer["steps"]:
        yield "steps of items", STEP_COLUMNS, [step_row(row) for row in _step_rows(answer)], 0
    if answer["step_failures"]:
        groups = [_step_failure(group) for group in answer["step_failures"]]
        yield "failed steps", _STEP_FAILURES, groups, len(_STEP_FAILURES) - 1
    looked_at, total = answer["counted"], answer["requests"]["total"]
    of = f" (of the {looked_at} {nouns.request}s that were discovered last)"
    of = of if looked_at < total else ""
    if answer["by_status"]:
        rows: list[Cells] = [
            (str(row["http_status"]), str(row["count"])) for row in answer["by_status"]
        ]
        yield f"by HTTP status{of}", _STATUSES, rows, 0
    if answer["by_host"]:
        names = ("host", "total", "open", "done", "failed")
        rows = [[str(row[name]) for name in names] for row in answer["by_host"]]
        first = Column(nouns.host.upper()), Column(f"{nouns.request}s".upper(), right=True)
        yield f"by {nouns.host}{of}", (*first, *_HOSTS[2:]), rows, 0


def _runs(nouns: Nouns) -> list[Column]:
    pages = f"{nouns.page}s".upper()
    return [
        column._replace(heading=pages) if column.heading == "PAGES" else column for column in _RUNS
    ]


def _run(run: dict[str, Any]) -> Cells:
    return (
        str(run["number"]),
        run["status"],
        run["reason"] or "-",
        run["started_at"],
        run["ended_at"] or "-",
        str(run["pages"]),
        str(run["items"]),
        run["worker"],
    )


def _failure(group: dict[str, Any]) -> Cells:
    return (
        str(group["count"]),
        group["error"] or "-",
        str(group["http_status"] or "-"),
        shortened(group["error_message"], 60) or "-",
        next(iter(group["examples"]), "-"),
    )


def _step_rows(answer: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for name, counts in answer["steps"].items():
        yield {"step": name, **counts, "success_rate": StepCounts(**counts).success_rate}


def _step_failure(group: dict[str, Any]) -> Cells:
    return (
        str(group["count"]),
        group["step"],
        group["error"] or "-",
        shortened(group["error_message"], 60) or "-",
        next((example["key"] for example in group["examples"]), "-"),
    )


def _plain(answer: dict[str, Any]) -> Iterator[str]:
    for name, fact in _facts(answer):
        yield f"{name:<10}{fact}"
    for title, columns, rows, _ in _tables(answer):
        yield ""
        yield title
        headings = tuple(column.heading for column in columns)
        yield from (f"  {line}" for line in table([headings, *rows]))


def _drawn(console: Console, answer: dict[str, Any]) -> Iterator[RenderableType]:
    yield facts_table(_styled(answer))
    for title, columns, rows, flexible in _tables(answer):
        yield text("")
        yield text(title, "bold")
        cells: list[Sequence[str | Text]] = [list(row) for row in rows]
        if columns is _RUNS:
            cells = [[row[0], text(row[1], status_style(row[1])), *row[2:]] for row in rows]
        yield fitted_table(console, columns, cells, flexible)


def _styled(answer: dict[str, Any]) -> Iterator[tuple[str, str | Text]]:
    for name, fact in _facts(answer):
        style = {"job": "bold", "status": status_style(answer["status"])}.get(name)
        yield name, fact if style is None else text(fact, style)
