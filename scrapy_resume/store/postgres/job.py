"""One job in PostgreSQL, open for writing by one run of several."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, Final, NamedTuple

from psycopg import Connection

from scrapy_resume.errors import JobDeletedError, LeaseLostError
from scrapy_resume.model import Phase
from scrapy_resume.ports.clock import elapsed_seconds
from scrapy_resume.store.contract import (
    Batch,
    Change,
    ChangePortion,
    Closing,
    Committed,
    EventNote,
    FeedNote,
    LogMark,
    LookedUp,
    Opening,
    Orders,
    Session,
    StoredItem,
)
from scrapy_resume.store.postgres import change_log
from scrapy_resume.store.postgres.connections import Link
from scrapy_resume.store.postgres.dead_workers import Watch
from scrapy_resume.store.postgres.earlier_starts import EarlierStarts
from scrapy_resume.store.postgres.other_workers import OtherWorkers
from scrapy_resume.store.postgres.processes import Presence
from scrapy_resume.store.postgres.recovery import (
    JobRow,
    LiveRun,
    change_of,
    hold_job,
    live_runs,
    settle_pending,
    take_back,
)
from scrapy_resume.store.postgres.signs_of_life import Heartbeat, Marks, Taken
from scrapy_resume.store.postgres.skips import sweep_skips
from scrapy_resume.store.postgres.statements import COMMIT, OPENING, Fence
from scrapy_resume.store.postgres.step_fetches import exchange_fetches
from scrapy_resume.store.postgres.tables import PostgresTables
from scrapy_resume.store.transaction.apply import BatchWriter
from scrapy_resume.store.transaction.arrivals import Transaction
from scrapy_resume.store.transaction.events import closed, end_owed, keep_events, log_notes
from scrapy_resume.store.transaction.parking import Death
from scrapy_resume.store.transaction.queries import load_queries
from scrapy_resume.store.transaction.skip_watch import SkipWatch
from scrapy_resume.store.transaction.storable_text import as_json
from scrapy_resume.store.transaction.units import answer_units, settle_units

CONTROL: Final = load_queries("postgres", "control.sql")


class UnconfirmedCommit(NamedTuple):
    """A commit whose answer did not arrive: it may have been kept."""

    batch: Batch
    committed: Committed


def _sweep(tables: PostgresTables, swept: list[int]) -> set[int]:
    """Skip what is pending and to be skipped; the leased rows that are to be skipped too."""
    count, leased = sweep_skips(tables)
    swept.append(count)
    return leased


class PostgresJob(EarlierStarts):
    """A job that this run works on. ``commit`` is the only write between opening and closing."""

    session: Session
    closed: EventNote | None

    def __init__(
        self, link: Link, job: int, session: Session, opening: Opening, presence: Presence
    ) -> None:
        self.session = session
        self._link = link
        self._job = job
        self._opening = opening
        self._tables = PostgresTables(
            job, session.run, opening.slots_shared, only_retried=opening.only_retried
        )
        self._writer = BatchWriter(session.run, self._tables, opening.limits, session.start)
        self._commits = 0
        self._asked_at = 0.0
        """When the current transaction began, on the monotonic clock."""
        self._unconfirmed: UnconfirmedCommit | None = None
        self._ending: str | None = None
        """The status of a close that may have been kept, though its answer was lost."""
        self.closed: EventNote | None = None
        self.end_owed: EventNote | None = None
        self._last: bool | None = None
        self._given_up = False
        self._watch = Watch(session.run, opening)
        self._others = OtherWorkers(self._tables, slots_shared=opening.slots_shared)
        self._presence = presence
        self._marks = Marks()
        self._skips = SkipWatch()
        self._taken: Taken | None = None
        """The marks that the current transaction has written."""
        careful = session.crashed or session.frontier.suspects > 0
        self._heartbeat = Heartbeat(link, job, session.run, opening, self._marks, careful)
        self._heartbeat.start()

    def commit(self, batch: Batch) -> Committed:
        """Keep a batch, whole or not at all; also a heartbeat."""
        self._taken = None
        with self._owned_transaction() as fence:
            if batch.durable:
                self._tables.connection.execute("SET LOCAL synchronous_commit = on")
            committed = self._kept_before(batch, fence)
            if committed is None:
                self._unconfirmed = None
                self._watch.note_clock(self._asked_at, self._tables)
                committed = self._apply(batch, fence)
                self._unconfirmed = UnconfirmedCommit(batch, committed)
        self._unconfirmed = None
        self._commits += 1
        self._writer.committed()
        self._skips.committed()
        self._tables.committed()
        self._watch.committed()
        if self._taken is not None:
            self._marks.written(self._taken)
        return committed

    def _apply(self, batch: Batch, fence: Fence) -> Committed:
        tables = self._tables
        adopted: list[EventNote] = []
        tables.leases.refuse(batch.leasing.refused)
        if batch.sharing.slots_given:
            tables.leases.give(batch.sharing.slots_given)
        if self._watch.end_dead_runs(tables, idle=batch.sharing.idle):
            fence = self._fence(tables.connection)
            adopted = tables.adopt_events()
        swept: list[int] = []
        skips = self._skips.begin(fence.skips, tables.skips, partial(_sweep, tables, swept))
        if any(swept):
            fence = self._fence(tables.connection)
        transaction = self._writer.apply(batch, fence.tally(), fence.now, skips)
        committed = transaction.committed
        self._skips.end(batch, committed, tables.skips)
        self._others.find_slots(batch.sharing, transaction)
        if transaction.has_steps and not self._opening.slots_shared:
            exchange_fetches(tables, batch.steps, committed.steps)
        tables.settle_claims()
        sharing = committed.sharing
        sharing.claimed = tables.leases.claimed
        sharing.hosts = self._others.hosts(sharing.claimed, fence.now)
        sharing.next_id = max(int(fence.next_id), batch.next_id)
        self._keep_counters(batch, fence, transaction)
        self._others.answer(batch.sharing, transaction)
        self._keep_custom(batch.progress.custom)
        self._keep_expected(batch.progress.expected_total)
        if (change := batch.progress.metadata) is not None:
            ((text,),) = tables.execute(COMMIT["metadata"]).fetchall()
            tables.execute(COMMIT["keep_metadata"], metadata=change.applied_to(text))
        settle_units(tables, fence.now)
        answer_units(tables, committed, wanted=batch.progress.named_units_wanted)
        tables.delete_events(batch.events.delivered)
        committed.events = adopted + keep_events(tables, batch.events.wanted, batch.events.notices)
        committed.log = log_notes(tables, batch)
        return committed

    def _keep_custom(self, custom: str | None) -> None:
        if custom is not None:
            self._tables.execute(COMMIT["keep_custom"], custom=custom)

    def _keep_expected(self, expected_total: float | None) -> None:
        if expected_total is not None:
            self._tables.execute(COMMIT["keep_expected"], expected_total=expected_total)

    def _keep_counters(self, batch: Batch, fence: Fence, transaction: Transaction) -> None:
        tables, committed, tally = self._tables, transaction.committed, transaction.tally
        self._taken = taken = self._marks.take()
        minute = transaction.minute(batch.progress.pages)
        if minute is not None:
            tables.execute(COMMIT["keep_minute"], **minute)
        tables.execute(
            COMMIT["keep_run"],
            **change_of(committed.counts, fence.counts),
            superseded=tally.superseded - int(fence.superseded),
            next_id=batch.next_id,
            alone_id=tally.alone_id,
            sent=taken.sent,
            answered=taken.answered,
            starving=self._others.starving,
            pages=batch.progress.pages,
            items=transaction.items_taken,
            cursor=tables.units.cursor,
        )
        if transaction.every_run:
            tables.execute(COMMIT["note_every_run"])
        if batch.start_exhausted:
            tables.execute(COMMIT["note_start"])

    # What the engine holds

    def mark(self, row: int, phase: Phase) -> None:
        """The engine holds the row: the server knows with the next commit, or a little before."""
        self._marks.mark(row, phase)
        self._heartbeat.marked()

    def unmark(self, row: int) -> None:
        """The engine does not hold the row any more."""
        self._marks.unmark(row)

    def when_marked(self, tell: Callable[[], None]) -> bool:
        """True on a job that has not crashed yet: the marks go with the next commit."""
        return self._heartbeat.when_written(tell)

    def show_life(self) -> None:
        """The event loop runs."""
        self._heartbeat.show()

    # Others

    def orders(self) -> Orders:
        """The orders to this run that are new."""
        values = {"job": self._job, "run": self.session.run}
        with self._link.transaction() as connection:
            found = connection.execute(CONTROL["orders"], values).fetchone()
            if found is None:
                return Orders()
            stop, retried = found
            if retried:
                connection.execute(CONTROL["acknowledge_retry"], values)
        return Orders(stop, retried, retried)

    def is_last(self) -> bool | None:
        """Whether this run, which is about to close, is the last one; see ``JobStore``."""
        with self._owned_transaction():
            # Another run may have been the last one, and have ended, since this one asked before.
            completed = self._hold_job().status == "completed"
            others = self._others_at_work()
            last: bool | None = not (others or completed)
            if last:
                self._tables.execute(OPENING["be_last"])
            elif not completed and not self._is_open():
                self._tables.execute(OPENING["leave"])
                if not any(run.last for run in others):
                    # Some of them may have died, which is not known yet.
                    last = None
        self._last = bool(last)
        self._tables.committed()
        return last

    def _others_at_work(self) -> list[LiveRun]:
        return [
            run
            for run in live_runs(self._tables)
            if run.number != self.session.run and not run.leaving and not run.is_dead
        ]

    def _hold_job(self) -> JobRow:
        key = self.session.job
        job = hold_job(self._tables.connection, key)
        if job is None:
            raise JobDeletedError(f"{key} was deleted while the crawl was running; it stops")
        return job

    # Items

    def look_up(self, identities: Collection[bytes]) -> LookedUp:
        """Which of these identities are known."""
        values = {"job": self._job, "identities": list(identities)}
        with self._link.transaction() as connection:
            found = connection.execute(COMMIT["known"], values)
            rows = {bytes(identity): int(row) for identity, row, _ in found}
        return LookedUp(rows, skips=True)

    def pending_slots(self, rows: Collection[int]) -> set[str]:
        """The slots of those of these rows that are pending."""
        values = {"job": self._job, "rows": list(rows)}
        with self._link.transaction() as connection:
            return {slot for (slot,) in connection.execute(COMMIT["pending_slots"], values)}

    def items_after(self, item_id: int, through: int, count: int) -> list[StoredItem]:
        """The first ``count`` items with ids above ``item_id`` and up to ``through``."""
        values = {"job": self._job, "after": item_id, "through": through, "count": count}
        with self._link.transaction() as connection:
            return [StoredItem(*row) for row in connection.execute(COMMIT["items_after"], values)]

    def items_of_run(self, run: int, item_id: int, count: int) -> list[StoredItem]:
        """The first ``count`` items of a run with ids above ``item_id``. Raises ``LeaseLostError``
        if this run was fenced: another one writes its part of the feed then."""
        values = {"of": run, "after": item_id, "count": count}
        with self._owned_transaction():
            rows = self._tables.execute(COMMIT["items_of_run"], **values).fetchall()
        self._tables.committed()
        return [StoredItem(*row) for row in rows]

    def changes(self, position: Sequence[LogMark], count: int) -> ChangePortion:
        """At most ``count`` changes after the position."""
        with self._link.transaction() as connection:
            return change_log.changes(connection, self._job, position, count)

    def chosen(self, ids: Sequence[int]) -> list[Change]:
        """Those of the items with these ids that are visible."""
        with self._link.transaction() as connection:
            return change_log.chosen(connection, self._job, ids)

    def holds(self, position: Sequence[LogMark]) -> bool:
        """Whether the position is one of this job's history."""
        with self._link.transaction() as connection:
            return change_log.holds(connection, self._job, position)

    def feeds_left(self) -> list[FeedNote] | None:
        """Files of feeds that are not settled; see ``SharedJobStore``."""
        notes: list[FeedNote] | None = None
        with self._owned_transaction():
            self._watch.end_dead_runs(self._tables, idle=True)
            others = [run for run in live_runs(self._tables) if run.number != self.session.run]
            if not others:
                rows = self._tables.execute(OPENING["feeds_left"]).fetchall()
                notes = [FeedNote(*row) for row in rows]
            elif self._is_open() and not all(run.leaving for run in others):
                notes = []  # one has joined since: it goes on, and will be the last
        self._tables.committed()
        return notes

    def last_item(self) -> int:
        """The highest id that an item has. Others may still commit items with lower ones, so it
        is for the last run only."""
        with self._link.transaction() as connection:
            rows = connection.execute(COMMIT["last_item"], {"job": self._job}).fetchall()
        return int(rows[0][0])

    # The end

    def close(self, closing: Closing) -> str:
        """Release the leased rows, write how the run ended, give the job up.

        After ``StoreUnavailableError`` it can be called again, or ``abandon``.
        """
        status = self._closed_before()
        if status is None:
            with self._owned_transaction() as fence:
                status = self._ending = self._end(fence, closing)
        self._give_up()
        return status

    def _closed_before(self) -> str | None:
        """The status of a close that was kept though its answer was lost."""
        if self._ending is None:
            return None
        with self._link.transaction() as connection:
            ended_by_itself = self._fence(connection).status not in ("running", "crashed")
        return self._ending if ended_by_itself else None

    def _end(self, fence: Fence, closing: Closing) -> str:
        tables = self._tables
        job_status = self._hold_job().status
        take_back(tables, Death(), self._opening.slot_delay_seconds)
        others = self._others_at_work()
        if others:
            settle_pending(tables)
        # Others that find nothing open leave the job to its last run; if something is open they go
        # on with it, also those that have joined since this run was the last one.
        goes_on = bool(others) and (not self._last or self._is_open())
        goes_on |= job_status == "completed" and not self._last
        status = closing.status
        if status == "completed" and not goes_on and self._is_open():
            status = "paused"
        tables.execute(
            OPENING["end_run"],
            status=status,
            reason=closing.reason,
            ended_at=fence.now,
            stats=as_json(closing.stats).replace("\\u0000", "\\ufffd"),
        )
        tables.execute(OPENING["fold_run"])
        if not goes_on:
            tables.execute(OPENING["end_job"], status=status, reason=closing.reason)
        self._keep_custom(closing.custom)
        settle_units(tables, fence.now)
        tables.delete_events(closing.delivered)
        status = job_status if goes_on else status
        if closing.announce:
            notices = closed(self.session.run, status, closing.reason)
            (self.closed,) = keep_events(tables, (), notices)
        if status == "completed" and not goes_on and closing.process:
            owed = end_owed(self.session.run, closing.process)
            (self.end_owed,) = keep_events(tables, (), owed)
        return status

    def _is_open(self) -> bool:
        return bool(self._tables.execute(OPENING["is_open"]).fetchall()[0][0])

    def abandon(self) -> None:
        """Give the job up without writing anything, as a death would: the next run recovers it."""
        self._heartbeat.last_marks()
        self._give_up()

    def _give_up(self) -> None:
        if self._given_up:
            return
        self._given_up = True
        self._heartbeat.stop()
        self._link.close()
        self._presence.end()

    # Transactions

    @contextmanager
    def _owned_transaction(self) -> Iterator[Fence]:
        """A transaction that holds the fence: nobody can end this run meanwhile."""
        if self._given_up:
            raise LeaseLostError(f"this run has closed {self.session.job} already")
        try:
            with self._link.transaction() as connection:
                fence = self._begin(connection)
                yield fence
        except BaseException:
            self._writer.rolled_back()
            raise

    def _begin(self, connection: Connection[Any]) -> Fence:
        if self._opening.durable:
            connection.execute("SET LOCAL synchronous_commit = on")
        self._asked_at = elapsed_seconds()
        fence = self._fence(connection)
        if not fence.own or fence.commits < self._commits:
            raise LeaseLostError(
                f"{self.session.job}: the database has lost commits that it had confirmed (a "
                "failover to a standby that lagged behind?). This worker stops; run the same "
                "command again: what was lost is fetched again."
            )
        if fence.status != "running":
            raise LeaseLostError(
                f"{self.session.job} was taken over, or this worker gave no sign of life for too "
                "long and others took its requests; it stops, and nothing that it does from here "
                "on is kept. Run the same command again to join the others, or to go on."
            )
        self._tables.begin(connection, fence.now)
        return fence

    def _fence(self, connection: Connection[Any]) -> Fence:
        values = {
            "job": self._job,
            "run": self.session.run,
            "worker": self._opening.worker,
            "process": self._presence.name,
        }
        row = connection.execute(COMMIT["fence"], values).fetchone()
        if row is None:
            raise LeaseLostError(
                f"{self.session.job} was deleted, or the database has lost this run of it (a "
                "failover to a standby that lagged behind?). This worker stops."
            )
        return Fence(*row)

    def _kept_before(self, batch: Batch, fence: Fence) -> Committed | None:
        """The answer of a batch that is sent again although it was kept."""
        unconfirmed = self._unconfirmed
        if unconfirmed is None or unconfirmed.batch is not batch or fence.commits == self._commits:
            return None
        return unconfirmed.committed
