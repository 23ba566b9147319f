"""Ends runs: takes back their rows and slots, and adds their counters to the job's."""

from __future__ import annotations

import logging
from typing import Any, Final, NamedTuple

from msgspec.structs import asdict
from psycopg import Connection

from scrapy_resume.model import Counts, JobKey, Phase
from scrapy_resume.store.contract import Recovered, Recovery
from scrapy_resume.store.postgres.processes import is_gone
from scrapy_resume.store.postgres.statements import OPENING
from scrapy_resume.store.postgres.step_fetches import leave_fetches
from scrapy_resume.store.postgres.tables import PostgresTables
from scrapy_resume.store.transaction.apply import end_delays
from scrapy_resume.store.transaction.counters import Tally
from scrapy_resume.store.transaction.parking import Death
from scrapy_resume.store.transaction.recovery import recover, supersede_every_run
from scrapy_resume.store.transaction.storable_text import storable
from scrapy_resume.wording import counted

log = logging.getLogger("scrapy_resume")


SITE_SECONDS: Final = 2.0
"""How long sites may still be answering a worker that has just died: no other worker fetches from
its hosts for so long."""


class JobRow(NamedTuple):
    """The columns of the statement ``hold_job``."""

    id: int
    status: str
    next_run: int
    start_exhausted: bool
    start_over: bool
    every_run: bool
    delta: bool
    created_at: float
    now: float


def hold_job(connection: Connection[Any], key: JobKey) -> JobRow | None:
    """The job, locked to the end of the transaction: one run at a time opens or leaves it.

    ``None``: there is no such job.
    """
    values = {"name": storable(key.name), "number": key.number}
    row = connection.execute(OPENING["hold_job"], values).fetchone()
    return None if row is None else JobRow(*row)


class LiveRun(NamedTuple):
    """The columns of the statement ``live_runs``."""

    number: int
    worker: str
    process: str
    beat_at: float
    orphan_seconds: float
    leaving: bool
    last: bool
    silence: float
    """Seconds since the last heartbeat, or since the start of the server if that is later."""

    @property
    def is_gone(self) -> bool:
        """Its process has ended; known only on the same machine."""
        return is_gone(self.process)

    @property
    def is_silent(self) -> bool:
        """It has sent no heartbeat for too long."""
        return self.silence > self.orphan_seconds

    @property
    def is_dead(self) -> bool:
        """It has ended, or was silent for too long."""
        return self.is_silent or self.is_gone


def live_runs(tables: PostgresTables) -> list[LiveRun]:
    """The runs of the job whose end was not recorded."""
    return [LiveRun(*columns) for columns in tables.execute(OPENING["live_runs"])]


def clock_was_set_back(tables: PostgresTables, free_seconds: float) -> None:
    """Have no time lie in the future at which a worker was alive, or later than ``free_seconds``
    from now at which a slot is free. (Does nothing unless there are such times.)"""
    tables.execute(OPENING["set_clock_back"])
    tables.execute(OPENING["free_slots_earlier"], free_at=tables.now + free_seconds)
    tables.steps.bound_times()


def bound_times(tables: PostgresTables) -> None:
    """Before a job is opened or recovered: the server's clock may have been set back meanwhile."""
    ((delay_seconds,),) = tables.execute(OPENING["longest_delay"]).fetchall()
    clock_was_set_back(tables, max(delay_seconds, SITE_SECONDS))


def end_dead_run(
    tables: PostgresTables,
    run: LiveRun,
    crash_limit: int,
    *,
    others_go_on: bool,
    blames: bool = True,
    reason: str | None = None,
) -> Recovered | None:
    """Fence a run and take back its rows. ``None``: another worker has done so.

    Waits for a commit of the run that is under way.
    """
    of_run = tables.of_run(run.number)
    if not of_run.execute(OPENING["hold_run"]).fetchall():
        return None
    ((sent, answered, alone_id, delay_seconds),) = of_run.execute(OPENING["marks"]).fetchall()
    phases = dict.fromkeys(sent, Phase.sent) | dict.fromkeys(answered, Phase.answered)
    death = Death(phases, alone_id, crash_limit, blames=blames)
    if others_go_on and not run.is_silent:
        delay_seconds = max(delay_seconds, SITE_SECONDS)
    recovered = take_back(of_run, death, delay_seconds)
    if others_go_on:
        settle_pending(of_run)
    of_run.execute(OPENING["end_run"], status="crashed", reason=reason, ended_at=None, stats=None)
    of_run.execute(OPENING["fold_run"])
    if blames:
        log.warning(
            "Worker %s (run %d) has died; its leases are taken back (%s)",
            run.worker,
            run.number,
            counted(recovered.requests, "request"),
        )
    return recovered


def recover_job(
    tables: PostgresTables,
    crash_limit: int,
    timeout_seconds: float | None,
    *,
    blames: bool = True,
) -> Recovery:
    """End the dead runs of a job that is locked, and those that were silent for too long.

    A job that nobody is on any more is ``paused``. ``blames``: as for ``Death``.
    """
    bound_times(tables)
    runs = live_runs(tables)
    dead = [
        run
        for run in runs
        if run.is_dead or (timeout_seconds is not None and run.silence > timeout_seconds)
    ]
    alive = tuple(run.worker for run in runs if run not in dead)
    workers = []
    total = Recovered()
    for run in dead:
        ended = end_dead_run(tables, run, crash_limit, others_go_on=bool(alive), blames=blames)
        if ended is not None:
            workers.append(run.worker)
            total.requests += ended.requests
            total.parked += ended.parked
    if workers and not alive:
        tables.execute(OPENING["end_job"], status="paused", reason="recovered")
    return Recovery(tuple(workers), total.requests, total.parked, alive)


def take_back(tables: PostgresTables, death: Death, delay_seconds: float) -> Recovered:
    """Take back the rows, the slots and ``start()`` of a run; changes its counters."""
    tally = Tally(Counts(), 0, 0)
    recovered = recover(tables, tally, death, tables.now)
    tables.execute(OPENING["free_slots"], free_at=tables.now + delay_seconds)
    tables.execute(OPENING["free_start"])
    leave_fetches(tables)
    _keep(tables, tally)
    return recovered


def settle_pending(tables: PostgresTables) -> None:
    """Ignore pending every-run requests of runs that have ended, and make due rows leasable.

    Changes the counters of the run.
    """
    tally = Tally(Counts(), 0, 0)
    supersede_every_run(tables, tally, 0, tables.now)
    end_delays(tables, tally, tables.now)
    _keep(tables, tally)


def _keep(tables: PostgresTables, tally: Tally) -> None:
    change = change_of(tally.counts(), Counts())
    if any(change.values()):
        tables.execute(OPENING["change_counters"], **change)


def change_of(after: Counts, before: Counts) -> dict[str, Any]:
    """By how much the counters have changed, by name."""
    return {name: value - getattr(before, name) for name, value in asdict(after).items()}
