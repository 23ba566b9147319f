"""What a run's commit has to do with the others on the job: slots, hosts, who has work."""

from __future__ import annotations

from typing import Final

from scrapy_resume.model import State
from scrapy_resume.store.contract import HostNote, SharingReport, StartTurn
from scrapy_resume.store.postgres.statements import COMMIT
from scrapy_resume.store.postgres.tables import PostgresTables
from scrapy_resume.store.transaction.arrivals import Transaction

HOSTS_SECONDS: Final = 1.0
"""Between two times that others are asked about hosts; and how long a commit of theirs that has
begun may take to be seen."""


class Others:
    """The other runs of a job, within the commits of this one."""

    def __init__(self, tables: PostgresTables, *, slots_shared: bool) -> None:
        self._tables = tables
        self._slots_shared = slots_shared
        self.starving = False
        """The run has looked for slots in vain."""
        self._hosts_at = 0.0
        """When others were asked about hosts, by the server's clock."""

    def find_slots(self, report: SharingReport, transaction: Transaction) -> None:
        """Take what slots the run wants, if nobody has them."""
        if not report.slots_wanted:
            if report.slots_enough:
                self.starving = False
            return
        committed, tally = transaction.committed, transaction.tally
        rows = self._tables.leases.lease_from_new_slots(report.slots_wanted, report.slot_share)
        tally.states[State.pending] -= len(rows)
        tally.states[State.leased] += len(rows)
        committed.leased += rows
        committed.counts = tally.counts()
        slots = self._tables.find_slots(sorted({row.slot for row in rows}))
        if slots:
            committed.pending.update(self._tables.leases.pending(dict.fromkeys(slots.values(), 0)))
        committed.sharing.slots_found = len(slots)
        self.starving = not slots

    def hosts(self, claimed: list[str], now: float) -> list[HostNote]:
        """What others know of the hosts that this run may ask."""
        if claimed:
            return self._tables.hosts_of_slots(claimed)
        if self._slots_shared and now - self._hosts_at > HOSTS_SECONDS:
            since, self._hosts_at = self._hosts_at, now
            return self._tables.hosts_since(since - HOSTS_SECONDS)
        return []

    def answer(self, report: SharingReport, transaction: Transaction) -> None:
        """Answer what the run has asked of them, and what it has to know of them."""
        tables, answer = self._tables, transaction.committed.sharing
        if report.start_wanted:
            ((given, over),) = tables.execute(COMMIT["take_start"]).fetchall()
            answer.start = StartTurn.given if given else StartTurn.taken
            if over:
                answer.start = StartTurn.over
        if report.idle:
            ((starting, is_open, ready),) = tables.execute(COMMIT["others_at_work"]).fetchall()
            answer.others_at_work = starting or is_open
            answer.only_delayed = not (starting or ready)
        if not self._slots_shared:
            ((answer.fair_share,),) = tables.execute(COMMIT["fair_share"]).fetchall()
        if self.starving:
            rows = tables.execute(COMMIT["slots_of_others"]).fetchall()
            answer.blocked_by = [key for (key,) in rows]
