"""What ends: finished rows with their items, tombstones, releases."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence

from scrapy_resume.model import Kind, State
from scrapy_resume.store.contract import Finish, ItemRecord
from scrapy_resume.store.queries import insert_many
from scrapy_resume.store.sqlite_arrivals import COMMIT, Arrivals, Transaction, storable


class Finishes:
    """Ends rows and makes their items visible, together."""

    def __init__(self, transaction: Transaction, arrivals: Arrivals) -> None:
        self._in = transaction
        self._arrivals = arrivals
        self._finished: list[Finish] = []
        self._buried: list[tuple[object, ...]] = []
        self._items: list[tuple[int, ItemRecord]] = []
        self._changes: Counter[int] = Counter()
        """Row → by how much its number of items changes."""

    def spill(self, spills: Sequence[tuple[int, ItemRecord]]) -> None:
        """Keep provisional items."""
        if spills:
            insert_many(
                self._in.connection,
                COMMIT["add_spill"],
                [(row, item.occurrence, _key(item), item.payload) for row, item in spills],
            )

    def apply(self, finishes: Sequence[Finish]) -> None:
        """End the rows that are leased, and insert the tombstones that are new."""
        for finish in finishes:
            if self._end(finish):
                self._take_items(finish)
            elif finish.spilled:
                self._in.connection.execute(COMMIT["drop_spills"], (finish.id,))
        self._store_items()
        self._write()

    def release(self, releases: Sequence[tuple[int, int]]) -> None:
        """leased → pending; what the rows spilled is dropped."""
        released = [
            (attempts, self._in.now, row)
            for row, attempts in releases
            if self._in.let_go(row, State.pending) is not None
        ]
        if released:
            self._in.connection.executemany(COMMIT["release"], released)
            self._in.connection.executemany(
                COMMIT["drop_spills"], [(row,) for _, _, row in released]
            )

    def _end(self, finish: Finish) -> bool:
        """Whether the finish counts: a row that is not leased any more has ended before."""
        if finish.tombstone is not None:
            return self._bury(finish)
        held = self._in.let_go(finish.id, finish.state)
        if held is None:
            return False
        if finish.supersedes and (held.items or self._changes[finish.id]):
            self._supersede(finish.id)
        self._finished.append(finish)
        return True

    def _bury(self, finish: Finish) -> bool:
        tombstone = finish.tombstone
        assert tombstone is not None
        identity = self._arrivals.is_known(tombstone)
        if identity is None:
            self._in.committed.duplicates.add(finish.id)
            return False
        connection = self._in.connection
        slot = self._in.slots.ids(connection, (tombstone.slot,))[tombstone.slot]
        if tombstone.kind == Kind.request:
            self._in.tally.states[finish.state] += 1
        self._buried.append(
            (
                *self._arrivals.row(tombstone, identity, slot, finish.state),
                finish.attempts,
                finish.http_status,
                _text(finish.error),
                _text(finish.error_message),
            )
        )
        return True

    def _supersede(self, row: int) -> None:
        """Delete what an earlier execution gave, items taken in this batch by key included."""
        self._store_items()
        deleted = self._in.connection.execute(COMMIT["drop_items"], (row,)).rowcount
        self._in.tally.items_stored -= deleted
        self._in.tally.superseded += deleted
        self._changes[row] -= deleted

    # Items

    def _take_items(self, finish: Finish) -> None:
        tally = self._in.tally
        tally.items_dropped += finish.items_dropped
        tally.items_failed += finish.items_failed
        if finish.spilled:
            self._take_spilled(finish.id)
        row = finish.id
        self._items += [(row, item) for item in finish.items]

    def _take_spilled(self, row: int) -> None:
        """There may be very many: they go from table to table in portions."""
        cursor = self._in.connection.execute(COMMIT["spilled"], (row,))
        while portion := cursor.fetchmany(1000):
            self._items += [(row, ItemRecord(*columns)) for columns in portion]
            self._store_items()
        self._in.connection.execute(COMMIT["drop_spills"], (row,))

    def _store_items(self) -> None:
        """Write the items that were taken so far, in order.

        Ids are given out here, ascending and never twice, so that a reader that knows the last
        one finds what came after it.
        """
        items, self._items = self._items, []
        if not items:
            return
        tally = self._in.tally
        owners = self._owners(items)
        columns = []
        for row, item in items:
            key = _key(item)
            columns.append((tally.next_item, row, item.occurrence, key, item.payload))
            tally.next_item += 1
            owner = None if key is None else owners.get(key)
            if owner is None:
                tally.items_stored += 1
            else:
                self._changes[owner] -= 1
            self._changes[row] += 1
            if key is not None:
                owners[key] = row
        self._in.items_taken += len(columns)
        insert_many(self._in.connection, COMMIT["store_item"], columns)

    def _owners(self, items: Sequence[tuple[int, ItemRecord]]) -> dict[str, int]:
        keys = {key for _, item in items if (key := _key(item)) is not None}
        if not keys:
            return {}
        found = self._in.connection.execute(COMMIT["item_owners"], (json.dumps(list(keys)),))
        return dict(found.fetchall())

    def _write(self) -> None:
        run = self._in.connection.executemany
        insert_many(self._in.connection, COMMIT["bury"], self._buried)
        if self._finished:
            run(COMMIT["finish"], [self._columns(finish) for finish in self._finished])
        rest = [(change, row) for row, change in self._changes.items() if change]
        if rest:
            run(COMMIT["change_items"], rest)

    def _columns(self, finish: Finish) -> tuple[object, ...]:
        return (
            int(finish.state),
            finish.attempts,
            finish.http_status,
            _text(finish.error),
            _text(finish.error_message),
            self._in.now,
            self._changes.pop(finish.id, 0),
            finish.id,
        )


def _key(item: ItemRecord) -> str | None:
    return None if item.key is None else storable(item.key)


def _text(text: str | None) -> str | None:
    return None if text is None else storable(text)
