"""One job's file, open for writing by one run."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple

from scrapy_resume.errors import JobDeletedError, LeaseLostError, ResumeError
from scrapy_resume.model import Phase
from scrapy_resume.store.contract import (
    Batch,
    Change,
    ChangePortion,
    Closing,
    Committed,
    EventNote,
    LogMark,
    LookedUp,
    Opening,
    Orders,
    Session,
    StoredItem,
)
from scrapy_resume.store.sqlite import change_log
from scrapy_resume.store.sqlite.clock_watch import ClockWatch
from scrapy_resume.store.sqlite.control import execute_orders, read_orders
from scrapy_resume.store.sqlite.errors import REOPEN, result_code, translated
from scrapy_resume.store.sqlite.files import SQL as FILES
from scrapy_resume.store.sqlite.files import connect, file_identity
from scrapy_resume.store.sqlite.inflight_board import Board
from scrapy_resume.store.sqlite.locks import OwnerLock
from scrapy_resume.store.sqlite.reader import reading
from scrapy_resume.store.sqlite.skips import sweep_skips
from scrapy_resume.store.sqlite.statements import COMMIT, OPENING, JobRow, Ownership
from scrapy_resume.store.sqlite.tables import SqliteTables
from scrapy_resume.store.transaction.apply import BatchWriter
from scrapy_resume.store.transaction.events import closed, end_owed, keep_events
from scrapy_resume.store.transaction.parking import Death
from scrapy_resume.store.transaction.recovery import recover
from scrapy_resume.store.transaction.selection import UNRECORDED
from scrapy_resume.store.transaction.skip_watch import SkipWatch
from scrapy_resume.store.transaction.storable_text import as_json


class UnconfirmedCommit(NamedTuple):
    """A commit that SQLite could not confirm: it may have been kept."""

    batch: Batch
    commits: int
    """The number of commits of the job if it was kept."""
    committed: Committed


class SqliteJob:
    """A job that this run owns. ``commit`` is the only write between opening and closing."""

    session: Session
    closed: EventNote | None

    def __init__(
        self,
        path: Path,
        connection: sqlite3.Connection,
        lock: OwnerLock,
        board: Board,
        session: Session,
        opening: Opening,
    ) -> None:
        self.path = path
        self.session = session
        self._connection: sqlite3.Connection | None = connection
        self._lock = lock
        self._board = board
        self._durable = opening.durable
        self._file = file_identity(path)
        self._tables = SqliteTables(run=session.run, only_retried=opening.only_retried)
        self._writer = BatchWriter(session.run, self._tables, opening.limits, session.start)
        self._clock_watch = ClockWatch()
        self._skips = SkipWatch()
        self._unconfirmed: UnconfirmedCommit | None = None
        self._ordered = False
        """There are orders to retry or park requests."""
        self.closed: EventNote | None = None
        self.end_owed: EventNote | None = None
        self._given_up = False

    def commit(self, batch: Batch) -> Committed:
        """Keep a batch, whole or not at all; also a heartbeat."""
        with (
            self._synced(wanted=batch.durable),
            self._owned_transaction() as (connection, job),
        ):
            committed = self._kept_before(batch, job)
            if committed is None:
                self._unconfirmed = None
                slots: set[int] = set()
                if self._ordered:
                    slots |= execute_orders(connection, self.session.epoch)
                    job = self._tables.begin(connection)
                skips = self._skips.begin(
                    job.skips, self._tables.skips, partial(_sweep, connection, slots)
                )
                if slots:
                    job = self._tables.begin(connection)
                tally = job.tally()
                tally.slots = dict.fromkeys(slots, 0)
                transaction = self._writer.apply(batch, tally, time.time(), skips)
                committed = transaction.committed
                self._skips.end(batch, committed, self._tables.skips)
                self._tables.keep_counters(transaction, batch)
                self._unconfirmed = UnconfirmedCommit(batch, job.commits + 1, committed)
        self._unconfirmed = None
        self._clock_watch.committed()
        self._ordered = False
        self._writer.committed()
        self._skips.committed()
        return committed

    def look_up(self, identities: Collection[bytes]) -> LookedUp:
        """Which of these identities are known."""
        with translated(self.path, self._holder):
            job = self._tables.begin(self._connected())
            rows = self._tables.rows_of(identities)
        return LookedUp(rows, bool(job.skips))

    def pending_slots(self, rows: Collection[int]) -> set[str]:
        """The slots of those of these rows that are pending."""
        with translated(self.path, self._holder):
            cursor = self._connected().execute(COMMIT["pending_slots"], (json.dumps(list(rows)),))
            return {slot for (slot,) in cursor}

    def mark(self, row: int, phase: Phase) -> None:
        """The engine holds the row; see ``Board``."""
        self._board.mark(row, phase)

    def unmark(self, row: int) -> None:
        """The engine does not hold the row any more."""
        self._board.unmark(row)

    def when_marked(self, tell: Callable[[], None]) -> bool:
        """True: the board is a file that is mapped into memory, so marks are visible at once."""
        return True

    def show_life(self) -> None:
        """Nothing to do: the lock of the epoch shows that the run is alive."""

    def orders(self) -> Orders:
        """The orders to this run; those that concern requests are executed by the next commit."""
        with translated(self.path, self._holder):
            orders = read_orders(self._connected(), self.session.epoch)
        self._ordered = orders.changed
        return orders

    def is_last(self) -> bool:
        """True: a job has one run at a time."""
        return True

    def last_item(self) -> int:
        """The highest id of an item."""
        with translated(self.path, self._holder):
            return self._tables.begin(self._connected()).next_item - 1

    def items_after(self, item_id: int, through: int, count: int) -> list[StoredItem]:
        """The first ``count`` items with ids above ``item_id`` and up to ``through``."""
        with translated(self.path, self._holder):
            cursor = self._connected().execute(COMMIT["items_after"], (item_id, through, count))
            return [StoredItem(*row) for row in cursor]

    def changes(self, position: Sequence[LogMark], count: int) -> ChangePortion:
        """At most ``count`` changes after the position."""
        with translated(self.path, self._holder):
            return change_log.changes(self._connected(), position, count)

    def chosen(self, ids: Sequence[int]) -> list[Change]:
        """Those of the items with these ids that are visible."""
        with translated(self.path, self._holder):
            return change_log.chosen(self._connected(), ids)

    def holds(self, position: Sequence[LogMark]) -> bool:
        """Whether the position is one of this job's history."""
        with translated(self.path, self._holder):
            return change_log.holds(self._connected(), position)

    def start_items(self) -> int:
        """How many items of ``start()`` the job has."""
        with translated(self.path, self._holder):
            ((count,),) = self._connected().execute(COMMIT["start_items"]).fetchall()
        return int(count)

    def starts_not_met(self, count: int) -> list[tuple[str, str]]:
        """Requests of ``start()`` in earlier runs; see ``JobStore``."""
        values = {"run": self.session.run, "count": count, "unrecorded": UNRECORDED}
        with translated(self.path, self._holder):
            return list(self._connected().execute(COMMIT["starts_not_met"], values))

    def close(self, closing: Closing) -> str:
        """Release the leased rows, write how the run ended, give the job up.

        After ``StoreUnavailableError`` it can be called again, or ``abandon``.
        """
        with self._owned_transaction() as (connection, job):
            status = self._end(connection, job, closing)
        self._checkpoint()
        self._give_up()
        self._board.remove()
        self._lock.discard()
        return status

    def abandon(self) -> None:
        """Give the job up without writing anything, as a death would: the next run recovers it."""
        self._give_up()
        self._lock.release()

    def _give_up(self) -> None:
        self._given_up = True
        self._board.close()
        self._drop_connection()

    # Transactions

    @contextmanager
    def _owned_transaction(self) -> Iterator[tuple[sqlite3.Connection, JobRow]]:
        """A transaction that holds the fence: the job is this run's own."""
        with translated(self.path, self._holder):
            connection = self._connected()
            try:
                connection.execute(FILES["begin"])
                job = self._tables.begin(connection)
                if job.epoch != self.session.epoch:
                    raise LeaseLostError(
                        f"{self.session.job} was taken over by another process; this one "
                        "stops, and nothing that it does from here on is kept"
                    )
                if leap_seconds := self._clock_watch.leap():
                    self._tables.shift_times(self.session.run, leap_seconds)
                yield connection, job
                connection.execute(FILES["commit"])
            except BaseException as error:
                self._undo(connection, error)
                raise

    @contextmanager
    def _synced(self, *, wanted: bool) -> Iterator[None]:
        """If it is ``wanted``, the commit within the context is synced, and all before it."""
        if not wanted or self._durable:
            yield
            return
        with translated(self.path, self._holder):
            self._connected().executescript(FILES["durable"])
            try:
                yield
            finally:
                # After an error there may be no connection any more: the next one is configured.
                if self._connection is not None:
                    self._connection.executescript(FILES["not_durable"])

    def _kept_before(self, batch: Batch, job: JobRow) -> Committed | None:
        """The answer of a batch that is sent again although it was kept.

        An I/O error in the commit itself does not tell whether it was. To apply a batch twice
        would make duplicates of its own requests, and they would never be fetched.
        """
        last = self._unconfirmed
        if last is None or last.commits != job.commits or last.batch is not batch:
            return None
        return last.committed

    def _undo(self, connection: sqlite3.Connection, error: BaseException) -> None:
        self._writer.rolled_back()
        trusted = not (isinstance(error, sqlite3.Error) and result_code(error) in REOPEN)
        try:
            if connection.in_transaction:
                connection.execute(FILES["rollback"])
        except sqlite3.Error:
            trusted = False
        if not trusted:
            self._drop_connection()

    def _connected(self) -> sqlite3.Connection:
        if self._given_up:
            raise LeaseLostError(f"this run has closed {self.session.job} already")
        self._check_place()
        if self._connection is None:
            self._connection = connect(self.path, FILES["configure_owner"], mode="rw")
            if self._durable:
                self._connection.executescript(FILES["durable"])
        return self._connection

    def _drop_connection(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(sqlite3.Error):
                connection.close()

    def _check_place(self) -> None:
        """Raises ``LeaseLostError`` if the file was deleted, moved or replaced."""
        try:
            found = file_identity(self.path)
        except FileNotFoundError as error:
            raise JobDeletedError(
                f"{self.path} was deleted or moved while the crawl was running; the crawl stops"
            ) from error
        if found != self._file:
            raise JobDeletedError(
                f"{self.path} was replaced by another file while the crawl was running; the "
                "crawl stops"
            )

    def _holder(self) -> str | None:
        """``host:pid`` of the process that took the job over, if one did."""
        return holder(self.path, self.session.epoch)

    # The end

    def _end(self, connection: sqlite3.Connection, job: JobRow, closing: Closing) -> str:
        now = time.time()
        tally = job.tally()
        recover(self._tables, tally, Death(), now)
        self._tables.keep_tally(tally, now)
        status = closing.status
        if status == "completed" and not tally.counts().nothing_open:
            status = "paused"
        end = {
            "status": status,
            "reason": closing.reason,
            "now": now,
            "ended_at": now,
            "stats": as_json(closing.stats),
            "number": self.session.run,
        }
        connection.execute(OPENING["end_run"], end)
        connection.execute(OPENING["end_job"], end)
        self._tables.delete_events(closing.delivered)
        if closing.custom is not None:
            connection.execute(COMMIT["keep_custom"], (closing.custom, self.session.run))
        if closing.announce:
            notices = closed(self.session.run, status, closing.reason)
            (self.closed,) = keep_events(self._tables, (), notices)
        if status == "completed" and closing.process:
            owed = end_owed(self.session.run, closing.process)
            (self.end_owed,) = keep_events(self._tables, (), owed)
        return status

    def _checkpoint(self) -> None:
        """Move the WAL into the main file: a job at rest is one file. Errors are harmless."""
        connection = self._connection
        if connection is not None:
            with contextlib.suppress(sqlite3.Error):
                connection.execute(FILES["busy_little"])
                connection.execute(FILES["checkpoint"]).fetchall()


def _sweep(connection: sqlite3.Connection, slots: set[int]) -> set[int]:
    """Skip what is pending and to be skipped; the leased rows that are to be skipped too."""
    swept, leased = sweep_skips(connection)
    slots |= swept
    return leased


def holder(path: Path, epoch: int | None = None) -> str | None:
    """``host:pid`` of the job's last run; ``None`` if it is of this epoch, or unknown."""
    try:
        with reading(path) as connection:
            found = Ownership(*connection.execute(OPENING["ownership"]).fetchone())
    except ResumeError:
        return None
    return None if found.epoch == epoch else found.worker
