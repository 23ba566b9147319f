"""Takes out of a table what earlier numbers of a job have written: the option ``overwrite``."""

from __future__ import annotations

from itertools import islice
from typing import Any, Final

import sqlalchemy as sa

from scrapy_resume.databases.address import Address
from scrapy_resume.databases.columns import ROW_ID, column_name
from scrapy_resume.databases.kinds import key_values
from scrapy_resume.databases.options import DatabaseOptions
from scrapy_resume.databases.side_tables import FEED, ROW
from scrapy_resume.databases.table import FeedTable

AT_ONCE: Final = 500


def empty_family(
    connection: sa.Connection,
    table: FeedTable,
    options: DatabaseOptions,
    job_family: str,
    address: Address,
) -> None:
    """Delete the rows that numbers of the job have made, and that nobody else has given too."""
    family = sa.select(FEED.c.id).where(
        FEED.c.family == job_family, FEED.c.target == address.full_table
    )
    if table.exists and ROW_ID in table.kinds:
        numbers = sa.select(ROW.c.number).where(ROW.c.feed.in_(family), ROW.c.number.is_not(None))
        made = table.table()
        connection.execute(sa.delete(made).where(made.c[ROW_ID].in_(numbers)))
    if table.exists and options.primary_key:
        _delete_by_key(connection, table, options, family, address)
    connection.execute(sa.delete(ROW).where(ROW.c.feed.in_(family)))
    connection.execute(sa.update(FEED).where(FEED.c.id.in_(family)).values(rows=0))


def _delete_by_key(
    connection: sa.Connection,
    table: FeedTable,
    options: DatabaseOptions,
    family: Any,
    address: Address,
) -> None:
    made = table.table()
    columns = [column_name(name, address.dialect) for name in options.primary_key]
    names = list(table.keys(columns).values())
    kinds = [table.kinds[column] for column in columns]
    other = ROW.alias()
    others = sa.select(other.c.item).where(
        other.c.key_digest == ROW.c.key_digest,
        other.c.feed.in_(sa.select(FEED.c.id).where(FEED.c.target == address.full_table)),
        other.c.feed.not_in(family),
    )
    wanted = sa.select(ROW.c.key).where(
        ROW.c.feed.in_(family), ROW.c.own == 1, ROW.c.key.is_not(None), ~others.exists()
    )
    keys = iter(connection.execute(wanted.distinct()).scalars().all())
    where = sa.and_(*(made.c[name] == sa.bindparam(f"key_{name}") for name in names))
    while portion := list(islice(keys, AT_ONCE)):
        values = [
            {
                f"key_{name}": value
                for name, value in zip(names, key_values(key, kinds), strict=True)
            }
            for key in portion
        ]
        connection.execute(sa.delete(made).where(where), values)
