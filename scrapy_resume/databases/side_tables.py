"""The tables beside those of the items: which feeds write to a database, and which row an item is.

They are written in the transactions of the rows, so that what was delivered is known exactly there.
"""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa

METADATA: Final = sa.MetaData()

BIG: Final = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

FEED: Final = sa.Table(
    "scrapy_resume_feed",
    METADATA,
    sa.Column("id", BIG, sa.Identity(), primary_key=True),
    # The job's own random id: other numbers, and jobs of the name in other stores, have others.
    sa.Column("job", sa.Text, nullable=False),
    # schema.table
    sa.Column("target", sa.Text, nullable=False),
    # Such as books#3, for people.
    sa.Column("name", sa.Text, nullable=False),
    # The id of the first number of the job that has written to the table, as far as is known.
    sa.Column("family", sa.Text, nullable=False),
    # Fences: who claims the feed increments it, and who has another one writes nothing any more.
    sa.Column("epoch", BIG, nullable=False),
    # host:pid; empty: nobody.
    sa.Column("writer", sa.Text, nullable=False),
    # Seconds since the epoch, by the clock of the database, as the writer has last shown itself.
    sa.Column("beat_at", sa.Double, nullable=False),
    # How many transactions have delivered something.
    sa.Column("delivery", BIG, nullable=False),
    # Grows when all items have to be compared anew; rows of an earlier one are not confirmed yet.
    sa.Column("generation", BIG, nullable=False),
    # JSON: how far it has come with the job's changes.
    sa.Column("position", sa.Text, nullable=False),
    # A digest of the options on which the content depends.
    sa.Column("options", sa.Text, nullable=False),
    # JSON: the columns that the job's items have filled.
    sa.Column("fields", sa.Text, nullable=False),
    # Numbers of rows of tables without a primary key.
    sa.Column("next_row", BIG, nullable=False),
    # Rows that this job has there.
    sa.Column("rows", BIG, nullable=False),
    sa.Column("updated_at", sa.Text, nullable=False),
    sa.UniqueConstraint("job", "target", name="scrapy_resume_feed_job"),
)

WRITTEN, REMOVED, OWED, ELSEWHERE = 0, 1, 2, 3
"""States of an item: its row is there; it was taken back, and its row is kept; it could not be
written, or has to be written again; a row of somebody else has its key and stays."""

ROW: Final = sa.Table(
    "scrapy_resume_row",
    METADATA,
    sa.Column("feed", BIG, nullable=False),
    # What the item is called over its updates.
    sa.Column("item", sa.Text, nullable=False),
    # The change of the job that was applied last.
    sa.Column("version", BIG, nullable=False),
    # Its row in a table without a primary key: scrapy_resume_id.
    sa.Column("number", BIG),
    # JSON: its row's primary key; and a digest of it, which is indexed.
    sa.Column("key", sa.Text),
    sa.Column("key_digest", sa.Text),
    # 0: somebody else has made the row.
    sa.Column("own", sa.SmallInteger, nullable=False),
    sa.Column("state", sa.SmallInteger, nullable=False),
    sa.Column("generation", BIG, nullable=False),
    # Why it is owed.
    sa.Column("error", sa.Text),
    sa.PrimaryKeyConstraint("feed", "item"),
    sqlite_with_rowid=False,
)
sa.Index(
    "scrapy_resume_row_key",
    ROW.c.key_digest,
    ROW.c.feed,
    sqlite_where=ROW.c.key_digest.is_not(None),
    postgresql_where=ROW.c.key_digest.is_not(None),
)
sa.Index(
    "scrapy_resume_row_owed",
    ROW.c.feed,
    sqlite_where=ROW.c.state == OWED,
    postgresql_where=ROW.c.state == OWED,
)
