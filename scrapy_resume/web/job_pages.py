"""The pages about jobs: all of them, one, its workers, its events, its steps."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from scrapy_resume.events.log_files import TYPES
from scrapy_resume.model import LIVE_STATUSES, JobKey, Selection, State
from scrapy_resume.reporting.details import workers_answer
from scrapy_resume.reporting.documents import shown_custom
from scrapy_resume.reporting.forecast import pages_by_minute
from scrapy_resume.reporting.job_error import way_out_of
from scrapy_resume.reporting.progress import progress_of
from scrapy_resume.reporting.times import seconds_of
from scrapy_resume.store.contract import Span
from scrapy_resume.web import documents
from scrapy_resume.web.ask import Ask
from scrapy_resume.web.event_tail import has_log, last_events
from scrapy_resume.web.job_ids import job_id
from scrapy_resume.web.plots import Line, Part, columns, lines, timeline
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
OVER: Final = ("completed", "cancelled")
NAMES_AT_MOST: Final = 200
"""Of one page of jobs."""
SPARK_MINUTES: Final = 60
IN_FLIGHT_AT_MOST: Final = 20
HOSTS_AT_MOST: Final = 12
HOSTS_LOOKED_AT: Final = 5_000
FEW_FAILURES: Final = 1_000
"""Looked at for the job's own page; the page of failures looks at more."""
EVENTS_AT_MOST: Final = 200
NUMBERS_AT_MOST: Final = 20

Shown = tuple[str, dict[str, Any]]
"""The name of a template, and what it needs."""


class Tile(NamedTuple):
    """A number that leads to what it counts."""

    name: str
    amount: int
    state: str
    """What the list is filtered by; empty: items."""
    note: str = ""


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


def kind_of(document: Mapping[str, Any]) -> str:
    """``crawl``, or ``stage``."""
    return str(document.get("kind") or "crawl")


def is_stale(ask: Ask, document: Mapping[str, Any]) -> bool:
    """Whether an unfinished job has not changed for ``RESUME_STALE_AFTER``."""
    silent = ask.now - seconds_of(document["updated_at"])
    return document["status"] not in OVER and silent > ask.board.stale_seconds


def parts_of(document: Mapping[str, Any]) -> list[Part]:
    """The bar of a job."""
    return [
        Part(document["requests"][state], state)
        for state in ("done", "failed", "parked", "ignored")
    ]


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
        "in_flight": _in_flight(ask, key, document),
        "hosts": ask.pages.hosts(key, HOSTS_AT_MOST, HOSTS_LOOKED_AT),
        "hosts_looked_at": HOSTS_LOOKED_AT,
        "waits": {row["host"]: row for row in documents.waiting_hosts(ask, key)},
        "failures": documents.failures(ask, key, 0, FEW_FAILURES)[:5]
        if _has_failures(document)
        else [],
        "runs": document["runs"][::-1],
        "run_line": timeline(_run_spans(document, ask.now)),
        "custom": list(shown_custom(document["custom"], document["custom_shares"])),
        "numbers": _other_numbers(ask, key),
        "plots": _plots(series),
        "series": series,
    }


def frame(ask: Ask, key: JobKey, document: Mapping[str, Any]) -> dict[str, Any]:
    """What every page of a job has around it."""
    live = document["status"] in LIVE_STATUSES
    return {
        "title": str(key),
        "id": job_id(key),
        "key": str(key),
        "job": document,
        "kind": kind_of(document),
        "is_live": live,
        "is_stale": document["requests"] is not None and is_stale(ask, document),
        "has_steps": bool(document.get("steps")),
        "command": command_of(ask, key),
        "tab": "",
    }


def command_of(ask: Ask, key: JobKey) -> str:
    """The command that goes on with a job. A database's URL may contain a password: left out."""
    words = ["scrapy", "resume", "run", str(key)]
    if not ask.board.location.is_database:
        words += ["-s", f"RESUME_STORE={ask.board.location}"]
    return shlex.join(words)


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


def _run_spans(document: Mapping[str, Any], now: float) -> list[tuple[float, float, str, str]]:
    """The runs as shares of the time from the first one's start."""
    runs = document["runs"]
    if not runs:
        return []
    began = seconds_of(runs[0]["started_at"])
    ends = [seconds_of(run["ended_at"] or run["started_at"]) for run in runs]
    live = document["status"] in LIVE_STATUSES
    last = max([*ends, now if live else seconds_of(document["updated_at"])])
    whole = max(last - began, 1.0)
    spans = []
    for number, run in enumerate(runs):
        following = seconds_of(runs[number + 1]["started_at"]) if number + 1 < len(runs) else last
        is_live = run["status"] in LIVE_STATUSES
        end = seconds_of(run["ended_at"]) if run["ended_at"] else last if is_live else following
        start = seconds_of(run["started_at"])
        label = f"run {run['number']}: {run['status']}, {run['pages']:,} pages"
        spans.append(((start - began) / whole, (end - began) / whole, run["status"], label))
    return spans


def _other_numbers(ask: Ask, key: JobKey) -> list[tuple[str, int]]:
    """(id, number) of the job's other numbers, the highest first."""
    others = [one for one in ask.pages.stamps() if one.name == key.name and one != key]
    others.sort(key=lambda one: one.number, reverse=True)
    return [(job_id(one), one.number) for one in others[:NUMBERS_AT_MOST]]


