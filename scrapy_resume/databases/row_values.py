"""From the fields of items to the values of rows, for one transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import sqlalchemy as sa

from scrapy_resume.databases.columns import REMOVED_AT, column_name
from scrapy_resume.databases.kinds import Kind, key_text
from scrapy_resume.databases.options import DatabaseOptions
from scrapy_resume.databases.row_plans import Plan, bound_field
from scrapy_resume.databases.table import FeedTable, Fields
from scrapy_resume.databases.writes import Write


class Ready(NamedTuple):
    """An item whose row can be written."""

    write: Write
    values: tuple[Any, ...]
    """Bound, of the columns that the job fills."""
    key: str | None
    """JSON of its primary key."""


class RowValues:
    """``fields``: those that the job has filled, which ``prepare`` adds to."""

    def __init__(
        self, table: FeedTable, options: DatabaseOptions, fields: Fields, dialect: str
    ) -> None:
        self._table = table
        self._options = options
        self._fields = fields
        self._dialect = dialect
        self._columns: tuple[str, ...] = ()
        """Those that the job fills, in the table's order."""

    def prepare(
        self, connection: sa.Connection, rows: Sequence[Mapping[str, Any]]
    ) -> tuple[list[Plan | None], dict[int, tuple[str, str]]]:
        """Make the columns that the rows need. Returns what is known of the rows, and ``faults`` of
        ``FeedTable.prepare``."""
        plans = self._planned(rows)
        unknown = [place for place, plan in enumerate(plans) if plan is None]
        if not unknown and rows:
            return plans, {}
        faults = self._table.prepare(connection, [rows[place] for place in unknown], self._fields)
        return self._planned(rows), {unknown[place]: fault for place, fault in faults.items()}

    def _planned(self, rows: Sequence[Mapping[str, Any]]) -> list[Plan | None]:
        kinds, filled = self._table.kinds, set(self._fields.known.values())
        if self._options.on_removed == "mark":
            filled.add(REMOVED_AT)
        self._columns = tuple(column for column in kinds if column in filled)
        self._table.plans.order(self._columns)
        return [self._table.plans.plan(row) for row in rows]

    def ready(self, write: Write, plan: Plan | None) -> Ready:
        """Raises ``FieldError``."""
        assert write.put is not None
        fields = write.put.fields
        if plan is not None:
            values = self._table.plans.values(plan, fields)
        else:
            values = self._values(fields)
            self._table.plans.learn(fields, self._fields.known, self._table.kinds)
        if not self._options.primary_key:
            return Ready(write, values, None)
        places = [self._columns.index(column) for column in self.key_columns()]
        return Ready(write, values, key_text([values[place] for place in places]))

    def _values(self, fields: Mapping[str, Any]) -> tuple[Any, ...]:
        kinds, known = self._table.kinds, self._fields.known
        values: dict[str, Any] = {}
        for name, value in fields.items():
            column = known.get(name) or column_name(name, self._dialect)
            if column in kinds:  # else it is left out: the schema is not changed
                values[column] = bound_field(name, value, kinds[column], self._dialect)
        return tuple(values.get(column) for column in self._columns)

    def kinds(self) -> dict[str, Kind]:
        """Of the columns of ``Ready.values``, by their keys in statements."""
        return {
            key: self._table.kinds[column]
            for column, key in self._table.keys(self._columns).items()
        }

    def key_columns(self) -> list[str]:
        """Those of the primary key."""
        return [column_name(name, self._dialect) for name in self._options.primary_key]
