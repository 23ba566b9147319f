"""Which row each item is: ``scrapy_resume_row``, for one feed, in one transaction."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from scrapy_resume.databases.bulk import insert_into, insert_rows
from scrapy_resume.databases.kinds import Kind
from scrapy_resume.databases.side_tables import FEED, OWED, ROW, WRITTEN
from scrapy_resume.databases.writes import Write


class SideRow(NamedTuple):
    """What is kept of an item."""

    item: str
    version: int
    number: int | None
    key: str | None
    key_digest: str | None
    own: int
    state: int


SideValues = tuple[int, str, int, int | None, str | None, str | None, int, int, int, str | None]
"""Of the columns of ``scrapy_resume_row``, in their order."""

_KINDS: Final = {
    column.name: Kind.text if isinstance(column.type, sa.Text) else Kind.integer
    for column in ROW.columns
}

_COLUMNS: Final = [ROW.c[name] for name in SideRow._fields]


class ItemRows:
    """``target``: the table, as ``scrapy_resume_feed`` has it."""

    def __init__(self, connection: sa.Connection, feed: int, generation: int, target: str) -> None:
        self._connection = connection
        self._feed = feed
        self._generation = generation
        self._target = target

    def _among(self, column: Any, texts: Sequence[str]) -> Any:
        """Whether it is one of them: one parameter, so that the statement is compiled once."""
        if self._connection.dialect.name == "sqlite":
            values = sa.func.json_each(json.dumps(texts)).table_valued("value")
            return column.in_(sa.select(values.c.value))
        return column == sa.any_(sa.literal(list(texts), postgresql.ARRAY(sa.Text)))

    def found(self, items: Sequence[str]) -> dict[str, SideRow]:
        """What is kept of these items."""
        wanted = sa.select(*_COLUMNS).where(
            ROW.c.feed == self._feed, self._among(ROW.c.item, items)
        )
        return {row.item: SideRow(*row) for row in self._connection.execute(wanted)}

    def side(
        self,
        write: Write,
        number: int | None = None,
        key: str | None = None,
        key_digest: str | None = None,
        own: int = 1,
        state: int = WRITTEN,
        error: str | None = None,
    ) -> SideValues:
        """The columns of an item."""
        return (
            self._feed,
            write.item,
            write.version,
            number,
            key,
            key_digest,
            own,
            state,
            self._generation,
            error,
        )

    def add(self, sides: Sequence[SideValues]) -> None:
        """Write those of items of which nothing was kept before."""
        if sides:
            insert_rows(self._connection, ROW, _KINDS, sides)

    def keep(self, sides: Sequence[SideValues]) -> None:
        """Write them, in the place of what was kept before."""
        if not sides:
            return
        insert = insert_into(self._connection, ROW)
        new = {
            column.name: insert.excluded[column.name]
            for column in ROW.columns
            if column.name not in ("feed", "item")
        }
        statement = insert.on_conflict_do_update(index_elements=[ROW.c.feed, ROW.c.item], set_=new)
        self._connection.execute(
            statement, [dict(zip(_KINDS, side, strict=True)) for side in sides]
        )

    def _one(self, item: str) -> Any:
        return sa.and_(ROW.c.feed == self._feed, ROW.c.item == item)

    def change(self, item: str, **values: Any) -> None:
        """Change columns of an item, which the comparison has met."""
        values["generation"] = self._generation
        self._connection.execute(sa.update(ROW).where(self._one(item)).values(**values))

    def drop(self, item: str) -> None:
        """Nothing is kept of it any more."""
        self._connection.execute(sa.delete(ROW).where(self._one(item)))

    def write_again(self, item: str) -> None:
        """It is owed, for no fault of its own."""
        again = sa.update(ROW).where(self._one(item))
        self._connection.execute(again.values(state=OWED, error=None))

    def claims(self, digests: Iterable[str]) -> dict[str, list[Any]]:
        """Which items of any feed of this table have given the rows with these keys."""
        of_table = sa.select(FEED.c.id).where(FEED.c.target == self._target)
        wanted = sa.select(ROW.c.key_digest, ROW.c.feed, ROW.c.item, ROW.c.own, ROW.c.state).where(
            self._among(ROW.c.key_digest, list(digests)), ROW.c.feed.in_(of_table)
        )
        claims: dict[str, list[Any]] = {}
        for claim in self._connection.execute(wanted):
            claims.setdefault(claim.key_digest, []).append(claim)
        return claims
