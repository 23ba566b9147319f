"""A store of an older version is brought to this package's schema: whole, or not at all.

Beside the package's own steps, some to the versions after the newest are made up here.
"""

from __future__ import annotations

import contextlib
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from scrapy_resume.errors import (
    ConfigurationError,
    JobLockedError,
    SchemaTooNewError,
    StoreError,
)
from scrapy_resume.model import Selection, State
from scrapy_resume.store.contract import JobStore
from scrapy_resume.store.sqlite import migrations as sqlite_migrations
from scrapy_resume.store.transaction.migrations import Migration
from scrapy_resume.store.transaction.queries import read_sql

from .conftest import Place
from .records import BOOKS, admission, finish, opening

NEWEST = sqlite_migrations.SCHEMA.version

# {0} stands for the schema's name and a dot, where there is one.
COLOUR = """
-- What it is for; a semicolon in a comment.
ALTER TABLE {0}job ADD COLUMN colour TEXT NOT NULL DEFAULT 'red;';
UPDATE {0}job SET colour = 'blue';
"""
SHAPE = "CREATE TABLE {0}shape (name TEXT);\n"
BROKEN = SHAPE + "INSERT INTO {0}nowhere VALUES (1);\n"


class OldPlace:
    """A place whose jobs are of ``NEWEST``, and the package that knows steps to newer ones."""

    def __init__(self, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
        self.place = place
        self._patch = monkeypatch
        self._schema = sqlite_migrations.SCHEMA
        if place.store.shared:
            from scrapy_resume.store.postgres.schema import SCHEMA

            self._schema = SCHEMA
        self._real = list(self._schema.migrations)

    def package_has(self, *scripts: str) -> None:
        """The migrations of the package after ``NEWEST``."""
        steps = [self._step(version, script) for version, script in enumerate(scripts, NEWEST + 1)]
        self._patch.setattr(self._schema, "migrations", [*self._real, *steps])

    def _step(self, version: int, script: str) -> Migration:
        if self.place.store.shared:
            return Migration(version, script.format("scrapy_resume."))
        return Migration(version, script.format("") + f"PRAGMA user_version = {version};\n")

    def query(self, statement: str) -> list[Any]:
        if self.place.store.shared:
            with self.place.reader._link.alone() as connection:
                rows: list[Any] = connection.execute(statement.format("scrapy_resume.")).fetchall()
                return rows
        path = self.place.reader.path(BOOKS)
        with contextlib.closing(sqlite3.connect(path)) as connection:
            return connection.execute(statement.format("")).fetchall()

    def versions(self) -> list[int]:
        """Those that the store records, in order."""
        if not self.place.store.shared:
            ((version,),) = self.query("PRAGMA user_version")
            assert version == self.query("SELECT max(version) FROM migration")[0][0]
        rows = self.query("SELECT version FROM {0}migration ORDER BY version")
        return [version for (version,) in rows]


@pytest.fixture
def old(place: Place, monkeypatch: pytest.MonkeyPatch) -> OldPlace:
    """With a job: one request is done, one is pending."""
    run = place.begin()
    run.admit(admission(1, lease=True), admission(2))
    run.finish(finish(1, ["one"]))
    run.close()
    return OldPlace(place, monkeypatch)


def test_a_new_store_has_the_newest_version(old: OldPlace) -> None:
    assert old.versions() == [NEWEST]


def test_a_job_of_an_older_version_goes_on_with_what_it_holds(old: OldPlace) -> None:
    old.package_has(COLOUR, SHAPE)
    run = old.place.resume()
    assert old.versions() == [NEWEST, NEWEST + 1, NEWEST + 2]
    assert old.query("SELECT colour FROM {0}job") == [("blue",)]
    assert old.query("SELECT * FROM {0}shape") == []
    [row] = run.lease()
    run.finish(finish(row.id, ["two"]))
    assert run.close("completed", "finished") == "completed"
    assert old.place.items() == ["one", "two"]
    assert old.place.states() == {"1": "done", "2": "done"}


def test_a_step_is_applied_once(old: OldPlace) -> None:
    old.package_has(COLOUR)
    old.place.resume().close()
    old.place.resume().close()
    assert old.versions() == [NEWEST, NEWEST + 1]
    old.package_has(COLOUR, SHAPE)
    old.place.resume().close()
    assert old.versions() == [NEWEST, NEWEST + 1, NEWEST + 2]


def test_a_command_migrates_a_job_that_nobody_crawls(old: OldPlace) -> None:
    old.package_has(COLOUR)
    old.place.store.cancel(BOOKS)
    assert old.place.reader.summary(BOOKS).status == "cancelled"


def test_a_step_that_fails_leaves_nothing_behind(old: OldPlace) -> None:
    old.package_has(BROKEN)
    with pytest.raises(StoreError, match="nowhere"):
        old.place.resume()
    assert old.versions() == [NEWEST]
    old.package_has(SHAPE)  # would fail if the table were there
    run = old.place.resume()
    assert old.versions() == [NEWEST, NEWEST + 1]
    assert run.session.frontier.pending


def test_a_newer_version_is_refused_and_left_alone(old: OldPlace) -> None:
    old.package_has(COLOUR)
    old.place.resume().close()
    old.package_has()
    for question in (
        lambda: old.place.resume(),
        lambda: old.place.reader.summary(BOOKS),
        lambda: old.place.store.cancel(BOOKS),
        lambda: next(old.place.reader.requests(BOOKS)),
    ):
        with pytest.raises(SchemaTooNewError, match="upgrade scrapy-resume"):
            question()
    assert old.versions() == [NEWEST, NEWEST + 1]


def test_many_that_start_at_once_migrate_once(old: OldPlace) -> None:
    old.package_has(COLOUR, SHAPE)

    def start(number: int) -> JobStore | None:
        try:
            return old.place.another_store().resume(BOOKS, opening(f"host:{number}"))
        except JobLockedError:
            return None

    with ThreadPoolExecutor(4) as threads:
        started = [job for job in threads.map(start, range(4)) if job is not None]
    for job in started:
        job.abandon()
    assert started
    assert old.versions() == [NEWEST, NEWEST + 1, NEWEST + 2]


def test_nothing_is_migrated_under_who_crawls(old: OldPlace) -> None:
    """A run of an older version does not keep what a newer one counts on."""
    run = old.place.resume()
    old.package_has(COLOUR)
    with pytest.raises((JobLockedError, ConfigurationError), match=r"host:1|pid 1 on host"):
        old.place.another_store().resume(BOOKS, opening("host:2"))
    with contextlib.suppress(JobLockedError, ConfigurationError):
        old.place.another_store().cancel(BOOKS)
    assert old.versions() == [NEWEST]
    assert run.lease()
    run.close()
    old.place.resume()
    assert old.versions() == [NEWEST, NEWEST + 1]


# The package's own steps

FIRST_SCHEMAS = Path(__file__).with_name("first_schema")


POSTGRES_DOWN_TO_1 = """
DROP VIEW {0}workers;
ALTER TABLE {0}run DROP COLUMN units, DROP COLUMN unit_pages, DROP COLUMN named_pages,
    DROP COLUMN cursor;
ALTER TABLE {0}unit_tally DROP COLUMN named;
ALTER TABLE {0}request DROP COLUMN kept, DROP COLUMN round;
ALTER TABLE {0}frontier DROP COLUMN retried;
ALTER TABLE {0}job DROP COLUMN round, DROP COLUMN round_from;
UPDATE {0}migration SET version = 1;
"""


def down_to_1(old: OldPlace) -> None:
    """Make the store one of version 1."""
    if old.place.store.shared:
        with old.place.reader._link.alone() as connection:
            connection.execute(POSTGRES_DOWN_TO_1.format("scrapy_resume."))
        return
    path = old.place.reader.path(BOOKS)
    newer = path.rename(path.with_suffix(".newer"))
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.executescript((FIRST_SCHEMAS / "sqlite.sql").read_text())
        connection.execute("ATTACH ? AS newer", (str(newer),))
        tables = connection.execute("SELECT name FROM main.sqlite_schema WHERE type = 'table'")
        for (name,) in tables.fetchall():
            columns = [row[1] for row in connection.execute(f"PRAGMA main.table_info({name})")]
            listed = ", ".join(columns)
            connection.execute(f"DELETE FROM main.{name}")
            connection.execute(
                f"INSERT INTO main.{name} ({listed}) SELECT {listed} FROM newer.{name}"
            )
        connection.execute("UPDATE main.migration SET version = 1")
    newer.unlink()


def test_a_store_of_an_older_version_is_read_before_it_is_migrated(old: OldPlace) -> None:
    down_to_1(old)
    reader = old.place.reader
    assert reader.summary(BOOKS).counts.done == 1
    (run,) = reader.runs(BOOKS)
    assert (run["units"], run["unit_pages"], run["named_pages"], run["cursor"]) == (0, 0, 0, None)
    assert sum(reader.unit_tally(BOOKS).values()) == 2
    assert not any(reader.named_unit_tally(BOOKS).values()), "not known before it is migrated"
    assert reader.workers(BOOKS) == []
    assert old.versions()[-1] == 1


def test_a_file_of_an_older_version_is_verified_as_it_is(exclusive_place: Place) -> None:
    """It is not migrated for it, and lacks what later versions check."""
    place = exclusive_place
    run = place.begin()
    run.admit(admission(1, lease=True), admission(2))
    run.finish(finish(1, ["{}"]))
    run.close()
    old = OldPlace(place, pytest.MonkeyPatch())
    down_to_1(old)
    assert place.store.verify(BOOKS).violations == []
    assert old.versions() == [1]
    with contextlib.closing(sqlite3.connect(place.reader.path(BOOKS))) as connection, connection:
        connection.execute("UPDATE job SET done = done + 1")
    assert place.store.verify(BOOKS).violations == ["the job counts 2 done, there are 1"]


def test_units_that_have_a_name_are_counted_when_a_store_is_migrated(place: Place) -> None:
    run = place.begin()
    rows = [admission(row, unit=unit, lease=True) for row, unit in enumerate(["a", "a", "b", 4], 1)]
    run.admit(*rows)
    run.finish(finish(1), finish(2), finish(4))
    run.close()
    old = OldPlace(place, pytest.MonkeyPatch())
    down_to_1(old)
    place.resume().close()
    named = {state.name: count for state, count in place.reader.named_unit_tally(BOOKS).items()}
    assert {name: count for name, count in named.items() if count} == {"completed": 1, "pending": 1}


def test_a_migrated_file_has_the_schema_of_a_new_one() -> None:
    migrated = sqlite_schema((FIRST_SCHEMAS / "sqlite.sql").read_text(), migrating=True)
    assert migrated == sqlite_schema(read_sql("sqlite", "schema.sql"))


def sqlite_schema(script: str, *, migrating: bool = False) -> dict[str, Any]:
    with contextlib.closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        connection.executescript(script)
        if migrating:
            assert sqlite_migrations.migrate(connection, 1) == NEWEST
        tables = connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")
        columns = {
            name: connection.execute(f"PRAGMA table_xinfo({name})").fetchall()
            for (name,) in tables.fetchall()
        }
        others = connection.execute("SELECT name, sql FROM sqlite_schema WHERE type <> 'table'")
        return {**columns, **dict(others), "": connection.execute("PRAGMA user_version").fetchall()}


def test_a_migrated_database_has_the_schema_of_a_new_one(postgres_server: Any) -> None:
    import psycopg

    from scrapy_resume.store.postgres.schema import ensure_schema

    found = []
    for first in ((FIRST_SCHEMAS / "postgres.sql").read_text(), None):
        with psycopg.connect(postgres_server.new_database(), autocommit=True) as connection:
            if first is not None:
                connection.execute(first)
                connection.execute("INSERT INTO scrapy_resume.migration VALUES (1, 0)")
            ensure_schema(connection, "here")
            found.append([connection.execute(query).fetchall() for query in POSTGRES_SCHEMA])
    assert found[0] == found[1]
    assert len(found[0][0]) > 150


POSTGRES_SCHEMA = (
    "SELECT table_name, ordinal_position, column_name, data_type, is_nullable, column_default"
    " FROM information_schema.columns WHERE table_schema = 'scrapy_resume' ORDER BY 1, 2",
    "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'scrapy_resume' ORDER BY 1",
    "SELECT viewname, definition FROM pg_views WHERE schemaname = 'scrapy_resume' ORDER BY 1",
    "SELECT relname, reloptions FROM pg_class WHERE relnamespace = 'scrapy_resume'::regnamespace"
    " ORDER BY 1",
    "SELECT max(version) FROM scrapy_resume.migration",
)


def test_a_request_that_version_1_had_retried_keeps_its_items(old: OldPlace) -> None:
    """Whether the last execution was done is not known: nothing is taken back on a guess."""
    done = Selection((State.done,), url="*/1")
    assert old.place.store.steer(BOOKS, done, State.pending) == 1
    down_to_1(old)
    run = old.place.resume()
    assert old.versions() == [1, *range(2, NEWEST + 1)]
    run.lease()
    run.finish(finish(1, state=State.failed, supersedes=True), finish(2, ["two"]))
    assert old.place.items() == ["one", "two"]


# PostgreSQL


def test_a_session_that_ends_within_a_step_leaves_nothing_behind(
    shared_place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared_place.begin().close()
    old = OldPlace(shared_place, monkeypatch)
    old.package_has(COLOUR + "SELECT pg_terminate_backend(pg_backend_pid());\n")
    with pytest.raises(StoreError):
        shared_place.resume()
    assert old.versions() == [NEWEST]
    old.package_has(COLOUR)
    shared_place.resume()
    assert old.versions() == [NEWEST, NEWEST + 1]


def test_a_database_is_not_migrated_under_workers_of_an_older_version(
    shared_place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    from scrapy_resume.store.postgres.schema import ensure_schema

    shared_place.begin().close()
    old = OldPlace(shared_place, monkeypatch)
    old.package_has(COLOUR)
    with shared_place.reader._link.alone() as connection:
        connection.execute(
            "UPDATE scrapy_resume.run SET status = 'running',"
            " beat_at = extract(epoch FROM clock_timestamp())"
        )
        with pytest.raises(ConfigurationError, match=r"older version .* at work: host:1\."):
            ensure_schema(connection, "here")
        assert old.versions() == [NEWEST]
        connection.execute("UPDATE scrapy_resume.run SET beat_at = 0")
        ensure_schema(connection, "here")
    assert old.versions() == [NEWEST, NEWEST + 1]
