"""Request cycles a second of the store alone: admitted, leased, finished with one item.

    python benchmarks/store_cycles.py --workers 2 --seconds 60 --batch 500 --before 0

Each worker is a process that commits as a crawl would, batches of 500 of each, as fast as the
store takes them; the server (PostgreSQL, brought along) is on the same machine. The table shows
each sixth of the time: a queue that dead rows slow down would show it, in CPU too, which tells
also on a machine that is busy with other things. ``--before``: the job has so many finished
requests by then, and a tenth as many that wait, in 20,000 slots.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from multiprocessing import Process, Queue, get_context
from multiprocessing.synchronize import Barrier
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
    Leasing,
    Opening,
    Wish,
)
from scrapy_resume.store.postgres.store import PostgresStore
from tests.support.postgres import PostgresServer, database_of
from tests.support.tables import table

PARTS = 6
JOB = JobKey("cycles", 1)
HEADINGS = ("part of the time", "cycles a second", "µs CPU a cycle", "the server's")
WAL = "SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::bigint"
SIZES = """
    SELECT relname, pg_total_relation_size(relid), n_tup_upd, n_tup_hot_upd, n_dead_tup
    FROM pg_stat_user_tables WHERE n_tup_ins > 1000 ORDER BY 2 DESC
"""
ITEM = '{"title": "' + "x" * 150 + '"}'


BEFORE = """
INSERT INTO scrapy_resume.slot (job, key) SELECT 1, 'old' || n FROM generate_series(1, 20000) AS n;
INSERT INTO scrapy_resume.seen (request, job, run, identity)
SELECT n, 1, 1, substr(sha256(n::text::bytea), 1, 20) FROM generate_series(1, {rows}) AS n;
INSERT INTO scrapy_resume.request (
    id, parent, unit, slot, priority, seq, updated_at, job, depth, kind, state, start, every_run,
    identity, url, payload
)
SELECT n, 0, n, 1 + n % 20000, 0, -n, 0, 1, 1, 0, CASE WHEN n % 10 = 0 THEN 0 ELSE 2 END, 0, 0,
    substr(sha256(n::text::bytea), 1, 20), 'http://old/products/a-name-of-usual-length/' || n,
    '{{}}'
FROM generate_series(1, {rows}) AS n;
INSERT INTO scrapy_resume.frontier (
    id, slot, priority, seq, not_before, updated_at, job, run, attempts, crashes, kind, start,
    every_run, suspect
)
SELECT n, 1 + n % 20000, 0, -n, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0
FROM generate_series(10, {rows}, 10) AS n;
UPDATE scrapy_resume.job SET next_id = {rows} + 1;
"""


def work(
    url: str, slot: str, seconds: float, batch_size: int, told: Queue[Any], ready: Barrier
) -> None:
    """One worker, on a host of its own."""
    opening = Opening(spider="cycles", worker=f"here:{os.getpid()}", orphan_seconds=600)
    job = PostgresStore(url).resume(JOB, opening)
    next_id, step = job.session.ids.first, job.session.ids.step
    leased: list[LeasedRow] = []
    ready.wait()
    began = time.monotonic()
    cycles, cpu = [0] * PARTS, [0.0] * PARTS
    spent = time.process_time()
    while (now := time.monotonic() - began) < seconds:
        arrivals: list[Any] = []
        for _ in range(batch_size):
            arrivals.append(admission(next_id, slot))
            next_id += step
        finishes = [
            Finish(
                id=row.id,
                state=State.done,
                attempts=1,
                http_status=200,
                items=[ItemRecord(0, ITEM)],
            )
            for row in leased
        ]
        batch = Batch(
            next_id=next_id,
            arrivals=arrivals,
            finishes=finishes,
            leasing=Leasing(wishes=[Wish(slot, batch_size)]),
        )
        leased = job.commit(batch).leased
        part = min(PARTS - 1, int(now / seconds * PARTS))
        cycles[part] += len(finishes)
        spent, before = time.process_time(), spent
        cpu[part] += spent - before
    told.put((cycles, cpu))
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
    parser.add_argument("--batch", type=int, default=500, help="of each, in a commit")
    parser.add_argument("--before", type=int, default=0, help="requests that the job has already")
    options = parser.parse_args()
    context = get_context("spawn")
    with PostgresServer({"shared_buffers": "256MB", "max_wal_size": "4GB"}) as server:
        url = server.new_database()
        store = PostgresStore(url)
        store.begin(JOB, Opening(spider="cycles", worker="here:0")).close(Closing("paused", "x"))
        if options.before:
            began = time.monotonic()
            server.query(BEFORE.format(rows=options.before), database=database_of(url))
            print(f"{options.before:,} requests written in {time.monotonic() - began:.0f} s")
            for name, size, *_ in server.query(SIZES, database=database_of(url)):
                print(f"{name}: {size / options.before:.0f} bytes a request")
        told: Queue[Any] = context.Queue()
        ready = context.Barrier(options.workers + 1)
        workers: list[Process] = [
            context.Process(
                target=work, args=(url, f"host{n}", options.seconds, options.batch, told, ready)
            )  # type: ignore[misc]
            for n in range(options.workers)
        ]
        for worker in workers:
            worker.start()
        ready.wait()
        [[wal_before]] = server.query(WAL)
        cpu_before = server.cpu_seconds()
        server_cpu = []
        for _ in range(PARTS):
            time.sleep(options.seconds / PARTS)
            server_cpu.append(server.cpu_seconds() - cpu_before - sum(server_cpu))
        answers = [told.get() for _ in workers]
        for worker in workers:
            worker.join()
        [[wal_after]] = server.query(WAL)
        print(report(server, url, options.seconds, answers, server_cpu))
        total = sum(sum(cycles) for cycles, _ in answers)
        print(f"WAL: {(wal_after - wal_before) / total:.0f} bytes a cycle")
    print(f"{options.workers} workers; {load()}")


def report(
    server: PostgresServer, url: str, seconds: float, answers: list[Any], server_cpu: list[float]
) -> str:
    parts = [sum(cycles[n] for cycles, _ in answers) for n in range(PARTS)]
    cpu = [sum(cpu[n] for _, cpu in answers) for n in range(PARTS)]
    rows = [
        [
            f"{number + 1}",
            f"{count / seconds * PARTS:,.0f}",
            f"{1e6 * cpu[number] / count:.0f}",
            f"{1e6 * server_cpu[number] / count:.0f}",
        ]
        for number, count in enumerate(parts)
    ]
    total = sum(parts)
    whole = [f"{total / seconds:,.0f}"]
    whole += [f"{1e6 * sum(spent) / total:.0f}" for spent in (cpu, server_cpu)]
    database = database_of(url)
    lines = [table(HEADINGS, [*rows, ["all", *whole]]), ""]
    for name, size, updates, in_place, dead in server.query(SIZES, database=database):
        lines.append(
            f"{name}: {size / total:.0f} bytes a cycle; {updates:,} updates, "
            f"{100 * in_place / max(1, updates):.0f}% in place; {dead:,} dead rows left"
        )
    [[size]] = server.query("SELECT pg_database_size(%s)", (database,))
    lines.append(f"database: {size / total:.0f} bytes a cycle, {total:,} cycles")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
