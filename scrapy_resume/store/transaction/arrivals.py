"""The arrivals of a batch: new rows, duplicates, and rows that continue as another request.

Arrivals are deduplicated in the order in which they came: of two with one identity, in one batch
or in two, the second is a duplicate.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from scrapy_resume.model import START, State, occurrence_identity, skipped_identity
from scrapy_resume.store.contract import Admission, Committed, Continuation, Finish
from scrapy_resume.store.transaction.counters import Names, Tally
from scrapy_resume.store.transaction.rounds import NO_ROUND, Round
from scrapy_resume.store.transaction.selection import SKIPPED
from scrapy_resume.store.transaction.skipping import Skipping
from scrapy_resume.store.transaction.skips import Rules
from scrapy_resume.store.transaction.steps import Steps
from scrapy_resume.store.transaction.storable_text import storable
from scrapy_resume.store.transaction.tables import Changed, Held, Known, NewRow, Outcome, Tables
from scrapy_resume.store.transaction.units import UnitChange

REMEMBERED_OCCURRENCES: Final = 50_000
DUPLICATE: Final = "duplicate"
DELTA: Final = "delta"
"""The error of a row that is ignored because an earlier number has what it would give."""


@dataclass
class Transaction:
    """The state that the steps of one commit share."""

    tables: Tables
    run: int
    now: float
    tally: Tally
    slots: Names
    units: Names
    round: Round = NO_ROUND
    skips: Rules | None = None
    """What is skipped for good; ``None``: nothing is."""
    committed: Committed = field(default_factory=Committed)
    held: dict[int, Held] = field(default_factory=dict)
    """Those of the batch's rows that are leased, as the steps so far left them."""
    every_run: bool = False
    items_taken: int = 0
    attempts: int = 0
    """Of the requests that the batch has ended, or that are tried again."""
    drops_item_duplicates: bool = False
    has_steps: bool = False
    """The job has items with steps, or gets some."""
    step_names: Names | None = None
    before: tuple[int, ...] = field(init=False)
    """Rows by ``State`` when the commit began."""
    steps: Steps = field(init=False)

    def __post_init__(self) -> None:
        self.before = tuple(self.tally.states)
        self.steps = Steps(
            self.tables.steps, self.tables, self.tally, self.run, self.now, self.step_names
        )

    def minute(self, pages: int) -> dict[str, int] | None:
        """The values of ``keep_minute``: what the commit adds to its minute; ``None``: nothing.
        ``count`` is that of attempts.

        ``pages``: responses of the run so far.
        """
        gained = {
            state.name: self.tally.states[state] - self.before[state]
            for state in (State.done, State.failed, State.ignored)
        }
        if not (pages or self.items_taken or self.attempts or any(gained.values())):
            return None
        minute = int(self.now // 60)
        number = {"minute": minute, "pages": pages, "items": self.items_taken}
        number["count"] = self.attempts
        return {**gained, **number, "open": self.committed.counts.open}

    def hold(self, ids: Iterable[int]) -> None:
        """Look up which of these rows are leased, and add them to ``held``."""
        self.held.update(self.tables.leased(ids))

    def unit_of(self, held: Held) -> UnitChange:
        """The change of the row's unit, to be added to."""
        return self.tables.units.of(held.unit, held.kind)

    def end_lease(self, row: int, state: State, later: float = 0.0) -> Held | None:
        """A row is not leased any more; ``None`` if it was not.

        ``later``: it is not leased again before that time, nor before its own ``not_before``.
        """
        held = self.held.pop(row, None)
        if held is None:
            return None
        place = held.kind, held.slot, held.suspect
        self.tally.leave(State.leased, *place, held.not_before)
        self.tally.enter(state, *place, max(held.not_before, later))
        if row == self.tally.alone_id:
            self.tally.alone_id = 0
        return held


class Occurrences:
    """How often each base of counted arrivals has occurred in this run.

    A cache of the most recent bases that occurred more than once; the others are looked up in
    the store. With it, ten thousand equal requests cost one look-up each.
    """

    def __init__(self) -> None:
        self._counts: OrderedDict[bytes, int] = OrderedDict()

    def get(self, base: bytes) -> int:
        """The number of occurrences that is known; there may have been more."""
        return self._counts.get(base, 0)

    def remember(self, counts: Mapping[bytes, int]) -> None:
        """The counts of a transaction that was committed."""
        for base, count in counts.items():
            if count > 1:
                self._counts[base] = count
                self._counts.move_to_end(base)
        while len(self._counts) > REMEMBERED_OCCURRENCES:
            self._counts.popitem(last=False)


class Arrivals:
    """Deduplicates arrivals and writes the new ones."""

    def __init__(self, transaction: Transaction, occurrences: Occurrences) -> None:
        self._in = transaction
        self._occurrences = occurrences
        self.counts: dict[bytes, int] = {}
        """Base of counted arrivals → its occurrences in this run so far."""
        self._known: dict[bytes, Known | None] = {}
        self._admitted: list[NewRow] = []
        self._retried: list[int] = []
        self._continued: list[Changed] = []
        self._aliases: list[tuple[bytes, int]] = []
        self._repeated: list[tuple[bytes, int]] = []
        self._given_again: dict[int, tuple[Admission, int]] = {}
        """Rows that the start() of an extended job has given again: as what, and its slot."""
        self._ignored: list[Outcome] = []
        self._skipped: list[tuple[NewRow, Outcome]] = []
        self._given: set[bytes] = set()
        self._skipping: Skipping | None = None
        self._known_row = 0
        """The row of the last arrival that was known."""

    def apply(
        self, arrivals: Sequence[Admission | Continuation], finishes: Sequence[Finish]
    ) -> None:
        """Write the arrivals; the identities of the finishes are looked up with them."""
        self._look_up(arrivals, finishes)
        if self._in.skips is not None:
            self._skipping = Skipping(self._in.skips, self._in.tables.skips, arrivals)
        slots = self._in.slots.ids({arrival.slot for arrival in arrivals})
        for arrival in arrivals:
            if isinstance(arrival, Continuation):
                self._go_on(arrival, slots[arrival.slot])
            else:
                self._arrive(arrival, slots[arrival.slot])
        self._write()

    def is_known(self, arrival: Admission) -> bytes | None:
        """The identity of a new arrival, which is known from now on if it is recorded.

        ``None``: it was known already; the arrival is added to the duplicates.
        """
        identity = self._identity(arrival)
        known = self._find(identity)
        if known is not None:
            self._repeat(arrival, arrival.identity, identity, known.row)
            return None
        for other in arrival.others:
            named = self._counted(other) if arrival.counted else other
            known = self._find(named)
            if known is not None:
                self._repeat(arrival, other, named, known.row)
                self._in.committed.renamed.add(arrival.id)
                return None
        if arrival.record:
            self._use(arrival, arrival.identity, identity, arrival.id)
        return identity

    def _repeat(self, arrival: Admission, base: bytes, identity: bytes, row: int) -> None:
        """An arrival is known."""
        if arrival.counted:
            self._repeated.append((identity, row))
            self._use(arrival, base, identity, row)
        self._known_row = row
        self._in.committed.duplicates.add(arrival.id)

    def write_repeated(self) -> None:
        """Record the rows of earlier runs that arrived again in this one."""
        if self._repeated:
            self._in.tables.arrive_again(self._in.run, self._repeated)
            self._repeated.clear()

    def add_aliases(self, row: int, identities: Iterable[bytes]) -> None:
        """Add identities that become known with a row's finish."""
        for identity in identities:
            if self._find(identity) is None:
                self._known[identity] = Known(row, 0)
                self._in.tables.add_aliases([(identity, row)])

    def row(self, arrival: Admission, identity: bytes, slot: int, state: State) -> NewRow:
        """The columns of a new row."""
        unit = arrival.unit
        if isinstance(unit, str):
            unit = -self._in.units.id_of(storable(unit))
        if arrival.every_run:
            self._in.every_run = True
        return NewRow(
            id=arrival.id,
            identity=identity,
            kind=int(arrival.kind),
            parent=arrival.parent,
            unit=unit,
            slot=slot,
            state=int(state),
            priority=arrival.priority,
            start=arrival.start,
            seq=arrival.seq,
            not_before=arrival.not_before,
            depth=arrival.depth,
            every_run=int(arrival.every_run),
            run=self._in.run,
            url=arrival.url,
            payload=arrival.payload,
            updated_at=self._in.now,
            given_key=arrival.given_key,
        )

    def _arrive(self, arrival: Admission, slot: int) -> None:
        identity = self.is_known(arrival)
        if identity is None:
            if self._in.round.number and arrival.parent == START and arrival.record:
                self._given_again.setdefault(self._known_row, (arrival, slot))
            return
        reason = DELTA if self._skips(arrival) else None
        if self._skipping is not None and self._skipping.skips(arrival):
            reason = SKIPPED
        if reason is not None:
            skipped = self._in.committed
            (skipped.skipped if reason == DELTA else skipped.skipped_for_good).add(arrival.id)
        if not arrival.record:
            return
        if reason is not None:
            self._in.tally.enter(State.ignored, arrival.kind, slot, 0, 0)
            row = self.row(arrival, identity, slot, State.ignored)._replace(not_before=0)
            units = self._in.tables.units
            unit = units.of(row.unit, arrival.kind)
            unit.admit()
            units.end(unit, arrival.kind, arrival.id, State.ignored)
            self._skipped.append((row, self._ignored_as(reason, arrival.id, 0)))
            return
        state = State.leased if arrival.lease else State.pending
        kind, not_before = arrival.kind, arrival.not_before
        self._in.tally.enter(state, kind, slot, 0, not_before)
        row = self.row(arrival, identity, slot, state)
        self._in.tables.units.of(row.unit, kind).admit()
        if state is State.leased:
            self._in.held[arrival.id] = Held(
                kind=kind,
                slot=slot,
                suspect=0,
                not_before=not_before,
                items=0,
                unit=row.unit,
                attempts=0,
                kept=0,
                round=0,
            )
        self._admitted.append(row)
        if arrival.retried:
            self._retried.append(arrival.id)

    def _go_on(self, change: Continuation, slot: int) -> None:
        held = self._in.held.get(change.id)
        if held is None:
            return
        if self._skipping is not None and self._skipping.leads_to_skipped(change):
            self._in.committed.skipped_for_good.add(change.id)
            self._ignore(change, held, SKIPPED)
            return
        if change.identity is not None:
            known = self._find(change.identity)
            # In an earlier round of an extended job it may have gone on as the same request.
            again = known is not None and known.row == change.id and held.round
            if known is not None and not again:
                self._ignore(change, held, DUPLICATE)
                return
            if known is None:
                self._known[change.identity] = Known(change.id, 0)
                self._aliases.append((change.identity, change.id))
        self._in.unit_of(held).attempts += change.attempts - held.attempts
        held = held._replace(slot=slot, not_before=change.not_before, attempts=change.attempts)
        self._in.held[change.id] = held
        state = State.leased
        if not change.lease:
            state = State.pending
            self._in.end_lease(change.id, state)
        self._continued.append(
            Changed(
                url=change.url,
                payload=change.payload,
                slot=slot,
                priority=change.priority,
                start=change.start,
                seq=change.seq,
                attempts=change.attempts,
                state=int(state),
                not_before=change.not_before,
                updated_at=self._in.now,
                failed_at=self._in.now if change.failed else None,
                id=change.id,
            )
        )

    def _ignore(self, change: Continuation, held: Held, reason: str) -> None:
        self._in.end_lease(change.id, State.ignored)
        unit = self._in.unit_of(held)
        unit.attempts += change.attempts - held.attempts
        self._in.tables.units.end(unit, held.kind, change.id, State.ignored)
        self._in.committed.duplicates.add(change.id)
        self._ignored.append(self._ignored_as(reason, change.id, change.attempts))

    def _ignored_as(self, reason: str, row: int, attempts: int) -> Outcome:
        return Outcome(
            state=int(State.ignored),
            attempts=attempts,
            http_status=None,
            error=reason,
            error_message=None,
            updated_at=self._in.now,
            items=0,
            items_failed=0,
            id=row,
        )

    def _write(self) -> None:
        """Write in this order: a row may arrive, continue and be ignored in one batch."""
        tables = self._in.tables
        if self._admitted:
            tables.admit(self._admitted)
        if self._retried:
            tables.mark_retried(self._retried)
        if self._skipped:
            tables.add_tombstones(self._skipped)
        if self._continued:
            tables.continue_rows(self._continued)
        if self._aliases:
            tables.add_aliases(self._aliases)
        if self._ignored:
            tables.finish(self._ignored)
            tables.drop_spills([outcome.id for outcome in self._ignored])
        if self._given_again:
            self._in.round.fetch_again(self._given_again, tables, self._in.tally, self._in.now)

    # Who is known

    def _look_up(
        self, arrivals: Sequence[Admission | Continuation], finishes: Sequence[Finish]
    ) -> None:
        """Look up the identities of the whole batch at once."""
        keys = {_key_of(arrival) for arrival in arrivals if _may_be_skipped(arrival)}
        if keys:
            self._given = self._in.tables.given(keys)
        wanted: set[bytes] = set()
        claims: dict[bytes, int] = {}
        counted: Counter[bytes] = Counter()

        def occurrence(base: bytes) -> bytes:
            place = counted[base]
            counted[base] += 1
            return occurrence_identity(base, self._occurrences.get(base) + place)

        def want(arrival: Admission | Continuation) -> None:
            identity = arrival.identity
            if identity is None:
                return
            record = True
            if isinstance(arrival, Admission):
                record = arrival.record
                for other in arrival.others:
                    wanted.add(occurrence(other) if arrival.counted else other)
                if arrival.counted:
                    identity = occurrence(identity)
                elif self._skips(arrival):
                    identity = skipped_identity(identity)
            wanted.add(identity)
            if record:
                claims.setdefault(identity, arrival.id)

        for arrival in arrivals:
            want(arrival)
        for finish in finishes:
            if finish.tombstone is not None:
                want(finish.tombstone)
            for identity in finish.aliases:
                wanted.add(identity)
                claims.setdefault(identity, finish.id)
        self._ask(wanted, claims)

    def _ask(self, identities: Iterable[bytes], claims: Mapping[bytes, int]) -> None:
        for identity in identities:
            self._known.setdefault(identity, None)
        self._known.update(self._in.tables.known(identities, claims))

    def _find(self, identity: bytes) -> Known | None:
        if identity not in self._known:
            self._ask((identity,), {})
        return self._known[identity]

    def _identity(self, arrival: Admission) -> bytes:
        if self._skips(arrival):
            return skipped_identity(arrival.identity)
        if not arrival.counted:
            return arrival.identity
        return self._counted(arrival.identity)

    def _counted(self, base: bytes) -> bytes:
        occurrence = self._next_occurrence(base)
        if occurrence:
            self.counts[base] = occurrence
        return occurrence_identity(base, occurrence)

    def _skips(self, arrival: Admission) -> bool:
        """Whether an earlier number has the items that it would give."""
        return _may_be_skipped(arrival) and _key_of(arrival) in self._given

    def _use(self, arrival: Admission, base: bytes, identity: bytes, row: int) -> None:
        """An identity belongs to a row that arrived in this run. ``base``: what it is an occurrence
        of, with ``counted``."""
        self._known[identity] = Known(row, self._in.run)
        if arrival.counted:
            self.counts[base] = self.counts.get(base, 0) + 1

    def _next_occurrence(self, base: bytes) -> int:
        """The first occurrence whose row is absent or did not arrive in this run.

        The occurrences that arrived in a run are the first ones, without a gap: so their end is
        found by a search in steps that double, unless it is in the cache.
        """
        first = self.counts.get(base, self._occurrences.get(base))
        if self._is_free(base, first):
            return first
        taken, step = first, 1
        while not self._is_free(base, taken + step):
            taken, step = taken + step, 2 * step
        free = taken + step
        while free - taken > 1:
            middle = (taken + free) // 2
            if self._is_free(base, middle):
                free = middle
            else:
                taken = middle
        return free

    def _is_free(self, base: bytes, occurrence: int) -> bool:
        known = self._find(occurrence_identity(base, occurrence))
        return known is None or known.run != self._in.run


def _may_be_skipped(arrival: Admission | Continuation) -> bool:
    return isinstance(arrival, Admission) and arrival.may_be_skipped


def _key_of(arrival: Admission | Continuation) -> bytes:
    assert isinstance(arrival, Admission)
    return arrival.given_key or arrival.identity
