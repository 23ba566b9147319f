"""The table of a feed: made, and changed, as its items need it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import uuid4

import sqlalchemy as sa

from scrapy_resume.databases.address import Address
from scrapy_resume.databases.bulk import may_stage
from scrapy_resume.databases.columns import (
    COPY_STEPS,
    REMOVED_AT,
    ROW_ID,
    AddColumn,
    ChangeType,
    CopyAsText,
    column_name,
    kind_of_type,
    type_of,
)
from scrapy_resume.databases.connection import (
    DRIVER_ERRORS,
    Connection,
    MadeByOthersError,
    message_in,
    state_of,
)
from scrapy_resume.databases.kinds import EXACT_FLOAT, Kind, kind_of, widened
from scrapy_resume.databases.options import DatabaseOptions
from scrapy_resume.databases.row_plans import RowPlans
from scrapy_resume.databases.side_tables import BIG
from scrapy_resume.errors import DatabaseFeedError, DatabaseUnavailableError

SPARE: Final = "scrapy_resume_spare"
"""The name of a column while its texts are copied."""

_MADE_AT_ONCE: Final = ("42P07", "42710", "23505")
"""SQLSTATEs of PostgreSQL when two sessions make one table: it is there, its type is, or the row of
one in a catalogue. (PostgreSQL's manual, appendix A.)"""

_DUPLICATE_COLUMN: Final = "42701"
_SYSTEM_COLUMNS: Final = frozenset({"tableoid", "xmin", "cmin", "xmax", "cmax", "ctid"})
"""Which PostgreSQL has in each table, so that no other column can have such a name."""


@dataclass
class Fields:
    """The columns that the items of a job have filled; kept with the feed."""

    known: dict[str, str] = field(default_factory=dict)
    """Field → column."""
    empty: set[str] = field(default_factory=set)
    """Fields that have had no value yet, so that the type of their column is not known."""

    @classmethod
    def of(cls, text: str) -> Fields:
        """From ``as_text``."""
        kept = json.loads(text)
        return cls(kept["known"], set(kept["empty"]))

    def as_text(self) -> str:
        """JSON."""
        return json.dumps({"known": self.known, "empty": sorted(self.empty)})

    def copy(self) -> Fields:
        """Another one that is equal."""
        return Fields(dict(self.known), set(self.empty))


@contextmanager
def _making(connection: sa.Connection, is_there: Callable[[Exception], bool]) -> Iterator[None]:
    """A savepoint for what is to be made. Raises ``MadeByOthersError`` if it is there, as
    ``is_there`` says by the error; else what the driver raises."""
    try:
        with connection.begin_nested():
            yield
    except DRIVER_ERRORS as error:
        if is_there(error):
            raise MadeByOthersError(message_in(error)) from error
        raise


class FeedTable:
    """The table as this process knows it. ``read`` comes first; and again after an error."""

    def __init__(self, address: Address, options: DatabaseOptions) -> None:
        self._address = address
        self._dialect = address.dialect
        self._options = options
        self.is_known = False
        """It was read, and nothing has happened since that may have changed it."""
        self.exists = False
        self.kinds: dict[str, Kind] = {}
        """By column, in order."""
        self._types: dict[str, Any] = {}
        self._names: dict[str, str] = {}
        """Field → column, as far as asked for."""
        self.refused: dict[str, str] = {}
        """Fields that no column can be made for, and why."""
        self.stuck: dict[str, str] = {}
        """Fields whose columns cannot be given another type, and why: values of other kinds are
        refused."""
        self.plans = RowPlans(self._dialect)
        self._made: sa.Table | None = None
        self._may_stage: bool | None = None
        self.notices: list[str] = []
        """Changes of the schema that were not reported yet."""

    def read(self, connection: sa.Connection) -> None:
        """Read the table from the database. Raises ``DatabaseFeedError`` if it cannot be a feed."""
        inspector = sa.inspect(connection)
        name, schema = self._address.table, self._address.schema
        self.kinds, self._types = {}, {}
        self._changed()
        self.exists = inspector.has_table(name, schema=schema)
        self.is_known = True
        if not self.exists:
            return
        for column in inspector.get_columns(name, schema=schema):
            self._types[column["name"]] = column["type"]
            self.kinds[column["name"]] = kind_of_type(column["type"], self._dialect)
        if self._options.primary_key:
            self._check_key(inspector)

    def forget(self) -> None:
        """A transaction was rolled back: what it has changed is to be read again."""
        self.is_known = False
        self._may_stage = None
        self.plans.clear()
        self.notices = []

    def _changed(self) -> None:
        self._made = None
        self.plans.clear()

    def may_stage(self, connection: sa.Connection) -> bool:
        """Whether rows may go by a temporary table."""
        if self._may_stage is None:
            self._may_stage = may_stage(connection)
        return self._may_stage

    def _check_key(self, inspector: sa.Inspector) -> None:
        name, schema = self._address.table, self._address.schema
        wanted = {column_name(one, self._dialect) for one in self._options.primary_key}
        unique = [set(inspector.get_pk_constraint(name, schema=schema)["constrained_columns"])]
        for constraint in inspector.get_unique_constraints(name, schema=schema):
            unique.append(set(constraint["column_names"]))
        for index in inspector.get_indexes(name, schema=schema):
            if index["unique"]:
                unique.append({str(column) for column in index["column_names"]})
        if wanted not in unique:
            columns = ", ".join(self._options.primary_key)
            raise DatabaseFeedError(
                f"the table {self._address.full_table} exists, and nothing in it makes"
                f" primary_key ({columns}) unique: create a unique index on it, or name"
                " another table"
            )

    # ---- what the rows need

    def prepare(
        self, connection: sa.Connection, rows: Sequence[Mapping[str, Any]], fields: Fields
    ) -> dict[int, tuple[str, str]]:
        """Make the columns that the rows need. Returns the rows that cannot be written: their place
        → the field that is to blame, and why. Raises ``SQLAlchemyError``."""
        faults: dict[int, tuple[str, str]] = {}
        wanted: dict[str, Kind] = {}
        for name in fields.empty:
            if self.kinds.get(self._column(name)) is Kind.text:
                self.kinds[self._column(name)] = Kind.any
        empty: dict[str, None] = {}
        for place, row in enumerate(rows):
            trouble = self._needs(row, wanted, empty)
            if trouble is not None:
                faults[place] = trouble
        if not self.exists and (wanted or not self._options.primary_key):
            self._create(connection, wanted)
        self._add_internal(connection)
        for name, kind in wanted.items():
            self._change(connection, name, kind, fields)
        for name in empty:
            if name not in wanted and self._column(name) not in self.kinds and self.exists:
                self._add(connection, name, Kind.any)
                fields.empty.add(name)
        if self.refused or self.stuck:
            for place, row in enumerate(rows):
                trouble = self._refusal(row)
                if place not in faults and trouble is not None:
                    faults[place] = trouble
        self._note(rows, faults, fields)
        return faults

    def _refusal(self, row: Mapping[str, Any]) -> tuple[str, str] | None:
        """The field of a row that its column cannot hold, and why."""
        for name, value in row.items():
            if name in self.refused:
                return name, self.refused[name]
            if name in self.stuck and value is not None:
                column = self.kinds[self._column(name)]
                if widened(column, kind_of(value, self._dialect)) is not column:
                    return name, self.stuck[name]
        return None

    def _note(
        self, rows: Sequence[Mapping[str, Any]], faults: Mapping[int, Any], fields: Fields
    ) -> None:
        for place, row in enumerate(rows):
            if place in faults or row.keys() <= fields.known.keys():
                continue
            for name in row:
                column = self._column(name)
                if column in self.kinds:
                    fields.known.setdefault(name, column)

    def _column(self, name: str) -> str:
        known = self._names.get(name)
        if known is None:
            known = self._names[name] = column_name(name, self._dialect)
        return known

    def _needs(
        self, row: Mapping[str, Any], wanted: dict[str, Kind], empty: dict[str, None]
    ) -> tuple[str, str] | None:
        """Add to ``wanted`` what a row needs. Returns the field that cannot be written, and why."""
        found: dict[str, Kind] = {}
        evolves = self._options.schema == "evolve"
        for name, value in row.items():
            if name in self.refused:
                return name, self.refused[name]
            if name in (ROW_ID, REMOVED_AT) and self._is_internal(name):
                return name, "the feed has a column of that name of its own: rename it by `fields`"
            present = self._column(name) in self.kinds
            if not present and not evolves:
                if self._options.schema == "freeze":
                    return name, "the table has no such column, and its schema is frozen"
                continue
            if value is None:
                empty[name] = None
                continue
            kind = kind_of(value, self._dialect)
            before = wanted.get(name) or self.kinds.get(self._column(name), Kind.any)
            if kind is before or (present and before is Kind.any and not evolves):
                if not present:
                    found[name] = kind
                continue
            after = widened(before, kind)
            if name in self.stuck and after is not self.kinds[self._column(name)]:
                return name, self.stuck[name]
            if after is None:
                return (
                    name,
                    f"a value of the kind {kind.name} in a column of the kind {before.name}",
                )
            if after is not before or not present:
                if present and not evolves and before is not Kind.any:
                    return name, f"a value of the kind {kind.name}, and the schema is frozen"
                found[name] = after
        for name in self._options.primary_key:
            if row.get(name) is None:
                return name, "it has no value, and is of the primary key"
        wanted.update(found)
        return None

    def _is_internal(self, name: str) -> bool:
        if name == ROW_ID:
            return not self._options.primary_key
        return self._options.on_removed == "mark"

    # ---- changes

    def _create(self, connection: sa.Connection, wanted: Mapping[str, Kind]) -> None:
        if self._options.schema != "evolve":
            raise DatabaseFeedError(
                f"the table {self._address.full_table} does not exist, and its schema is"
                f" {self._options.schema}: create it, or set schema to evolve"
            )
        columns = [
            sa.Column(
                self._column(name),
                type_of(wanted[name], self._dialect),
                primary_key=True,
                autoincrement=False,
                quote=True,
            )
            for name in self._options.primary_key
        ] or [sa.Column(ROW_ID, BIG, primary_key=True, autoincrement=False)]
        metadata = sa.MetaData()
        name = sa.sql.quoted_name(self._address.table, quote=True)

        def is_there(error: Exception) -> bool:
            if self._dialect == "sqlite":
                return self._columns(connection) is not None
            return state_of(error) in _MADE_AT_ONCE

        with _making(connection, is_there):
            sa.Table(name, metadata, *columns, schema=self._schema()).create(connection)
        self.exists = True
        for column in columns:
            self.kinds[str(column.name)] = Kind.integer
        for key in self._options.primary_key:
            self.kinds[self._column(key)] = wanted[key]
        self.notices.append(f"made the table {self._address.full_table}")
        self._changed()

    def _schema(self) -> sa.sql.quoted_name | None:
        if self._address.schema is None:
            return None
        return sa.sql.quoted_name(self._address.schema, quote=True)

    def _add_internal(self, connection: sa.Connection) -> None:
        if not self.exists:
            return
        if not self._options.primary_key and ROW_ID not in self.kinds:
            self._add_column(connection, ROW_ID, BIG)
            self.kinds[ROW_ID] = Kind.integer
            self._changed()
            table = self.table()
            sa.Index(  # a table of that name that was renamed has kept its index
                column_name(f"{self._address.table}_{ROW_ID}_{uuid4().hex[:8]}", "postgresql"),
                table.c[ROW_ID],
                unique=True,
            ).create(connection)
            self.notices.append(f"added the column {ROW_ID} to {self._address.full_table}")
        if self._options.on_removed == "mark" and REMOVED_AT not in self.kinds:
            kind = Kind.text if self._dialect == "sqlite" else Kind.instant
            self._add_column(connection, REMOVED_AT, type_of(kind, self._dialect))
            self.kinds[REMOVED_AT] = kind
            self._changed()

    def _bare(self) -> sa.Table:
        name = sa.sql.quoted_name(self._address.table, quote=True)
        return sa.Table(name, sa.MetaData(), schema=self._schema())

    def _change(self, connection: sa.Connection, name: str, kind: Kind, fields: Fields) -> None:
        before = self.kinds.get(self._column(name))
        if before is kind:
            return
        if before is None:
            self._add(connection, name, kind)
            return
        try:
            with connection.begin_nested():
                self._widen(connection, self._column(name), before, kind)
        except DRIVER_ERRORS as error:
            self._refuse(connection, name, error)
            return
        fields.empty.discard(name)
        self.kinds[self._column(name)] = kind
        self._types.pop(self._column(name), None)
        self._changed()
        if before is not Kind.any:
            self.notices.append(f"the column {name!r} was {before.name} and is {kind.name} now")

    def _widen(self, connection: sa.Connection, name: str, before: Kind, after: Kind) -> None:
        if self._dialect == "sqlite":
            if after is Kind.text and before is not Kind.any:
                for step in COPY_STEPS:
                    self._execute(connection, CopyAsText(self._bare(), name, SPARE, step))
            return  # a column takes any value; only texts that look like numbers would change
        if before is Kind.integer and after is Kind.real:
            column = self.table().c[self._key(name)]
            long = sa.select(column).where(sa.func.abs(column) > EXACT_FLOAT).limit(1)
            if connection.execute(long).first() is not None:
                after = Kind.text
        if before is not Kind.any or self._is_text(name):
            self._execute(connection, ChangeType(self._bare(), name, before, after))

    def _is_text(self, name: str) -> bool:
        return isinstance(self._types.get(name, sa.Text()), sa.String)

    def _add(self, connection: sa.Connection, name: str, kind: Kind) -> None:
        column = self._column(name)
        if not column:
            self.refused[name] = "no column can have an empty name"
            return
        if "\x00" in column:
            self.refused[name] = "no column can have a NUL character in its name"
            return
        try:
            self._add_column(connection, column, type_of(kind, self._dialect))
        except DRIVER_ERRORS as error:
            self._refuse(connection, name, error)
            return
        self.kinds[column] = kind
        self._changed()
        renamed = "" if column == name else f", as {column!r}"
        self.notices.append(f"added a column for {name!r}{renamed}")

    def _add_column(self, connection: sa.Connection, column: str, type_: Any) -> None:
        """Raises ``MadeByOthersError``, or what the driver raises."""

        def is_there(error: Exception) -> bool:
            if self._dialect == "sqlite":  # to which columns are the same that differ in case
                return column in (self._columns(connection) or ())
            return state_of(error) == _DUPLICATE_COLUMN and column not in _SYSTEM_COLUMNS

        with _making(connection, is_there):
            self._execute(connection, AddColumn(self._bare(), column, type_))

    def _columns(self, connection: sa.Connection) -> set[str] | None:
        """The columns that the table has at this moment; ``None``: there is no table."""
        inspector = sa.inspect(connection)
        name, schema = self._address.table, self._address.schema
        if not inspector.has_table(name, schema=schema):
            return None
        return {column["name"] for column in inspector.get_columns(name, schema=schema)}

    def _refuse(self, connection: sa.Connection, name: str, error: Exception) -> None:
        """Raises the error again if it may go away."""
        if isinstance(Connection.meaning(error), DatabaseUnavailableError):
            raise error
        message = message_in(error)
        if self._column(name) in self.kinds:
            kind = self.kinds[self._column(name)].name
            self.stuck[name] = (
                f"its column holds values of the kind {kind}, and stays so: {message}"
            )
        else:
            self.refused[name] = f"no column can be made for it: {message}"

    def _execute(self, connection: sa.Connection, statement: Any) -> None:
        connection.execute(statement)

    # ---- for statements

    def _key(self, column: str) -> str:
        return column if column in (ROW_ID, REMOVED_AT) else f"c_{self._places()[column]}"

    def _places(self) -> dict[str, int]:
        return {name: place for place, name in enumerate(self.kinds)}

    def keys(self, columns: Iterable[str]) -> dict[str, str]:
        """Column → its key in ``table``: its name may be anything, that of a parameter not."""
        places = self._places()
        return {
            name: name if name in (ROW_ID, REMOVED_AT) else f"c_{places[name]}" for name in columns
        }

    def table(self) -> sa.Table:
        """The table, for statements."""
        if self._made is None:
            keys = self.keys(self.kinds)
            self._made = sa.Table(
                sa.sql.quoted_name(self._address.table, quote=True),
                sa.MetaData(),
                *(
                    sa.Column(
                        sa.sql.quoted_name(name, quote=True),
                        self._type(name, kind),
                        key=keys[name],
                    )
                    for name, kind in self.kinds.items()
                ),
                schema=self._schema(),
            )
        return self._made

    def _type(self, name: str, kind: Kind) -> Any:
        known = self._types.get(name)
        if kind is Kind.any:
            return (
                known
                if known is not None and self._dialect != "sqlite"
                else type_of(kind, self._dialect)
            )
        return type_of(kind, self._dialect)
