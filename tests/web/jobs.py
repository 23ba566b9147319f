"""Jobs as the dashboard's tests look at them."""

from __future__ import annotations

import json
import time
from typing import Any

from scrapy_resume.codec import Codec
from scrapy_resume.events.log_files import segment_path
from scrapy_resume.model import START, JobKey, Phase, State, StepState, digest
from scrapy_resume.reporting.job_error import ERROR_CLASS, ERROR_MESSAGE, UNDELIVERED
from scrapy_resume.reporting.latencies import KEPT
from scrapy_resume.store.contract import (
    Admission,
    Batch,
    Closing,
    FeedNote,
    Finish,
    HostNote,
    ItemChange,
    ItemRecord,
    JobStore,
    NewStep,
    RunProgress,
    StepAttempt,
    StepReport,
    StepWish,
)
from tests.commands.conftest import Shelf, admission

HOSTILE = '"><img src=x onerror=alert(1)><script>alert(2)</script>'
"""What a page could want to have executed."""


def shop(shelf: Shelf, *, close: str | None = "paused") -> JobStore:
    """A crawl of a shop with requests in all states, over two runs; live if it is not closed."""
    first = shelf.begin("books", metadata={"ticket": 7})
    shelf.crawl(first, done=[[book(at)] for at in range(40)], failed=["timed out"] * 3, pending=20)
    shelf.close(first, "paused", "shutdown")
    job = shelf.store.resume(JobKey("books", 1), shelf.opening(worker="host:8"))
    shelf.open_jobs.append(job)
    shelf.crawl(
        job,
        done=[[book(at), book(at + 100)] for at in range(40, 60)],
        failed=["HTTP 503 Service Unavailable"] * 6,
        ignored=4,
        pending=30,
        leased=0 if close else 3,
    )
    if close:
        shelf.close(job, close, "shutdown")
    return job


def book(number: int) -> dict[str, Any]:
    return {
        "title": f"Book {number}",
        "price": 9.5 + number,
        "tags": ["used", "first edition"] if number % 2 else [],
        "seller": {"name": "Ann", "city": "Lund"} if number % 3 else None,
        "url": f"http://127.0.0.1/page/{number}",
    }


def chained(shelf: Shelf, urls: list[str]) -> list[int]:
    """A job whose requests led to one another; their ids."""
    job = shelf.begin("chained")
    first = job.session.ids.first
    rows = []
    for at, url in enumerate(urls):
        parent = START if at == 0 else first + at - 1
        rows.append(
            Admission(
                id=first + at, identity=digest(url.encode()), parent=parent, url=url, payload="{}",
                slot="h", priority=0, start=0, seq=at, unit=first, lease=True,
            )
        )  # fmt: skip
    finishes = [Finish(id=row.id, state=State.done, attempts=1, http_status=200) for row in rows]
    job.commit(Batch(next_id=first + len(rows), arrivals=rows, finishes=finishes))
    shelf.close(job, "completed", "finished")
    return [row.id for row in rows]


