"""Inserts many rows at once, by the quickest way that the database has: SQLite's driver with plain
tuples, PostgreSQL's ``COPY``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from scrapy_resume.databases.columns import type_of
from scrapy_resume.databases.kinds import Kind, as_text

COPY_FROM: Final = 20
"""Fewer rows are inserted one by one: a ``COPY`` has two more answers to wait for."""

PIECE_CHARACTERS: Final = 65_536

STAGE: Final = "scrapy_resume_stage"
"""The temporary table of rows that have a primary key."""


def insert_into(connection: sa.Connection, table: sa.Table) -> Any:
    """An ``INSERT`` of the database's own kind, which knows ``ON CONFLICT``."""
    return (sqlite if connection.dialect.name == "sqlite" else postgresql).insert(table)


def insert_rows(
    connection: sa.Connection,
    table: sa.Table,
    kinds: Mapping[str, Kind],
    rows: Sequence[tuple[Any, ...]],
) -> None:
    """``kinds``: of the columns of the rows, in their order, by their keys in the table."""
    if connection.dialect.name == "sqlite":
        marks = ", ".join("?" * len(kinds))
        statement = f"INSERT INTO {_quoted(table)} ({_names(table, kinds)}) VALUES ({marks})"
        connection.exec_driver_sql(statement, list(rows))
    elif len(rows) >= COPY_FROM and may_copy(kinds, rows):
        _copy(connection, f"{_quoted(table)} ({_names(table, kinds)})", kinds, rows)
    else:
        connection.execute(sa.insert(table), [dict(zip(kinds, row, strict=True)) for row in rows])


def may_copy(kinds: Mapping[str, Kind], rows: Sequence[tuple[Any, ...]]) -> bool:
    """Whether it is known how all values are written."""
    unknown = [place for place, kind in enumerate(kinds.values()) if kind is Kind.any]
    return all(row[place] is None for place in unknown for row in rows)


def may_stage(connection: sa.Connection) -> bool:
    """Whether this role may make temporary tables."""
    if connection.dialect.name != "postgresql":
        return False
    asked = "SELECT has_database_privilege(current_database(), 'TEMPORARY')"
    return bool(connection.exec_driver_sql(asked).scalar_one())


def stage_rows(
    connection: sa.Connection,
    table: sa.Table,
    kinds: Mapping[str, Kind],
    rows: Sequence[tuple[Any, ...]],
) -> Any:
    """Put the rows into a temporary table of this transaction. Returns what selects them there."""
    names, stage = _names(table, kinds), f"pg_temp.{STAGE}"
    as_is = {"no_parameters": True}  # a % in a name is no mark
    connection.exec_driver_sql(f"DROP TABLE IF EXISTS {stage}", execution_options=as_is)
    connection.exec_driver_sql(
        f"CREATE TEMPORARY TABLE {STAGE} ON COMMIT DROP AS"
        f" SELECT {names} FROM {_quoted(table)} WITH NO DATA",
        execution_options=as_is,
    )
    _copy(connection, f"{stage} ({names})", kinds, rows)
    columns = [
        sa.Column(table.c[key].name, type_of(kind, "postgresql")) for key, kind in kinds.items()
    ]
    staged = sa.Table(STAGE, sa.MetaData(), *columns, schema="pg_temp")
    return sa.select(*staged.columns)


def _quote(name: str) -> str:
    """As both databases want it: SQLAlchemy would double the ``%`` too."""
    return '"' + name.replace('"', '""') + '"'


def _quoted(table: sa.Table) -> str:
    parts = [table.name] if table.schema is None else [table.schema, table.name]
    return ".".join(map(_quote, parts))


def _names(table: sa.Table, kinds: Mapping[str, Kind]) -> str:
    return ", ".join(_quote(table.c[key].name) for key in kinds)


def _copy(
    connection: sa.Connection,
    into: str,
    kinds: Mapping[str, Kind],
    rows: Sequence[tuple[Any, ...]],
) -> None:
    statement = f"COPY {into} FROM STDIN"
    driver: Any = connection.connection.driver_connection
    texts = [_TEXTS[kind] for kind in kinds.values()]
    with (
        _as_sqlalchemy(connection, statement),
        driver.cursor() as cursor,
        cursor.copy(statement) as copy,
    ):
        for piece in _pieces(rows, texts):
            copy.write(piece)


def _pieces(
    rows: Sequence[tuple[Any, ...]], texts: Sequence[Callable[[Any], str]]
) -> Iterator[str]:
    lines: list[str] = []
    size = 0
    for row in rows:
        line = "\t".join(
            [
                "\\N" if value is None else text(value)
                for text, value in zip(texts, row, strict=True)
            ]
        )
        lines.append(line)
        size += len(line)
        if size > PIECE_CHARACTERS:
            yield "\n".join([*lines, ""])
            lines, size = [], 0
    if lines:
        yield "\n".join([*lines, ""])


@contextmanager
def _as_sqlalchemy(connection: sa.Connection, statement: str) -> Iterator[None]:
    """The driver's errors become those of SQLAlchemy, as those of its own statements are."""
    dialect = connection.dialect
    driver_error = dialect.loaded_dbapi.Error
    try:
        yield
    except driver_error as error:
        lost = dialect.is_disconnect(error, connection.connection.dbapi_connection, None)
        if lost:
            connection.invalidate(error)
        raise sa.exc.DBAPIError.instance(
            statement,
            None,
            error,
            driver_error,
            connection_invalidated=lost,
            dialect=dialect,
        ) from error


def _escaped(text: str) -> str:
    if "\\" in text:
        text = text.replace("\\", "\\\\")
    if "\n" in text:
        text = text.replace("\n", "\\n")
    if "\r" in text:
        text = text.replace("\r", "\\r")
    if "\t" in text:
        text = text.replace("\t", "\\t")
    return text


def _escaped_value(value: Any) -> str:
    return _escaped(value if isinstance(value, str) else as_text(value))


def _boolean(value: Any) -> str:
    return "t" if value else "f"


def _bytes(value: bytes) -> str:
    return f"\\\\x{value.hex()}"


_TEXTS: Final[dict[Kind, Callable[[Any], str]]] = {
    Kind.any: _escaped_value,
    Kind.boolean: _boolean,
    Kind.integer: str,
    Kind.real: repr,
    Kind.decimal: str,
    Kind.text: _escaped,
    Kind.date: _escaped_value,
    Kind.moment: _escaped_value,
    Kind.instant: _escaped_value,
    Kind.binary: _bytes,
    Kind.uuid: str,
    Kind.json: _escaped,
}
"""How a bound value of a column is written for ``COPY``."""
