"""Leasing requests that are ready, beside requests that wait for their time.

    python benchmarks/delayed_leases.py --delayed 0 10000 100000 --ready 20000

Each line is a job of its own, of which the same number of ready requests are leased, 50 by a
commit, as a crawl does it, and finished with the next; the delayed ones are on the same host. The
times are those of a commit; with PostgreSQL (brought along, on the same machine) they contain the
server's work.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
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
    Leasing,
    Opening,
    Store,
    Wish,
)
from scrapy_resume.store.postgres.store import PostgresStore
from scrapy_resume.store.sqlite.store import SqliteStore
from tests.support.postgres import PostgresServer

HOST = "shop.example"
AT_ONCE = 1_000
LEASED_AT_ONCE = 50
ROUNDS = 3


def admission(row: int, not_before: float) -> Admission:
    return Admission(
        id=row,
        identity=digest(row.to_bytes(8, "big")),
        parent=START,
        url=f"http://{HOST}/products/a-name-of-usual-length/{row}",
        payload="{}",
        slot=HOST,
        priority=0,
        start=0,
        seq=-row,
        unit=row,
        not_before=not_before,
    )


def measure(store: Store, name: str, delayed: int, ready: int) -> list[float]:
    """Milliseconds of each commit that leases ready requests and finishes those before."""
    opening = Opening(spider="delayed", worker="here:0", slots_shared=True, orphan_seconds=600)
    job = store.begin(JobKey(name, 1), opening)
    step = job.session.ids.step
    later = time.time() + 86_400
    next_id = job.session.ids.first
    for start in range(0, delayed + ready, AT_ONCE):
        arrivals: list[Any] = []
        for number in range(start, min(start + AT_ONCE, delayed + ready)):
            arrivals.append(admission(next_id, later + number if number < delayed else 0.0))
            next_id += step
        job.commit(Batch(next_id=next_id, arrivals=arrivals))
    spent = []
    finishes: list[Finish] = []
    leased = 0
    while leased < ready:
        batch = Batch(
            next_id=next_id, finishes=finishes, leasing=Leasing(wishes=[Wish(HOST, LEASED_AT_ONCE)])
        )
        began = time.perf_counter()
        rows = job.commit(batch).leased
        spent.append(1e3 * (time.perf_counter() - began))
        assert rows, "nothing was leased"
        leased += len(rows)
        finishes = [
            Finish(id=row.id, state=State.done, attempts=1, http_status=200) for row in rows
        ]
    job.close(Closing("paused", "shutdown"))
    return spent


@contextmanager
def stores() -> Iterator[dict[str, Store]]:
    with (
        tempfile.TemporaryDirectory() as folder,
        PostgresServer({"shared_buffers": "256MB"}) as server,
    ):
        yield {"SQLite": SqliteStore(folder), "PostgreSQL": PostgresStore(server.new_database())}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--delayed", type=int, nargs="+", default=[0, 10_000, 100_000])
    parser.add_argument("--ready", type=int, default=10_000)
    options = parser.parse_args()
    with stores() as opened:
        heading = (
            f"{'store':<12}{'delayed':>9}{'median ms':>11}{'95 % ms':>9}{'ready a second':>16}"
        )
        print(heading)
        for kind, store in opened.items():
            spent: dict[int, list[float]] = {delayed: [] for delayed in options.delayed}
            for number in range(ROUNDS):
                for delayed in options.delayed:
                    name = f"delayed-{delayed}-{number}"
                    spent[delayed] += measure(store, name, delayed, options.ready)
            for delayed, times in spent.items():
                rate = 1e3 * LEASED_AT_ONCE / statistics.median(times)
                late = statistics.quantiles(times, n=20)[-1]
                line = f"{kind:<12}{delayed:>9,}{statistics.median(times):>11.2f}{late:>9.2f}"
                print(f"{line}{rate:>16,.0f}")
    print(f"{ROUNDS} rounds, interleaved; {load()}")


if __name__ == "__main__":
    main()
