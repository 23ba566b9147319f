"""Every hot statement finds its rows by an index, however many there are."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Literal

import pytest

from scrapy_resume.model import Selection, State
from scrapy_resume.store.transaction.queries import load_queries
from scrapy_resume.store.transaction.selection import LISTED
from tests.support.postgres import PostgresServer

ROWS = 100_000
MANY = 1_000_000

FILL = """
INSERT INTO scrapy_resume.job (
    name, number, spider, status, created_at, updated_at, arguments, metadata, input_hashes
)
SELECT 'books', n, 'books', 'running', 0, 0, '{}', '{}', '{}' FROM generate_series(1, 2) AS n;
INSERT INTO scrapy_resume.run (
    job, number, worker, process, status, started_at, beat_at, orphan_seconds, delay_seconds,
    next_id
)
SELECT 1, n, 'h:1', '', 'running', 0, 0, 30, 0, 1 FROM generate_series(1, 50) AS n;
INSERT INTO scrapy_resume.slot (job, run, key)
SELECT 1, CASE WHEN n %% 50 = 0 THEN 1 + n %% 7 ELSE 0 END, 'host' || n
FROM generate_series(1, 20000) AS n;
INSERT INTO scrapy_resume.unit (job, name)
SELECT 1, 'unit' || n FROM generate_series(1, 20000) AS n;
INSERT INTO scrapy_resume.seen (request, job, run, identity)
SELECT n, 1, 1, sha224(n::text::bytea) FROM generate_series(1, %(rows)s) AS n;
INSERT INTO scrapy_resume.request (
    id, parent, unit, slot, priority, seq, updated_at, job, depth, kind, state, start, every_run,
    identity, url, payload
)
SELECT n, 0, n, 1 + n %% 20000, 0, n, 0, 1, 1, 0, CASE WHEN n %% 4 = 0 THEN 0 ELSE 2 END, 0, 0,
    sha224(n::text::bytea), 'http://h/' || n, '{}'
FROM generate_series(1, %(rows)s) AS n;
INSERT INTO scrapy_resume.frontier (
    id, slot, priority, seq, not_before, updated_at, job, run, attempts, crashes, kind, start,
    every_run, suspect
)
SELECT n, 1 + n %% 20000, n %% 3, n, CASE WHEN n %% 50 = 0 THEN 2e10 ELSE 0 END, 0, 1,
    CASE WHEN n %% 100 = 4 THEN 1 + n %% 7 ELSE 0 END, 0, 0, 0, 0, 0,
    CASE WHEN n %% 9973 = 0 THEN 1 ELSE 0 END
FROM generate_series(4, %(rows)s, 4) AS n;
INSERT INTO scrapy_resume.given (job, key)
SELECT 1, sha224(n::text::bytea) FROM generate_series(1, %(rows)s) AS n;
INSERT INTO scrapy_resume.unit_count (
    job, unit, state, open, done, failed, parked, ignored, items, items_failed, attempts, cursor
)
SELECT 1, n, n %% 6, 0, 1, 0, 0, 0, 0, 0, 1, n FROM generate_series(1, %(rows)s) AS n;
INSERT INTO scrapy_resume.event (job, run, payload)
SELECT 1, n %% 50, '[]' FROM generate_series(1, 20000) AS n;
INSERT INTO scrapy_resume.item (request, job, run, occurrence, key, payload)
SELECT n, 1, 1 + n %% 50, 0, CASE WHEN n %% 2 = 0 THEN 'key' || n END, '{}'
FROM generate_series(1, %(rows)s) AS n;
INSERT INTO scrapy_resume.spill (request, job, run, occurrence, payload)
SELECT n, 1, 1 + n %% 50, 0, '{}' FROM generate_series(1, %(rows)s) AS n;
INSERT INTO scrapy_resume.step_kind (job, id, name)
SELECT 1, n, 'step' || n FROM generate_series(1, 3) AS n;
INSERT INTO scrapy_resume.stepped (
    id, request, job, version, occurrence, open, updates, shown, key, payload
)
SELECT n, n / 2, 1, 1, n %% 2, 1, n %% 3 / 2, n %% 5 / 4, 'key' || n, '{}'
FROM generate_series(1, %(rows)s) AS n;
INSERT INTO scrapy_resume.step (item, job, kind, state, run, not_before, suspect)
SELECT
    n, 1, 1 + n %% 3, CASE WHEN n %% 500 = 0 THEN 1 WHEN n %% 4 = 0 THEN 0 ELSE 2 END,
    1 + n %% 50, CASE WHEN n %% 20 = 0 THEN 2e10 ELSE 0 END,
    CASE WHEN n %% 9973 = 0 THEN 1 ELSE 0 END
