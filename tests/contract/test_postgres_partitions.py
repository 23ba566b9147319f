"""The large tables can be partitioned by job: docs/scaling.md."""

from __future__ import annotations

import re

import pytest

from scrapy_resume.store.transaction.queries import read_sql
from tests.support.postgres import PostgresServer

from .conftest import place_of
from .test_postgres_roles import go_through_all

PARTITIONED = """
ALTER TABLE scrapy_resume.{table} RENAME TO {table}_first;
CREATE TABLE scrapy_resume.{table} (LIKE scrapy_resume.{table}_first INCLUDING ALL)
    PARTITION BY LIST (job);
CREATE TABLE scrapy_resume.{table}_others PARTITION OF scrapy_resume.{table} DEFAULT;
CREATE TABLE scrapy_resume.{table}_1 PARTITION OF scrapy_resume.{table} FOR VALUES IN (1);
"""


def test_a_job_is_as_any_other_in_partitioned_tables(postgres_server: PostgresServer) -> None:
    psycopg = pytest.importorskip("psycopg")
    url = postgres_server.new_database()
    place = place_of(url)
    with place.store.door("books"):
        pass  # the schema is there
    schema = read_sql("postgres", "schema.sql")
    views = re.findall(r"^CREATE VIEW .*?;$", schema, re.MULTILINE | re.DOTALL)
    assert len(views) > 3
    with psycopg.connect(url) as connection:
        for table in ("request", "seen", "item"):
            connection.execute(PARTITIONED.format(table=table))
        for view in views:
            connection.execute(view.replace("CREATE VIEW", "CREATE OR REPLACE VIEW", 1))
    go_through_all(place)
    assert place.items() == ['"spilled"', '"a"']
    assert set(place.states().values()) == {"done"}
    with psycopg.connect(url) as connection:
        [[rows]] = connection.execute("SELECT count(*) FROM scrapy_resume.request_1").fetchall()
    assert rows == 3
