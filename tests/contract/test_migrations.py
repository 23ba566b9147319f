"""A store of an older version is brought to this package's schema: whole, or not at all.

The schema has one version so far: the steps to the next ones are made up here.
"""

from __future__ import annotations

import contextlib
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from scrapy_resume.errors import (
    ConfigurationError,
    JobLockedError,
    SchemaTooNewError,
    StoreError,
)
from scrapy_resume.store.contract import JobStore
from scrapy_resume.store.sqlite import migrations as sqlite_migrations
from scrapy_resume.store.transaction.migrations import Migration

from .conftest import Place
from .records import BOOKS, admission, finish, opening

# {0} stands for the schema's name and a dot, where there is one.
COLOUR = """
-- What it is for; a semicolon in a comment.
ALTER TABLE {0}job ADD COLUMN colour TEXT NOT NULL DEFAULT 'red;';
UPDATE {0}job SET colour = 'blue';
"""
SHAPE = "CREATE TABLE {0}shape (name TEXT);\n"
BROKEN = SHAPE + "INSERT INTO {0}nowhere VALUES (1);\n"


class OldPlace:
    """A place whose jobs are of version 1, and the package that knows steps to newer ones."""

    def __init__(self, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
        self.place = place
        self._patch = monkeypatch
        self._schema = sqlite_migrations.SCHEMA
        if place.store.shared:
            from scrapy_resume.store.postgres.schema import SCHEMA

            self._schema = SCHEMA

    def package_has(self, *scripts: str) -> None:
        """The migrations of the package, from version 2 on."""
        steps = [self._step(version, script) for version, script in enumerate(scripts, 2)]
        self._patch.setattr(self._schema, "migrations", steps)

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
    assert old.versions() == [1]


def test_a_job_of_an_older_version_goes_on_with_what_it_holds(old: OldPlace) -> None:
    old.package_has(COLOUR, SHAPE)
    run = old.place.resume()
    assert old.versions() == [1, 2, 3]
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
    assert old.versions() == [1, 2]
    old.package_has(COLOUR, SHAPE)
    old.place.resume().close()
    assert old.versions() == [1, 2, 3]


def test_a_command_migrates_a_job_that_nobody_crawls(old: OldPlace) -> None:
    old.package_has(COLOUR)
    old.place.store.cancel(BOOKS)
    assert old.place.reader.summary(BOOKS).status == "cancelled"


def test_a_step_that_fails_leaves_nothing_behind(old: OldPlace) -> None:
    old.package_has(BROKEN)
    with pytest.raises(StoreError, match="nowhere"):
        old.place.resume()
    assert old.versions() == [1]
    old.package_has(SHAPE)  # would fail if the table were there
    run = old.place.resume()
    assert old.versions() == [1, 2]
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
    assert old.versions() == [1, 2]


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
    assert old.versions() == [1, 2, 3]


def test_nothing_is_migrated_under_who_crawls(old: OldPlace) -> None:
    """A run of an older version does not keep what a newer one counts on."""
    run = old.place.resume()
    old.package_has(COLOUR)
    with pytest.raises((JobLockedError, ConfigurationError), match=r"host:1|pid 1 on host"):
        old.place.another_store().resume(BOOKS, opening("host:2"))
    with contextlib.suppress(JobLockedError, ConfigurationError):
        old.place.another_store().cancel(BOOKS)
    assert old.versions() == [1]
    assert run.lease()
    run.close()
    old.place.resume()
    assert old.versions() == [1, 2]


# PostgreSQL


def test_a_session_that_ends_within_a_step_leaves_nothing_behind(
    shared_place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared_place.begin().close()
    old = OldPlace(shared_place, monkeypatch)
    old.package_has(COLOUR + "SELECT pg_terminate_backend(pg_backend_pid());\n")
    with pytest.raises(StoreError):
        shared_place.resume()
    assert old.versions() == [1]
    old.package_has(COLOUR)
    shared_place.resume()
    assert old.versions() == [1, 2]


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
        assert old.versions() == [1]
        connection.execute("UPDATE scrapy_resume.run SET beat_at = 0")
        ensure_schema(connection, "here")
    assert old.versions() == [1, 2]