FROM generate_series(1, %(rows)s) AS n;
INSERT INTO scrapy_resume.step_use (job, kind, item, seconds, until)
SELECT 1, 1 + n %% 3, n, 60, n FROM generate_series(1, 5000) AS n;
INSERT INTO scrapy_resume.step_fetch (job, run, id, slot, doer, url, request, result)
SELECT 1, 1 + n %% 7, n, 1 + n %% 20000, n %% 7, '', '{}', CASE WHEN n %% 3 = 0 THEN '{}' END
FROM generate_series(1, 20000) AS n;
INSERT INTO scrapy_resume.taken_back (job, run, number, item, request, occurrence)
SELECT 1, 1 + n %% 50, n, n, n, 0 FROM generate_series(1, %(rows)s) AS n;
INSERT INTO scrapy_resume.trouble (job, state, id)
SELECT 1, 3 + n %% 2, n FROM generate_series(1, %(rows)s, 7) AS n;
INSERT INTO scrapy_resume.minute (job, minute, run, pages, items, done, failed, ignored, open)
SELECT 1, n, n %% 7, 1, 1, 1, 0, 0, 1 FROM generate_series(1, 50000) AS n;
INSERT INTO scrapy_resume.cookies (job, run, jar, updated_at, payload)
SELECT 1, n %% 50, n::text, 0, '' FROM generate_series(1, 20000) AS n;
"""

OF_JOB = {"request", "frontier", "seen", "item", "spill", "stepped", "step", "taken_back"}
"""Tables of a job's rows: what is asked for by its name is not found by the job alone."""

SMALL = {"job", "run", "host", "step_kind", "step_tally", "step_use"}
"""Tables with a row for each job, worker, host in trouble, declared step, or attempt that counts
for a limit, which may be read from end to end."""

ROW = {
    "item": 8,
    "occurrence": 0,
    "id": 8,
    "identity": "AAAA",
    "kind": 0,
    "parent": 0,
    "unit": 1,
    "slot": 3,
    "state": 2,
}
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
    "units": [1, 1],
    "named": [1, 1],
    "crashes": [0, 0],
    "suspects": [0, 0],
    "names": ["host1", "host2"],
    "keys": ["key2", "key4"],
    "given_keys": [b"a" * 28, b"b" * 28],
    "records": ["{}", "{}"],
    "seconds": [0.0, 0.0],
    "slots": [3, 4],
    "counts": [5, 5],
    "request": 8,
    "after": 10,
    "of": 3,
    "through": 5_000,
    "count": 10,
    "first": 500,
    "id": 8,
    "any_owner": False,
    "passed_over": [4],
    "refused": [4, 8],
    "free_at": 0.0,
    "states": [0, 1],
    "state": 1,
    "bound": 1_000,
    "lost_bound": 1_000,
    "examples": 3,
    "minute": 7,
    "pages": 1,
    "items": 1,
    "done": 1,
    "failed": 0,
    "ignored": 0,
    "open": 1,
    "kind": 2,
    "kinds": [1, 2],
    "runs": [2, 3],
    "looked_at": 40,
    "occurrences": [1],
}

HOT = [
    "given known claim_identities unclaim_identities reclaim_identities arrive_again leased admit",
    "add_tombstones continue finish change_items release spilled drop_spills drop_items",
    "item_owners items_after items_of_run last_item",
    "find_slots find_units claim_slots find_open_slots slot_range slots_of_others give_slots",
    "lease_requests lease_suspect count_suspects pending due_requests next_due end_delays",
    "keep_hosts hosts_of_slots others_at_work other_workers",
    "units_of hold_units keep_units change_unit_tally",
    "describe_requests describe_units delete_events keep_minute",
]
READ = "summary runs in_flight_urls failures statuses hosts"
AT_DEATHS = (
    "is_open orphaned_rows recover empty_spill free_slots old_every_run supersede ready_suspects"
)