def hostile(shelf: Shelf) -> JobStore:
    """A live job in which every text that the web, or a user, gives is hostile: also the worker's
    name, hosts, the URI of a feed that is owed, the job's error, and steps with what they say."""
    name = f"job {HOSTILE}"
    given = {HOSTILE: HOSTILE}
    before = shelf.begin(name, metadata=given, arguments=given, worker=HOSTILE, spider=HOSTILE)
    owed = f"ftp://h/{HOSTILE}"
    note = FeedNote(owed, 1, json.dumps({"uri": owed, "count": 1}), settled=False)
    failure = StepAttempt(HOSTILE, StepState.failed, 1, error=HOSTILE, message=HOSTILE)
    step = NewStep(HOSTILE, StepState.pending)
    hostile_item = ItemRecord(
        0, Codec().encode_item(given), HOSTILE, steps=[step], stable_key=HOSTILE
    )
    row = admission(before.session.ids.first, url=f"http://h/steps/{HOSTILE}")
    end = Finish(id=row.id, state=State.done, attempts=1, items=[hostile_item], http_status=200)
    wishes = StepReport(wishes=[StepWish(HOSTILE, 1)])
    before.commit(Batch(next_id=row.id + 1, arrivals=[row], finishes=[end], feeds=[note]))
    (leased,) = before.commit(Batch(next_id=row.id + 1, steps=wishes)).steps.leased
    change = ItemChange(leased.item, leased.version, [failure])
    before.commit(Batch(next_id=row.id + 1, steps=StepReport(changes=[change])))
    stats = {UNDELIVERED: [owed], ERROR_CLASS: HOSTILE, ERROR_MESSAGE: HOSTILE}
    shelf.open_jobs.remove(before)
    before.close(Closing("paused", HOSTILE, stats=stats))
    opening = shelf.opening(metadata=given, arguments=given, worker=HOSTILE, spider=HOSTILE)
    job = shelf.store.resume(JobKey(name, 1), opening)
    shelf.open_jobs.append(job)
    first = job.session.ids.first
    url = f"http://h/{HOSTILE}"
    rows = [
        admission(first, url=url, unit=HOSTILE),
        admission(first + 1, url="javascript:alert(1)", unit="javascript:alert(2)"),
        admission(first + 2, url="data:text/html,<script>alert(3)</script>"),
        admission(first + 3, url=f"http://h/held/{HOSTILE}"),
    ]
    item = {HOSTILE: HOSTILE, "link": "javascript:alert(4)", "nested": [{HOSTILE: [HOSTILE]}]}
    records = [ItemRecord(0, Codec().encode_item(item))]
    failed = {
        "state": State.failed, "attempts": 2, "error": HOSTILE, "error_message": HOSTILE,
        "http_status": 500,
    }  # fmt: skip
    finishes = [
        Finish(id=first, state=State.done, attempts=1, http_status=200, items=records),
        Finish(id=first + 1, **failed),
        Finish(id=first + 2, **failed),
    ]
    job.mark(first + 3, Phase.sent)
    opened = {"open_until": 9e9, "probes": 1, "wait_until": 0}
    job.commit(
        Batch(
            next_id=first + 4,
            arrivals=rows,
            finishes=finishes,
            hosts=[HostNote(HOSTILE, json.dumps(opened))],
            progress=RunProgress(
                pages=3,
                custom=json.dumps({f"custom/{HOSTILE}": HOSTILE, KEPT: {HOSTILE: {"5": 1}}}),
            ),
        )
    )
    return job


def with_log(shelf: Shelf, key: JobKey, **fields: Any) -> None:
    """An event log of a run, of a few events."""
    directory = shelf.directory / "events"
    directory.mkdir(exist_ok=True)
    usual = {"time": "2026-05-01T10:00:00.000Z", "job": str(key), "run": 1, "worker": "host:7"}
    states = ("pending", "leased", "done", "failed", "parked", "ignored", "delayed")
    items = ("items_stored", "items_dropped", "items_failed", "steps_open")
    counts = dict.fromkeys((*states, *items), 0)
    ended = {"unit": "http://127.0.0.1/page/1", "callback": "parse", "attempts": 1, "items": 0}
    page = {**usual, **ended, "url": "http://127.0.0.1/page/1"}
    began = {"type": "run_started", "spider": "books", "began": True, "crashed": False, "others": 0}
    events = [
        {**usual, **began, "counts": counts},
        {**page, "type": "request_done", "http_status": 200},
        {**page, "type": "request_failed", "http_status": 503, "error": "HttpError"},
    ]
    lines = "".join(f"{json.dumps({**event, **fields})}\n" for event in events)
    segment_path(directory, key, 1, 1).write_text(lines, encoding="utf-8")


def more(job: JobStore, first: int, count: int) -> None:
    """So many more requests of a live job, done; their ids begin with ``first``."""
    rows = [admission(first + at) for at in range(count)]
    finishes = [Finish(id=row.id, state=State.done, attempts=1, http_status=200) for row in rows]
    job.commit(Batch(next_id=first + count, arrivals=rows, finishes=finishes))


def closing(job: JobStore) -> None:
    job.close(Closing("paused", "shutdown"))


def wait_until(holds: Any, seconds: float = 15.0) -> None:
    """Ask again and again, until it holds. Raises ``AssertionError``."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)
