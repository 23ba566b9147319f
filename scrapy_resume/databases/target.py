"""A database that is a feed, as one writer of the job has it. All calls come on one thread.

A delivery is one transaction: the rows, which row each item is, and the position. It is fenced by
an epoch that each writer increments when it claims the feed, and numbered, so that it is not done
twice if the answer to its commit was lost.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from typing import Any, Final

import sqlalchemy as sa

from scrapy_resume.databases.address import Address
from scrapy_resume.databases.bulk import insert_into
from scrapy_resume.databases.columns import ROW_ID
from scrapy_resume.databases.connection import Connection, MadeByOthersError, RowRefusedError
from scrapy_resume.databases.emptying import empty_family
from scrapy_resume.databases.options import DatabaseOptions
from scrapy_resume.databases.row_writer import FeedRows, RowWriter
from scrapy_resume.databases.side_tables import FEED, METADATA, OWED, ROW
from scrapy_resume.databases.silent_writer import end_connections
from scrapy_resume.databases.table import FeedTable, Fields
from scrapy_resume.databases.writes import Outcome, Write
from scrapy_resume.errors import (
    DatabaseFeedError,
    DatabaseUnavailableError,
    TooManyRemovalsError,
)
from scrapy_resume.store.contract import LogMark
from scrapy_resume.wording import counted

CREATE_TRIES: Final = 3
"""Two processes may make the tables beside the rows at the same time."""

DELIVERY_TRIES: Final = 10
"""Other jobs may make the table, and columns of it, that this one is about to make."""


class FencedError(DatabaseFeedError):
    """Another worker has claimed the feed."""


@dataclass(frozen=True)
class Identity:
    """Whose feed it is."""

    job: str
    """The job's own random id."""
    earlier: Callable[[], Sequence[str]]
    """Those of the other numbers of the job that the store has. Called on the thread of the
    feed."""
    name: str
    """Such as ``books#3``."""
    writer: str
    """``host:pid``."""
    options: str
    """A digest of the options on which the content depends."""


@dataclass
class Standing:
    """How the feed stands in the database, as this writer has it."""

    feed: int
    epoch: int
    delivery: int
    generation: int
    position: tuple[LogMark, ...]
    fields: Fields
    next_row: int
    rows: int
    options: str
    family: str
    new: bool = False
    """The job has delivered nothing yet."""
    removed: int = 0
    """Rows that this run has removed."""


