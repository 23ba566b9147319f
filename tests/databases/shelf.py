"""A database that is a feed, as its owner reads it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from types import TracebackType
from typing import Any

import sqlalchemy as sa
from sqlalchemy.pool import NullPool

OWN = ("scrapy_resume_id", "removed_at")


class Shelf:
    """``url`` is what stands before ``#`` in a feed's URI."""

    def __init__(self, url: str) -> None:
        self.url = url
        driver = url.replace("postgresql://", "postgresql+psycopg://")
        self.engine = sa.create_engine(driver, poolclass=NullPool)

    def __enter__(self) -> Shelf:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.engine.dispose()

    @property
    def dialect(self) -> str:
        return self.engine.dialect.name

    def uri(self, table: str = "items") -> str:
        return f"{self.url}#{table}"

    def execute(self, statement: str, **values: Any) -> list[Any]:
        with self.engine.begin() as connection:
            done = connection.execute(sa.text(statement), values)
            return list(done) if done.returns_rows else []

    def tables(self) -> set[str]:
        return set(sa.inspect(self.engine).get_table_names())

    def columns(self, table: str = "items") -> dict[str, str]:
        found = sa.inspect(self.engine).get_columns(table)
        return {one["name"]: str(one["type"]) for one in found if one["name"] not in OWN}

    def rows(self, table: str = "items") -> list[dict[str, Any]]:
        """The rows without what is the package's own."""
        with self.engine.begin() as connection:
            quoted = connection.dialect.identifier_preparer.quote_identifier(table)
            found = connection.exec_driver_sql(f"SELECT * FROM {quoted}").mappings().all()
        return [{name: row[name] for name in row if name not in OWN} for row in found]

    def items(self, table: str = "items") -> Counter[str]:
        """The rows as canonical text, fields without a value left out."""
        if table not in self.tables():
            return Counter()
        return Counter(canonical(row) for row in self.rows(table))

    def side_rows(self) -> list[dict[str, Any]]:
        with self.engine.begin() as connection:
            return [
                dict(row)
                for row in connection.exec_driver_sql("SELECT * FROM scrapy_resume_row").mappings()
            ]


def canonical(row: Mapping[str, Any]) -> str:
    return json.dumps({name: row[name] for name in row if row[name] is not None}, sort_keys=True)
