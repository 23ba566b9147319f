"""Writes the rows of one transaction, and which row each item is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import sqlalchemy as sa

from scrapy_resume.databases.address import Address
from scrapy_resume.databases.bulk import (
    COPY_FROM,
    insert_into,
    insert_rows,
    may_copy,
    stage_rows,
)
from scrapy_resume.databases.columns import REMOVED_AT, ROW_ID
from scrapy_resume.databases.connection import (
    DRIVER_ERRORS,
    Connection,
    RowRefusedError,
    message_in,
)
from scrapy_resume.databases.item_rows import ItemRows, SideRow, SideValues
from scrapy_resume.databases.kinds import (
    Kind,
    ValueRefusedError,
    bound,
    fault_of,
    key_text,
    key_values,
)
from scrapy_resume.databases.options import DatabaseOptions
from scrapy_resume.databases.row_plans import FieldError
from scrapy_resume.databases.row_values import Ready, RowValues
from scrapy_resume.databases.side_tables import ELSEWHERE, OWED, REMOVED, WRITTEN
from scrapy_resume.databases.table import FeedTable, Fields
from scrapy_resume.databases.writes import Outcome, RowFault, Write, shown_fields
from scrapy_resume.model import digest

LIVE: Final = (WRITTEN, OWED)
"""States of items that the job has."""


@dataclass
class FeedRows:
    """How the feed stands, as the transaction found it, and then as it leaves it."""

    feed: int
    generation: int
    fields: Fields
    next_row: int
    """Of tables without a primary key."""
    rows: int
    """Items that have one."""
    now: Any
    """What is bound for the time of a removal."""


@dataclass
class _Sides:
    """What is to be kept of items."""

    new: list[SideValues] = field(default_factory=list)
    """Nothing was kept of these before."""
    known: list[SideValues] = field(default_factory=list)


class RowWriter:
    """Of one transaction. Changes ``state``."""

    def __init__(
        self,
        connection: sa.Connection,
        table: FeedTable,
        address: Address,
        options: DatabaseOptions,
        state: FeedRows,
    ) -> None:
        self._connection = connection
        self._table = table
        self._dialect = address.dialect
        self._options = options
        self._state = state
        self._fields = state.fields
        self._items = ItemRows(connection, state.feed, state.generation, address.full_table)
        self._outcome = Outcome()
        self._values = RowValues(table, options, state.fields, self._dialect)

    def apply(self, writes: Sequence[Write], *, one_by_one: bool) -> Outcome:
        """Do all of it. With ``one_by_one``, what the database refuses is owed; else it is
        raised."""
        if not one_by_one:
            self._apply(writes)
            return self._outcome
        # Columns first: what is undone with a refused row must not be one that others need.
        self._table.prepare(self._connection, _fields_of(writes), self._fields)
        for write in writes:
            before = self._state.rows
            try:
                with self._connection.begin_nested():
                    self._apply([write])
            except DRIVER_ERRORS as error:
                meant = Connection.meaning(error)
                if not isinstance(meant, RowRefusedError):
                    raise
                self._state.rows = before
                self._owe(write, RowFault(write.item, self._culprit(write), message_in(error)))
        return self._outcome

    def _culprit(self, write: Write) -> str | None:
        """The field of a refused row that is to blame, if one is known to be."""
        for name, value in write.put.fields.items() if write.put else ():
            try:
                if fault_of(bound(value, Kind.any, self._dialect), self._dialect) is not None:
                    return name
            except ValueRefusedError:
                return name
        return None

    def _apply(self, writes: Sequence[Write]) -> None:
        found = self._items.found([write.item for write in writes])
        puts = [write for write in writes if write.put is not None and write.put.error is None]
        ready = []
        plans, faults = self._values.prepare(self._connection, _fields_of(writes))
        for place, (write, plan) in enumerate(zip(puts, plans, strict=True)):
            if place in faults:
                self._owe(write, RowFault(write.item, *faults[place]), found)
                continue
            try:
                ready.append(self._values.ready(write, plan))
            except FieldError as error:
                self._owe(write, RowFault(write.item, error.name, str(error)), found)
        if ready and self._options.primary_key:
            self._put_by_key(ready, found)
        elif ready:
            self._put(ready, found)
        for write in writes:
            if write.put is None:
                self._remove(write, found.get(write.item))
            elif write.put.error is not None:
                self._owe(write, RowFault(write.item, None, write.put.error), found)

    # ---- rows with numbers

    def _put(self, ready: Sequence[Ready], found: Mapping[str, SideRow]) -> None:
        table, kinds = self._table.table(), self._values.kinds()
        inserts: list[tuple[Any, ...]] = []
        sides = _Sides()
        for one in ready:
            before = found.get(one.write.item)
            number = None if before is None else before.number
            values = dict(zip(kinds, one.values, strict=True)) if number is not None else {}
            if number is not None and self._update(table, number, values):
                self._note(sides, one.write, before, number=number)
                continue
            self._state.next_row += 1
            number = self._state.feed << 40 | self._state.next_row
            inserts.append((*one.values, number))
            self._note(sides, one.write, before, number=number)
        if inserts:
            insert_rows(self._connection, table, {**kinds, ROW_ID: Kind.integer}, inserts)
        self._keep(sides)
        self._outcome.written += len(ready)

    def _update(self, table: sa.Table, number: int, values: Mapping[str, Any]) -> bool:
        """Whether the row was there; somebody may have deleted it."""
        changed = sa.update(table).where(table.c[ROW_ID] == number)
        if not values:
            return True
        return self._connection.execute(changed.values(values)).rowcount > 0

    # ---- rows with a primary key

    def _put_by_key(self, ready: Sequence[Ready], found: Mapping[str, SideRow]) -> None:
        digests = {one.key: _digest(one.key) for one in ready if one.key is not None}
        claims = self._items.claims(digests.values())
        unclaimed = [key for key, known in digests.items() if known not in claims]
        foreign = self._existing(unclaimed)
        last = {one.key: one for one in ready}
        sides = _Sides()
        released: dict[str, str] = {}
        for one in ready:
            assert one.key is not None
            known = digests[one.key]
            own = int(one.key not in foreign)
            if known in claims:
                own = max(claim.own for claim in claims[known])
            elsewhere = self._options.on_conflict == "ignore" and not self._is_ours(
                one.key, known, foreign, claims
            )
            before = found.get(one.write.item)
            if before is not None and before.key is not None and before.key != one.key:
                released[before.key] = one.write.item
            self._note(
                sides,
                one.write,
                before,
                key=one.key,
                key_digest=known,
                own=own,
                state=ELSEWHERE if elsewhere else WRITTEN,
            )
            if elsewhere:
                last.pop(one.key, None)
        fill = self._options.on_conflict == "fill"
        rows = [one for one in ready if fill or last.get(one.key) is one]
        if rows:
            self._upsert(rows)
        self._keep(sides)
        for key in released:
            self._let_go(key)
        self._outcome.written += len(ready)

    def _is_ours(
        self,
        key: str,
        known: str,
        foreign: set[str],
        claims: Mapping[str, list[Any]],
    ) -> bool:
        """Whether no row has the key, or an item of this job has given it."""
        if known in claims:
            return any(
                claim.feed == self._state.feed and claim.state != ELSEWHERE
                for claim in claims[known]
            )
        return key not in foreign

    def _upsert(self, ready: Sequence[Ready]) -> None:
        connection, kinds = self._connection, self._values.kinds()
        table = self._table.table()
        rows = [one.values for one in ready]
        insert = insert_into(connection, table)
        by_stage = (
            len(rows) >= COPY_FROM
            and len({one.key for one in ready}) == len(rows)
            and may_copy(kinds, rows)
            and self._table.may_stage(connection)
        )
        if by_stage:
            insert = insert.from_select(list(kinds), stage_rows(connection, table, kinds, rows))
            connection.execute(self._on_conflict(insert, table, list(kinds)))
            return
        upsert = self._on_conflict(insert, table, list(kinds))
        connection.execute(upsert, [dict(zip(kinds, row, strict=True)) for row in rows])

    def _on_conflict(self, insert: Any, table: sa.Table, filled: Sequence[str]) -> Any:
        names = self._table.keys(self._values.key_columns()).values()
        changed = [name for name in filled if name not in names]
        elements = [table.c[name] for name in names]
        if not changed:
            return insert.on_conflict_do_nothing(index_elements=elements)
        excluded = insert.excluded
        new = {name: self._new_value(table.c[name], excluded[name]) for name in changed}
        return insert.on_conflict_do_update(index_elements=elements, set_=new)

    def _new_value(self, present: Any, given: Any) -> Any:
        if self._options.on_conflict != "fill" or present.key == REMOVED_AT:
            return given
        empty = given.is_(None)
        if isinstance(present.type, sa.String | sa.JSON | sa.types.NullType):
            words = ["", "[]", "{}", '""']
            empty = sa.or_(empty, sa.cast(given, sa.Text).in_(words))
        return sa.case((empty, present), else_=given)

    def _existing(self, keys: Sequence[str]) -> set[str]:
        """Those of these keys that rows of the table have."""
        if not keys:
            return set()
        table = self._table.table()
        columns = [table.c[name] for name in self._table.keys(self._values.key_columns()).values()]
        kinds = [self._table.kinds[column] for column in self._values.key_columns()]
        values = [key_values(key, kinds) for key in keys]
        where = (
            columns[0].in_([one for (one,) in values])
            if len(columns) == 1
            else sa.tuple_(*columns).in_([tuple(one) for one in values])
        )
        return {
            key_text(list(row))
            for row in self._connection.execute(sa.select(*columns).where(where))
        }

    def _let_go(self, key: str) -> None:
        """An item has another key now: its row goes, unless others have given it too."""
        if not self._pass_on(key):
            self._delete_by_key(key)

    def _pass_on(self, key: str, but: str | None = None) -> bool:
        """Whether other items have given the row with that key, or it is not a feed's. Those of
        this feed are written again, because it shows what the one that is gone has given."""
        claims = self._items.claims([_digest(key)]).get(_digest(key), [])
        others = [one for one in claims if (one.feed, one.item) != (self._state.feed, but)]
        others = [one for one in others if one.state in LIVE]
        ours = [one.item for one in others if one.feed == self._state.feed]
        if ours:
            self._items.write_again(ours[-1])
            self._outcome.owed_again = True
        return bool(others)

    def _where_key(self, key: str) -> Any:
        table = self._table.table()
        names = self._table.keys(self._values.key_columns()).values()
        values = key_values(
            key, [self._table.kinds[column] for column in self._values.key_columns()]
        )
        return sa.and_(*(table.c[name] == value for name, value in zip(names, values, strict=True)))

    def _delete_by_key(self, key: str) -> None:
        self._connection.execute(sa.delete(self._table.table()).where(self._where_key(key)))

    # ---- removing

    def _remove(self, write: Write, before: SideRow | None) -> None:
        if before is None:
            return
        if before.state == REMOVED and not write.replaced:
            self._items.change(before.item)
            return
        gone = write.replaced or self._options.on_removed == "delete"
        shared = before.key is not None and self._pass_on(before.key, before.item)
        has_row = before.number is not None or (before.key is not None and before.own)
        has_row = has_row and not shared and before.state != ELSEWHERE and self._table.exists
        if before.state == WRITTEN:
            self._state.rows -= 1
        if has_row and gone:
            self._connection.execute(sa.delete(self._table.table()).where(self._where(before)))
        elif has_row and self._options.on_removed == "mark":
            table = self._table.table()
            marked = sa.update(table).where(self._where(before))
            self._connection.execute(marked.values({REMOVED_AT: self._state.now}))
        if gone or shared:
            self._items.drop(before.item)
        else:
            self._items.change(before.item, state=REMOVED, version=write.version, error=None)
        if has_row and not write.quiet and (gone or self._options.on_removed == "mark"):
            self._outcome.removed += 1

    def _where(self, side: SideRow) -> Any:
        if side.key is not None:
            return self._where_key(side.key)
        return self._table.table().c[ROW_ID] == side.number

    # ---- which row an item is

    def _note(self, sides: _Sides, write: Write, before: SideRow | None, **columns: Any) -> None:
        was = before is not None and before.state == WRITTEN
        state = columns.get("state", WRITTEN)
        self._state.rows += (state == WRITTEN) - was
        to = sides.new if before is None else sides.known
        to.append(self._items.side(write, **columns))

    def _keep(self, sides: _Sides) -> None:
        self._items.add(sides.new)
        self._items.keep(sides.known)

    def _owe(
        self, write: Write, fault: RowFault, found: Mapping[str, SideRow] | None = None
    ) -> None:
        """The item cannot be a row now: what it was before stays."""
        if write.put is not None:
            fault = fault._replace(shown=shown_fields(write.put.fields, but=fault.field))
        before = (self._items.found([write.item]) if found is None else found).get(write.item)
        kept = {} if before is None else before._asdict()
        for name in ("item", "version"):
            kept.pop(name, None)
        if before is not None and before.state == WRITTEN:
            self._state.rows -= 1
        error = str(fault).encode("utf-8", "backslashreplace").decode().replace("\x00", "\\x00")
        self._items.keep([self._items.side(write, **{**kept, "state": OWED, "error": error})])
        self._outcome.faults.append(fault)


def _fields_of(writes: Sequence[Write]) -> list[Mapping[str, Any]]:
    """Of those that may be rows."""
    return [write.put.fields for write in writes if write.put and write.put.error is None]


def _digest(key: str) -> str:
    return digest(key.encode("utf-8", "surrogatepass")).hex()
