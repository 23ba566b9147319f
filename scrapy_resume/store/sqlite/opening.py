"""Opens a job's file: the lock, the fence, the recovery, in this order.

1. The lock of the next epoch is acquired. Only another run that opens the job at this moment
   can hold it.
2. The epoch is written. From here on the previous run, if it still exists, cannot commit, and
   readers find the job alive.
3. The rows that the previous run held are recovered, and the new run is recorded, in one
   transaction. After a death at any point before, the next opening recovers the previous run.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from msgspec.structs import replace

from scrapy_resume.errors import JobLockedError, StoreDamagedError
from scrapy_resume.model import TAKEN_OVER, JobKey
from scrapy_resume.store.contract import (
    FeedNote,
    FrontierState,
    HostNote,
    ItemPosition,
    JobProgress,
    Opening,
    Recovered,
    Recovery,
    RowIds,
    SavedState,
    Session,
    StartState,
    StepAnswer,
    UndeliveredEvents,
)
from scrapy_resume.store.sqlite.errors import damage_remedy, translated
from scrapy_resume.store.sqlite.files import SQL as FILES
from scrapy_resume.store.sqlite.files import (
    board_path,
    check_not_empty,
    connect,
    lock_path,
    remove_locks,
    schema_version,
)
from scrapy_resume.store.sqlite.inflight_board import Board, read_board
from scrapy_resume.store.sqlite.job import SqliteJob, holder
from scrapy_resume.store.sqlite.leases import SqliteLeases
from scrapy_resume.store.sqlite.locks import OwnerLock, is_held
from scrapy_resume.store.sqlite.migrations import migrate
from scrapy_resume.store.sqlite.reader import READ
from scrapy_resume.store.sqlite.skips import keep_skips
from scrapy_resume.store.sqlite.statements import OPENING, Ownership
from scrapy_resume.store.sqlite.tables import SqliteTables
from scrapy_resume.store.transaction.apply import bound_waits, end_delays
from scrapy_resume.store.transaction.events import AT_OPENING, keep_events, noted, opened
from scrapy_resume.store.transaction.parking import Death
from scrapy_resume.store.transaction.recovery import recover, supersede_every_run
from scrapy_resume.store.transaction.steps import describe
from scrapy_resume.store.transaction.storable_text import as_json


def open_job(path: Path, key: JobKey, opening: Opening) -> SqliteJob:
    """Open the job in a file that exists; see ``Store.resume`` for the errors."""
    with translated(path, lambda: holder(path)):
        check_not_empty(path)
        connection = connect(path, FILES["configure_owner"], mode="rw")
        try:
            version = schema_version(connection, path)
            before = ownership(connection, path)
            alive = is_held(lock_path(path, before.epoch))
            if alive and not opening.force:
                raise JobLockedError.for_crawl(key, before.worker, before.started_at)
            lock = claim(path, key, before)
            try:
                take_over(connection, key, before)
                migrate(connection, version)
                return _open(path, key, opening, connection, lock, before, alive)
            except BaseException:
                lock.release()
                raise
        except BaseException:
            connection.close()
            raise


def recover_job(path: Path, key: JobKey, crash_limit: int) -> Recovery:
    """Take back what a dead run holds, without beginning another: the job is ``paused`` then."""
    with connected(path) as (connection, version, before):
        if is_held(lock_path(path, before.epoch)):
            return Recovery(alive=(str(before.worker),))
        if not before.died:
            return Recovery()
        with claimed(path, key, connection, version, before):
            return _recover(path, key, connection, before, crash_limit)


@contextmanager
def connected(path: Path) -> Iterator[tuple[sqlite3.Connection, int, Ownership]]:
    """A connection that may change a job, the version of its schema, and who owns it.

    Nothing is locked or migrated yet: see ``claimed``. Errors are translated.
    """
    with translated(path, lambda: holder(path)):
        check_not_empty(path)
        with closing(connect(path, FILES["configure_owner"], mode="rw")) as connection:
            yield connection, schema_version(connection, path), ownership(connection, path)


@contextmanager
def claimed(
    path: Path, key: JobKey, connection: sqlite3.Connection, version: int, before: Ownership
) -> Iterator[None]:
    """Hold the lock of a job's next epoch, so that nobody can open the job, and migrate it.

    Raises ``JobLockedError`` if another process holds that lock.
    """
    lock = claim(path, key, before)
    try:
        migrate(connection, version)
        yield
    finally:
        lock.discard()


def _recover(
    path: Path, key: JobKey, connection: sqlite3.Connection, before: Ownership, crash_limit: int
) -> Recovery:
    marks = read_board(board_path(path), before.run_epoch or 0)
    now = time.time()
    with transaction(connection):
        _refuse_if_taken(connection, key, before)
        tables = SqliteTables()
        job = tables.begin(connection)
        tally = job.tally()
        recovered = recover(tables, tally, Death(marks, job.alone_id, crash_limit), now)
        tables.keep_tally(tally, now)
        _end_dead_run(connection, before.run, None)
        connection.execute(OPENING["drop_orders"])
        connection.execute(OPENING["end_recovered"], {"epoch": before.epoch + 1, "now": now})
    board_path(path).unlink(missing_ok=True)
    remove_locks(path, below=before.epoch + 1)
    return Recovery((str(before.worker),), recovered.requests, recovered.parked)


def ownership(connection: sqlite3.Connection, path: Path) -> Ownership:
    """Who owns the job, or owned it last, according to the file."""
    row = connection.execute(OPENING["ownership"]).fetchone()
    if row is None:
        raise StoreDamagedError(f"{path} holds no job; {damage_remedy(path)}")
    return Ownership(*row)


def claim(path: Path, key: JobKey, before: Ownership) -> OwnerLock:
    """Take the lock of the next epoch."""
    lock = OwnerLock(lock_path(path, before.epoch + 1))
    if not lock.acquire():
        raise JobLockedError.being_opened(key)
    return lock


def take_over(connection: sqlite3.Connection, key: JobKey, before: Ownership) -> None:
    """Begin the next epoch, under its lock."""
    status = "recovering" if before.died else before.status
    with transaction(connection):
        _refuse_if_taken(connection, key, before)
        connection.execute(
            OPENING["take_over"],
            {"epoch": before.epoch + 1, "status": status, "now": time.time()},
        )


def _refuse_if_taken(connection: sqlite3.Connection, key: JobKey, before: Ownership) -> None:
    if connection.execute(OPENING["ownership"]).fetchone()[0] != before.epoch:
        raise JobLockedError.being_opened(key)


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """BEGIN IMMEDIATE … COMMIT, or ROLLBACK after an error."""
    connection.execute(FILES["begin"])
    try:
        yield
        connection.execute(FILES["commit"])
    except BaseException:
        if connection.in_transaction:
            connection.execute(FILES["rollback"])
        raise


def _open(
    path: Path,
    key: JobKey,
    opening: Opening,
    connection: sqlite3.Connection,
    lock: OwnerLock,
    before: Ownership,
    alive: bool,
) -> SqliteJob:
    """Recover what the run before held, and begin this one."""
    remove_locks(path, below=before.epoch + 1)
    marks = read_board(board_path(path), before.run_epoch or 0) if before.died else {}
    run = (before.run or 0) + 1
    now = time.time()
    with transaction(connection):
        tables = SqliteTables()
        job = tables.begin(connection)
        tally = job.tally()
        death = Death(marks, job.alone_id, opening.crash_limit, blames=not alive)
        recovered = recover(tables, tally, death, now)
        supersede_every_run(tables, tally, run, now)
        tables.steps.bound_times(now)
        if tally.delayed:
            bound_waits(tables, opening.limits, now)
            end_delays(tables, tally, now)
        tables.keep_tally(tally, now)
        keep_skips(connection, opening.skip)
        if before.died:
            reason = f"{TAKEN_OVER}{opening.worker}" if alive else None
            _end_dead_run(connection, before.run, reason)
        connection.execute(OPENING["drop_orders"])
        notices = opened(run, before.died, recovered.requests, recovered.parked)
        keep_events(tables, AT_OPENING, notices)
        _begin_run(connection, run, before.epoch + 1, opening, now)
    board = Board(board_path(path), before.epoch + 1)
    if opening.durable:
        connection.executescript(FILES["durable"])
    session = _session(connection, key, run, before, recovered)
    session.taken_over, session.crashed = alive, before.died and not alive
    session.now = now
    session.frontier = _frontier(connection, session.frontier, only_retried=opening.only_retried)
    return SqliteJob(path, connection, lock, board, session, opening)


def _end_dead_run(connection: sqlite3.Connection, run: int | None, reason: str | None) -> None:
    connection.execute(
        OPENING["end_run"],
        {"status": "crashed", "reason": reason, "ended_at": None, "stats": None, "number": run},
    )


def _begin_run(
    connection: sqlite3.Connection, run: int, epoch: int, opening: Opening, now: float
) -> None:
    metadata = as_json(opening.metadata) if opening.metadata else None
    connection.execute(
        OPENING["begin_run"],
        {
            "number": run,
            "epoch": epoch,
            "worker": opening.worker,
            "now": now,
            "silent_after": max(opening.orphan_seconds, 3 * opening.heartbeat_seconds),
        },
    )
    launch = as_json(opening.launch) if opening.launch else None
    values = {"now": now, "metadata": metadata, "launch": launch}
    if opening.extend:
        connection.execute(OPENING["begin_round"])
    connection.execute(OPENING["start_job"], values)


def _frontier(
    connection: sqlite3.Connection, all_rows: FrontierState, *, only_retried: bool
) -> FrontierState:
    """What the run may lease of all pending rows."""
    if not only_retried:
        return all_rows
    leases = SqliteLeases(only_retried=True)
    leases.use(connection)
    return replace(
        all_rows,
        only_retried=True,
        pending=leases.open_slots(),
        suspects=leases.count_suspects(),
        delayed=leases.count_delayed(all_rows.delayed),
    )


def _session(
    connection: sqlite3.Connection,
    key: JobKey,
    run: int,
    before: Ownership,
    recovered: Recovered,
) -> Session:
    row = connection.execute(OPENING["session"]).fetchone()
    (
        first_id,
        start_exhausted,
        every_run,
        spider_state,
        created_at,
        suspects,
        delta,
        round_number,
        round_from,
        uid,
    ) = row
    tables = SqliteTables()
    job, job_leases = tables.begin(connection), tables.leases
    return Session(
        job=key,
        uid=uid,
        run=run,
        epoch=before.epoch + 1,
        began=before.run is None,
        crashed=before.died,
        created_at=created_at,
        delta=bool(delta),
        counts=job.tally().counts(),
        ids=RowIds(first=first_id),
        frontier=FrontierState(
            pending=job_leases.open_slots(),
            suspects=suspects,
            every_run=bool(every_run),
            delayed=job.delayed,
        ),
        start=StartState(
            exhausted=bool(start_exhausted), round=round_number, round_from=round_from
        ),
        state=SavedState(
            spider_state=spider_state,
            cookies=dict(connection.execute(OPENING["cookies"]).fetchall()),
        ),
        feeds=[FeedNote(*row) for row in connection.execute(OPENING["feeds"])],
        hosts=[HostNote(*row) for row in connection.execute(OPENING["hosts"])],
        steps=_steps(tables),
        items=ItemPosition(last_id=job.next_item - 1, superseded=job.superseded),
        events=UndeliveredEvents(of_job=noted(connection.execute(OPENING["events"]).fetchall())),
        recovered=recovered,
        progress=JobProgress.of(
            connection.execute(OPENING["earlier_runs"], {"run": run}),
            connection.execute(READ["expected_total"]).fetchone()[0],
            connection.execute(READ["progressed_at"]).fetchone()[0],
        ),
    )


def _steps(tables: SqliteTables) -> StepAnswer:
    answer = StepAnswer(next_due=tables.steps.next_due())
    describe(tables.steps, answer)
    return answer
