"""The queries of one job's file, and the base of classes that run them in a transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from struct import Struct
from typing import Any, Final, NamedTuple

from scrapy_resume.model import LIVE_STATUSES, Counts
from scrapy_resume.store.transaction.counters import Tally
from scrapy_resume.store.transaction.queries import load_queries

COMMIT: Final = load_queries("sqlite", "commit.sql")
OPENING: Final = load_queries("sqlite", "opening.sql")
RETRIED: Final = {
    **load_queries("sqlite", "commit.sql", retried=True),
    **load_queries("sqlite", "retried.sql"),
}
"""``COMMIT`` for runs that lease only what was retried, and what it leads to."""

IDENTITY: Final = Struct(">q12s")
"""The columns that an identity, or a key, of 20 bytes is kept in."""


class JobRow(NamedTuple):
    """The columns of the statement ``job``."""

    epoch: int
    commits: int
    next_item: int
    last_payload: int
    last_beginning: int
    alone_id: int
    pending: int
    leased: int
    done: int
    failed: int
    parked: int
    ignored: int
    delayed: int
    items_stored: int
    items_dropped: int
    items_failed: int
    superseded: int
    skips: int
    steps_open: int
    next_stepped: int

    def tally(self) -> Tally:
        """The counters, to be changed."""
        tally = Tally(Counts.of(self._asdict()), self.alone_id, self.superseded)
        tally.has_steps = self.next_stepped > 1
        return tally


class Ownership(NamedTuple):
    """The columns of the statement ``ownership``."""

    epoch: int
    status: str
    name: str
    number: int
    run: int | None
    run_epoch: int | None
    run_status: str | None
    worker: str | None
    started_at: float | None

    @property
    def died(self) -> bool:
        """The last run has not recorded its end."""
        return self.run_status in LIVE_STATUSES


class Statements:
    """Runs statements. ``use`` comes before everything else in a transaction."""

    _connection: sqlite3.Connection

    def use(self, connection: sqlite3.Connection) -> None:
        """A transaction has begun on that connection."""
        self._connection = connection

    def _run(self, statement: str, values: Any = ()) -> sqlite3.Cursor:
        return self._connection.execute(statement, values)

    def _run_many(self, statement: str, rows: Sequence[Sequence[object]]) -> None:
        if rows:
            self._connection.executemany(statement, rows)

    def _number(self, statement: str, values: Any = ()) -> int:
        ((number,),) = self._run(statement, values).fetchall()
        return int(number)
