"""Loads the named SQL blocks of a ``.sql`` file.

A block begins with a line ``-- name: lease_requests``; the comment lines that follow
describe it; the rest, up to the next block, is the statement. A query has the name of
the function or the transition that runs it.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from importlib.resources import files
from itertools import chain
from types import MappingProxyType
from typing import Any, Final

NAME_MARK = "-- name:"

ROWS_A_STATEMENT: Final = (256, 16, 4, 1)
"""SQLite takes up to 32,766 parameters; few different statements stay prepared."""

ROWS_AT_ONCE: Final = 500
"""That are fetched from a cursor."""

_VALUES: Final = re.compile(r"VALUES\s*(\([?,\s]*\))")


def load_queries(*path: str) -> Mapping[str, str]:
    """The blocks of ``store/sql/<path>``: name → statement, without its description.

    Raises ``ValueError`` for a block that is described nowhere, empty, or named twice: the
    files are part of the package, so that is a defect of it.
    """
    return MappingProxyType(dict(_parse(read_sql(*path))))


def read_sql(*path: str) -> str:
    """The text of ``store/sql/<path>``."""
    place = files("scrapy_resume.store") / "sql"
    for part in path:
        place = place / part
    return place.read_text(encoding="utf-8")


def _parse(text: str) -> Iterator[tuple[str, str]]:
    names: set[str] = set()
    for block in text.split(NAME_MARK)[1:]:
        name, _, rest = block.partition("\n")
        name = name.strip()
        lines = rest.splitlines()
        described = [line for line in lines if line.startswith("-- ")]
        statement = "\n".join(line for line in lines if not line.startswith("--")).strip()
        if not described or not statement or name in names:
            raise ValueError(f"the SQL block {name!r} has no description, no statement or a twin")
        names.add(name)
        yield name, statement


def insert_many(
    connection: sqlite3.Connection, statement: str, rows: Sequence[Sequence[object]]
) -> None:
    """Insert rows by an ``INSERT … VALUES (?, …)`` for one, in as few statements as may be.

    The driver gives the interpreter's lock away for each statement, and beside a busy event
    loop to get it back costs fifty times what inserting a row does.
    """
    start = 0
    for count in ROWS_A_STATEMENT:
        wanted = _repeated(statement, count)
        while len(rows) - start >= count:
            portion = rows[start : start + count]
            connection.execute(wanted, tuple(chain.from_iterable(portion)))
            start += count


@lru_cache
def _repeated(statement: str, count: int) -> str:
    before, values, after = _VALUES.split(statement)
    return f"{before}VALUES {', '.join([values] * count)}{after}"


def as_dicts(cursor: sqlite3.Cursor) -> Iterator[dict[str, Any]]:
    """Rows by the names of their columns; they are never here all at once."""
    names = [column[0] for column in cursor.description]
    while rows := cursor.fetchmany(ROWS_AT_ONCE):
        for row in rows:
            yield dict(zip(names, row, strict=True))


def split_statements(script: str) -> Iterator[str]:
    """The statements of a script, one by one.

    ``sqlite3.Connection.executescript`` commits before it begins, so what has to be one
    transaction is executed statement by statement.
    """
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement.strip()
            statement = ""
    if statement.strip() and not _only_comments(statement):
        raise ValueError(f"the SQL script ends within a statement: {statement.strip()!r}")


def _only_comments(text: str) -> bool:
    return all(not line.strip() or line.lstrip().startswith("--") for line in text.splitlines())
