"""All stages of a project side by side: what ``scrapy resume report`` shows. Never writes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from scrapy_resume.errors import StoreError
from scrapy_resume.model import LIVE_STATUSES, JobKey
from scrapy_resume.reporting.forecast import forecast_of, past
from scrapy_resume.reporting.progress import progress_of
from scrapy_resume.reporting.reports import Reports
from scrapy_resume.reporting.spans import end_of, span_minutes, spans_of
from scrapy_resume.reporting.times import iso, seconds_of

STALE_SECONDS: Final = 86_400.0
"""An unfinished job without progress for so long is stale: it has probably been forgotten."""
LONGEST_PLOT_SECONDS: Final = 31 * 24 * 3_600
FAILURES_SHOWN: Final = 8
HOSTS_SHOWN: Final = 10
UNITS_SHOWN: Final = 10

_OVER: Final = ("completed", "cancelled")
_FAILED: Final = ("failed", "crashed")
"""Together with jobs that cannot be read."""


def overview(
    reports: Reports, jobs: Sequence[str] = (), stale_seconds: float = STALE_SECONDS
) -> dict[str, Any]:
    """The document of ``scrapy resume report --json``.

    ``jobs``: which jobs, in this order; if empty, the latest of each name, the most recently
    updated first. A job that cannot be read is a stage with an ``error``. ``stale_seconds``:
    RESUME_STALE_AFTER. Raises
    ``JobNotFoundError``, and ``StoreError`` if the store cannot be read as a whole.
    """
    now = reports.now()
    with reports.together():
        stages = [_stage(reports, answer, now, stale_seconds) for answer in _answers(reports, jobs)]
    return {
        "generated_at": iso(now),
        "store": reports.location,
        "total": _total(stages),
        "stages": stages,
    }


def _answers(reports: Reports, jobs: Sequence[str]) -> Iterator[dict[str, Any]]:
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


def _stage(
    reports: Reports, answer: dict[str, Any], now: float, stale_seconds: float
) -> dict[str, Any]:
    stage = {
        **answer,
        "error": answer.get("error"),
        "progress": None,
        "soonest_seconds": None,
        "latest_seconds": None,
        "progressed_at": None,
        "stale": False,
        "failures": [],
        "step_failures": [],
        "step_days": [],
        "by_status": [],
        "by_host": [],
        "counted": None,
        "units_first": [],
        "history": [],
        "span_minutes": 1,
        "spans": [],
    }
    if answer["requests"] is None:
        return stage
    try:
        return {**stage, **_details(reports, answer, now, stale_seconds)}
    except StoreError as error:  # damage that shows only in the tables that are read now
        return {**stage, "error": str(error)}


def _details(
    reports: Reports, answer: dict[str, Any], now: float, stale_seconds: float
) -> dict[str, Any]:
    key = JobKey(answer["job"], answer["number"])
    minutes = past(reports.minutes(key, since=now - LONGEST_PLOT_SECONDS), now)
    progressed_at = minutes[-1]["at"] if minutes else _last_change(answer, now)
    details = reports.details(key, hosts=HOSTS_SHOWN)
    soonest, latest = forecast_of(answer, minutes, now)
    step = span_minutes(minutes, now if answer["status"] in LIVE_STATUSES else None)
    return {
        "progress": progress_of(answer).share,
        "soonest_seconds": _rounded(soonest),
        "latest_seconds": _rounded(latest),
        "progressed_at": iso(progressed_at),
        "stale": answer["status"] not in _OVER and now - progressed_at > stale_seconds,
        "failures": reports.failures(key)[:FAILURES_SHOWN] if _has_failures(answer) else [],
        "step_failures": details["step_failures"],
        "step_days": reports.step_days(key) if answer["steps"] else [],
        "by_status": details["by_status"],
        "by_host": details["by_host"],
        "counted": details["counted"],
        "units_first": list(reports.units(key, limit=UNITS_SHOWN)) if answer["units"] else [],
        "history": reports.history(key),
        "span_minutes": step,
        "spans": list(spans_of(minutes, step, end_of(answer, now))),
    }


def _has_failures(answer: Mapping[str, Any]) -> bool:
    return bool(answer["requests"]["failed"] or answer["items"]["failed"])


def _last_change(answer: Mapping[str, Any], now: float) -> float:
    """The latest time of the job that is not in the future, where a clock that was fast has put
    it; ``now`` if all are."""
    runs = [run[name] for run in answer["runs"] for name in ("started_at", "ended_at")]
    moments = [answer["updated_at"], answer["created_at"], *runs]
    seconds = [seconds_of(moment) for moment in moments if moment is not None]
    return max((moment for moment in seconds if moment <= now), default=now)


def _total(stages: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Over all stages that can be read."""
    read = [stage for stage in stages if stage["requests"] is not None]
    requests = {
        name: sum(stage["requests"][name] for stage in read)
        for name in ("pending", "leased", "done", "failed", "parked", "ignored", "total")
    }
    ended = requests["done"] + requests["failed"] + requests["parked"]
    progress = [progress_of(stage) for stage in read]
    all_ended, whole = sum(one.ended for one in progress), sum(one.whole for one in progress)
    return {
        "progress": all_ended / whole if whole else None,
        "ended": all_ended,
        "whole": whole,
        "jobs": len(stages),
        "running": sum(stage["status"] in LIVE_STATUSES for stage in read),
        "active": sum(stage["status"] in LIVE_STATUSES for stage in read),
        "completed": sum(stage["status"] == "completed" for stage in read),
        "failed": sum(stage["status"] in _FAILED or stage["requests"] is None for stage in stages),
        "stale": sum(stage["stale"] for stage in read),
        "requests": requests,
        "items": sum(stage["items"]["stored"] for stage in read),
        "success_rate": requests["done"] / ended if ended else None,
    }


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 1)
