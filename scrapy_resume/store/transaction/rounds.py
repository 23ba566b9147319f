"""Rounds of an extended job: what ``start()`` yields is fetched again, once in each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from scrapy_resume.model import State
from scrapy_resume.store.contract import Admission
from scrapy_resume.store.transaction.counters import Tally
from scrapy_resume.store.transaction.tables import Changed, Tables


class Round(NamedTuple):
    """One round; see ``StartState``."""

    number: int
    """0: the job is not extended."""
    first_id: int
    """Ids of requests that the round has added begin here."""

    def fetch_again(
        self, given: Mapping[int, tuple[Admission, int]], tables: Tables, tally: Tally, now: float
    ) -> None:
        """Make rows pending that the round has not fetched, as ``start()`` gives them now.

        ``given``: row → its request, and the id of its slot. Those that are open anyway belong to
        the round from here on. Parked rows stay so.
        """
        found = tables.earlier_round(list(given), self.number, self.first_id)
        if not found:
            return
        tables.keep_round([row.id for row in found], self.number)
        changes = []
        for row in found:
            if row.state in (State.pending, State.leased):
                continue
            arrival, slot = given[row.id]
            tally.leave(State(row.state), row.kind, row.slot, 0, 0)
            tally.enter(State.pending, row.kind, slot, 0, 0)
            tally.items_failed -= row.items_failed
            unit = tables.units.of(row.unit, row.kind)
            unit.steer(row.state, State.pending, 1, row.items_failed)
            changes.append(_changed(row.id, arrival, slot, now))
        if changes:
            tables.fetch_again(changes)


NO_ROUND: Final = Round(0, 0)


def _changed(row: int, arrival: Admission, slot: int, now: float) -> Changed:
    return Changed(
        url=arrival.url,
        payload=arrival.payload,
        slot=slot,
        priority=arrival.priority,
        start=arrival.start,
        seq=arrival.seq,
        attempts=0,
        state=int(State.pending),
        not_before=0.0,
        updated_at=now,
        failed_at=None,
        id=row,
    )
