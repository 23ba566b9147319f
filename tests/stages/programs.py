"""A program with a stage, for tests that end it: what it does is told by its arguments.

``STORE MODE COUNT [OPTION=VALUE …]``. It prints the key of each task that it begins, and at last
the status of its stage and ``end``. With ``trace=1`` also ``failed KEY``, ``ended KEY TIME`` (of
the monotonic clock, which all processes share) when the stage has taken over its result, and
``committed TIME`` when it knows that a batch is committed which was sent at that time.
"""

from __future__ import annotations

import asyncio
import random
import sys
import time
from typing import Any

from scrapy_resume import Stage
from scrapy_resume.model import State
from scrapy_resume.stages.stage_run import StageRun
from scrapy_resume.stages.task import Task
from scrapy_resume.store.contract import Batch, Committed

store, mode, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
options = dict(text.split("=", 1) for text in sys.argv[4:])
seconds = float(options.get("seconds", "0.005"))
failures = float(options.get("failures", "0"))
feeds = {options["feed"]: {"format": "jsonlines"}} if "feed" in options else None
stage_options: dict[str, Any] = {
    "store": store,
    "feeds": feeds,
    "force": "force" in options,
    "input_files": [options["input"]] if "input" in options else [],
    "on_input_change": options.get("on_change", "refuse"),
}
map_options: dict[str, Any] = {
    "concurrency": int(options.get("concurrency", "8")),
    "max_attempts": 100,
    "retry_delay": 0.01,
}


def told(line: str) -> None:
    # In one call: threads print beside one another.
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def begun(number: int) -> float:
    told(str(number))
    return seconds * random.uniform(0.5, 1.5)


def result(number: int) -> dict[str, int]:
    if random.random() < failures:
        if "trace" in options:
            told(f"failed {number}")
        raise ConnectionError(f"try {number} again")
    if options.get("dies") == str(number):
        import os

        os._exit(9)
    return {"number": number}


def trace() -> None:
    """Print when tasks have ended, and what is committed."""
    sent: dict[int, float] = {}
    complete, answered, ended = StageRun.complete, StageRun.answered, StageRun.ended

    def completed(run: StageRun, batch: Batch) -> None:
        sent[id(batch)] = time.monotonic()
        complete(run, batch)

    def committed(run: StageRun, batch: Batch, answer: Committed) -> None:
        told(f"committed {sent.pop(id(batch)):.6f}")
        answered(run, batch, answer)

    def taken_over(run: StageRun, task: Task, state: State) -> None:
        told(f"ended {task.text} {time.monotonic():.6f}")
        ended(run, task, state)

    StageRun.complete, StageRun.answered = completed, committed  # type: ignore[method-assign]
    StageRun.ended = taken_over  # type: ignore[method-assign]


async def enrich(number: int) -> dict[str, int]:
    await asyncio.sleep(begun(number))
    return result(number)


def enrich_plain(number: int) -> dict[str, int]:
    time.sleep(begun(number))
    return result(number)


async def in_asyncio() -> None:
    async with Stage("work", **stage_options) as stage:
        await stage.map(enrich, range(count), **map_options)
    print(stage.status, "end", flush=True)


def in_plain_code() -> None:
    with Stage("work", **stage_options) as stage:
        stage.map(enrich_plain, range(count), **map_options)
    print(stage.status, "end", flush=True)


def by_hand() -> None:
    with Stage("work", **stage_options) as stage:
        for key, number in stage.remaining(range(count)):
            stage.done(key, enrich_plain(number))
    print(stage.status, "end", flush=True)


async def chain() -> None:
    for name in ("first", "second"):
        async with Stage(name, **stage_options) as stage:
            await stage.map(enrich, range(count), **map_options)
        print(name, stage.status, flush=True)
    if "error" in options:
        raise RuntimeError("after the stages")


if "trace" in options:
    trace()
if mode == "asyncio":
    asyncio.run(in_asyncio())
elif mode == "uvloop":
    import uvloop

    uvloop.run(in_asyncio())
elif mode == "plain":
    in_plain_code()
elif mode == "hand":
    by_hand()
else:
    asyncio.run(chain())