def _plots(series: Mapping[str, Any]) -> dict[str, Any]:
    spans = series["spans"]
    if not spans:
        return {}

    def per_minute(span: Mapping[str, Any], name: str) -> float:
        return float(60 * span[name] / max(span["seconds"], 1))

    labels = [_label(span["at"]) for span in spans]
    rates = {
        name: [per_minute(span, name) for span in spans] for name in ("pages", "items", "failed")
    }
    done, total = [], 0
    for span in spans:
        total += span["done"] + span["ignored"]
        done.append(float(total))
    opened = [float(span["open"]) for span in spans]
    plots: dict[str, Any] = {
        name: columns(
            [[Part(value, f"series-{name}")] for value in values],
            [
                f"{label}: {value:,.1f} a minute"
                for label, value in zip(labels, values, strict=True)
            ],
        )
        for name, values in rates.items()
    }
    plots["peaks"] = {name: max(values) for name, values in rates.items()}
    plots["open"] = lines(
        [Line(opened, "series-open"), Line(done, "series-done")],
        [
            f"{label}: {one:,.0f} open, {other:,.0f} done since the plot begins"
            for label, one, other in zip(labels, opened, done, strict=True)
        ],
    )
    plots["open_peak"] = max([*opened, *done])
    plots["first"], plots["last"] = spans[0]["at"], spans[-1]["at"]
    plots["rates"] = list(zip(spans, rates["pages"], rates["items"], rates["failed"], strict=True))
    return {**plots, **_statuses(series)}


def _statuses(series: Mapping[str, Any]) -> dict[str, Any]:
    """HTTP statuses stacked by span, by class."""
    step = 60 * series["span_minutes"]
    found: dict[int, Counter[str]] = {}
    for row in series["answered"]:
        at = int(seconds_of(row["at"]) // step) * step
        found.setdefault(at, Counter())[f"{row['http_status'] // 100}xx"] += row["count"]
    if not found:
        return {"statuses": None, "classes": [], "status_rows": []}
    classes = sorted({name for counts in found.values() for name in counts})
    first, last = min(found), max(found)
    moments = range(max(first, last - 119 * step), last + step, step)
    rows = [(at, found.get(at, Counter())) for at in moments]
    plot = columns(
        [[Part(counts[name], f"http-{name}") for name in classes] for _, counts in rows],
        [
            ", ".join([_label_of(at), *(f"{name} {counts[name]:,}" for name in classes)])
            for at, counts in rows
        ],
    )
    totals = [(name, sum(counts[name] for _, counts in rows)) for name in classes]
    return {"statuses": plot, "classes": totals, "status_rows": [row for row in rows if row[1]]}


def _label(at: str) -> str:
    return f"{at[5:10]} {at[11:16]} UTC"


def _label_of(at: float) -> str:
    from scrapy_resume.reporting.times import iso

    return _label(iso(at))


def workers(ask: Ask) -> Shown:
    """Who works on a job."""
    key = ask.key()
    document = readable_document(ask, key)
    return "workers", {
        **frame(ask, key, document),
        "tab": "workers",
        "workers": workers_answer(ask.pages.workers(key)),
    }


def events(ask: Ask) -> Shown:
    """The end of the event log."""
    key = ask.key()
    kinds = _kinds(ask.query.getlist("type"))
    found = last_events(ask.board.events, key, EVENTS_AT_MOST, kinds)
    return "events", {
        **frame(ask, key, readable_document(ask, key)),
        "tab": "events",
        "events": [_shown_event(event) for event in found],
        "types": TYPES,
        "chosen": kinds,
        "has_log": has_log(ask.board.events, key),
        "directory": str(ask.board.events),
    }


def _kinds(given: Sequence[str]) -> list[str]:
    kinds = [one for text in given for one in text.split(",") if one]
    for kind in kinds:
        if kind not in TYPES:
            raise QueryError(f"there is no event type {kind!r}")
    return kinds


def _shown_event(event: Mapping[str, Any]) -> dict[str, Any]:
    """An event for the page. The log is a file, in which anything may stand."""
    return {
        "time": str(event.get("time", "")),
        "run": event.get("run"),
        "type": str(event.get("type", "")),
        "url": event.get("url"),
        "rest": list(_rest_of(event)),
    }


def _rest_of(event: Mapping[str, Any]) -> Iterable[tuple[str, Any]]:
    """What an event says beside when and which, in the order in which it was written."""
    for name, value in event.items():
        if name in ("time", "type", "job", "run", "worker", "url") or value in (None, {}, []):
            continue
        if isinstance(value, dict):
            value = ", ".join(f"{one} {what}" for one, what in value.items() if what)
        if isinstance(value, bool):
            value = "yes" if value else "no"
        if value == "":
            continue
        yield name.replace("_", " "), value


def steps(ask: Ask) -> Shown:
    """The steps of a job's items."""
    key = ask.key()
    document = readable_document(ask, key)
    return "steps", {
        **frame(ask, key, document),
        "tab": "steps",
        "steps": documents.steps(ask, key),
        "counts": document.get("steps") or {},
    }


def readable_document(ask: Ask, key: JobKey) -> dict[str, Any]:
    """The document of a job that can be read. Raises ``StoreError``."""
    document = ask.document(key)
    if document["requests"] is None:
        ask.reports.summary(key)
    return document
