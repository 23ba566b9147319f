"""Jobs that look like those of people: for screenshots, and for looking at every page."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable
from typing import Any, cast

from scrapy_resume.codec import Codec
from scrapy_resume.model import START, JobKey, Phase, Selection, State, StepState, digest
from scrapy_resume.reporting.job_error import UNDELIVERED
from scrapy_resume.reporting.latencies import KEPT, Latencies
from scrapy_resume.reporting.reports import open_store
from scrapy_resume.store.contract import (
    Admission,
    Batch,
    Closing,
    FeedNote,
    Finish,
    HostNote,
    ItemRecord,
    JobStore,
    RunProgress,
    Span,
    StepSelection,
)
from tests.commands.clock import Clock
from tests.commands.conftest import Shelf
from tests.commands.step_jobs import end, give_items, lease

from .jobs import HOSTILE, with_log

GENRES = ("Crime", "Poetry", "Travel", "History", "Science fiction", "Cooking", "Philosophy")
HOSTS = ("shop.example", "images.shop.example", "reviews.example")
MINUTES = 42
ERRORS = (
    ("HttpError", "HTTP 503 Service Unavailable", 503),
    ("HttpError", "HTTP 503 Service Unavailable", 503),
    ("TimeoutError", "Getting https://reviews.example took longer than 180.0 seconds.", None),
    ("ValueError", "could not convert string to float: 'sold out'", 200),
)


def pictured_jobs(shelf: Shelf) -> dict[str, Any]:
    """Make them; ids of a failed request and of an item of the live one, and of an item with steps
    and its request."""
    clock, real = Clock(time.time() - 86_400 * 3), time.time
    time.time = clock
    try:
        for number in (1, 2):
            shelf.close(_crawl(shelf, clock, JobKey("books", number), 12))
        archive = shelf.begin("archive", number=7)
        shelf.close(archive)
        shelf.close(shelf.begin("old-import"))
        quotes = _crawl(shelf, clock, JobKey("quotes", 4), 8)
        shelf.close(quotes)
        paused = shelf.begin("university-pages-of-all-faculties", spider="university")
        shelf.crawl(paused, done=[[{"name": "a"}]] * 310, failed=["timed out"] * 4, pending=900)
        shelf.close(paused, "paused", "shutdown")
        clock.now = real() - 1_900
        crashed = _crawl(shelf, clock, JobKey("prices", 1), 20, open_rows=400)
        clock.now = real() - 60 * MINUTES
        first = _crawl(shelf, clock, JobKey("books", 3), 15, open_rows=300)
        shelf.close(first, "paused", "shutdown")
        clock.go_on(400)
        live = _crawl(shelf, clock, JobKey("books", 3), 20, open_rows=260, again=True)
        _steps_of(shelf, real)
        clock.now = real() - 7_200
        _large(shelf)
        clock.now = real() - 200
        clock.go_on(1)
        with_owed_feeds(shelf)
    finally:
        time.time = real
    clock.go_on(60)
    shelf.crash(crashed)
    shelf.make_newer("archive")
    shelf.damage("old-import")
    with_log(shelf, JobKey("books", 3))
    rows = list(shelf_rows(shelf))
    failed = next(row["id"] for row in rows if row["state"] == "failed")
    live.commit(Batch(next_id=10**6, progress=RunProgress(pages=2_300)))
    stepped = open_store(shelf.location).pages.stepped_page(
        JobKey("cars", 2), StepSelection(name="photos", states=(StepState.failed,)), Span(limit=1)
    )
    (row,) = stepped.rows
    return {"failed": failed, "item": 100, "stepped": row["id"], "of_steps": row["request"]}


def _steps_of(shelf: Shelf, real: Callable[[], float]) -> None:
    """Cars whose items have steps, over some days; live."""
    clock = cast(Clock, time.time)
    clock.now = real() - 86_400 * 9
    job = shelf.begin("cars", 2, spider="cars", worker="crawler-3:991")
    chance = random.Random(7)
    names = ("photos", "vin", "price_history")
    failed = {"error": "DownloadFailedError", "message": "https://cdn.example gave HTTP 502"}
    for day in range(9):
        for page in range(3):
            cars = [
                {"k": f"{make}-{day}{page}{at:02}", "make": make, "title": f"{make} {HOSTILE[:24]}"}
                for at, make in enumerate(chance.choices(("Volvo", "Saab", "Scania"), k=6))
            ]
            give_items(job, *cars, unit=chance.choice(("Oslo", "Bergen", "Lund")), names=names)
        end(job, "photos", StepState.done, 12 - day % 4, gives={"photos": ["full/a.jpg"]})
        end(job, "photos", StepState.failed, 1 + day % 4, **failed)
        end(job, "vin", StepState.done, 10, gives={"vin": "YV1"}, version="2")
        end(job, "vin", StepState.skipped, 2, error="SkipStep", message="the page names none")
        end(job, "vin", StepState.failed, 1, error="ValueError", message="checksum of 'YV1…'")
        if day > 4:
            end(job, "price_history", StepState.done, 9, gives={"prices": [1, 2]})
        end(job, "price_history", StepState.parked, 1, error="crash", message="it died 4 times")
        clock.go_on(86_000)
    clock.now = real() - 30
    lease(job, "vin", 2)


def _large(shelf: Shelf) -> None:
    """12,000 requests, all of which have ended."""
    job = shelf.begin("sitemap-of-everything", 1, spider="sitemap", worker="crawler-1:77")
    chance = random.Random(3)
    for first in range(job.session.ids.first, job.session.ids.first + 12_000, 2_000):
        rows = [_admission(first + at, chance, START) for at in range(2_000)]
        finishes = [_finish(row, chance) for row in rows]
        progress = RunProgress(pages=first + 1_999)
        job.commit(
            Batch(next_id=first + 2_000, arrivals=rows, finishes=finishes, progress=progress)
        )
    shelf.close(job)


def with_owed_feeds(shelf: Shelf) -> None:
    """A crawl that has ended and owes a file to a server that is out."""
    job = shelf.begin("owing", spider="books", worker="crawler-1:80")
    shelf.crawl(job, done=[[{"title": f"Book {at}"}] for at in range(120)], failed=[HOSTILE])
    owed = "s3://exports/owing-2026-05.jsonl"
    note = FeedNote(owed, 1, json.dumps({"uri": owed, "count": 70}), settled=False)
    job.commit(Batch(next_id=job.session.ids.first + 1_000, feeds=[note]))
    shelf.open_jobs.remove(job)
    job.close(Closing("paused", "finished", stats={UNDELIVERED: [owed]}))


def shelf_rows(shelf: Shelf) -> list[dict[str, Any]]:
    pages = open_store(shelf.location).pages
    return pages.request_page(JobKey("books", 3), Selection((State.failed,)), Span()).rows


def _crawl(
    shelf: Shelf,
    clock: Clock,
    key: JobKey,
    minutes: int,
    *,
    open_rows: int = 0,
    again: bool = False,
) -> JobStore:
    """So many minutes of a crawl, some hundred pages each."""
    chance = random.Random(f"{key}{again}")
    if again:
        opening = shelf.opening(worker="crawler-2:4711")
        job = shelf.store.resume(key, opening)
        shelf.open_jobs.append(job)
    else:
        job = shelf.begin(
            key.name, key.number, spider=key.name, worker="crawler-1:3218",
            metadata={"ticket": "DATA-1187", "requested by": "Maria"},
        )  # fmt: skip
    row, pages = job.session.ids.first, 0
    latencies = Latencies()
    for minute in range(minutes):
        count = round(90 + 60 * chance.random() + 40 * (minute % 7 == 3))
        rows = [
            _admission(row + at, chance, START if at < 3 and minute == 0 else row + at - 3)
            for at in range(count)
        ]
        finishes = [_finish(one, chance) for one in rows]
        pages += count
        row += count
        for one in rows:
            latencies.add(one.slot, chance.lognormvariate(-2 + len(one.slot) / 20, 0.6))
        custom = json.dumps(
            {
                "custom/prices": pages * 2,
                "custom/prices/reduced": pages // 3,
                KEPT: latencies.counts(),
            }
        )
        job.commit(
            Batch(
                next_id=row,
                arrivals=rows,
                finishes=finishes,
                progress=RunProgress(pages=pages, custom=custom),
            )
        )
        clock.go_on(60)
    held = 5 if open_rows else 0
    waiting = [_admission(row + at, chance, row - 1, lease=at < held) for at in range(open_rows)]
    for one in waiting[:held]:
        job.mark(one.id, Phase.sent)
    hosts = [
        HostNote(
            "reviews.example",
            json.dumps({"open_until": time.time() + 900, "probes": 1, "wait_until": 0, "at": 0}),
        )
    ]
    job.commit(
        Batch(
            next_id=row + len(waiting), arrivals=waiting, progress=RunProgress(pages=pages),
            hosts=hosts if open_rows else [],
        )
    )  # fmt: skip
    return job


def _admission(row: int, chance: random.Random, parent: int, lease: bool = True) -> Admission:
    host = chance.choices(HOSTS, (8, 1, 2))[0]
    genre = chance.choice(GENRES)
    path = f"{genre.lower().replace(' ', '-')}/book-{row:05}"
    url = f"https://{host}/en/{path}?ref=list&page={row % 40}"
    return Admission(
        id=row, identity=digest(url.encode()), parent=parent, url=url,
        payload='{"callback":"parse_book"}', slot=host, priority=0, start=0, seq=row, unit=genre,
        depth=2, lease=lease,
    )  # fmt: skip


def _finish(row: Admission, chance: random.Random) -> Finish:
    if chance.random() < 0.03:
        name, message, status = chance.choice(ERRORS)
        return Finish(
            id=row.id, state=State.failed, attempts=3, error=name, error_message=message,
            http_status=status,
        )  # fmt: skip
    if chance.random() < 0.05:
        return Finish(
            id=row.id, state=State.ignored, attempts=1, error="HttpError", http_status=404,
            error_message="HTTP 404 Not Found",
        )  # fmt: skip
    number = row.id
    item = {
        "title": HOSTILE if number % 50 == 7 else f"The book of {row.unit}, volume {number % 90}",
        "author": chance.choice(["A. Lind", "Grace Hopper", "Ursula K. Le Guin", None]),
        "price": round(4 + chance.random() * 40, 2),
        "currency": "EUR",
        "isbn": f"978-{number:09}" if chance.random() < 0.8 else None,
        "tags": chance.sample(["used", "signed", "first edition", "large print"], 2),
        "seller": {"name": "Bookshop at the harbour", "city": "Lund", "rating": 4.7},
        "url": row.url,
    }
    records = [ItemRecord(0, Codec().encode_item(item))]
    return Finish(id=row.id, state=State.done, attempts=1, http_status=200, items=records)
