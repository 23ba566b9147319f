"""Jobs that look like those of people: for screenshots, and for looking at every page."""

from __future__ import annotations

import json
import random
import time
from typing import Any

from scrapy_resume.codec import Codec
from scrapy_resume.model import START, JobKey, Phase, State, digest
from scrapy_resume.store.contract import (
    Admission,
    Batch,
    Finish,
    HostNote,
    ItemRecord,
    JobStore,
    RunProgress,
)
from tests.commands.clock import Clock
from tests.commands.conftest import Shelf

from .jobs import with_log

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
    """Make them; ids of a failed request and of an item of the live one."""
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
    return {"failed": failed, "item": 100}


def shelf_rows(shelf: Shelf) -> list[dict[str, Any]]:
    from scrapy_resume.model import Selection
    from scrapy_resume.reporting.reports import open_store
    from scrapy_resume.store.contract import Span

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
    for minute in range(minutes):
        count = round(90 + 60 * chance.random() + 40 * (minute % 7 == 3))
        rows = [
            _admission(row + at, chance, START if at < 3 and minute == 0 else row + at - 3)
            for at in range(count)
        ]
        finishes = [_finish(one, chance) for one in rows]
        pages += count
        row += count
        custom = json.dumps({"custom/prices": pages * 2, "custom/prices/reduced": pages // 3})
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
        "title": f"The book of {row.unit}, volume {number % 90}",
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
