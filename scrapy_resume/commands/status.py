"""``scrapy resume status``: one job on one screen."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any, Final

from scrapy_resume.commands import units
from scrapy_resume.commands.call import Call, add_job, add_json, percent, progress_share

HELP: Final = "one job on one screen: progress, rates, what is in flight, failures"

COMPLETED_WITH_FAILURES: Final = 3
NOT_COMPLETED: Final = 4

_BAR_WIDTH: Final = 40
_SHOWN_IN_FLIGHT: Final = 8
_SHOWN_FAILURES: Final = 5


def add_arguments(parser: ArgumentParser) -> None:
    """The arguments of ``scrapy resume status``."""
    add_job(parser)
    add_json(parser)
    parser.add_argument(
        "--check",
        action="store_true",
        help="exit with 0 if completed without failures, 3 if completed with failed or parked"
        " requests, 4 if not completed",
    )


def run(call: Call) -> int:
    """Print the job's status."""
    reports = call.reports()
    answer = reports.job(call.arguments.job)
    if call.arguments.json:
        call.print_json(answer)
    else:
        name = f"{answer['job']}#{answer['number']}"
        troubled = (
            reports.requests(name, state=state, limit=_SHOWN_FAILURES)
            for state in ("failed", "parked")
            if answer["requests"][state]
        )
        failures = [row for rows in troubled for row in rows]
        call.print_lines(screen(answer, failures[:_SHOWN_FAILURES]))
    return verdict(answer) if call.arguments.check else 0


def verdict(answer: dict[str, Any]) -> int:
    """The exit code of ``--check``."""
    if answer["status"] != "completed":
        return NOT_COMPLETED
    counts = answer["requests"]
    return COMPLETED_WITH_FAILURES if counts["failed"] or counts["parked"] else 0


def screen(answer: dict[str, Any], failures: Sequence[dict[str, Any]]) -> Iterator[str]:
    """The lines of the screen."""
    counts, items = answer["requests"], answer["items"]
    share = progress_share(answer)
    ended = counts["total"] - counts["pending"] - counts["leased"]
    yield f"{answer['job']}#{answer['number']}  {_status(answer)}"
    yield f"[{_bar(share or 0.0)}] {percent(share)} ({ended}/{counts['total']})"
    yield ""
    yield _counts_line("requests", counts, ("done", "failed", "parked", "ignored"))
    yield _counts_line("open", counts, ("pending", "delayed", "leased"))
    yield _counts_line("items", items, ("stored", "dropped", "failed"))
    if (by_state := units.summary(answer["units"])) is not None:
        yield f"{'units':<10}{by_state}"
    yield f"{'success':<10}{percent(answer['success_rate'])}"
    yield f"{'rate':<10}{_rate(answer)}"
    yield f"{'time':<10}{_time(answer)}"
    if answer["custom"]:
        pairs = (f"{key} {value}" for key, value in answer["custom"].items())
        yield f"{'custom':<10}{'  '.join(pairs)}"
    if answer["metadata"]:
        pairs = (f"{key}={value}" for key, value in answer["metadata"].items())
        yield f"{'metadata':<10}{', '.join(pairs)}"
    if answer["in_flight"]:
        yield ""
        yield "in flight" if answer["status"] == "running" else "in flight at the end"
        yield from _indented(answer["in_flight"], _SHOWN_IN_FLIGHT)
    if failures:
        yield ""
        yield "failures"
        troubled = counts["failed"] + counts["parked"]
        yield from _indented(map(_failure, failures), len(failures), troubled)


def _status(answer: dict[str, Any]) -> str:
    reason = f" ({answer['reason']})" if answer["reason"] else ""
    run = answer["runs"][-1] if answer["runs"] else None
    if run is None:
        return f"{answer['status']}, created {answer['created_at']}"
    if answer["status"] in ("running", "recovering"):
        return f"{answer['status']} since {run['started_at']} as {run['worker']}"
    when = answer["completed_at"] or run["ended_at"] or answer["updated_at"]
    return f"{answer['status']}{reason} at {when}, was {run['worker']}"


def _bar(share: float) -> str:
    filled = int(_BAR_WIDTH * share)
    return "#" * filled + "-" * (_BAR_WIDTH - filled)


def _counts_line(title: str, counts: dict[str, int], names: Sequence[str]) -> str:
    return f"{title:<10}" + "  ".join(f"{name} {counts[name]}" for name in names)


def _rate(answer: dict[str, Any]) -> str:
    if answer["pages_per_minute"] is None:
        return "-"
    return f"{answer['pages_per_minute']:.1f} pages/min, {answer['items_per_minute']:.1f} items/min"


def _time(answer: dict[str, Any]) -> str:
    runs = len(answer["runs"])
    line = f"{duration(answer['elapsed_seconds'])} in {runs} run{'' if runs == 1 else 's'}"
    if answer["eta_seconds"] is None or answer["status"] == "completed":
        return line
    basis = "what is known now"
    if answer["eta_basis"] == "expected_total":
        basis = f"{answer['expected_total']:,.0f} pages"
    return f"{line}, ETA {duration(answer['eta_seconds'])} for {basis}"


def duration(seconds: float) -> str:
    """``3725`` → ``1:02:05``; hours are not turned into days."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}"


def _failure(row: dict[str, Any]) -> str:
    status = f" {row['http_status']}" if row["http_status"] else ""
    message = " ".join((row["error_message"] or "").split())[:100]
    return f"{row['url']}  {row['state']}: {row['error'] or '-'}{status} {message}".rstrip()


def _indented(lines: Any, shown: int, total: int | None = None) -> Iterator[str]:
    count = len(lines) if total is None else total
    yield from (f"  {line}" for line in islice(lines, shown))
    if count > shown:
        yield f"  ... and {count - shown} more"
