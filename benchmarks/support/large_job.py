"""A large job, written through the store's own contract, as a crawl would have left it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from scrapy_resume.model import START, JobKey, State, digest
from scrapy_resume.store import open_location
from scrapy_resume.store.contract import Admission, Batch, Finish, Opening

BATCH = 2_000
SLOT = "127.0.0.1"


def admission(row: int, url: str, *, lease: bool) -> Admission:
    """A request as a spider's callback would have yielded it, with its depth in ``meta``."""
    return Admission(
        id=row,
        identity=digest(url.encode()),
        parent=START,
        url=url,
        payload='{"meta":{"depth":3}}',
        slot=SLOT,
        priority=0,
        start=0,
        seq=-row,
        unit=row,
        depth=3,
        lease=lease,
    )


def batches(url: str, seen: int, pending: int) -> Iterator[Batch]:
    """First the finished rows, then those that wait."""
    for first in range(1, seen + pending + 1, BATCH):
        rows = range(first, min(first + BATCH, seen + pending + 1))
        yield Batch(
            next_id=rows.stop,
            arrivals=[admission(row, f"{url}/leaf/{row}", lease=row <= seen) for row in rows],
            finishes=[Finish(row, State.done, 1, 200) for row in rows if row <= seen],
            start_exhausted=True,
        )


def build(store: Path, name: str, url: str, seen: int, pending: int) -> None:
    """A job whose last run died: so many rows are done, so many wait."""
    job = open_location(store).begin(JobKey(name, 1), Opening(spider=name, worker="builder:0"))
    try:
        for batch in batches(url, seen, pending):
            job.commit(batch)
    finally:
        job.abandon()
