"""The page of all jobs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

from scrapy_resume.model import LIVE_STATUSES, JobKey
from scrapy_resume.reporting.forecast import pages_by_minute
from scrapy_resume.reporting.progress import progress_of
from scrapy_resume.reporting.times import seconds_of
from scrapy_resume.web.ask import Ask
from scrapy_resume.web.job_frame import Shown, is_stale, kind_of
from scrapy_resume.web.plots import Part
from scrapy_resume.web.query import QueryError

STATUSES: Final = (
    "running",
    "recovering",
    "paused",
    "crashed",
    "failed",
    "completed",
    "cancelled",
    "initialized",
    "damaged",
    "unreadable",
)
"""In the order of their chips."""
NAMES_AT_MOST: Final = 200
"""Of one page of jobs."""
SPARK_MINUTES: Final = 60


def jobs(ask: Ask) -> Shown:
    """The latest number of each name, what has changed last first."""
    stamps = ask.pages.stamps()
    latest: dict[str, JobKey] = {}
    for key in sorted(stamps, key=lambda key: key.number):
        latest[key.name] = key
    text = ask.query.get("q", "").strip()
    named = [key for name, key in latest.items() if text.lower() in name.lower()]
    named.sort(key=lambda key: stamps[key].changed_at, reverse=True)
    found = [ask.board.documents.of(ask.reports, key, stamps[key]) for key in named[:NAMES_AT_MOST]]
    read = [document for document in found if document is not None]
    counts = Counter(document["status"] for document in read)
    status = ask.query.get("status", "")
    if status and status not in STATUSES:
        raise QueryError(f"there is no status {status!r}")
    read.sort(key=lambda document: document["updated_at"] or "", reverse=True)
    rows = [_listed(ask, one) for one in read if not status or one["status"] == status]
    return "jobs", {
        "title": "Jobs",
        "rows": rows,
        "text": text,
        "status": status,
        "chips": [(name, counts[name]) for name in STATUSES if counts[name] or name == status],
        "found": len(named),
        "names": len(latest),
        "shown_at_most": NAMES_AT_MOST,
        "half_deleted": ask.reports.half_deleted(),
        "location": ask.reports.location,
    }


def _listed(ask: Ask, document: dict[str, Any]) -> dict[str, Any]:
    """A job with what the list shows beside its document."""
    if document["requests"] is None:
        return {"job": document, "is_read": False, "kind": "", "is_stale": False}
    progress = progress_of(document)
    return {
        "job": document,
        "is_read": True,
        "kind": kind_of(document),
        "progress": progress,
        "parts": parts_of(document),
        "pages": _recent_pages(ask, document),
        "is_stale": is_stale(ask, document),
        "steps_open": steps_in(document, "pending", "running"),
        "eta": progress.eta.text().removeprefix("ETA ")
        if document["status"] in LIVE_STATUSES
        else "",
    }


def _recent_pages(ask: Ask, document: Mapping[str, Any]) -> list[float]:
    """Pages in each of the last minutes of a job that has changed within them."""
    since = ask.now - 60 * SPARK_MINUTES
    if seconds_of(document["updated_at"]) < since:
        return []
    minutes = ask.pages.minutes(JobKey(document["job"], document["number"]), since)
    return pages_by_minute(minutes, ask.now, SPARK_MINUTES)


def steps_in(document: Mapping[str, Any], *states: str) -> int:
    """How many steps of items are in these states."""
    return sum(row[state] for row in (document["steps"] or {}).values() for state in states)


def parts_of(document: Mapping[str, Any]) -> list[Part]:
    """The bar of a job."""
    return [
        Part(document["requests"][state], state)
        for state in ("done", "failed", "parked", "ignored")
    ]