STEPS = " ".join(
    [
        "find_kinds kinds tally change_tally change_days last_id add_items add_steps",
        "lock_keys_of_requests items_of_requests items_of_keys lock_keys_of_items items steps_of",
        "replace_items drop_other_steps replace_steps keep_items drop_items open_payload",
        "drop_shown drop_visible end_attempts change_steps release_steps hold_ready hold_suspects",
        "take_steps take_suspect leased_items due_steps end_delays next_due drop_uses count_uses",
        "end_uses hold_orphaned orphaned_steps recover_steps",
    ]
)
FETCHES = "want give_up unowned end answers forget leave"
STEPS_BY_NAME = (
    "items_of_requests items_of_keys items steps_of replace_items drop_other_steps keep_items "
    "drop_items open_payload end_attempts change_steps release_steps "
    "take_steps take_suspect end_delays recover_steps"
)
BY_NAME = (
    "known leased continue finish release change_items reclaim_identities claim_slots end_delays "
    "unclaim_identities arrive_again drop_spills lease_requests"
)
"""Statements about rows that are named one by one."""

Statistics = Literal["none", "of another job", "fresh"]


def filled(server: PostgresServer, rows: int, statistics: Statistics) -> Iterator[Any]:
    """A connection to a job with so many rows."""
    psycopg = pytest.importorskip("psycopg")
    from scrapy_resume.store.postgres.schema import ensure_schema

    url = server.new_database()
    with psycopg.connect(url, autocommit=True) as connection:
        ensure_schema(connection, "here")
        for table in OF_JOB:
            connection.execute(f"ALTER TABLE scrapy_resume.{table} SET (autovacuum_enabled = off)")
        psycopg.ClientCursor(connection).execute(FILL, {"rows": rows})
        if statistics == "of another job":
            for table in OF_JOB:
                connection.execute(f"UPDATE scrapy_resume.{table} SET job = 2")
            connection.execute("ANALYZE")
            for table in OF_JOB:
                connection.execute(f"UPDATE scrapy_resume.{table} SET job = 1")
        elif statistics == "fresh":
            connection.execute("ANALYZE")
        yield connection
    server.drop_database(url)


@pytest.fixture(scope="module")
def connection(postgres_server: PostgresServer) -> Iterator[Any]:
    yield from filled(postgres_server, ROWS, "fresh")


