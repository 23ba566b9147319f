"""The queries of one job in PostgreSQL, and the base of classes that run them in a transaction."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from psycopg import Connection, Cursor

from scrapy_resume.model import Counts
from scrapy_resume.store.transaction.counters import Tally
from scrapy_resume.store.transaction.queries import load_queries

COMMIT: Final = load_queries("postgres", "commit.sql")
OPENING: Final = load_queries("postgres", "opening.sql")
RETRIED: Final = {
    **load_queries("postgres", "commit.sql", retried=True),
    **load_queries("postgres", "opening.sql", retried=True),
    **load_queries("postgres", "retried.sql"),
}
"""Both, for runs that lease only what was retried, and what it leads to."""
ALL: Final = {**COMMIT, **OPENING}
"""Both, for other runs."""


def without_refused(*, only_retried: bool) -> dict[str, str]:
    """The same for a run that has refused rows: they take these from ``%(refused)s``."""
    found = RETRIED if only_retried else ALL
    commit = load_queries("postgres", "commit.sql", retried=only_retried, refused=True)
    return {**found, **commit}


class Fence(NamedTuple):
    """The columns of the statement ``fence``."""

    status: str
    own: bool
    """The row is this run's, not another's of that number."""
    commits: int
    alone_id: int
    now: float
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
    next_id: int
    skips: int
    """How often what is skipped has changed."""
    steps_open: int
    has_steps: bool
    """The job has had items with steps."""

    @property
    def counts(self) -> Counts:
        """The counters of the whole job."""
        return Counts.of(self._asdict())

    def tally(self) -> Tally:
        """The counters, to be changed."""
        tally = Tally(self.counts, self.alone_id, int(self.superseded))
        tally.has_steps = self.has_steps
        return tally


class Statements:
    """Runs statements for one run. ``use`` comes before everything else in a transaction."""

    def __init__(self, job: int, run: int) -> None:
        self._job = job
        self._run = run
        self._connection: Connection[Any]
        self._now = 0.0

    def use(self, connection: Connection[Any], now: float) -> None:
        """A transaction has begun on that connection; the server's time."""
        self._connection = connection
        self._now = now

    @property
    def connection(self) -> Connection[Any]:
        """The connection of the current transaction."""
        return self._connection

    @property
    def now(self) -> float:
        """The server's time when the transaction began."""
        return self._now

    def execute(self, statement: str, **values: Any) -> Cursor[Any]:
        """Run a statement with the job, the run and the time among its values."""
        return self._connection.execute(
            statement, {"job": self._job, "run": self._run, "now": self._now, **values}
        )
