"""What the contract says, in plain Python: dicts and lists, no transactions, no ids of slots.

Written from ``store/contract.py``, not from a store: the state machine compares the two.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Any

from scrapy_resume.model import Counts, Kind, Phase, State, occurrence_identity
from scrapy_resume.store.contract import Admission, Batch, Continuation, Finish, ItemRecord

from .plain_steps import PlainSteps, SteppedItem, StepsAnswer

PATIENCE = 20


@dataclass
class Row:
    id: int
    kind: Kind
    identity: bytes
    slot: str
    priority: int
    start: int
    seq: int
    not_before: float
    url: str
    every_run: bool
    run: int
    unit: int | str
    state: State
    attempts: int = 0
    crashes: int = 0
    suspect: bool = False
    error: str | None = None
    items_failed: int = 0
    kept: bool = False

    @property
    def can_be_leased(self) -> bool:
        return self.state is State.pending and self.not_before == 0 and not self.suspect


@dataclass
class Item:
    request: int
    payload: str
    key: str | None
    occurrence: int = 0


@dataclass
class Past:
    """What a unit remembers besides the counts of its requests."""

    cursor: int | None = None
    error: str | None = None
    ended: bool = False


@dataclass
class Answer:
    duplicates: set[int] = field(default_factory=set)
    leased: list[int] = field(default_factory=list)
    suspect: int | None = None
    suspects: int = 0
    counts: Counts = field(default_factory=Counts)
    steps: StepsAnswer = field(default_factory=StepsAnswer)


class PlainJob:
    """A job as the contract describes it. Delays are for ever: 0, or the far future."""

    def __init__(self) -> None:
        self.rows: dict[int, Row] = {}
        self.known: dict[bytes, int] = {}
        self.items: list[Item] = []
        self.spills: dict[int, list[ItemRecord]] = defaultdict(list)
        self.dropped = self.failed = 0
        self.run = 0
        self.met: Counter[bytes] = Counter()
        self.marks: dict[int, Phase] = {}
        self.alone: int | None = None
        self.state: str | None = None
        self.cookies: dict[str, str] = {}
        self.start_exhausted = False
        self.pasts: dict[int | str, Past] = defaultdict(Past)
        self.steps = PlainSteps()
        self.before: dict[int, list[SteppedItem]] = {}
        """Request → the items with steps that it had given when the batch began."""
        self.left: list[SteppedItem] = []
        """Those of them that the requests which have ended were to give again."""

    # Opening and closing

    def open(self, died: bool, blames: bool, crash_limit: int) -> tuple[int, int]:
        """The next run begins; gives the numbers of recovered and of parked rows."""
        marks = self.marks if died else {}
        self.steps.take_back(marks.keys(), blames and died, crash_limit, self.alone)
        leased = [row for row in self.rows.values() if row.state is State.leased]
        parked = 0
        for row in leased:
            row.state = State.pending
            if row.id not in marks:
                continue
            row.attempts += 1
            if not blames:
                continue
            row.crashes += 1
            answered = marks[row.id] is Phase.answered
            if row.id == self.alone and (answered or row.crashes >= crash_limit + PATIENCE):
                row.state, row.error = State.parked, "crash"
                self._ended(row)
                parked += 1
            elif row.crashes >= crash_limit:
                row.suspect = True
        self._begin_run()
        return len(leased), parked

    def _begin_run(self) -> None:
        self.run += 1
        self.alone = None
        self.spills.clear()
        self.marks = {}
        self.met.clear()
        for row in self.rows.values():
            if row.every_run and row.state is State.pending:
                row.state, row.error, row.not_before = State.ignored, "superseded", 0
                row.suspect = False
                self._ended(row)

    def close(self) -> None:
        for row in self.rows.values():
            if row.state is State.leased:
                row.state = State.pending
        self.spills.clear()
        self.steps.take_back((), False, 1, None)
        self.alone = None

    # A batch

    def commit(self, batch: Batch) -> Answer:
        answer = Answer()
        for arrival in batch.arrivals:
            if isinstance(arrival, Admission):
                self._admit(arrival, answer)
            else:
                self._go_on(arrival, answer)
        for row, item in batch.spills:
            self.spills[row].append(item)
        self.before = {
            finish.id: self.steps.of_request(finish.id)
            for finish in batch.finishes
            if finish.tombstone is None
        }
        self.left = []
        for finish in batch.finishes:
            self._finish(finish, answer)
        for item in self.left:
            self.steps.drop(item)
        self.steps.change(batch.steps.changes, answer.steps)
        self._show(answer.steps)
        for row, attempts, _ in batch.releases:
            if self._leased(row):
                self.rows[row].attempts = attempts
                self._give_back(row)
        self._keep(batch)
        self.steps.release(batch.steps.releases)
        for item, name in self.steps.running():
            if self.alone == item.steps[name].mark:
                break
        else:
            self.alone = None if self.alone is not None and self.alone < 0 else self.alone
        for step_wish in batch.steps.wishes:
            answer.steps.leased += self.steps.lease(step_wish.name, step_wish.count)
        for wish in batch.leasing.wishes:
            self._lease(wish.slot, wish.count, answer)
        if batch.leasing.suspect_wish:
            self._lease_suspect(answer)
        answer.suspects = len(self._suspects())
        answer.counts = self.counts()
        return answer

    def _admit(self, arrival: Admission, answer: Answer) -> None:
        identity = self._recognise(arrival, answer)
        if identity is not None and arrival.record:
            state = State.leased if arrival.lease else State.pending
            self.rows[arrival.id] = self._row(arrival, identity, state)

    def _recognise(self, arrival: Admission, answer: Answer) -> bytes | None:
        identity = arrival.identity
        if arrival.counted:
            identity = occurrence_identity(identity, self.met[arrival.identity])
        new = identity not in self.known
        if new and arrival.record:
            self.known[identity] = arrival.id
        if arrival.counted and (arrival.record or not new):
            self.met[arrival.identity] += 1
        if not new:
            answer.duplicates.add(arrival.id)
        return identity if new else None

    def _row(self, arrival: Admission, identity: bytes, state: State) -> Row:
        names = ("id", "kind", "slot", "priority", "start", "seq", "not_before", "url", "unit")
        copied: dict[str, Any] = {name: getattr(arrival, name) for name in names}
        return Row(
            **copied, identity=identity, every_run=arrival.every_run, run=self.run, state=state
        )

    def _go_on(self, change: Continuation, answer: Answer) -> None:
        if not self._leased(change.id):
            return
        row = self.rows[change.id]
        if change.identity is not None:
            if change.identity in self.known:
                answer.duplicates.add(row.id)
                row.state, row.error, row.attempts = State.ignored, "duplicate", change.attempts
                self._clear(row)
                self._ended(row)
                return
            self.known[change.identity] = row.id
        for name in ("url", "slot", "priority", "start", "seq", "attempts", "not_before"):
            setattr(row, name, getattr(change, name))
        if not change.lease:
            row.state = State.pending
            self._not_alone(row.id)

    def _finish(self, finish: Finish, answer: Answer) -> None:
        if finish.tombstone is not None:
            identity = self._recognise(finish.tombstone, answer)
            if identity is None:
                self.spills.pop(finish.id, None)
                return
            self.rows[finish.id] = self._row(finish.tombstone, identity, finish.state)
        elif not self._leased(finish.id):
            if finish.spilled:
                self.spills.pop(finish.id, None)
            return
        row = self.rows[finish.id]
        row.state, row.attempts, row.error = finish.state, finish.attempts, finish.error
        self._exchange_items(row, finish)
        row.items_failed = finish.items_failed
        self._ended(row)
        if finish.tombstone is None:
            self._clear(row)
        else:
            self.spills.pop(row.id, None)
        self.dropped += finish.items_dropped
        self.failed += finish.items_failed

    def _exchange_items(self, row: Row, finish: Finish) -> None:
        gone = finish.http_status in (404, 410)
        before = self.before.get(row.id, [])
        if row.kept and finish.state is not State.done and not gone:
            return
        spilled = self.spills.get(row.id, []) if finish.spilled else []
        records = [*spilled, *finish.items]
        if before or finish.supersedes:
            self._replace(row.id, records, before)
            self.left += [item for item in before if self.steps.has(item)]
        row.kept = row.kept and finish.state is State.done
        for record in records:
            if record.steps:
                self._open(row.id, record, before)
            if not record.waits:
                self._store(row.id, record)

    # Items with steps

    def _replace(self, row: int, records: list[ItemRecord], before: list[SteppedItem]) -> None:
        """Of an earlier execution only that stays whose new version waits for its steps, here or
        as an item of another request."""
        waiting = [record for record in records if record.waits]
        places = {record.occurrence for record in waiting if record.key is None}
        places &= {item.occurrence for item in before if not item.updates}
        keys = {record.key for record in waiting if record.key is not None}
        keys |= {item.key for item in self.steps.items if item.updates and item.request != row}
        self.items = [
            item
            for item in self.items
            if item.request != row
            or (item.occurrence in places if item.key is None else item.key in keys)
        ]

    def _open(self, row: int, record: ItemRecord, before: list[SteppedItem]) -> None:
        if record.key is None:
            places = {item.occurrence: item for item in before if not item.updates}
            found = places.get(record.occurrence)
        else:
            found = self.steps.of_key(record.key)
        self.left = [item for item in self.left if item is not found]
        self.steps.give(row, record, found)

    def _hide(self, item: SteppedItem) -> None:
        place = (item.request, item.occurrence, item.visible_key)
        self.items = [
            other for other in self.items if (other.request, other.occurrence, other.key) != place
        ]

    def _show(self, answer: StepsAnswer) -> None:
        for item, payload, again in answer.shown:
            if again:
                self._hide(item)
            self._store(item.request, ItemRecord(item.occurrence, payload, item.visible_key))

    def _ended(self, row: Row) -> None:
        if row.kind is not Kind.request:
            return
        past = self.pasts[row.unit]
        past.ended = True
        if row.state is State.done:
            past.cursor = row.id
        if row.state is not State.ignored and row.error is not None:
            past.error = row.error

    def _clear(self, row: Row) -> None:
        row.crashes, row.suspect, row.not_before = 0, False, 0
        self.spills.pop(row.id, None)
        self._not_alone(row.id)

    def _store(self, row: int, record: ItemRecord) -> None:
        if record.key is not None:
            self.items = [item for item in self.items if item.key != record.key]
        self.items.append(Item(row, record.payload, record.key, record.occurrence))

    def _give_back(self, row: int) -> None:
        self.rows[row].state = State.pending
        self.spills.pop(row, None)
        self._not_alone(row)

    def _not_alone(self, row: int) -> None:
        if self.alone == row:
            self.alone = None

    def _keep(self, batch: Batch) -> None:
        if batch.state.spider_state is not None:
            self.state = batch.state.spider_state
        self.cookies.update(batch.state.cookies)
        self.start_exhausted |= batch.start_exhausted

    def _lease(self, slot: str, count: int, answer: Answer) -> None:
        waiting = [row for row in self.rows.values() if row.slot == slot and row.can_be_leased]
        waiting.sort(key=lambda row: (-row.priority, row.start, row.seq))
        for row in waiting[:count]:
            row.state = State.leased
            answer.leased.append(row.id)

    def _lease_suspect(self, answer: Answer) -> None:
        if suspects := self._suspects():
            row = min(suspects, key=lambda row: row.id)
            row.state = State.leased
            answer.suspect = self.alone = row.id

    def _suspects(self) -> list[Row]:
        return [
            row
            for row in self.rows.values()
            if row.suspect and row.state is State.pending and row.not_before == 0
        ]

    def _leased(self, row: int) -> bool:
        return row in self.rows and self.rows[row].state is State.leased

    # Between runs

    def retry(self, url: str, states: tuple[State, ...]) -> int:
        """What is in these states is fetched again; how many there were."""
        meant = self._of_url(url, *states)
        for row in meant:
            row.kept = row.kept or row.state is State.done
            self._clear(row)
            self.failed -= row.items_failed
            row.items_failed = 0
            row.state = State.pending
        return len(meant)

    def park(self, url: str) -> int:
        """What is pending or has failed is not fetched; how many there were."""
        meant = self._of_url(url, State.pending, State.failed)
        for row in meant:
            row.state, row.suspect, row.not_before = State.parked, False, 0
        return len(meant)

    def _of_url(self, url: str, *states: State) -> list[Row]:
        return [
            row
            for row in self.rows.values()
            if row.url == url
            and row.state in states
            and row.kind is Kind.request
            and not row.every_run
        ]

    # What there is

    def counts(self) -> Counts:
        rows = [row for row in self.rows.values() if row.kind is Kind.request]
        states = Counter(row.state.name for row in rows)
        delayed = sum(row.state is State.pending and row.not_before > 0 for row in rows)
        return Counts(
            **states,
            delayed=delayed,
            items_stored=len(self.items),
            items_dropped=self.dropped,
            items_failed=self.failed,
            steps_open=self.steps.open,
        )

    def units(self) -> list[dict[str, Any]]:
        """The units, as their requests say, in the keys of ``units --json``."""
        rows_of: dict[int | str, list[Row]] = defaultdict(list)
        for row in self.rows.values():
            if row.kind is Kind.request:
                rows_of[row.unit].append(row)
        return [self._unit(unit, rows) for unit, rows in rows_of.items()]

    def _name(self, unit: int | str) -> str:
        return unit if isinstance(unit, str) else self.rows[unit].url

    def _unit(self, unit: int | str, rows: list[Row]) -> dict[str, Any]:
        past = self.pasts[unit]
        states = Counter(row.state for row in rows)
        ids = {row.id for row in rows}
        stepped = [item for item in self.steps.items if item.request in ids]
        items_open = sum(item.open > 0 for item in stepped)
        items_failed = sum(row.items_failed for row in rows)
        items_failed += sum(bool(item.failed) for item in stepped)
        counts = {
            "open": states[State.pending] + states[State.leased],
            **{name: states[State[name]] for name in ("done", "failed", "parked", "ignored")},
        }
        return {
            "unit": self._name(unit),
            **counts,
            "state": unit_status({**counts, "open": counts["open"] + items_open}, items_failed),
            "items": sum(self.item_count(row.id) for row in rows),
            "items_failed": items_failed,
            "items_open": items_open,
            "attempts": sum(row.attempts for row in rows),
            "error": past.error,
            "cursor": None if past.cursor is None else self.rows[past.cursor].url,
            "began": past.ended,
        }

    def pending(self) -> dict[str, int]:
        return dict(Counter(row.slot for row in self.rows.values() if row.can_be_leased))

    def item_count(self, row: int) -> int:
        return sum(item.request == row for item in self.items)


def unit_status(counts: dict[str, int], items_failed: int) -> str:
    """In the words of the documentation."""
    lost = counts["failed"] + counts["parked"] + items_failed
    if counts["open"]:
        begun = counts["done"] + counts["failed"] + counts["ignored"]
        return "in_progress" if begun else "pending"
    if counts["done"]:
        return "partial" if lost else "completed"
    if counts["failed"]:
        return "failed"
    return "parked" if counts["parked"] else "completed"