@pytest.fixture(scope="module", params=["none", "of another job"])
def strange(request: pytest.FixtureRequest, postgres_server: PostgresServer) -> Iterator[Any]:
    """A job that the server's statistics don't know: it began a minute ago."""
    yield from filled(postgres_server, ROWS // 5, request.param)


@pytest.fixture(scope="module")
def million(postgres_server: PostgresServer) -> Iterator[Any]:
    yield from filled(postgres_server, MANY, "fresh")


def nodes(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield node
    for child in node.get("Plans", ()):
        yield from nodes(child)


def plan_of(
    connection: Any, statement: str, values: Mapping[str, Any] | None = None
) -> list[dict[str, Any]]:
    given = VALUES if values is None else values
    ((plans,),) = connection.execute(f"EXPLAIN (FORMAT JSON) {statement}", given).fetchall()
    return list(nodes(plans[0]["Plan"]))


def read_whole(plan: list[dict[str, Any]]) -> set[str]:
    """The tables that a plan reads from end to end."""
    return {node["Relation Name"] for node in plan if node["Node Type"] == "Seq Scan"} - SMALL


def check(connection: Any, statement: str) -> None:
    plan = plan_of(connection, statement)
    assert not read_whole(plan), json.dumps(plan[0], indent=1)


def check_by_name(connection: Any, statement: str) -> None:
    """No scan is narrowed by the job, the run or the slot alone."""
    check(connection, statement)
    plan = plan_of(connection, statement)
    for node in plan:
        condition = node.get("Index Cond", "")
        of_job = node.get("Relation Name") in OF_JOB or "Bitmap Index" in node["Node Type"]
        by_name = re.search(r"\b(id|identity|request|slot|item|key|run) = ", condition)
        assert not (of_job and condition) or by_name, json.dumps(plan[0], indent=1)


@pytest.mark.parametrize("name", " ".join(HOT).split())
def test_every_hot_statement_finds_its_rows_by_an_index(connection: Any, name: str) -> None:
    check(connection, load_queries("postgres", "commit.sql")[name])


@pytest.mark.parametrize("name", STEPS.split())
def test_every_statement_about_steps_finds_its_rows_by_an_index(connection: Any, name: str) -> None:
    check(connection, load_queries("postgres", "steps.sql")[name])


@pytest.mark.parametrize("name", STEPS_BY_NAME.split())
def test_steps_of_a_job_without_statistics_are_found_one_by_one(strange: Any, name: str) -> None:
    check_by_name(strange, load_queries("postgres", "steps.sql")[name])


@pytest.mark.parametrize("name", FETCHES.split())
def test_downloads_of_steps_are_found_by_an_index(connection: Any, name: str) -> None:
    check(connection, load_queries("postgres", "fetches.sql")[name])


def test_downloads_to_do_are_looked_for_among_those_that_nobody_does(connection: Any) -> None:
    """Every commit of a worker looks for them."""
    plan = plan_of(connection, load_queries("postgres", "fetches.sql")["take"])
    assert "step_fetch" not in read_whole(plan)
    assert "step_fetch_wanted" in {node.get("Index Name") for node in plan}


def test_no_more_items_are_held_than_steps_are_wanted(connection: Any) -> None:
    """Others lease what comes after them."""
    limit, *_ = plan_of(connection, load_queries("postgres", "steps.sql")["hold_ready"])
    assert limit["Node Type"] == "Limit"
    assert "LockRows" in [node["Node Type"] for node in limit["Plans"]]


@pytest.mark.parametrize(
    "name", ["find_open_slots", "lease_requests", "lease_suspect", "count_suspects", "pending"]
)
def test_a_run_that_refuses_rows_finds_others_by_an_index(connection: Any, name: str) -> None:
    statement = load_queries("postgres", "commit.sql", refused=True)[name]
    assert "%(refused)s" in statement
    check(connection, statement)


@pytest.mark.parametrize("name", ["units", "units_in_state"])
def test_a_list_of_units_is_read_in_the_order_of_the_index(connection: Any, name: str) -> None:
    statement = load_queries("postgres", "read.sql")[name]
    check(connection, statement)
    ((plans,),) = connection.execute(f"EXPLAIN (FORMAT JSON) {statement}", VALUES).fetchall()
    assert '"Sort"' not in json.dumps(plans)


@pytest.mark.parametrize("name", AT_DEATHS.split())
def test_a_recovery_finds_its_rows_by_an_index(connection: Any, name: str) -> None:
    check(connection, load_queries("postgres", "opening.sql")[name])


@pytest.mark.parametrize("name", BY_NAME.split())
def test_rows_of_a_job_without_statistics_are_found_one_by_one(strange: Any, name: str) -> None:
    """Its first minute, that is, in which there may be a hundred thousand already."""
    check_by_name(strange, load_queries("postgres", "commit.sql")[name])


def test_slots_that_nobody_has_are_not_compared_with_all_that_have_rows(strange: Any) -> None:
    """Those of finished hosts are free too: thousands, times thousands."""
    plan = plan_of(strange, load_queries("postgres", "commit.sql")["find_open_slots"])
    found = [node for node in plan if node.get("Relation Name") == "slot"]
    assert [node.get("Index Cond") for node in found] == ["(id = o.slot)"]


@pytest.mark.soak
@pytest.mark.parametrize("name", " ".join(HOT).split())
def test_a_million_rows_change_no_plan(million: Any, name: str) -> None:
    statement = load_queries("postgres", "commit.sql")[name]
    (check_by_name if name in BY_NAME.split() else check)(million, statement)


@pytest.mark.parametrize("name", READ.split())
def test_a_screen_reads_no_table_from_end_to_end(connection: Any, name: str) -> None:
    check(connection, load_queries("postgres", "read.sql")[name])


def test_the_last_minutes_are_found_by_the_key(connection: Any) -> None:
    statement = load_queries("postgres", "read.sql")["minutes"]
    values = {"job": 1, "since": 49_970}
    plan = plan_of(connection, statement, values)
    assert not read_whole(plan), json.dumps(plan[0], indent=1)


@pytest.mark.parametrize("states", [(State.failed,), (State.parked,), (State.leased,)])
def test_a_few_requests_of_a_state_are_found_without_reading_all(
    connection: Any, states: tuple[State, ...]
) -> None:
    from scrapy_resume.store.postgres.selection import selected

    where, values = selected(Selection(states))
    statement = (
        f"SELECT {LISTED} FROM scrapy_resume.requests AS v WHERE {where} ORDER BY v.id LIMIT 5"
    )
    plan = plan_of(connection, statement, {**values, "job": 1})
    assert "request" not in read_whole(plan), json.dumps(plan[0], indent=1)


def test_what_is_skipped_is_found_without_reading_all(connection: Any) -> None:
    from scrapy_resume.store.postgres.selection import selected

    where, values = selected(Selection((State.ignored,), skipped=True))
    statement = (
        f"SELECT {LISTED} FROM scrapy_resume.requests AS v WHERE {where} ORDER BY v.id LIMIT 5"
    )
    plan = plan_of(connection, statement, {**values, "job": 1})
    assert "request" not in read_whole(plan), json.dumps(plan[0], indent=1)
