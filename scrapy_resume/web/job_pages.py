"""The page of one job."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from scrapy_resume.model import LIVE_STATUSES, JobKey, Selection, State
from scrapy_resume.reporting.documents import shown_custom
from scrapy_resume.reporting.job_error import way_out_of
from scrapy_resume.reporting.progress import progress_of
from scrapy_resume.store.contract import Span
from scrapy_resume.web import documents
from scrapy_resume.web.ask import Ask
from scrapy_resume.web.job_frame import Shown, frame
from scrapy_resume.web.job_ids import job_id
from scrapy_resume.web.job_plots import latency_bars, plots_of, run_spans
from scrapy_resume.web.jobs_page import parts_of, steps_in
from scrapy_resume.web.plots import timeline

IN_FLIGHT_AT_MOST: Final = 20
HOSTS_AT_MOST: Final = 12
HOSTS_LOOKED_AT: Final = 5_000
FEW_FAILURES: Final = 1_000
"""Looked at for the job's own page; the page of failures looks at more."""
NUMBERS_AT_MOST: Final = 20


class Tile(NamedTuple):
    """A number that leads to what it counts."""

    name: str
    amount: int
    state: str
    """What the list is filtered by; empty: items."""
    note: str = ""


def job(ask: Ask) -> Shown:
    """Everything about one job on one page."""
    key = ask.key()
    document = ask.document(key)
    if document["requests"] is None:
        return "unreadable", {**frame(ask, key, document), "error": document["error"]}
    series = documents.timeseries(ask, key)
    return "job", {
        **frame(ask, key, document),
        "progress": progress_of(document),
        "parts": parts_of(document),
        "tiles": tiles_of(document),
        "way_out": way_out_of(document["undelivered"], str(key)) if document["undelivered"] else "",
        "steps_open": steps_in(document, "pending", "running"),
        "steps_failed": steps_in(document, "failed", "parked"),
        "undelivered": documents.undelivered(ask, key, document),
        "latencies": series["latencies"][:HOSTS_AT_MOST],
        "latency_plot": latency_bars(series["latencies"][:HOSTS_AT_MOST]),
        "in_flight": _in_flight(ask, key, document),
        "hosts": ask.pages.hosts(key, HOSTS_AT_MOST, HOSTS_LOOKED_AT),
        "hosts_looked_at": HOSTS_LOOKED_AT,
        "waits": {row["host"]: row for row in documents.waiting_hosts(ask, key)},
        "failures": documents.failures(ask, key, 0, FEW_FAILURES)[:5]
        if _has_failures(document)
        else [],
        "runs": document["runs"][::-1],
        "run_line": timeline(run_spans(document, ask.now)),
        "custom": list(shown_custom(document["custom"], document["custom_shares"])),
        "numbers": _other_numbers(ask, key),
        "plots": plots_of(series),
        "series": series,
    }


def tiles_of(document: Mapping[str, Any]) -> list[Tile]:
    """The numbers of a job."""
    counts, items = document["requests"], document["items"]
    delayed = f"{counts['delayed']:,} delayed" if counts["delayed"] else ""
    lost = f"{items['failed']:,} lost" if items["failed"] else ""
    found = [
        Tile("pending", counts["pending"], "pending", delayed),
        Tile("leased", counts["leased"], "leased"),
        Tile("done", counts["done"], "done"),
        Tile("failed", counts["failed"], "failed"),
        Tile("parked", counts["parked"], "parked"),
        Tile("ignored", counts["ignored"], "ignored"),
    ]
    return [*found, Tile("items", items["stored"], "", lost)]


def _has_failures(document: Mapping[str, Any]) -> bool:
    return bool(document["requests"]["failed"] or document["items"]["failed"])


def _in_flight(ask: Ask, key: JobKey, document: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Requests that engines hold, those that they have held longest first."""
    if document["status"] not in (*LIVE_STATUSES, "crashed"):
        return []
    page = ask.pages.request_page(key, Selection(states=(State.leased,)), Span(limit=200))
    held = [row for row in page.rows if row["worker"] is not None]
    return sorted(held, key=lambda row: str(row["leased_at"]))[:IN_FLIGHT_AT_MOST]


def _other_numbers(ask: Ask, key: JobKey) -> list[tuple[str, int]]:
    """(id, number) of the job's other numbers, the highest first."""
    others = [one for one in ask.pages.stamps() if one.name == key.name and one != key]
    others.sort(key=lambda one: one.number, reverse=True)
    return [(job_id(one), one.number) for one in others[:NUMBERS_AT_MOST]]
