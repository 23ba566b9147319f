"""Request cycles a second of the store alone: admitted, leased, finished with one item.

    python benchmarks/store_cycles.py --workers 2 --seconds 60

Each worker is a process that commits as a crawl would, batches of 500 of each, as fast as the
store takes them; the server (PostgreSQL, brought along) is on the same machine. The table shows
each sixth of the time: a queue that dead rows slow down would show it.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from multiprocessing import Process, Queue, get_context
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.support.measured import load
from scrapy_resume.model import START, JobKey, State, digest
from scrapy_resume.store.contract import (
    Admission,
    Batch,
    Closing,
    Finish,
    ItemRecord,
    LeasedRow,
    Opening,
    Wish,
)
from scrapy_resume.store.postgres import PostgresStore
from tests.support.postgres import PostgresServer

AT_ONCE = 500
PARTS = 6
JOB = JobKey("cycles", 1)
ITEM = '{"title": "' + "x" * 150 + '"}'


def work(url: str, slot: str, seconds: float, told: Queue[Any]) -> None:
    """One worker, on a host of its own."""
    opening = Opening(spider="cycles", worker=f"here:{os.getpid()}", orphan_seconds=600)
    job = PostgresStore(url).resume(JOB, opening)
    next_id, step = job.session.first_id, job.session.id_step
    leased: list[LeasedRow] = []
    began = time.monotonic()
    cycles = [0] * PARTS
    while (now := time.monotonic() - began) < seconds:
        arrivals: list[Any] = []
        for _ in range(AT_ONCE):
            arrivals.append(admission(next_id, slot))
            next_id += step
        finishes = [
            Finish(row.id, State.done, 1, 200, items=[ItemRecord(0, ITEM)]) for row in leased
        ]
        batch = Batch(next_id, arrivals, finishes=finishes, wishes=[Wish(slot, AT_ONCE)])
        leased = job.commit(batch).leased
        cycles[min(PARTS - 1, int(now / seconds * PARTS))] += len(finishes)
    told.put((cycles, time.process_time()))
    job.close(Closing("paused", "shutdown"))


def admission(row: int, slot: str) -> Admission:
    return Admission(
        id=row,
        identity=digest(row.to_bytes(8, "big")),
        parent=START,
        url=f"http://{slot}/products/a-name-of-usual-length/{row}",
        payload="{}",
        slot=slot,
        priority=0,
        start=0,
        seq=-row,
        unit=row,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=60)
    options = parser.parse_args()
    context = get_context("spawn")
    with PostgresServer({"shared_buffers": "256MB", "max_wal_size": "4GB"}) as server:
        url = server.new_database()
        store = PostgresStore(url)
        store.begin(JOB, Opening(spider="cycles", worker="here:0")).close(Closing("paused", "x"))
        told: Queue[Any] = context.Queue()
        workers: list[Process] = [
            context.Process(target=work, args=(url, f"host{n}", options.seconds, told))  # type: ignore[misc]
            for n in range(options.workers)
        ]
        for worker in workers:
            worker.start()
        answers = [told.get() for _ in workers]
        for worker in workers:
            worker.join()
        size = server.query("SELECT pg_database_size(%s)", (url.rpartition("/")[2],))[0][0]
    parts = [sum(cycles[n] for cycles, _ in answers) for n in range(PARTS)]
    each = options.seconds / PARTS
    print(f"{'part of the time':<20}{'cycles a second':>16}")
    for number, count in enumerate(parts, 1):
        print(f"{number:<20}{count / each:>16,.0f}")
    total = sum(parts)
    print(f"{'all':<20}{total / options.seconds:>16,.0f}")
    cpu = sum(seconds for _, seconds in answers)
    print(
        f"{1e6 * cpu / total:.0f} µs of the workers' CPU a cycle; {size / total:.0f} bytes a cycle"
    )
    print(f"{options.workers} workers; load average {load()} on {os.cpu_count()} cores")


if __name__ == "__main__":
    main()
