"""Columns of tables that are feeds: their types, their names, and the statements that change
them."""

from __future__ import annotations

from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.schema import ExecutableDDLElement
from sqlalchemy.types import NullType, TypeEngine

from scrapy_resume.databases.kinds import Kind
from scrapy_resume.model import digest

ROW_ID: Final = "scrapy_resume_id"
"""Of tables without a primary key: which row an item is."""

REMOVED_AT: Final = "removed_at"
"""When the item of a row was taken back; only with ``on_removed`` ``mark``."""

LONGEST_NAME: Final = 63
"""Bytes of a name in PostgreSQL."""

_SQLITE: Final[dict[Kind, TypeEngine[Any]]] = {
    Kind.any: NullType(),
    Kind.boolean: sa.Boolean(),
    Kind.integer: sa.Integer(),
    Kind.real: sa.Float(),
    Kind.text: sa.Text(),
    Kind.binary: sa.LargeBinary(),
    Kind.json: sa.JSON(none_as_null=True),
}
_POSTGRES: Final[dict[Kind, TypeEngine[Any]]] = {
    Kind.any: sa.Text(),
    Kind.boolean: sa.Boolean(),
    Kind.integer: sa.BigInteger(),
    Kind.real: postgresql.DOUBLE_PRECISION(),
    Kind.decimal: sa.Numeric(),
    Kind.text: sa.Text(),
    Kind.date: sa.Date(),
    Kind.moment: postgresql.TIMESTAMP(timezone=False),
    Kind.instant: postgresql.TIMESTAMP(timezone=True),
    Kind.binary: sa.LargeBinary(),
    Kind.uuid: sa.Uuid(),
    Kind.json: postgresql.JSONB(none_as_null=True),
}


def type_of(kind: Kind, dialect: str) -> TypeEngine[Any]:
    """The type of a column of that kind."""
    return (_SQLITE if dialect == "sqlite" else _POSTGRES)[kind]


def kind_of_type(column_type: TypeEngine[Any], dialect: str) -> Kind:
    """The kind of a column that is there."""
    if isinstance(column_type, sa.Uuid):
        return Kind.uuid
    for known, kind in (
        (sa.JSON, Kind.json),
        (sa.Boolean, Kind.boolean),
        (sa.Integer, Kind.integer),
        (sa.Float, Kind.real),
        (sa.Numeric, Kind.decimal if dialect == "postgresql" else Kind.any),
        (sa.LargeBinary, Kind.binary),
        (sa.String, Kind.text),
    ):
        if isinstance(column_type, known):
            return kind
    if dialect == "sqlite":
        return Kind.any  # takes what it is given
    if isinstance(column_type, sa.DateTime):
        return Kind.instant if column_type.timezone else Kind.moment
    return Kind.date if isinstance(column_type, sa.Date) else Kind.any


def column_name(field: str, dialect: str) -> str:
    """The name of a field's column. PostgreSQL would cut a long one off: it ends with a digest."""
    encoded = field.encode("utf-8", "surrogatepass")
    if dialect == "sqlite" or len(encoded) <= LONGEST_NAME:
        return field
    head = encoded[: LONGEST_NAME - 9].decode("utf-8", "ignore")
    return f"{head}_{digest(encoded).hex()[:8]}"


class AddColumn(ExecutableDDLElement):
    """``ALTER TABLE … ADD COLUMN``."""

    inherit_cache = False

    def __init__(self, table: sa.Table, name: str, column_type: TypeEngine[Any]) -> None:
        self.table = table
        self.name = name
        self.type = column_type


@compiles(AddColumn)
def _add_column(element: AddColumn, compiler: Any, **_: Any) -> str:
    quote = compiler.preparer.quote_identifier
    typed = (
        "" if isinstance(element.type, NullType) else compiler.type_compiler.process(element.type)
    )
    table = compiler.preparer.format_table(element.table)
    return f"ALTER TABLE {table} ADD COLUMN {quote(element.name)} {typed}".rstrip()


class ChangeType(ExecutableDDLElement):
    """``ALTER TABLE … ALTER COLUMN … TYPE``, of PostgreSQL."""

    inherit_cache = False

    def __init__(self, table: sa.Table, name: str, before: Kind, after: Kind) -> None:
        self.table = table
        self.name = name
        self.before = before
        self.after = after


@compiles(ChangeType, "postgresql")
def _change_type(element: ChangeType, compiler: Any, **_: Any) -> str:
    name = compiler.preparer.quote_identifier(element.name)
    table = compiler.preparer.format_table(element.table)
    new = compiler.type_compiler.process(type_of(element.after, "postgresql"))
    value = f"{name}::{new}"
    if element.before is Kind.boolean and element.after is not Kind.text:
        value = f"{name}::integer::{new}"
    elif element.after is Kind.text and element.before in (Kind.moment, Kind.instant):
        value = f"to_json({name})#>>'{{}}'"
    return f"ALTER TABLE {table} ALTER COLUMN {name} TYPE {new} USING {value}"


class CopyAsText(ExecutableDDLElement):
    """One of the statements that make a column of SQLite one of texts."""

    inherit_cache = False

    def __init__(self, table: sa.Table, name: str, spare: str, step: int) -> None:
        self.table = table
        self.name = name
        self.spare = spare
        self.step = step


COPY_STEPS: Final = range(4)


@compiles(CopyAsText, "sqlite")
def _copy_as_text(element: CopyAsText, compiler: Any, **_: Any) -> str:
    name = compiler.preparer.quote_identifier(element.name)
    spare = compiler.preparer.quote_identifier(element.spare)
    table = compiler.preparer.format_table(element.table)
    return (
        f"ALTER TABLE {table} ADD COLUMN {spare} TEXT",
        f"UPDATE {table} SET {spare} = CAST({name} AS TEXT)",
        f"ALTER TABLE {table} DROP COLUMN {name}",
        f"ALTER TABLE {table} RENAME COLUMN {spare} TO {name}",
    )[element.step]
