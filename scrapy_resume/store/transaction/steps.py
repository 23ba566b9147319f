"""What a batch does to the steps of items: new items, results, leases."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from scrapy_resume.model import OPEN_STEPS, Kind, StepState
from scrapy_resume.store.contract import (
    EarlierResult,
    ItemChange,
    ItemRecord,
    LeasedStep,
    NewStep,
    StepAnswer,
    StepRelease,
    StepWish,
)
from scrapy_resume.store.transaction.counters import Names, Tally
from scrapy_resume.store.transaction.parking import CRASH
from scrapy_resume.store.transaction.step_tables import (
    MISSING,
    AttemptEnd,
    DayRow,
    KindTally,
    LeasedColumns,
    LeasedItem,
    StepChange,
    Stepped,
    StepRow,
    StepTables,
    mark_of,
)
from scrapy_resume.store.transaction.storable_text import storable
from scrapy_resume.store.transaction.units import UnitTables

DUE_AT_ONCE: Final = 10_000
DAY_SECONDS: Final = 86_400

HELD_SECONDS: Final = 0.05
"""When steps with a limit are asked for again that another worker was leasing."""

TROUBLED: Final = frozenset({StepState.failed, StepState.parked})


class Shown(NamedTuple):
    """An item that is to become visible, since its steps have ended."""

    item: Stepped
    payload: str
    key: str | None
    again: bool
    """An earlier version may be visible."""


class Steps:
    """The steps of one transaction. Its counters are written by ``settle``."""

    def __init__(
        self,
        tables: StepTables,
        units: UnitTables,
        tally: Tally,
        run: int,
        now: float,
        names: Names | None = None,
    ) -> None:
        """``names``: ids that earlier transactions have looked up; ``None``: none."""
        self._tables = tables
        self._units = units
        self._tally = tally
        self._run = run
        self._now = now
        self._names = Names(tables.find_kinds, tables.add_kinds) if names is None else names
        self._kinds: dict[int, str] = {}
        self._changes: defaultdict[int, KindTally] = defaultdict(KindTally)
        self._days: dict[int, list[int]] = {}
        self._in_units: defaultdict[int, list[int]] = defaultdict(lambda: [0, 0])
        """Request → by how much its items change that are open, and those that are partial."""
        self._new: list[tuple[Stepped, str | None]] = []
        self._new_steps: list[StepChange] = []
        self._replaced: list[tuple[Stepped, str | None]] = []
        self._replaced_steps: list[StepChange] = []

    # ---- items that a request gives

    def of_requests(self, requests: Sequence[int]) -> dict[int, dict[int, Stepped]]:
        """The items with steps that these requests gave when they were executed before, by
        occurrence."""
        found: dict[int, dict[int, Stepped]] = {}
        for item in self._tables.items_of_requests(requests) if requests else ():
            found.setdefault(item.request, {})[item.occurrence] = item
        return found

    def of_keys(self, keys: Sequence[str]) -> dict[str, Stepped]:
        """The items with steps that have these keys of RESUME_ITEM_KEY."""
        return {item.key: item for item in self._tables.items_of_keys(keys)} if keys else {}

    def open(self, request: int, record: ItemRecord, before: Stepped | None) -> Stepped:
        """A request has given an item with steps, perhaps a new version (of ``before``). If none of
        them is open, it is visible at once."""
        open_ = sum(step.state in OPEN_STEPS for step in record.steps)
        shown = not open_ or (before is not None and before.shown)
        key = storable(record.stable_key) if record.key is None else storable(record.key)
        item = Stepped(
            id=self._tables.new_ids(1)[0] if before is None else before.id,
            version=1 if before is None else before.version + 1,
            request=request,
            occurrence=record.occurrence,
            key=key,
            updates=int(record.key is not None),
            open=open_,
            shown=int(shown),
        )
        rows = [self._new_step(item.id, step) for step in record.steps]
        payload = record.payload if open_ else None
        if before is None:
            self._new.append((item, payload))
            self._new_steps += rows
        else:
            self._leave(before)
            self._replaced.append((item, payload))
            self._replaced_steps += rows
        for row in rows:
            self._changes[row.kind].move(1, row.state)
        self._tally.steps_open += open_
        if open_:
            self._in_units[request][0] += 1
        return item

    def _new_step(self, item: int, step: NewStep) -> StepChange:
        error = MISSING if step.state is StepState.skipped else None
        reason = None if step.reason is None else storable(step.reason)
        return StepChange(item, self._kind(step.name), int(step.state), error, reason)

    def write_new(self) -> None:
        """Write the items that were opened so far."""
        if self._new:
            self._tables.add_items(self._new, self._new_steps)
            self._new, self._new_steps = [], []
        if self._replaced:
            self._tables.replace_items(self._replaced, self._replaced_steps)
            self._replaced, self._replaced_steps = [], []

    def drop(self, items: Sequence[Stepped]) -> None:
        """Items are not given any more, and their steps end with them. What is visible of them has
        been taken back before."""
        if items:
            for item in items:
                self._leave(item)
            self._tables.drop_items([item.id for item in items])

    def _leave(self, item: Stepped) -> None:
        """A version of an item is not there any more."""
        rows = self._tables.steps_of([item.id])
        for row in rows:
            self._changes[row.kind].move(-1, row.state, row.not_before, row.suspect)
            self._tally.steps_open -= row.state in OPEN_STEPS
            if row.state == StepState.running:
                self._tables.end_uses([(row.item, row.kind)], self._now)
                self._is_not_alone(row)
        self._in_units[item.request][0] -= bool(item.open)
        self._in_units[item.request][1] -= any(row.state in TROUBLED for row in rows)

    # ---- what attempts have made of items

    def change(self, changes: Sequence[ItemChange], answer: StepAnswer) -> list[Shown]:
        """Apply what attempts have made of items; those that become visible."""
        if not changes:
            return []
        ids = sorted({change.item for change in changes})
        items = {item.id: item for item in self._tables.items(ids)}
        steps: dict[int, dict[int, StepRow]] = defaultdict(dict)
        for row in self._tables.steps_of(ids):
            steps[row.item][row.kind] = row
        ends: list[AttemptEnd] = []
        others: list[StepChange] = []
        kept: list[tuple[Stepped, bool, str | None]] = []
        payloads: dict[int, str] = {}
        shown = []
        for change in changes:
            item, rows = items.get(change.item), steps[change.item]
            if item is None or not self._is_current(change, item, rows):
                answer.refused.add(change.item)
                continue
            troubled = any(row.state in TROUBLED for row in rows.values())
            ends += self._ends(change, rows)
            others += self._others(change, rows)
            open_ = sum(row.state in OPEN_STEPS for row in rows.values())
            failed = tuple(self._name(row.kind) for row in rows.values() if row.state in TROUBLED)
            self._in_units[item.request][1] += bool(failed) - troubled
            after = item._replace(open=open_)
            if change.payload is not None:
                payloads[item.id] = change.payload
            if open_:
                kept.append((after, change.payload is not None, change.payload))
            else:
                self._in_units[item.request][0] -= bool(item.open)
                after, whole = self._whole(after, change, payloads.get(item.id))
                rewritten = not change.kept or change.payload is not None
                kept.append((after, rewritten, change.payload if change.kept else None))
                if whole is not None:
                    shown.append(whole)
                answer.ended[item.id] = failed
            items[item.id] = after
        self._write_ends(ends, others, kept)
        return shown

    def _is_current(self, change: ItemChange, item: Stepped, rows: Mapping[int, StepRow]) -> bool:
        if item.version != change.version:
            return False
        for attempt in change.attempts:
            row = rows.get(self._kind(attempt.name))
            if row is None or row.state != StepState.running or row.run != self._run:
                return False
        return True

    def _ends(self, change: ItemChange, rows: dict[int, StepRow]) -> list[AttemptEnd]:
        ends = []
        for attempt in change.attempts:
            row = rows[self._kind(attempt.name)]
            self._move(row, attempt.state, attempt.not_before)
            rows[row.kind] = row._replace(
                state=int(attempt.state), not_before=attempt.not_before, suspect=0
            )
            gave = None
            if attempt.state is StepState.done:
                gave = json.dumps(list(attempt.gave))
            ends.append(
                AttemptEnd(
                    state=int(attempt.state),
                    not_before=attempt.not_before,
                    attempts=attempt.attempts,
                    error=_text(attempt.error),
                    error_message=_text(attempt.message),
                    item=row.item,
                    kind=row.kind,
                    version=_text(attempt.version),
                    inputs=_text(attempt.inputs),
                    gave=gave,
                )
            )
            self._count_attempt(row, attempt.state, attempt.attempts)
        return ends

    def _count_attempt(self, row: StepRow, state: StepState, attempts: int) -> None:
        if attempts == row.attempts:
            return  # nothing was run, or it costs no attempt
        day = self._days.setdefault(row.kind, [0, 0, 0, 0, 0])
        day[0] += 1
        day[1] += row.attempts > 0
        day[2] += state is StepState.done
        day[3] += state in (StepState.failed, StepState.parked, StepState.pending)
        day[4] += state is StepState.skipped

    def _others(self, change: ItemChange, rows: dict[int, StepRow]) -> list[StepChange]:
        others = []
        for step in change.others:
            row = rows.get(self._kind(step.name))
            if row is None or row.state in (step.state, StepState.running):
                continue
            self._move(row, step.state)
            rows[row.kind] = row._replace(state=int(step.state), not_before=0.0, suspect=0)
            others.append(self._new_step(row.item, step))
        return others

    def _move(
        self, row: StepRow, state: StepState, not_before: float = 0.0, suspect: int = 0
    ) -> None:
        change = self._changes[row.kind]
        change.move(-1, row.state, row.not_before, row.suspect)
        change.move(1, state, not_before, suspect)
        self._tally.steps_open += (state in OPEN_STEPS) - (row.state in OPEN_STEPS)
        self._is_not_alone(row)

    def _is_not_alone(self, row: StepRow) -> None:
        if self._tally.alone_id == mark_of(row.item, row.kind):
            self._tally.alone_id = 0

    def _whole(
        self, item: Stepped, change: ItemChange, changed: str | None
    ) -> tuple[Stepped, Shown | None]:
        """All steps of an item have ended: it, and what becomes visible of it. ``changed``: its
        payload, if the batch has changed it."""
        payload = change.visible if change.visible is not None else changed
        if payload is None:
            payload = self._tables.open_payload(item.id)
        if payload is None:
            return item, None  # nothing has changed since it became visible
        key = item.key if item.updates else None
        return item._replace(shown=1), Shown(item, payload, key, bool(item.shown))

    def _write_ends(
        self,
        ends: Sequence[AttemptEnd],
        others: Sequence[StepChange],
        kept: Sequence[tuple[Stepped, bool, str | None]],
    ) -> None:
        tables = self._tables
        if ends:
            tables.end_attempts(ends, self._now)
            tables.end_uses([(end.item, end.kind) for end in ends], self._now)
        if others:
            tables.change_steps(others, self._now)
        if kept:
            tables.keep_items(kept)

    def release(self, releases: Sequence[StepRelease]) -> None:
        """running → pending, without an attempt: a suspect remains one."""
        ids = sorted({release.item for release in releases})
        rows = {(row.item, row.kind): row for row in (self._tables.steps_of(ids) if ids else ())}
        released = []
        for release in releases:
            row = rows.get((release.item, self._kind(release.name)))
            if row is None or row.state != StepState.running or row.run != self._run:
                continue
            self._move(row, StepState.pending, release.not_before, row.suspect)
            released.append((release.attempts, release.not_before, row.item, row.kind))
        if released:
            self._tables.release_steps(released)
            self._tables.end_uses([(item, kind) for _, _, item, kind in released], self._now)

    # ---- leases

    def lease(self, wishes: Sequence[StepWish], answer: StepAnswer) -> None:
        """Lease what the run wants, as far as limits allow it."""
        tally = self._tally_now()
        if any(kind.delayed for kind in tally.values()):
            self._end_delays()
            tally = self._tally_now()
            answer.next_due = self._tables.next_due()
        leased: list[LeasedColumns] = []
        for wish in wishes:
            kind = self._names.known((wish.name,)).get(wish.name)
            counts = None if kind is None else tally.get(kind)
            if kind is None or counts is None or not counts.ready:
                continue
            allowed = self._allowed(kind, wish, counts, answer)
            rows = self._tables.lease_steps(kind, min(wish.count, allowed)) if allowed else []
            self._changes[kind].move(-len(rows), StepState.pending)
            self._changes[kind].move(len(rows), StepState.running)
            if rows and wish.rate_count:
                self._tables.add_uses(kind, [row.item for row in rows], wish.rate_seconds)
            answer.ready[wish.name] = min(counts.ready, allowed) - len(rows)
            leased += rows
        answer.leased = self._described(leased)

    def lease_suspect(self, answer: StepAnswer) -> None:
        """Lease one suspect, to run alone."""
        row = self._tables.lease_suspect()
        if row is None:
            return
        change = self._changes[row.kind]
        change.move(-1, StepState.pending, suspect=1)
        change.move(1, StepState.running)
        self._tally.alone_id = mark_of(row.item, row.kind)
        answer.suspect = self._described([row])[0]

    def _allowed(self, kind: int, wish: StepWish, counts: KindTally, answer: StepAnswer) -> int:
        """How many steps of a kind may begin now."""
        allowed = wish.count
        if wish.concurrency is None and not wish.rate_count:
            return max(allowed, counts.ready)
        if not self._tables.hold_limits(kind):
            again = self._now + HELD_SECONDS
            answer.next_due = min(answer.next_due or again, again)
            return 0
        counts = self._tally_now()[kind]
        allowed = counts.ready
        if wish.concurrency is not None:
            allowed = min(allowed, wish.concurrency - counts.running)
        if wish.rate_count:
            uses = self._tables.uses(kind, self._now)
            allowed = min(allowed, wish.rate_count - uses.counted)
            if allowed <= 0 and uses.until:
                answer.next_due = min(answer.next_due or uses.until, uses.until)
        return max(allowed, 0)

    def _end_delays(self) -> None:
        due = self._tables.due_steps(self._now, DUE_AT_ONCE)
        for _, kind, suspect in due:
            self._changes[kind].move(-1, StepState.pending, 1.0, suspect)
            self._changes[kind].move(1, StepState.pending, 0.0, suspect)
        if due:
            self._tables.end_delays([(item, kind) for item, kind, _ in due])

    def _described(self, rows: Sequence[LeasedColumns]) -> list[LeasedStep]:
        if not rows:
            return []
        ids = sorted({row.item for row in rows})
        items = self._tables.leased_items(ids)
        steps: dict[int, list[StepRow]] = defaultdict(list)
        for step in self._tables.steps_of(ids):
            steps[step.item].append(step)
        return [self._leased(row, items[row.item], steps[row.item]) for row in rows]

    def _leased(self, row: LeasedColumns, item: LeasedItem, steps: Sequence[StepRow]) -> LeasedStep:
        earlier = None
        if row.gave is not None and item.earlier is not None:
            gave = tuple(json.loads(row.gave))
            earlier = EarlierResult(row.version or "", row.inputs or "", gave, item.earlier)
        return LeasedStep(
            item=row.item,
            version=item.version,
            name=self._name(row.kind),
            mark=mark_of(row.item, row.kind),
            attempts=row.attempts,
            crashes=row.crashes,
            payload=item.payload or "{}",
            key=item.key,
            url=item.url,
            states={self._name(step.kind): StepState(step.state) for step in steps},
            lacking=[self._name(step.kind) for step in steps if step.error == MISSING],
            condemned=row.message if row.error == CRASH else None,
            earlier=earlier,
        )

    # ---- names and counters

    def _kind(self, name: str) -> int:
        return self._names.ids((storable(name),))[storable(name)]

    def _name(self, kind: int) -> str:
        if kind not in self._kinds:
            self._kinds.update(self._tables.kinds())
        return self._kinds[kind]

    def _tally_now(self) -> dict[int, KindTally]:
        tally = self._tables.tally()
        for kind, change in self._changes.items():
            tally[kind] = tally.get(kind, KindTally()).plus(change)
        return tally

    def settle(self, answer: StepAnswer) -> None:
        """Write the counters, and answer with them."""
        self.write_counters()
        describe(self._tables, answer)

    def write_counters(self) -> None:
        """Write the counters of steps, days and units."""
        changes = {kind: change for kind, change in self._changes.items() if change != KindTally()}
        if changes:
            self._tables.change_tally(changes)
        self._changes.clear()
        if self._days:
            day = int(self._now // DAY_SECONDS)
            self._tables.change_days(
                [DayRow(day, kind, *counts) for kind, counts in self._days.items()]
            )
            self._days.clear()
        self._count_in_units()

    def _count_in_units(self) -> None:
        changes = {row: change for row, change in self._in_units.items() if any(change)}
        self._in_units.clear()
        if not changes:
            return
        units = self._units.units_of(sorted(changes))
        for request, (open_, partial) in changes.items():
            if request in units:
                unit = self._units.units.of(units[request], Kind.request)
                unit.items_open += open_
                unit.items_failed += partial


def describe(tables: StepTables, answer: StepAnswer) -> None:
    """Answer with the counters of the job, as they are stored."""
    kinds = tables.kinds()
    for kind, tally in tables.tally().items():
        name = kinds[kind]
        answer.counts[name] = tally.counts()
        answer.ready.setdefault(name, tally.ready)
        answer.suspects += tally.suspect
        answer.delayed += tally.delayed


def _text(text: str | None) -> str | None:
    return None if text is None else storable(text)