class Target:
    """See the module."""

    def __init__(
        self,
        address: Address,
        options: DatabaseOptions,
        identity: Identity,
        removal_limit: float,
    ) -> None:
        self._address = address
        self._options = options
        self._identity = identity
        self._connection = Connection(address, identity.writer)
        self._table = FeedTable(address, options)
        self._removal_limit = removal_limit
        self._standing: Standing | None = None
        self._rows_at_start = 0
        self._comparing = False
        """This run writes all items again."""
        self._attempt: tuple[Standing, Outcome] | None = None
        """What is true if the last transaction was committed although its answer was lost."""

    @property
    def standing(self) -> Standing:
        """How the feed stands; after ``claim``."""
        assert self._standing is not None
        return self._standing

    # ---- whose it is

    def claim(self, silent_seconds: float | None) -> bool:
        """Claim the feed: whoever had it before writes nothing any more.

        ``silent_seconds``: only if its writer has not shown itself for so long; ``None``: in any
        case. Returns whether it is claimed. Raises ``DatabaseFeedError`` and
        ``DatabaseUnavailableError``.
        """
        self._make_side_tables()
        try:
            return self._claimed(silent_seconds)
        except DatabaseUnavailableError:
            self._end_silent_writer(silent_seconds)
            raise

    def _claimed(self, silent_seconds: float | None) -> bool:
        with self._connection.transaction() as connection:
            self._table.read(connection)
            row = self._find(connection) or self._begin(connection)
            if row is None:
                return False  # of another that begins it at this moment, and is not seen yet
            now = self._now(connection)
            if self._is_anothers(row, now, silent_seconds):
                return False
            connection.execute(
                sa.update(FEED)
                .where(FEED.c.id == row.id)
                .values(
                    epoch=row.epoch + 1,
                    writer=self._identity.writer,
                    beat_at=now,
                    name=self._identity.name,
                )
            )
            self._standing = _standing(row)
            self._rows_at_start = self._standing.rows
        return True

    def _is_anothers(self, row: Any, now: float, silent_seconds: float | None) -> bool:
        """Whether another writer has it, and is not silent."""
        if row.writer in ("", self._identity.writer) or silent_seconds is None:
            return False
        return bool(now - row.beat_at < silent_seconds)

    def _end_silent_writer(self, silent_seconds: float | None) -> None:
        """Whoever holds the feed's lock may be frozen."""
        if self._address.dialect != "postgresql":
            return
        with self._connection.transaction() as connection:
            row = connection.execute(sa.select(FEED).where(*self._is_this())).first()
            if row is None or row.writer in ("", self._identity.writer):
                return
            if not self._is_anothers(row, self._now(connection), silent_seconds):
                end_connections(connection, row.writer)

    def _is_this(self) -> tuple[Any, Any]:
        return FEED.c.job == self._identity.job, FEED.c.target == self._address.full_table

    def _make_side_tables(self) -> None:
        for tries_left in reversed(range(CREATE_TRIES)):
            try:
                with self._connection.transaction() as connection:
                    METADATA.create_all(connection)
                return
            except (RowRefusedError, DatabaseFeedError) as error:
                if isinstance(error, DatabaseUnavailableError) or not tries_left:
                    raise

    def _find(self, connection: sa.Connection) -> Any:
        wanted = sa.select(FEED).where(*self._is_this())
        if self._address.dialect == "postgresql":
            wanted = wanted.with_for_update()
        return connection.execute(wanted).first()

    def _begin(self, connection: sa.Connection) -> Any:
        earlier = sa.select(FEED.c.family).where(
            FEED.c.job.in_(list(self._identity.earlier())),
            FEED.c.target == self._address.full_table,
        )
        family = connection.execute(earlier.order_by(FEED.c.id.desc()).limit(1)).scalar()
        connection.execute(
            insert_into(connection, FEED)
            .values(
                job=self._identity.job,
                target=self._address.full_table,
                name=self._identity.name,
                family=family or self._identity.job,
                epoch=0,
                writer="",
                beat_at=0.0,
                delivery=0,
                generation=1,
                position="[]",
                options=self._identity.options,
                fields=Fields().as_text(),
                next_row=0,
                rows=0,
                updated_at=_moment(),
            )
            .on_conflict_do_nothing()
        )
        return self._find(connection)

    def _now(self, connection: sa.Connection) -> float:
        if self._address.dialect == "sqlite":
            return time.time()
        clock = sa.func.extract("epoch", sa.func.clock_timestamp())
        return float(connection.execute(sa.select(clock)).scalar_one())

    def beat(self) -> None:
        """Show that the writer is alive. Raises ``FencedError``."""
        with self._connection.transaction() as connection:
            self._fence(connection, beat_at=self._now(connection))

    def release(self) -> None:
        """Let others claim the feed at once."""
        with self._connection.transaction() as connection:
            self._fence(connection, writer="")

    def _fence(self, connection: sa.Connection, **values: Any) -> None:
        standing = self.standing
        changed = connection.execute(
            sa.update(FEED)
            .where(FEED.c.id == standing.feed, FEED.c.epoch == standing.epoch)
            .values(**values)
        )
        if changed.rowcount != 1:
            raise FencedError(f"another worker writes {self._address.full_table} now")

    # ---- delivering

    def deliver(self, writes: Sequence[Write], position: Sequence[LogMark] | None) -> Outcome:
        """Deliver some writes and the position that they lead to (``None``: it stays), in one
        transaction. Rows that the database refuses are found one by one, and owed."""
        one_by_one = False
        for tries_left in reversed(range(DELIVERY_TRIES)):
            try:
                return self._deliver(writes, position, one_by_one=one_by_one)
            except MadeByOthersError:
                if not tries_left:
                    raise
            except RowRefusedError:
                if one_by_one or not tries_left:
                    raise
                one_by_one = True
        raise AssertionError("the last try returns or raises")

    def _deliver(
        self, writes: Sequence[Write], position: Sequence[LogMark] | None, *, one_by_one: bool
    ) -> Outcome:
        standing = self.standing
        try:
            with self._connection.transaction() as connection:
                if not self._was_kept(connection):
                    self._attempt = self._attempted(connection, writes, position, one_by_one)
        except BaseException:
            self._table.forget()
            raise
        assert self._attempt is not None
        (self._standing, outcome), self._attempt = self._attempt, None
        outcome.notices, self._table.notices = self._table.notices, []
        if standing.new:
            self._rows_at_start = 0
        return outcome

    def _attempted(
        self,
        connection: sa.Connection,
        writes: Sequence[Write],
        position: Sequence[LogMark] | None,
        one_by_one: bool,
    ) -> tuple[Standing, Outcome]:
        """What is true once the transaction is committed."""
        standing, fields = self.standing, self.standing.fields.copy()
        if not self._table.is_known:
            self._table.read(connection)
            if self.table_is_gone and not self._comparing:
                raise DatabaseFeedError(
                    f"the table {self._address.full_table} is gone: the next run writes it anew"
                )
        state = FeedRows(
            standing.feed,
            standing.generation,
            fields,
            standing.next_row,
            standing.rows,
            self._moment(),
        )
        writer = RowWriter(connection, self._table, self._address, self._options, state)
        if standing.new and self._options.overwrite:
            empty_family(connection, self._table, self._options, standing.family, self._address)
        outcome = writer.apply(writes, one_by_one=one_by_one)
        after = replace(
            standing,
            delivery=standing.delivery + 1,
            position=standing.position if position is None else tuple(position),
            fields=fields,
            next_row=state.next_row,
            rows=state.rows,
            removed=standing.removed + outcome.removed,
            options=self._identity.options,
            new=False,
        )
        self._check_removals(after.removed)
        self._fence(connection, **_columns(after), beat_at=self._now(connection))
        return after, outcome

    def _was_kept(self, connection: sa.Connection) -> bool:
        """Whether the delivery was committed before, and only the answer was lost. Locks the
        feed."""
        standing = self.standing
        wanted = sa.select(FEED.c.epoch, FEED.c.delivery).where(FEED.c.id == standing.feed)
        if self._address.dialect == "postgresql":
            wanted = wanted.with_for_update()
        found = connection.execute(wanted).first()
        if found is None or found.epoch != standing.epoch:
            raise FencedError(f"another worker writes {self._address.full_table} now")
        return self._attempt is not None and found.delivery == standing.delivery + 1

    def _check_removals(self, removed: int) -> None:
        rows = max(self._rows_at_start, self.standing.rows)
        allowed = max(1.0, self._removal_limit * rows) if self._removal_limit > 0 else 0.0
        if removed > allowed and self._removal_limit < 1:
            raise TooManyRemovalsError(
                f"{counted(removed, 'row')} of {rows} that the job has in"
                f" {self._address.full_table} would be removed, and RESUME_REMOVAL_LIMIT allows"
                f" {self._removal_limit:g} of them: nothing is removed. If they are really gone,"
                " run the same command with -s RESUME_REMOVAL_LIMIT=1"
            )

    def _moment(self) -> Any:
        now = datetime.now(timezone.utc)
        return now.isoformat() if self._address.dialect == "sqlite" else now

    # ---- comparing anew, and what is owed

    @property
    def table_is_gone(self) -> bool:
        """The job has rows in it, and somebody has dropped it, or has put another in its place."""
        numbered = not self._options.primary_key
        missing = not self._table.exists or (numbered and ROW_ID not in self._table.kinds)
        return missing and self.standing.rows > 0

    def begin_comparison(self) -> None:
        """Have all items delivered again; then ``sweep`` finds what the job does not have."""
        standing = self.standing
        again = replace(
            standing,
            generation=standing.generation + 1,
            position=(),
            options=self._identity.options,
        )
        with self._connection.transaction() as connection:
            self._fence(connection, **_columns(again))
        self._standing, self._comparing = again, True

    def unconfirmed(self, count: int) -> list[Write]:
        """Removals of rows that the comparison has not met: the job does not have their items."""
        old = sa.and_(ROW.c.feed == self.standing.feed, ROW.c.generation < self.standing.generation)
        wanted = sa.select(ROW.c.item, ROW.c.version).where(old).limit(count)
        with self._connection.transaction() as connection:
            return [Write(*row, None, replaced=True) for row in connection.execute(wanted)]

    def owed(self) -> list[tuple[str, int, str | None]]:
        """(item, version, why) of those that are not written as they are."""
        wanted = sa.select(ROW.c.item, ROW.c.version, ROW.c.error).where(
            ROW.c.feed == self.standing.feed, ROW.c.state == OWED
        )
        with self._connection.transaction() as connection:
            return [tuple(row) for row in connection.execute(wanted)]

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


def _standing(row: Any) -> Standing:
    marks = [LogMark(*mark) for mark in json.loads(row.position)]
    return Standing(
        feed=row.id,
        epoch=row.epoch + 1,
        delivery=row.delivery,
        generation=row.generation,
        position=tuple(marks),
        fields=Fields.of(row.fields),
        next_row=row.next_row,
        rows=row.rows,
        options=row.options,
        family=row.family,
        new=row.delivery == 0,
    )


def _columns(standing: Standing) -> dict[str, Any]:
    return {
        "delivery": standing.delivery,
        "generation": standing.generation,
        "position": json.dumps(standing.position),
        "options": standing.options,
        "fields": standing.fields.as_text(),
        "next_row": standing.next_row,
        "rows": standing.rows,
        "updated_at": _moment(),
    }


def _moment() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="seconds")
