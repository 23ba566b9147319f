"""Every hot statement finds its rows by an index, however many there are."""

from __future__ import annotations

import contextlib
import re
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from scrapy_resume.model import Selection, State
from scrapy_resume.store.sqlite.reader import SqliteReader
from scrapy_resume.store.sqlite.selection import selected
from scrapy_resume.store.sqlite.store import SqliteStore
from scrapy_resume.store.transaction.queries import load_queries
from scrapy_resume.store.transaction.selection import LISTED

from .records import BOOKS, opening

ROWS = 100_000

FILL = f"""
WITH RECURSIVE n (id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM n WHERE id < {ROWS})
INSERT INTO request (
    id, identity_head, identity_tail, kind, parent, unit, slot, state, priority, start, seq,
    not_before, depth, every_run, run, url, payload, updated_at, suspect
)
SELECT
    id, random(), randomblob(12), 0, 0, id, 1 + id % 50,
    CASE WHEN id % 1000 = 0 THEN 1 WHEN id % 10 = 0 THEN 0 WHEN id % 77 = 0 THEN 3 ELSE 2 END,
    id % 3, 0, id, CASE WHEN id % 500 = 10 THEN 2e10 ELSE 0 END, 1, id % 20000 = 20, 1,
    'http://h/' || id, '{{}}', 0, id % 10000 = 30
FROM n;
INSERT INTO slot (id, key, pending)
SELECT slot, 'h' || slot, sum(state = 0 AND not_before = 0 AND suspect = 0)
FROM request GROUP BY slot;
INSERT INTO slot (id, key) SELECT id + 1000, 'quiet' || id FROM request WHERE id < 20000;
INSERT INTO unit (name) SELECT 'unit' || id FROM request WHERE id < 20000;
INSERT INTO given SELECT identity_head, identity_tail FROM request;
INSERT INTO unit_count (
    unit, state, open, done, failed, parked, ignored, items, items_failed, attempts, cursor
)
SELECT id, id % 6, 0, 1, 0, 0, 0, 0, 0, 1, id FROM request;
INSERT INTO alias SELECT random(), randomblob(12), id FROM request WHERE id % 20 = 0;
INSERT INTO item (request, occurrence, key, payload)
SELECT id, 0, CASE WHEN id % 2 THEN 'k' || id END, '{{}}' FROM request WHERE state = 2;
INSERT INTO spill (request, occurrence, payload) SELECT id, 0, '' FROM request WHERE state = 1;
UPDATE job SET
    pending = (SELECT count(*) FROM request WHERE state = 0),
    leased = (SELECT count(*) FROM request WHERE state = 1),
    delayed = (SELECT count(*) FROM request WHERE state = 0 AND not_before > 0),
    next_id = {ROWS + 1};
"""


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One job with very many rows, at rest."""
    directory = tmp_path_factory.mktemp("plans")
    SqliteStore(directory).begin(BOOKS, opening()).abandon()
    with contextlib.closing(sqlite3.connect(SqliteReader(directory).path(BOOKS))) as connection:
        connection.executescript(f"BEGIN; {FILL} COMMIT;")
    return directory


@pytest.fixture
def connection(directory: Path) -> Iterator[sqlite3.Connection]:
    path = SqliteReader(directory).path(BOOKS)
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        yield connection


WHOLE = {
    "empty_spill": "what is left of provisional items, all of it",
    "cookies": "all jars",
    "runs": "all runs",
    "unit_tally": "a row for each state",
    "named_tally": "a row for each state",
    "events": "all that is to be told",
    "items": "all items",
    "recorded_texts": "all that the codec has written",
    "failures": "what has failed, sorted by error; bounded",
    "statuses": "the last requests, sorted by HTTP status; bounded",
    "hosts": "the last requests, sorted by slot; bounded",
    "start_items": "all items of start(); asked at most once in a run, of a job with such items",
    "attach_earlier": "another file",
    "detach_earlier": "another file",
    "carry_given": "all that gave items, of a whole job",
    "earlier_has_steps": "another file",
    "earlier_partial": "what has no end yet, or a bad one, of a whole job",
    "kinds": "a row for each step that people have declared",
    "tally": "the same",
}
"""Statements that are for everything in a table."""

NARROW = re.compile(
    r"SCAN \w+ VIRTUAL TABLE"
    r"|SCAN \w+ USING (COVERING )?INDEX"
    r" (request_(leased|suspects|every_run)|slot_open|feed_unsettled"
    r"|step_(delayed|running|suspects))\b"
    r"|SCAN (job|j|spider_state|host|run|step_use|sqlite_schema|CONSTANT ROW)$"
)
"""Scans of a list, of indices that hold open rows only, and of tables with few rows."""


def statements() -> list[tuple[str, str]]:
    return [
        (name, statement)
        for file in ("commit.sql", "opening.sql", "read.sql", "steps.sql")
        for name, statement in load_queries("sqlite", file).items()
        if name not in WHOLE
    ]


def plan(connection: sqlite3.Connection, statement: str) -> list[str]:
    parameters = dict.fromkeys(re.findall(r":(\w+)", statement), 1) or [1] * statement.count("?")
    rows = connection.execute(f"EXPLAIN QUERY PLAN {statement}", parameters)
    return [row[3] for row in rows]


@pytest.mark.parametrize(("name", "statement"), statements(), ids=[n for n, _ in statements()])
def test_every_statement_finds_its_rows_by_an_index(
    connection: sqlite3.Connection, name: str, statement: str
) -> None:
    for step in plan(connection, statement):
        assert not step.startswith("SCAN") or NARROW.match(step), step
        assert "TEMP B-TREE" not in step


def test_rows_are_leased_in_order_of_the_index(connection: sqlite3.Connection) -> None:
    steps = plan(connection, load_queries("sqlite", "commit.sql")["lease_requests"])
    assert steps[0] == "SEARCH r USING INDEX request_pending (slot=?)"


@pytest.mark.parametrize(
    ("name", "index"),
    [
        ("known_requests", "request_identity"),
        ("known_aliases", "alias_identity"),
        ("due_requests", "request_delayed"),
        ("next_due", "request_delayed"),
        ("lease_suspect", "request_suspects"),
        ("count_suspects", "request_suspects"),
        ("item_owners", "item_key"),
        ("drop_items", "item_request"),
        ("drop_spills", "spill_request"),
        ("spilled", "spill_request"),
    ],
)
def test_the_index_is_the_one_that_was_made_for_it(
    connection: sqlite3.Connection, name: str, index: str
) -> None:
    steps = plan(connection, load_queries("sqlite", "commit.sql")[name])
    assert any(f"INDEX {index} " in f"{step} " for step in steps), steps


@pytest.mark.parametrize("name", ["units", "units_in_state"])
def test_a_list_of_units_is_read_in_the_order_of_the_index(
    connection: sqlite3.Connection, name: str
) -> None:
    steps = plan(connection, load_queries("sqlite", "read.sql")[name])
    assert "INDEX unit_count_state (state" in steps[0], steps
    assert not any("TEMP B-TREE" in step for step in steps)


@pytest.mark.parametrize(
    ("name", "step"),
    [
        ("failures", "SEARCH request USING INDEX request_troubled (state=?)"),
        ("minutes", "SEARCH minute USING PRIMARY KEY (minute>?)"),
        ("in_flight_urls", "SEARCH r USING INTEGER PRIMARY KEY (rowid=?)"),
    ],
)
def test_a_screen_reads_what_it_shows(connection: sqlite3.Connection, name: str, step: str) -> None:
    assert step in plan(connection, load_queries("sqlite", "read.sql")[name])


@pytest.mark.parametrize("name", ["statuses", "hosts"])
def test_what_no_counter_is_kept_for_is_counted_among_the_last(
    connection: sqlite3.Connection, name: str
) -> None:
    statement = load_queries("sqlite", "read.sql")[name]
    assert "ORDER BY id DESC LIMIT :bound" in statement
    steps = plan(connection, statement)
    assert "SCAN request" in steps, "in the order of its key, and no further than the bound"
    assert sum(step.startswith("SCAN") for step in steps) == 2, "the other is of what was counted"


@pytest.mark.parametrize("state", [State.failed, State.parked, State.leased])
def test_a_few_requests_of_a_state_are_found_without_reading_all(
    connection: sqlite3.Connection, state: State
) -> None:
    source, where, values = selected(Selection((state,)))
    statement = f"SELECT {LISTED} FROM {source} WHERE {where} ORDER BY v.id LIMIT 5"
    rows = connection.execute(f"EXPLAIN QUERY PLAN {statement}", values)
    for *_, step in rows:
        assert not step.startswith("SCAN") or "request_leased" in step or step == "SCAN run", step


def test_what_is_skipped_is_found_and_counted_by_its_own_index(
    connection: sqlite3.Connection,
) -> None:
    source, where, values = selected(Selection((State.ignored,), skipped=True))
    listed = f"SELECT {LISTED} FROM {source} WHERE {where} ORDER BY v.id LIMIT 5"
    counted = load_queries("sqlite", "skips.sql")["count"]
    for statement, given in ((listed, values), (counted, {})):
        steps = [step for *_, step in connection.execute(f"EXPLAIN QUERY PLAN {statement}", given)]
        scans = [step for step in steps if step.startswith("SCAN") and step != "SCAN run"]
        assert len(scans) == 1, steps
        assert "request_skipped" in scans[0], steps


@pytest.mark.parametrize("name", ["keys", "put_row_keys", "delete_row_keys", "roots"])
def test_what_is_said_of_keys_is_found_by_them(connection: sqlite3.Connection, name: str) -> None:
    for step in plan(connection, load_queries("sqlite", "skips.sql")[name]):
        assert not step.startswith("SCAN") or "VIRTUAL TABLE" in step or "SCAN j" in step, step


def test_urls_that_a_file_names_are_found_by_identity(connection: sqlite3.Connection) -> None:
    values = {"identities": '["' + "00" * 20 + '"]'}
    statement = load_queries("sqlite", "filters.sql")["known_identities"]
    connection.create_function("identity_head", 1, len)
    connection.create_function("identity_tail", 1, len)
    steps = [step for *_, step in connection.execute(f"EXPLAIN QUERY PLAN {statement}", values)]
    assert any("request_identity" in step for step in steps), steps
    assert any("alias_identity" in step for step in steps), steps


def test_an_opening_costs_what_is_open_not_what_is_known(directory: Path) -> None:
    store = SqliteStore(directory)
    store.resume(BOOKS, opening()).abandon()
    started = time.process_time()
    job = store.resume(BOOKS, opening())
    spent = time.process_time() - started
    job.abandon()
    assert sum(job.session.frontier.pending.values()) > 9000
    assert spent < 0.2
