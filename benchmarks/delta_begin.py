"""What a delta crawl costs: its beginning, and each request that it skips.

    python benchmarks/delta_begin.py --pages 1000000

Number 1 of a job has so many pages, each of which gave an item. Number 2 gathers their keys,
number 3 takes them over; then each is asked for in number 3, and as many new ones in a job that
is crawled in no such mode, for comparison.
"""

from __future__ import annotations

import argparse
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.support.measured import load
from scrapy_resume.model import JobKey, State, digest
from scrapy_resume.store.contract import (
    Admission,
    Batch,
    Closing,
    Finish,
    ItemRecord,
    JobStore,
    Opening,
    Store,
)
from scrapy_resume.store.postgres.store import PostgresStore
from scrapy_resume.store.sqlite.store import SqliteStore
from tests.support.postgres import PostgresServer

AT_ONCE = 1_000
COMPLETED = Closing("completed", "finished")
ITEM = '{"title": "' + "x" * 150 + '"}'


def arrivals(job: JobStore, start: int, count: int, *, lease: bool) -> list[Admission]:
    first, step = job.session.ids.first, job.session.ids.step
    return [
        Admission(
            id=first + number * step,
            identity=digest(number.to_bytes(8, "big")),
            parent=1,
            url=f"http://shop.example/products/a-name-of-usual-length/{number}",
            payload="{}",
            slot="shop.example",
            priority=0,
            start=0,
            seq=-number,
            unit=1,
            lease=lease,
            may_be_skipped=True,
        )
        for number in range(start, start + count)
    ]


def ask_for_all(job: JobStore, pages: int, *, finish: bool = False) -> float:
    """Every page arrives, and is fetched if ``finish``; seconds."""
    began = time.perf_counter()
    for start in range(0, pages, AT_ONCE):
        arrived: list[Any] = arrivals(job, start, AT_ONCE, lease=finish)
        next_id = arrived[-1].id + job.session.ids.step
        job.commit(Batch(next_id=next_id, arrivals=arrived))
        if finish:
            ends = [
                Finish(
                    id=row.id,
                    state=State.done,
                    attempts=1,
                    http_status=200,
                    items=[ItemRecord(0, ITEM)],
                )
                for row in arrived
            ]
            job.commit(Batch(next_id=next_id, finishes=ends))
    return time.perf_counter() - began


def timed_begin(
    store: Store, number: int, *, delta: bool, name: str = "shop"
) -> tuple[JobStore, float]:
    opening = Opening(spider="shop", worker="here:0", delta=delta, orphan_seconds=600)
    began = time.perf_counter()
    job = store.begin(JobKey(name, number), opening)
    return job, time.perf_counter() - began


def measure(kind: str, store: Store, pages: int) -> None:
    job, plain = timed_begin(store, 1, delta=False)
    ask_for_all(job, pages, finish=True)
    job.close(COMPLETED)
    job, gathered = timed_begin(store, 2, delta=True)
    job.close(COMPLETED)
    job, taken_over = timed_begin(store, 3, delta=True)
    skipped = ask_for_all(job, pages)
    job.close(COMPLETED)
    other, _ = timed_begin(store, 1, delta=False, name="other")
    admitted = ask_for_all(other, pages)
    other.close(COMPLETED)
    print(f"{kind}, {pages:,} pages that gave items")
    print(f"  a job begins in {plain:.2f} s, the first delta crawl in {gathered:.2f} s, the next")
    print(f"  one in {taken_over:.2f} s; a request is skipped in {1e6 * skipped / pages:.0f} µs,")
    print(f"  and is admitted in {1e6 * admitted / pages:.0f} µs where nothing is skipped")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pages", type=int, default=100_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        measure("SQLite", SqliteStore(folder), options.pages)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(f"  largest resident size of this process so far: {peak / 1024:.0f} MB")
    with PostgresServer({"shared_buffers": "256MB", "max_wal_size": "4GB"}) as server:
        measure("PostgreSQL", PostgresStore(server.new_database()), options.pages)
    print(load())


if __name__ == "__main__":
    main()
