"""The ends in a batch: finished rows with their items, tombstones, releases."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from scrapy_resume.model import EVERY_RUN_ITEM, Kind, State, StepState
from scrapy_resume.store.contract import Finish, ItemRecord, NewStep, Release
from scrapy_resume.store.transaction.arrivals import Arrivals, Transaction
from scrapy_resume.store.transaction.step_tables import Stepped
from scrapy_resume.store.transaction.steps import Shown
from scrapy_resume.store.transaction.storable_text import storable
from scrapy_resume.store.transaction.tables import NewItem, NewRow, NewSpill, Outcome
from scrapy_resume.store.transaction.units import UnitChange

GONE: Final = frozenset({404, 410})
"""HTTP statuses of a page that is gone, and its items with it."""


class Finishes:
    """Ends rows and makes their items visible, together."""

    def __init__(self, transaction: Transaction, arrivals: Arrivals) -> None:
        self._in = transaction
        self._arrivals = arrivals
        self._finished: list[Finish] = []
        self._tombstones: list[tuple[NewRow, Outcome]] = []
        self._items: list[tuple[int, ItemRecord]] = []
        self._changes: Counter[int] = Counter()
        """Row → by how much its number of items changes."""
        self._keeping: set[int] = set()
        """Rows that keep the items of an execution that was done: this one was not."""
        self._gone: list[int] = []
        """Rows that have lost such items with their pages."""
        self._units: dict[int, UnitChange] = {}
        """Row that this batch ends → the change of its unit."""
        self._before: dict[int, dict[int, Stepped]] = {}
        """Row → by occurrence: the items with steps that an execution before has given."""
        self._replaced: list[int] = []
        """Those of these rows whose items are replaced."""
        self._renewed: set[int] = set()
        """Items with steps of which a new version has come, by id."""
        self._hidden: set[int] = set()
        """Those whose visible version was taken back before."""

    def spill(self, spills: Sequence[tuple[int, ItemRecord]]) -> None:
        """Store provisional items."""
        if spills:
            self._in.tables.add_spills([_new_spill(row, item) for row, item in spills])

    def apply(self, finishes: Sequence[Finish]) -> None:
        """End the rows that are leased, and insert the tombstones that are new. ``write``
        follows."""
        if self._in.has_steps:
            rows = [finish.id for finish in finishes if finish.tombstone is None]
            self._before = self._in.steps.of_requests(rows)
        for finish in finishes:
            if self._end(finish):
                self._arrivals.add_aliases(finish.id, finish.aliases)
                self._take_items(finish)
            elif finish.spilled:
                self._in.tables.drop_spills([finish.id])
        self._store_items()
        self._drop_left()

    def _drop_left(self) -> None:
        """Items that an execution before has given, and none of this batch has given again."""
        before = [item for row in self._replaced for item in self._before.get(row, {}).values()]
        self._in.steps.drop([item for item in before if item.id not in self._renewed])

    def show(self, items: Sequence[Shown]) -> None:
        """Make items visible whose steps have ended, in the place of their earlier versions."""
        if again := [shown.item for shown in items if shown.again]:
            deleted = self._in.tables.steps.drop_shown(again)
            for request, count in deleted.items():
                self._take_back(request, count)
        for item, payload, key, _ in items:
            self._items.append((item.request, ItemRecord(item.occurrence, payload, key)))
        self._store_items()

    def release(self, releases: Sequence[Release]) -> None:
        """leased → pending; the provisional items of the rows are deleted."""
        released = [release for release in releases if self._release(release)]
        if released:
            self._in.tables.release(released, self._in.now)
            self._in.tables.drop_spills([release.id for release in released])

    def _release(self, release: Release) -> bool:
        held = self._in.end_lease(release.id, State.pending, release.not_before)
        if held is None:
            return False
        if release.attempts != held.attempts:
            self._in.unit_of(held).attempts += release.attempts - held.attempts
        return True

    def _end(self, finish: Finish) -> bool:
        """Whether the finish is applied: a row that is not leased any more has ended before."""
        if finish.tombstone is not None:
            return self._add_tombstone(finish)
        held = self._in.end_lease(finish.id, finish.state)
        if held is None:
            return False
        if held.kept and not _takes_back(finish):
            self._keeping.add(finish.id)
        elif finish.id in self._before:
            self._replace(finish)
        elif finish.supersedes and (held.items or self._changes[finish.id]):
            if self._in.has_steps:
                self._replace(finish)
            else:
                self._supersede(finish.id)
        if held.kept and finish.http_status in GONE and finish.state is not State.done:
            self._gone.append(finish.id)
        self._finished.append(finish)
        self._end_in_unit(finish, self._in.unit_of(held), held.kind, held.attempts)
        return True

    def _end_in_unit(self, finish: Finish, unit: UnitChange, kind: int, attempts: int) -> None:
        self._units[finish.id] = unit
        unit.attempts += finish.attempts - attempts
        unit.items_failed += finish.items_failed
        trouble = _text(finish.error), _text(finish.error_message)
        self._in.tables.units.end(unit, kind, finish.id, finish.state, trouble)

    def _add_tombstone(self, finish: Finish) -> bool:
        tombstone = finish.tombstone
        assert tombstone is not None
        identity = self._arrivals.is_known(tombstone)
        if identity is None:
            self._in.committed.duplicates.add(finish.id)
            return False
        slot = self._in.slots.id_of(tombstone.slot)
        if tombstone.kind == Kind.request:
            self._in.tally.states[finish.state] += 1
        row = self._arrivals.row(tombstone, identity, slot, finish.state)
        self._tombstones.append((row, self._outcome(finish)))
        unit = self._in.tables.units.of(row.unit, row.kind)
        unit.admit()
        self._end_in_unit(finish, unit, row.kind, 0)
        return True

    def _supersede(self, row: int) -> None:
        """Delete the items of an earlier execution, also those that this batch wrote by key."""
        self._store_items()
        self._take_back(row, self._in.tables.drop_items(row))

    def _replace(self, finish: Finish) -> None:
        """The same, where items have steps: the visible version of one whose new version waits for
        its steps stays until these have ended."""
        self._store_items()
        row = finish.id
        waiting = [item for item in self._records_of(finish) if item.waits]
        keys = [storable(item.key) for item in waiting if item.key is not None]
        places = [item.occurrence for item in waiting if item.key is None]
        places = [place for place in places if self._in_place(row, place) is not None]
        self._take_back(row, self._in.tables.steps.drop_visible(row, places, keys))
        for item in self._before.get(row, {}).values():
            if (item.key not in keys) if item.updates else (item.occurrence not in places):
                self._hidden.add(item.id)
        self._replaced.append(row)

    def _in_place(self, row: int, occurrence: int) -> Stepped | None:
        """The item with steps that an execution before has given in that place of its items. One
        that has a key is known by it instead."""
        item = self._before.get(row, {}).get(occurrence)
        return None if item is None or item.updates else item

    def _records_of(self, finish: Finish) -> Iterator[ItemRecord]:
        if finish.spilled:
            for portion in self._in.tables.spilled(finish.id):
                yield from portion
        yield from finish.items

    def _take_back(self, row: int, count: int) -> None:
        self._in.tally.items_stored -= count
        self._in.tally.superseded += count
        self._changes[row] -= count

    # Items

    def _take_items(self, finish: Finish) -> None:
        tally = self._in.tally
        tally.items_dropped += finish.items_dropped
        tally.items_failed += finish.items_failed
        if finish.id in self._keeping:
            if finish.spilled:
                self._in.tables.drop_spills([finish.id])
            return
        if finish.spilled:
            self._take_spilled(finish.id)
        row = finish.id
        self._items += [(row, item) for item in finish.items]

    def _take_spilled(self, row: int) -> None:
        """Make the provisional items visible, in portions: there may be very many."""
        for portion in self._in.tables.spilled(row):
            self._items += [(row, item) for item in portion]
            self._store_items()
        self._in.tables.drop_spills([row])

    def _store_items(self) -> None:
        """Write the items that were collected so far, in order."""
        items, self._items = self._items, []
        if not items:
            return
        tally = self._in.tally
        if self._in.has_steps:
            items = self._open_items(items)
        new = [_new_item(row, item) for row, item in items]
        owners = self._owners(new)
        if self._in.drops_item_duplicates:
            new = self._first_ones(new, owners)
        for item in new:
            key = item.key
            owner = None if key is None else owners.get(key)
            if owner is None:
                tally.items_stored += 1
            else:
                self._changes[owner] -= 1
                if key is not None and key.startswith(EVERY_RUN_ITEM):
                    # Nobody has asked for items that update others: a feed has it once.
                    tally.superseded += 1
            self._changes[item.row] += 1
            if key is not None:
                owners[key] = item.row
        self._in.items_taken += len(new)
        self._in.tables.store_items(new)

    def _open_items(self, items: Sequence[tuple[int, ItemRecord]]) -> list[tuple[int, ItemRecord]]:
        """Open the items that have steps. Returns those that are visible at once."""
        steps = self._in.steps
        stepped = [item for _, item in items if item.steps]
        keys = sorted({storable(item.key) for item in stepped if item.key is not None})
        by_key = steps.of_keys(keys)
        drops = self._in.drops_item_duplicates
        owners = self._in.tables.item_owners(keys) if drops and keys else {}
        fresh: set[str] = set()
        visible = []
        for row, item in items:
            if not item.steps:
                visible.append((row, item))
                continue
            if item.key is None:
                before = self._in_place(row, item.occurrence)
            else:
                key = storable(item.key)
                before = by_key.get(key)
                owner = owners.get(key) if before is None else before.request
                if drops and owner not in (None, row) and not key.startswith(EVERY_RUN_ITEM):
                    self._in.tally.items_dropped += 1
                    continue
                if key in fresh:
                    steps.write_new()  # two of one batch have the key
                    before = steps.of_keys([key])[key]
            if before is not None:
                self._renewed.add(before.id)
                if before.id in self._hidden:
                    before = before._replace(shown=0)
            after = steps.open(row, item, before)
            if item.key is not None:
                by_key[after.key] = after
                fresh.add(after.key)
            if not item.waits:
                visible.append((row, item))
        steps.write_new()
        return visible

    def _first_ones(self, items: Sequence[NewItem], owners: Mapping[str, int]) -> list[NewItem]:
        """The items but for those whose key the store, or an item before them, has: these count as
        dropped. Items of requests of every run replace those of the last run all the same."""
        known = set(owners)
        first = []
        for item in items:
            if item.key is None or item.key.startswith(EVERY_RUN_ITEM):
                first.append(item)
            elif item.key in known:
                self._in.tally.items_dropped += 1
            else:
                known.add(item.key)
                first.append(item)
        return first

    def _owners(self, items: Sequence[NewItem]) -> dict[str, int]:
        keys = {item.key for item in items if item.key is not None}
        return self._in.tables.item_owners(sorted(keys)) if keys else {}

    def write(self) -> None:
        """Write what was collected. The last call."""
        tables = self._in.tables
        if self._changes:
            self._count_items_in_units()
        if self._tombstones:
            tables.add_tombstones(self._tombstones)
        if self._finished:
            tables.finish([self._outcome(finish) for finish in self._finished])
        if self._gone:
            tables.end_keeping(self._gone)
        rest = [(row, change) for row, change in self._changes.items() if change]
        if rest:
            tables.change_items(rest)

    def _count_items_in_units(self) -> None:
        """Change the counts of units; by key, items may come from rows that ended long ago."""
        others = [row for row in self._changes if row not in self._units]
        units = self._in.tables.units_of(others) if others else {}
        for row, change in self._changes.items():
            unit = self._units.get(row)
            if unit is None and row in units:
                unit = self._in.tables.units.of(units[row], Kind.request)
            if unit is not None:
                unit.items += change

    def _outcome(self, finish: Finish) -> Outcome:
        """The items of a tombstone are counted once its row exists."""
        items = 0 if finish.tombstone is not None else self._changes.pop(finish.id, 0)
        return Outcome(
            state=int(finish.state),
            attempts=finish.attempts,
            http_status=finish.http_status,
            error=_text(finish.error),
            error_message=_text(finish.error_message),
            updated_at=self._in.now,
            items=items,
            items_failed=finish.items_failed,
            id=finish.id,
        )


def _new_item(row: int, item: ItemRecord) -> NewItem:
    key = None if item.key is None else storable(item.key)
    return NewItem(row=row, occurrence=item.occurrence, key=key, payload=item.payload)


def _new_spill(row: int, item: ItemRecord) -> NewSpill:
    steps = [[step.name, int(step.state), step.reason] for step in item.steps]
    return NewSpill(
        *_new_item(row, item),
        steps=json.dumps(steps) if steps else None,
        stable_key=storable(item.stable_key) if steps else None,
    )


def spilled_record(
    occurrence: int, payload: str, key: str | None, steps: str | None, stable_key: str | None
) -> ItemRecord:
    """A provisional item, from the columns of ``spilled``."""
    listed = [] if steps is None else json.loads(steps)
    return ItemRecord(
        occurrence,
        payload,
        key,
        steps=[NewStep(name, StepState(state), reason) for name, state, reason in listed],
        stable_key=stable_key or "",
    )


def _takes_back(finish: Finish) -> bool:
    """Whether its items take the place of those that an execution which was done had given."""
    return finish.state is State.done or finish.http_status in GONE


def _text(text: str | None) -> str | None:
    return None if text is None else storable(text)
