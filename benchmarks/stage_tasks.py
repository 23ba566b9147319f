"""What a stage costs: CPU for a task that does nothing, known inputs a second, the first open key.

    python benchmarks/stage_tasks.py --tasks 1000000
    python benchmarks/stage_tasks.py --known 10000000

The first runs so many coroutine tasks without output through ``map``, and prints user and system
time of the whole process for each, beside its peak memory at a tenth of the tasks and at the end.
The second fills a job's file with so many keys that are done, and one that is open, and prints how
long after the start of the program the open key is called, and how fast the inputs that are known
pass. All on SQLite, in a temporary directory.
"""

from __future__ import annotations

import argparse
import asyncio
import resource
import sqlite3
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from scrapy_resume import Stage
from scrapy_resume.codec import Codec
from scrapy_resume.stages.task import key_text
from scrapy_resume.store.sqlite.statements import IDENTITY

OPEN_KEY = -1


async def nothing(_: int) -> None:
    """A task of no work at all."""


def peak_megabytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


async def cost_of_tasks(store: str, tasks: int) -> None:
    memory = []

    def inputs() -> Iterator[int]:
        for number in range(tasks):
            if number == tasks // 10:
                memory.append(peak_megabytes())
            yield number

    async with Stage("tasks", store=store) as stage:
        began, cpu = time.monotonic(), time.process_time()
        counts = await stage.map(nothing, inputs())
        microseconds = (time.process_time() - cpu) / tasks * 1e6
        seconds = time.monotonic() - began
    assert counts["done"] == tasks
    print(
        f"{tasks:,} tasks: {microseconds:.1f} µs of CPU a task, {tasks / seconds:,.0f} tasks/s, "
        f"peak {memory[0]:.0f} MB at a tenth, {peak_megabytes():.0f} MB at the end"
    )


async def fill(store: str, known: int) -> None:
    """A job with so many keys that are done, and an open one."""
    async with Stage("tasks", store=store) as stage:
        async for _ in stage.remaining([OPEN_KEY, known], name="nothing"):
            break
    (path,) = Path(store).glob("*.sqlite3")
    codec = Codec()
    with sqlite3.connect(path) as connection:
        connection.execute("DROP INDEX request_identity")
        connection.executemany(
            "INSERT INTO request (id, identity_head, identity_tail, kind, parent, unit, slot,"
            " state, priority, start, seq, depth, run, url, payload, updated_at)"
            " VALUES (?, ?, ?, 0, 0, -1, 1, 2, 0, 0, ?, 0, 1, ?, '{}', 0)",
            (
                (number + 10, *IDENTITY.unpack(key_text(number, codec)[1]), number, str(number))
                for number in range(known)
            ),
        )
        connection.execute("CREATE INDEX request_identity ON request (identity_head)")
        connection.execute("UPDATE job SET done = done + ?, next_id = ?", (known, known + 20))


async def pass_known(store: str, known: int, began: float) -> None:
    first: list[float] = []

    async def open_key(_: int) -> None:
        first.append(time.monotonic())

    async with Stage("tasks", store=store) as stage:
        read, cpu = time.monotonic(), time.process_time()
        counts = await stage.map(open_key, range(known), name="nothing")
        seconds = time.monotonic() - read
        cpu = time.process_time() - cpu
    assert counts["known"] == known, counts
    print(
        f"{known:,} known keys: the first open one is called {first[0] - began:.2f} s after the "
        f"opening, known inputs pass at {known / seconds:,.0f}/s ({cpu / known * 1e6:.1f} µs of "
        f"CPU each), peak {peak_megabytes():.0f} MB"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tasks", type=int, default=0)
    parser.add_argument("--known", type=int, default=0)
    options = parser.parse_args()
    if options.tasks:
        with tempfile.TemporaryDirectory() as store:
            asyncio.run(cost_of_tasks(store, options.tasks))
    if options.known:
        with tempfile.TemporaryDirectory() as store:
            asyncio.run(fill(store, options.known))
            asyncio.run(pass_known(store, options.known, time.monotonic()))


if __name__ == "__main__":
    main()
