"""The parts of a commit that concern the other workers: slots, hosts, who has work."""

from __future__ import annotations

from typing import Final

from scrapy_resume.model import State
from scrapy_resume.store.contract import HostNote, LeasedRow, SharingReport, StartTurn
from scrapy_resume.store.postgres.statements import COMMIT
from scrapy_resume.store.postgres.tables import PostgresTables
from scrapy_resume.store.transaction.arrivals import Transaction

HOSTS_SECONDS: Final = 1.0
"""The interval at which the hosts of other runs are read; and how long a commit that has begun may
take to become visible."""


class OtherWorkers:
    """The other runs of a job, as seen by the commits of this one."""

    def __init__(self, tables: PostgresTables, *, slots_shared: bool) -> None:
        self._tables = tables
        self._slots_shared = slots_shared
        self.starving = False
        """The run has looked for slots and found none."""
        self._hosts_at = 0.0
        """When the hosts of other runs were read, by the server's clock."""

    def find_slots(self, report: SharingReport, transaction: Transaction) -> None:
        """Claim as many free slots as the run wants, and lease from them."""
        if not report.slots_wanted:
            if report.slots_enough:
                self.starving = False
            return
        committed, tally = transaction.committed, transaction.tally
        rows = self._lease(report)
        tally.states[State.pending] -= len(rows)
        tally.states[State.leased] += len(rows)
        committed.leased += rows
        committed.counts = tally.counts()
        slots = self._tables.find_slots(sorted({row.slot for row in rows}))
        if slots:
            committed.pending.update(self._tables.leases.pending(dict.fromkeys(slots.values(), 0)))
        committed.sharing.slots_found = len(slots)
        self.starving = not (slots or report.slots_enough)

    def _lease(self, report: SharingReport) -> list[LeasedRow]:
        leases = self._tables.leases
        if self._slots_shared and report.rows_wanted is not None:
            passed_over = self._tables.find_slots(report.slots_passed_over)
            return leases.lease_from_shared_slots(
                report.slots_wanted,
                report.slot_share,
                report.rows_wanted,
                list(passed_over.values()),
            )
        return leases.lease_from_new_slots(report.slots_wanted, report.slot_share)

    def hosts(self, claimed: list[str], now: float) -> list[HostNote]:
        """The records of other runs about the hosts that this run may fetch from."""
        if claimed:
            return self._tables.hosts_of_slots(claimed)
        if self._slots_shared and now - self._hosts_at > HOSTS_SECONDS:
            since, self._hosts_at = self._hosts_at, now
            return self._tables.hosts_since(since - HOSTS_SECONDS)
        return []

    def answer(self, report: SharingReport, transaction: Transaction) -> None:
        """Answer the run's questions about the others."""
        tables, answer = self._tables, transaction.committed.sharing
        if report.start_wanted:
            ((given, over),) = tables.execute(COMMIT["take_start"]).fetchall()
            answer.start = StartTurn.given if given else StartTurn.taken
            if over:
                answer.start = StartTurn.over
        if report.idle:
            ((starting, is_open, ready),) = tables.execute(
                tables.leases.leasing["others_at_work"]
            ).fetchall()
            answer.others_at_work = starting or is_open
            answer.only_delayed = not (starting or ready)
        if self._slots_shared:
            ((answer.others, answer.one_starves),) = tables.execute(
                COMMIT["other_workers"]
            ).fetchall()
        else:
            ((answer.fair_share,),) = tables.execute(COMMIT["fair_share"]).fetchall()
        if self.starving and not self._slots_shared:
            rows = tables.execute(COMMIT["slots_of_others"]).fetchall()
            answer.blocked_by = [key for (key,) in rows]
