"""Ends a process at the n-th SQL statement of a small crawl whose items have steps.

As ``killed_at_statements``, which it goes with: a child for each n, then the job is gone on with
until nothing is left. Each item counts in its payload how often what a step gives was merged.
"""

from __future__ import annotations

import sys
from itertools import count
from pathlib import Path

from scrapy_resume.model import JobKey, Phase, StepState
from scrapy_resume.store.contract import (
    Closing,
    ItemChange,
    ItemRecord,
    LeasedStep,
    NewStep,
    StepAttempt,
    StepWish,
)
from scrapy_resume.store.sqlite.reader import SqliteReader
from scrapy_resume.store.sqlite.store import SqliteStore
from tests.contract.killed_at_statements import opened, run_until

from .records import BOOKS, admission, finish

PAGES, ITEMS = 2, 2
EXPECTED = sorted(
    f"{page}.{n}+photos+text" if n else f"{page}.{n}+photos visible"
    for page in range(PAGES)
    for n in range(ITEMS)
)


def crawl(store: SqliteStore) -> None:
    """Begin the job or go on with it, until nothing is left."""
    run = opened(store)
    if run is None:
        return
    job = run.job
    run.admit(*(admission(run.next_id + n, f"page{n}", counted=True) for n in range(PAGES)))
    while rows := run.lease(1):
        for row in rows:
            page = row.url.rpartition("page")[2]
            run.commit(finishes=[finish(row.id, [item(page, n) for n in range(ITEMS)])])
    while leased := run.commit(
        wishes_of_steps=[StepWish(name, 2, rate_count=9, rate_seconds=1e-9) for name in STEPS]
    ).steps.leased:
        for step in leased:
            job.mark(step.mark, Phase.sent)
        changes = merged(leased)
        for step in leased:
            job.unmark(step.mark)
        run.commit(changes=changes)
    assert run.commit().counts.nothing_open
    job.close(Closing("completed", "finished"))


STEPS = ("photos", "text")


def item(page: str, n: int) -> ItemRecord:
    steps = [NewStep("photos", StepState.pending), NewStep("text", StepState.waiting)]
    return ItemRecord(n, f"{page}.{n}", steps=steps, stable_key=f"{page}.{n}")


def merged(leased: list[LeasedStep]) -> list[ItemChange]:
    """The first attempt at the photos fails; the text of every first item does, for good."""
    return [change_of(step) for step in leased]


def change_of(step: LeasedStep) -> ItemChange:
    attempts = step.attempts + 1
    payload: str | None = f"{step.payload}+{step.name}"
    state, others, visible = StepState.done, [], None
    if step.name == "photos":
        if attempts == 1:
            state, payload = StepState.pending, None
        else:
            others = [NewStep("text", StepState.pending)]
    elif step.payload.startswith(("0.0", "1.0")):
        state, payload, visible = StepState.failed, None, f"{step.payload} visible"
    attempt = StepAttempt(step.name, state, attempts, gave=(step.name,) if payload else ())
    return ItemChange(step.item, step.version, [attempt], others, payload, visible, bool(visible))


def main() -> None:
    base, step = Path(sys.argv[1]), int(sys.argv[2])
    for last in count(1, step):
        directory = base / str(last)
        whole = run_until(directory, last, crawl)
        if last % 4 == 0:
            run_until(directory, last, crawl)  # dies once more, in what the recovery does there
        crawl(SqliteStore(directory))
        reader = SqliteReader(directory)
        found = sorted(payload for _, payload in reader.items(JobKey("books", 1)))
        assert found == EXPECTED, (last, found)
        summary = reader.summary(BOOKS)
        assert (summary.status, summary.counts.open) == ("completed", 0)
        assert summary.counts.items_stored == len(EXPECTED)
        counts = {
            name: (one.done, one.failed, one.open)
            for name, one in reader.step_counts(BOOKS).items()
        }
        assert counts == {"photos": (4, 0, 0), "text": (2, 2, 0)}, (last, counts)
        print(last)
        if whole:
            return


if __name__ == "__main__":
    main()
