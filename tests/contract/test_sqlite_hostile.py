"""A job's file with more in its schema than the package creates is refused before it is used."""

from __future__ import annotations

import contextlib
import sqlite3
import sys
from pathlib import Path

import pytest

from scrapy_resume.errors import StoreDamagedError
from scrapy_resume.model import Selection, State
from scrapy_resume.store.sqlite import files

from .conftest import Place
from .records import BOOKS, admission, finish

TRIGGER = """
CREATE TRIGGER {name} AFTER {event} ON {table} BEGIN
    UPDATE job SET metadata = 'attacked';
END
"""

HOSTILE = {
    "trigger on control": TRIGGER.format(name="t", event="INSERT", table="control"),
    "trigger on event": TRIGGER.format(name="t", event="DELETE", table="event"),
    "trigger with a name of ours": TRIGGER.format(name="requests", event="UPDATE", table="job"),
    "foreign table": "CREATE TABLE lost_and_found (a)",
    "foreign view": "CREATE VIEW peek AS SELECT * FROM job",
    "foreign index": "CREATE INDEX peek ON job (name)",
    "virtual table": "CREATE VIRTUAL TABLE peek USING fts5(a)",
    "view that was changed": """
        CREATE VIEW progress AS
        WITH RECURSIVE n (a) AS (SELECT 1 UNION ALL SELECT a + 1 FROM n) SELECT a AS job FROM n
    """,
    "view in place of a table": """
        CREATE VIEW cookies AS
        WITH RECURSIVE n (a) AS (SELECT 1 UNION ALL SELECT a + 1 FROM n)
        SELECT a AS jar, a AS payload FROM n
    """,
    "virtual table in place of a table": "CREATE VIRTUAL TABLE cookies USING fts5(jar, payload)",
    "check": "CREATE TABLE cookies (jar TEXT, payload TEXT CHECK (random() <> 1))",
    "generated column": "CREATE TABLE cookies (jar TEXT, payload TEXT AS (hex(zeroblob(9))))",
    "default": "CREATE TABLE cookies (jar TEXT, payload TEXT DEFAULT (hex(zeroblob(9))))",
    "index that computes": "CREATE INDEX item_request ON item (hex(zeroblob(request)))",
}


@pytest.fixture
def path(place: Place) -> Path:
    run = place.begin()
    run.admit(admission(1, lease=True), admission(2))
    run.finish(finish(1, ['"a"']))
    run.close()
    found: Path = place.reader.path(BOOKS)
    return found


def change(path: Path, *statements: str) -> None:
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        for statement in statements:
            connection.execute(statement)


@pytest.mark.parametrize("statement", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_schema_is_refused_by_all_that_open_the_file(
    place: Place, path: Path, statement: str, tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    drop = {
        "VIEW progress": "DROP VIEW progress",
        " cookies": "DROP TABLE cookies",
        "TRIGGER requests": "DROP VIEW requests",
        "INDEX item_request": "DROP INDEX item_request",
    }
    first = [
        remedy for part, remedy in drop.items() if part in statement and " ON c" not in statement
    ]
    if statement.startswith("\nCREATE TRIGGER requests"):
        first = ["DROP VIEW requests"]
    change(path, *first, statement)
    before = path.read_bytes()
    selection = Selection(states=(State.pending,))
    for attempt in (
        lambda: place.resume(),
        lambda: place.reader.summary(BOOKS),
        lambda: place.items(),
        lambda: place.store.verify(BOOKS),
        lambda: place.store.steer(BOOKS, selection, State.parked),
        lambda: place.store.steer(BOOKS, selection, State.parked, dry_run=True),
        lambda: place.store.stop(BOOKS),
        lambda: place.store.recover(BOOKS, 3),
        lambda: place.store.cancel(BOOKS),
        lambda: place.store.backup(BOOKS, copy),
        lambda: place.store.delete_events(BOOKS, [1]),
        lambda: place.store.restore(path),
    ):
        with pytest.raises(StoreDamagedError, match="did not create"):
            attempt()
    assert not copy.exists()
    assert path.read_bytes() == before


def test_an_intact_job_is_opened_after_sqlite_has_analyzed_it(place: Place, path: Path) -> None:
    change(path, "ANALYZE")
    place.resume().close()
    assert place.store.verify(BOOKS).violations == []


@pytest.mark.skipif(sys.version_info < (3, 11), reason="sqlite3 has no limits before Python 3.11")
def test_an_enormous_record_is_an_error_that_names_the_file(
    place: Place, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "LARGEST_RECORD", 100_000)
    change(path, "UPDATE item SET payload = json_quote(hex(zeroblob(100000)))")
    with pytest.raises(StoreDamagedError, match=r"books#1\.sqlite3 has a record that is larger"):
        place.items()
