"""A large job, written through the store's own contract, as a crawl would have left it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from benchmarks.support.addresses import Address, product_url
from scrapy_resume.model import START, JobKey, State, StepState, digest
from scrapy_resume.store import open_location
from scrapy_resume.store.contract import (
    Admission,
    Batch,
    Finish,
    ItemRecord,
    NewStep,
    Opening,
    RunProgress,
)

BATCH = 2_000
LINKS_A_PAGE = 20


@dataclass(frozen=True)
class LargeJob:
    """What a large job consists of. ``url`` is the site's origin."""

    url: str
    seen: int
    pending: int
    slots: int = 1
    """Download slots, among which the requests are spread."""
    items: int = 0
    """Items that each finished request gave."""
    steps: tuple[str, ...] = ()
    """Steps of each item, all of them pending."""
    failed_every: int = 0
    """One in so many finished requests has failed; 0: none has."""
    units: int = 0
    """Units, among which the requests are spread; 0: each is its own."""
    address: Address = product_url
    """The URLs of the requests."""

    def build(self, store: Path | str, name: str) -> None:
        """Writes the job; its last run seems to have died."""
        job = open_location(store).begin(JobKey(name, 1), Opening(spider=name, worker="builder:0"))
        try:
            for batch in self._batches():
                job.commit(batch)
        finally:
            job.abandon()

    def _batches(self) -> Iterator[Batch]:
        """First the finished rows, then those that wait."""
        end = self.seen + self.pending + 1
        for first in range(1, end, BATCH):
            rows = range(first, min(first + BATCH, end))
            yield Batch(
                next_id=rows.stop,
                arrivals=[self.admission(row) for row in rows],
                finishes=[self._finish(row) for row in rows if row <= self.seen],
                start_exhausted=True,
                progress=RunProgress(pages=min(rows.stop - 1, self.seen)),
            )

    def _finish(self, row: int) -> Finish:
        if self.failed_every and row % self.failed_every == 0:
            message = "503 Service Unavailable" if row % 2 else "timed out"
            return Finish(
                id=row,
                state=State.failed,
                attempts=3,
                http_status=503,
                error="HttpError",
                error_message=message,
            )
        text = f'{{"page":{row},"name":"an item of some length, as items are"}}'
        items = [self._item(row, occurrence, text) for occurrence in range(self.items)]
        return Finish(id=row, state=State.done, attempts=1, http_status=200, items=items)

    def _item(self, row: int, occurrence: int, text: str) -> ItemRecord:
        if not self.steps:
            return ItemRecord(occurrence, text)
        steps = [NewStep(name, StepState.pending) for name in self.steps]
        return ItemRecord(occurrence, text, steps=steps, stable_key=f"{row}-{occurrence}")

    def admission(self, row: int) -> Admission:
        """A request as a spider's callback would have yielded it, with the other links of its
        page."""
        url = self.address(self.url, row)
        slot = f"slot-{row % self.slots}"
        parent = row // LINKS_A_PAGE
        referer = f'"headers":{{"Referer":"{self.address(self.url, parent)}"}},'
        return Admission(
            id=row,
            identity=digest(url.encode()),
            parent=parent or START,
            url=url,
            payload=f'{{{referer}"meta":{{"depth":3,"download_slot":"{slot}"}}}}',
            slot=slot,
            priority=0,
            start=0,
            seq=-row,
            unit=1 + row % self.units if self.units else row,
            depth=3,
            lease=row <= self.seen,
        )


def grow(store: Path, times: int) -> None:
    """Have the job of a directory so many times the requests: copies of them, known by random
    dupefilter. Much faster than to write them one by one; the file is as good as one that was
    written so, but for an index that is in order, and 5 bytes a row shorter.
    """
    (path,) = store.glob("*.sqlite3")
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = OFF")
        connection.execute("PRAGMA synchronous = OFF")
        indices = connection.execute(
            "SELECT name, sql FROM sqlite_schema WHERE type = 'index' AND tbl_name = 'request'"
        ).fetchall()
        for name, _ in indices:
            connection.execute(f"DROP INDEX {name}")
        ((rows,),) = connection.execute("SELECT max(id) FROM request")
        for copy in range(1, times):
            connection.execute(_copying(connection), (copy * rows, copy * rows, rows))
        for _, statement in indices:
            connection.execute(statement)
        for table, columns in _COUNTERS.items():
            changes = ", ".join(f"{column} = {column} * {times}" for column in columns)
            connection.execute(f"UPDATE {table} SET {changes}")
        connection.execute("UPDATE job SET next_id = ?", (times * rows + 1,))
        connection.execute("PRAGMA journal_mode = WAL")


_COUNTERS = {
    "job": ("pending", "done"),
    "slot": ("pending",),
    "unit_count": ("open", "done", "attempts"),
}

_CHANGED = {"id": "id + ?", "seq": "seq - ?", "identity_head": "random()",
            "identity_tail": "randomblob(12)"}  # fmt: skip


def _copying(connection: sqlite3.Connection) -> str:
    columns = [row[1] for row in connection.execute("PRAGMA table_info(request)")]
    values = [_CHANGED.get(column, column) for column in columns]
    return (
        f"INSERT INTO request ({', '.join(columns)}) "
        f"SELECT {', '.join(values)} FROM request WHERE id <= ?"
    )
