"""All stages of a project side by side: what ``scrapy resume report`` shows. Never writes."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from scrapy_resume.errors import StoreError
from scrapy_resume.model import LIVE_STATUSES
from scrapy_resume.reporting.forecast import outlook, whole
from scrapy_resume.reporting.reports import Reports
from scrapy_resume.reporting.times import iso

STALE_SECONDS: Final = 24 * 3_600
"""Without progress for so long, an unfinished job has probably been forgotten."""
LONGEST_PLOT_SECONDS: Final = 31 * 24 * 3_600
SPANS_AT_MOST: Final = 120
"""Of a plot."""
FAILURES_SHOWN: Final = 8
HOSTS_SHOWN: Final = 10
UNITS_SHOWN: Final = 10

_STEPS: Final = (1, 2, 5, 10, 15, 30, 60, 120, 240, 480)
"""Minutes of a span. The last one times ``SPANS_AT_MOST`` is longer than the longest plot."""
_AT_REST_FOR_GOOD: Final = ("completed", "cancelled")


def overview(reports: Reports, jobs: Sequence[str] = ()) -> dict[str, Any]:
    """The document of ``scrapy resume report --json``.

    ``jobs``: which ones, in that order; without any, the latest of each name, those first that
    were updated last. A job that cannot be read is a stage with an ``error``. Raises
    ``JobNotFoundError``, and ``StoreError`` if the store cannot be read as a whole.
    """
    now = time.time()
    with reports.together():
        stages = [_stage(reports, answer, now) for answer in _meant(reports, jobs)]
    return {
        "generated_at": iso(now),
        "store": reports.location,
        "total": _total(stages),
        "stages": stages,
    }


def _meant(reports: Reports, jobs: Sequence[str]) -> Iterator[dict[str, Any]]:
    if jobs:
        yield from [reports.job_or_error(job) for job in dict.fromkeys(jobs)]
        return
    seen: dict[str, dict[str, Any]] = {}
    answers = reports.jobs()
    for answer in answers:
        known = seen.get(answer["job"])
        if known is None or known["number"] < answer["number"]:
            seen[answer["job"]] = answer
    yield from (answer for answer in answers if seen[answer["job"]] is answer)


def _stage(reports: Reports, answer: dict[str, Any], now: float) -> dict[str, Any]:
    name = f"{answer['job']}#{answer['number']}"
    stage = {
        **answer,
        "error": answer.get("error"),
        "progress": None,
        "soonest_seconds": None,
        "latest_seconds": None,
        "progressed_at": None,
        "stale": False,
        "failures": [],
        "by_status": [],
        "by_host": [],
        "counted": None,
        "units_first": [],
        "span_minutes": 1,
        "spans": [],
    }
    if answer["requests"] is None:
        return stage
    try:
        return {**stage, **_more(reports, name, answer, now)}
    except StoreError as error:  # damage that only shows in what is read now
        return {**stage, "error": str(error)}


def _more(reports: Reports, name: str, answer: dict[str, Any], now: float) -> dict[str, Any]:
    counts = answer["requests"]
    open_count = counts["pending"] + counts["leased"]
    minutes = reports.minutes(name, since=now - LONGEST_PLOT_SECONDS)
    progressed_at = minutes[-1]["at"] if minutes else _seconds(answer["updated_at"])
    details = reports.details(name, hosts=HOSTS_SHOWN)
    live = answer["status"] in LIVE_STATUSES
    soonest, latest = outlook(open_count, minutes, now) if live else (None, None)
    step = _step(minutes, now if live else None)
    return {
        "progress": (counts["total"] - open_count) / whole(answer) if counts["total"] else None,
        "soonest_seconds": _rounded(soonest),
        "latest_seconds": _rounded(latest),
        "progressed_at": iso(progressed_at),
        "stale": answer["status"] not in _AT_REST_FOR_GOOD and now - progressed_at > STALE_SECONDS,
        "failures": reports.failures(name)[:FAILURES_SHOWN] if counts["failed"] else [],
        "by_status": details["by_status"],
        "by_host": details["by_host"],
        "counted": details["counted"],
        "units_first": list(reports.units(name, limit=UNITS_SHOWN)) if answer["units"] else [],
        "span_minutes": step,
        "spans": list(_spans(minutes, step)),
    }


def _step(minutes: Sequence[Mapping[str, Any]], now: float | None) -> int:
    """Minutes of a span, so that there are not too many."""
    if not minutes:
        return 1
    whole = ((now or minutes[-1]["at"]) - minutes[0]["at"]) / 60 + 1
    return next((step for step in _STEPS if whole / step < SPANS_AT_MOST), _STEPS[-1])


def _spans(minutes: Sequence[Mapping[str, Any]], step: int) -> Iterator[dict[str, Any]]:
    """What each span brought, the first one first; in silent ones only ``open`` is kept."""
    names = ("pages", "items", "done", "failed", "ignored")
    seconds = 60 * step
    found: dict[int, dict[str, Any]] = {}
    for row in minutes:
        span = found.setdefault(int(row["at"] // seconds), dict.fromkeys(names, 0))
        for name in names:
            span[name] += row[name]
        span["open"] = row["open"]
    still_open = 0
    for at in range(min(found, default=0), max(found, default=-1) + 1):
        span = found.get(at) or {**dict.fromkeys(names, 0), "open": still_open}
        still_open = span["open"]
        yield {"at": iso(at * seconds), **span}


def _total(stages: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Over all stages that can be read."""
    read = [stage for stage in stages if stage["requests"] is not None]
    requests = {
        name: sum(stage["requests"][name] for stage in read)
        for name in ("pending", "leased", "done", "failed", "parked", "ignored", "total")
    }
    ended = requests["done"] + requests["failed"] + requests["parked"]
    return {
        "jobs": len(stages),
        "running": sum(stage["status"] in LIVE_STATUSES for stage in read),
        "completed": sum(stage["status"] == "completed" for stage in read),
        "stale": sum(stage["stale"] for stage in read),
        "requests": requests,
        "items": sum(stage["items"]["stored"] for stage in read),
        "success_rate": requests["done"] / ended if ended else None,
    }


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 1)


def _seconds(moment: str) -> float:
    return datetime.strptime(f"{moment}+0000", "%Y-%m-%dT%H:%M:%SZ%z").timestamp()
