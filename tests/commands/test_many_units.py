"""A job of very many units answers as fast as one of few: nothing is counted when it is asked."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import time
from typing import Any

import pytest

from scrapy_resume.reporting.reports import open_store
from scrapy_resume.store.contract import Opening
from tests.support.postgres import postgres_server

__all__ = ["postgres_server"]

CPU_SECONDS = 0.5
SIZES = [50_000, pytest.param(1_000_000, marks=[pytest.mark.soak, pytest.mark.timeout(900)])]

SQLITE = """
WITH RECURSIVE n (id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM n WHERE id < {count})
INSERT INTO request (
    id, identity_head, identity_tail, kind, parent, unit, slot, state, priority, start, seq,
    depth, run, url, payload, updated_at
)
SELECT id, random(), randomblob(12), 0, 0, id, 1, CASE WHEN id % 3 THEN 2 ELSE 0 END, 0, 0, id,
    1, 1, 'http://h/' || id, '{{}}', 0
FROM n;
INSERT INTO unit_count (
    unit, state, open, done, failed, parked, ignored, items, items_failed, attempts, cursor
)
SELECT id, CASE WHEN id % 3 THEN 5 ELSE 4 END, id % 3 = 0, id % 3 > 0, 0, 0, 0, 0, 0, 1, id
FROM request;
UPDATE unit_tally SET units = (
    SELECT count(*) FROM unit_count AS c WHERE c.state = unit_tally.state
);
UPDATE job SET pending = {count} / 3, done = {count} - {count} / 3;
"""

POSTGRES = """
INSERT INTO scrapy_resume.request (
    job, id, parent, unit, slot, priority, seq, updated_at, depth, kind, state, start, every_run,
    identity, url, payload
)
SELECT 1, n, 0, n, 1, 0, n, 0, 1, 0, 2, 0, 0, '', 'http://h/' || n, '{{}}'
FROM generate_series(1, {count}) AS n;
INSERT INTO scrapy_resume.unit_count (
    job, unit, state, open, done, failed, parked, ignored, items, items_failed, attempts, cursor
)
SELECT 1, n, CASE WHEN n % 3 > 0 THEN 5 ELSE 1 END, 0, 1, 0, 0, 0, 0, 0, 1, n
FROM generate_series(1, {count}) AS n;
INSERT INTO scrapy_resume.unit_tally (job, run, state, units)
SELECT job, 1, state, count(*) FROM scrapy_resume.unit_count GROUP BY job, state;
ANALYZE;
"""


def cpu_seconds_of(call: Any, *words: str) -> tuple[float, Any]:
    began = time.process_time()
    answer = call(*words, "--json")
    spent = time.process_time() - began
    assert (answer.code, answer.err) == (0, "")
    return spent, json.loads(answer.out)


@pytest.mark.parametrize("count", SIZES)
def test_status_and_units_of_very_many_units_cost_little(count: int, shelf: Any, call: Any) -> None:
    shelf.crash(shelf.begin("books"))
    (path,) = shelf.directory.glob("*.sqlite3")
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.executescript(f"BEGIN; {SQLITE.format(count=count)} COMMIT;")
    spent, status = cpu_seconds_of(call, "status")
    assert status["units"]["total"] == count
    assert spent < CPU_SECONDS
    for words, state in (([], "pending"), (["--state", "completed"], "completed")):
        spent, rows = cpu_seconds_of(call, "units", "--limit", "50", *words)
        assert len(rows) == 50
        assert {row["state"] for row in rows} == {state}
        assert spent < CPU_SECONDS


@pytest.mark.parametrize("count", SIZES)
def test_the_same_in_a_database(count: int, postgres_server: Any) -> None:
    psycopg = pytest.importorskip("psycopg")
    from scrapy_resume.model import JobKey
    from scrapy_resume.store.postgres.store import PostgresStore

    url = postgres_server.new_database()
    PostgresStore(url).begin(JobKey("books", 1), Opening("books", "host:1")).abandon()
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(POSTGRES.format(count=count))
        reports = open_store(url)
        began = time.process_time()
        assert reports.job()["units"]["total"] == count
        assert len(list(reports.units(limit=50))) == 50
        assert time.process_time() - began < CPU_SECONDS
        # And the server's part is read in the order of an index.
        connection.execute("SET statement_timeout = '5s'")
        connection.execute(
            "SELECT v.unit FROM scrapy_resume.unit_count AS c"
            " JOIN scrapy_resume.units AS v ON v.job_id = c.job AND v.id = c.unit"
            " WHERE c.job = 1 AND c.state IS NOT NULL ORDER BY c.state, abs(c.unit) LIMIT 50"
        )
