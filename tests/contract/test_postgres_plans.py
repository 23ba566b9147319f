"""Every hot statement finds its rows by an index, however many there are."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from scrapy_resume.store.queries import load_queries
from tests.support.postgres import PostgresServer

ROWS = 100_000

FILL = f"""
INSERT INTO scrapy_resume.job (
    name, number, spider, status, created_at, updated_at, arguments, metadata, input_hashes
)
SELECT 'books', n, 'books', 'running', 0, 0, '{{}}', '{{}}', '{{}}' FROM generate_series(1, 2) AS n;
INSERT INTO scrapy_resume.run (
    job, number, worker, process, status, started_at, beat_at, orphan_seconds, delay_seconds,
    next_id
)
SELECT 1, n, 'h:1', '', 'running', 0, 0, 30, 0, 1 FROM generate_series(1, 50) AS n;
INSERT INTO scrapy_resume.slot (job, run, key)
SELECT 1, CASE WHEN n % 50 = 0 THEN 1 + n % 7 ELSE 0 END, 'host' || n
FROM generate_series(1, 20000) AS n;
INSERT INTO scrapy_resume.unit (job, name)
SELECT 1, 'unit' || n FROM generate_series(1, 20000) AS n;
INSERT INTO scrapy_resume.seen (request, job, run, identity)
SELECT n, 1, 1, sha224(n::text::bytea) FROM generate_series(1, {ROWS}) AS n;
INSERT INTO scrapy_resume.request (
    id, parent, unit, slot, priority, seq, updated_at, job, depth, kind, state, start, every_run,
    identity, url, payload
)
SELECT n, 0, n, 1 + n % 20000, 0, n, 0, 1, 1, 0, CASE WHEN n % 4 = 0 THEN 0 ELSE 2 END, 0, 0,
    sha224(n::text::bytea), 'http://h/' || n, '{{}}'
FROM generate_series(1, {ROWS}) AS n;
INSERT INTO scrapy_resume.frontier (
    id, slot, priority, seq, not_before, updated_at, job, run, attempts, crashes, kind, start,
    every_run, suspect
)
SELECT n, 1 + n % 20000, n % 3, n, CASE WHEN n % 50 = 0 THEN 2e10 ELSE 0 END, 0, 1,
    CASE WHEN n % 100 = 4 THEN 1 + n % 7 ELSE 0 END, 0, 0, 0, 0, 0,
    CASE WHEN n % 9973 = 0 THEN 1 ELSE 0 END
FROM generate_series(4, {ROWS}, 4) AS n;
INSERT INTO scrapy_resume.unit_count (
    job, unit, state, open, done, failed, parked, ignored, items, items_failed, attempts, cursor
)
SELECT 1, n, n % 6, 0, 1, 0, 0, 0, 0, 0, 1, n FROM generate_series(1, {ROWS}) AS n;
INSERT INTO scrapy_resume.event (job, run, payload)
SELECT 1, n % 50, '[]' FROM generate_series(1, 20000) AS n;
INSERT INTO scrapy_resume.item (request, job, occurrence, key, payload)
SELECT n, 1, 0, CASE WHEN n % 2 = 0 THEN 'key' || n END, '{{}}'
FROM generate_series(1, {ROWS}) AS n;
INSERT INTO scrapy_resume.spill (request, job, run, occurrence, payload)
SELECT n, 1, 1 + n % 50, 0, '{{}}' FROM generate_series(1, {ROWS}) AS n;
INSERT INTO scrapy_resume.cookies (job, run, jar, updated_at, payload)
SELECT 1, n % 50, n::text, 0, '' FROM generate_series(1, 20000) AS n;
ANALYZE;
"""

SMALL = {"job", "run", "host"}
"""Tables with a row for each job, worker, or host in trouble, which may be read from end to end."""

ROW = {"id": 8, "identity": "AAAA", "kind": 0, "parent": 0, "unit": 1, "slot": 3, "state": 2}
VALUES: dict[str, Any] = {
    "job": 1,
    "run": 3,
    "now": 1e9,
    "rows": json.dumps([ROW]),
    "ids": [8, 12],
    "identities": [b"a" * 28, b"b" * 28],
    "requests": [1, 2],
    "attempts": [1, 1],
    "moments": [0.0, 0.0],
    "since": 0.0,
    "changes": [1, 1],
    "crashes": [0, 0],
    "suspects": [0, 0],
    "names": ["host1", "host2"],
    "keys": ["key2", "key4"],
    "records": ["{}", "{}"],
    "seconds": [0.0, 0.0],
    "slots": [3, 4],
    "counts": [5, 5],
    "request": 8,
    "after": 10,
    "through": 5_000,
    "count": 10,
    "first": 500,
    "id": 8,
    "any_owner": False,
    "free_at": 0.0,
    "states": [0, 1],
    "state": 1,
}

HOT = [
    "known claim_identities unclaim_identities reclaim_identities meet leased admit bury continue",
    "finish change_items release spilled drop_spills drop_items item_owners items_after last_item",
    "find_slots find_units claim_slots find_open_slots slot_range slots_of_others give_slots",
    "lease_requests lease_suspect count_suspects pending due_requests next_due end_delays",
    "keep_hosts hosts_of_slots others_at_work units_of hold_units keep_units change_unit_tally",
    "describe_requests describe_units forget_events",
]
AT_DEATHS = (
    "is_open held_then recover empty_spill free_slots old_every_run supersede ready_suspects"
)


@pytest.fixture(scope="module")
def connection(postgres_server: PostgresServer) -> Iterator[Any]:
    psycopg = pytest.importorskip("psycopg")
    from scrapy_resume.store.postgres_schema import ensure_schema

    with psycopg.connect(postgres_server.new_database(), autocommit=True) as connection:
        ensure_schema(connection, "here")
        connection.execute(FILL)
        yield connection


def read_whole(node: dict[str, Any]) -> Iterator[str]:
    """The tables that a plan reads from end to end."""
    if node["Node Type"] == "Seq Scan" and node["Relation Name"] not in SMALL:
        yield node["Relation Name"]
    for child in node.get("Plans", ()):
        yield from read_whole(child)


def check(connection: Any, statement: str) -> None:
    ((plans,),) = connection.execute(f"EXPLAIN (FORMAT JSON) {statement}", VALUES).fetchall()
    assert not list(read_whole(plans[0]["Plan"])), json.dumps(plans, indent=1)


@pytest.mark.parametrize("name", " ".join(HOT).split())
def test_every_hot_statement_finds_its_rows_by_an_index(connection: Any, name: str) -> None:
    check(connection, load_queries("postgres", "commit.sql")[name])


@pytest.mark.parametrize("name", ["units", "units_in_state"])
def test_a_list_of_units_is_read_in_the_order_of_the_index(connection: Any, name: str) -> None:
    statement = load_queries("postgres", "read.sql")[name]
    check(connection, statement)
    ((plans,),) = connection.execute(f"EXPLAIN (FORMAT JSON) {statement}", VALUES).fetchall()
    assert '"Sort"' not in json.dumps(plans)


@pytest.mark.parametrize("name", AT_DEATHS.split())
def test_a_recovery_finds_its_rows_by_an_index(connection: Any, name: str) -> None:
    check(connection, load_queries("postgres", "opening.sql")[name])
