"""Opens a job for a run: begins, joins or resumes it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, NamedTuple

from psycopg.errors import DeadlockDetected

from scrapy_resume.errors import JobNotFoundError, StoreUnavailableError
from scrapy_resume.model import TAKEN_OVER, Counts, JobKey
from scrapy_resume.store.contract import (
    FeedNote,
    FrontierState,
    ItemPosition,
    JobProgress,
    Opening,
    Recovered,
    RowIds,
    SavedState,
    Session,
    Sharing,
    StartState,
    StepAnswer,
    UndeliveredEvents,
)
from scrapy_resume.store.postgres.change_log import LOG
from scrapy_resume.store.postgres.connections import Link
from scrapy_resume.store.postgres.job import PostgresJob
from scrapy_resume.store.postgres.processes import Presence
from scrapy_resume.store.postgres.reader import READ
from scrapy_resume.store.postgres.recovery import (
    JobRow,
    LiveRun,
    bound_times,
    end_dead_run,
    hold_job,
    live_runs,
    settle_pending,
)
from scrapy_resume.store.postgres.skips import keep_skips
from scrapy_resume.store.postgres.statements import OPENING
from scrapy_resume.store.postgres.tables import PostgresTables
from scrapy_resume.store.transaction.apply import bound_waits
from scrapy_resume.store.transaction.events import AT_OPENING, keep_events, opened
from scrapy_resume.store.transaction.steps import describe
from scrapy_resume.store.transaction.storable_text import as_json
from scrapy_resume.store.transaction.units import settle_units

SLOTS_TOLD: Final = 100
"""Slots with rows to lease that a run gets when it opens the job; it finds the others later."""

ID_STEP: Final = 4096
"""The ids of a run are congruent to its number modulo this, so that no two of so many runs choose
the same."""


TRIES: Final = 5
"""Attempts at an opening that deadlocks with workers that end a dead run at that moment."""


@contextmanager
def suppress_deadlock() -> Iterator[None]:
    """Suppress a deadlock: the transaction was rolled back and can be tried again."""
    try:
        yield
    except StoreUnavailableError as error:
        if not isinstance(error.__cause__, DeadlockDetected):
            raise


def open_job(link: Link, key: JobKey, opening: Opening) -> PostgresJob:
    """Open a job that exists; see ``Store.resume`` for the errors."""
    presence = Presence()
    try:
        for _ in range(TRIES - 1):
            with suppress_deadlock():
                return _open(link, key, opening, presence)
        return _open(link, key, opening, presence)
    except BaseException:
        presence.end()
        link.close()
        raise


def _open(link: Link, key: JobKey, opening: Opening, presence: Presence) -> PostgresJob:
    with link.transaction() as connection:
        job = hold_job(connection, key)
        if job is None:
            raise JobNotFoundError(f"there is no job {key} in {link.place}")
        tables = PostgresTables(
            job.id,
            job.next_run,
            any_owner=opening.slots_shared,
            only_retried=opening.only_retried,
        )
        tables.begin(connection, job.now)
        bound_times(tables)
        bound_waits(tables, opening.limits, job.now)
        found = _end_the_dead(tables, opening)
        keep_skips(tables, opening.skip)
        session = _begin_run(tables, key, opening, job, found, presence.name)
        settle_units(tables, job.now)
        total = found.recovered
        recovers = session.crashed or session.taken_over
        notices = opened(session.run, recovers, total.requests, total.parked)
        session.events.of_job += keep_events(tables, AT_OPENING, notices)
    return PostgresJob(link, job.id, session, opening, presence)


class Found(NamedTuple):
    """The other runs that a run finds when it opens the job."""

    others: list[LiveRun]
    died: bool
    taken_over: bool
    """A live run was fenced by force."""
    recovered: Recovered


def _end_the_dead(tables: PostgresTables, opening: Opening) -> Found:
    """End the runs that have died; with ``force`` all."""
    runs = live_runs(tables)
    others = [run for run in runs if not (run.is_dead or opening.force)]
    died = taken_over = False
    total = Recovered()
    for run in runs:
        if run in others:
            continue
        reason = None if run.is_dead else f"{TAKEN_OVER}{opening.worker}"
        ended = end_dead_run(
            tables,
            run,
            opening.crash_limit,
            others_go_on=bool(others),
            blames=run.is_dead,
            reason=reason,
        )
        if ended is not None:
            died |= run.is_dead
            taken_over |= not run.is_dead
            total.requests += ended.requests
            total.in_flight += ended.in_flight
            total.parked += ended.parked
    return Found(others, died, taken_over, total)


def _begin_run(
    tables: PostgresTables,
    key: JobKey,
    opening: Opening,
    job: JobRow,
    found: Found,
    process: str,
) -> Session:
    crashed = found.died or (not (found.others or found.taken_over) and _last_run_crashed(tables))
    first_id = _first_id(_counters(tables)[-1], job.next_run)
    # The run that opens a job without other runs runs start() again.
    alone = not found.others
    tables.execute(
        OPENING["begin_run"],
        worker=opening.worker,
        process=process,
        orphan_seconds=opening.orphan_seconds,
        delay_seconds=opening.slot_delay_seconds,
        next_id=first_id,
    )
    settle_pending(tables)
    if opening.extend:
        tables.execute(OPENING["begin_round"], first_id=first_id)
    ((round_number, round_from),) = tables.execute(OPENING["round"]).fetchall()
    owns_start = _note_opening(tables, opening, job, alone)
    *counters, superseded, _ = _counters(tables)
    return Session(
        job=key,
        uid=tables.execute(LOG["uid"]).fetchall()[0][0],
        run=job.next_run,
        epoch=job.next_run,
        began=job.next_run == 1,
        crashed=crashed,
        taken_over=found.taken_over,
        created_at=job.created_at,
        now=job.now,
        delta=job.delta,
        counts=Counts(*counters),
        ids=RowIds(first=first_id, step=ID_STEP),
        frontier=FrontierState(
            pending=tables.leases.pending(dict.fromkeys(tables.leases.open_slots(SLOTS_TOLD), 0)),
            suspects=tables.execute(tables.leases.leasing["ready_suspects"]).fetchall()[0][0],
            every_run=job.every_run and alone,
            only_retried=opening.only_retried,
            delayed=tables.leases.count_delayed(Counts(*counters).delayed),
        ),
        start=StartState(
            exhausted=job.start_exhausted,
            owned=owns_start,
            round=round_number,
            round_from=round_from,
        ),
        state=SavedState(spider_state=_spider_state(tables), cookies=_cookies(tables)),
        feeds=[FeedNote(*row) for row in tables.execute(OPENING["feeds"])],
        steps=_steps(tables),
        items=ItemPosition(superseded=superseded),
        events=UndeliveredEvents(of_job=tables.adopt_events()),
        recovered=found.recovered,
        sharing=Sharing(
            shared=True, slots_owned=not opening.slots_shared, others=len(found.others)
        ),
        progress=JobProgress.of(
            tables.execute(OPENING["earlier_runs"]).fetchall(),
            tables.execute(READ["expected_total"]).fetchall()[0][0],
            tables.execute(READ["progressed_at"]).fetchall()[0][0],
        ),
    )


def _steps(tables: PostgresTables) -> StepAnswer:
    answer = StepAnswer(next_due=tables.steps.next_due())
    describe(tables.steps, answer)
    return answer


def _note_opening(tables: PostgresTables, opening: Opening, job: JobRow, alone: bool) -> bool:
    """Record that the job is open. Returns whether ``start()`` is this run's."""
    # As it is now, not as the job was found: a dead run may have had start().
    ((start_run,),) = tables.execute(OPENING["start_run"]).fetchall()
    start_over = job.start_over and not alone
    owns_start = alone or (start_run == 0 and not start_over)
    tables.execute(
        OPENING["open_job"],
        metadata=as_json(opening.metadata) if opening.metadata else None,
        launch=as_json(opening.launch) if opening.launch else None,
        start_run=job.next_run if owns_start else start_run,
        start_over=start_over,
    )
    return owns_start


def _first_id(next_id: int, run: int) -> int:
    """The first id of the run's own that is not below ``next_id``."""
    step = (run - next_id) % ID_STEP
    return next_id + step


def _counters(tables: PostgresTables) -> list[int]:
    """The fields of ``Counts`` in order, how many items were superseded, and the next id."""
    return [int(value) for value in tables.execute(OPENING["counters"]).fetchall()[0]]


def _last_run_crashed(tables: PostgresTables) -> bool:
    rows = tables.execute(OPENING["last_status"]).fetchall()
    return bool(rows) and rows[0][0] == "crashed"


def _spider_state(tables: PostgresTables) -> str | None:
    row = tables.execute(OPENING["adopt_state"]).fetchone()
    return None if row is None else row[0]


def _cookies(tables: PostgresTables) -> dict[str, str]:
    adopted = tables.execute(OPENING["adopt_cookies"]).fetchall()
    return dict(adopted or tables.execute(OPENING["share_cookies"]).fetchall())
