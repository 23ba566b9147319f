"""Names of files, named SQL, and how errors are worded."""

from __future__ import annotations

import errno
import os
import sqlite3
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scrapy_resume.errors import (
    ConfigurationError,
    StoreDamagedError,
    StoreError,
    StoreUnavailableError,
)
from scrapy_resume.model import JobKey
from scrapy_resume.store import open_location
from scrapy_resume.store.sqlite import files as sqlite_files
from scrapy_resume.store.sqlite.errors import file_error, result_code, store_error
from scrapy_resume.store.sqlite.files import job_files, job_path, quoted
from scrapy_resume.store.sqlite.migrations import split_statements
from scrapy_resume.store.sqlite.store import SqliteStore
from scrapy_resume.store.transaction import queries
from scrapy_resume.store.transaction.queries import load_queries

PATH = Path("/store/books#1.sqlite3")
FILES = ("files.sql", "commit.sql", "opening.sql", "read.sql", "migrations.sql")


def test_a_directory_is_an_sqlite_store(tmp_path: Path) -> None:
    store = open_location(tmp_path / "new" / "store")
    assert isinstance(store, SqliteStore)
    assert store.latest("books") is None
    assert not (tmp_path / "new").exists()


@given(st.text(max_size=150))
def test_any_name_makes_a_plain_file_name(name: str) -> None:
    stem = quoted(name)
    assert len(stem) <= 100
    assert not stem.startswith(".")
    assert set(stem) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-%~")


@given(st.text(max_size=150), st.text(max_size=150))
def test_different_names_are_different_files(one: str, other: str) -> None:
    assert (quoted(one) == quoted(other)) == (one == other)


@given(st.text(max_size=8), st.integers(1, 10**6))
def test_the_key_is_read_off_the_name(name: str, number: int) -> None:
    path = job_path(Path("/x"), JobKey(name, number))
    stem, _, found = path.name.removesuffix(".sqlite3").rpartition("#")
    assert (sqlite_files._name_of(stem, path), int(found)) == (name, number)


def test_only_jobs_are_listed(tmp_path: Path) -> None:
    for name in (
        "b#10.sqlite3",
        "b#2.sqlite3",
        "a%23#1.sqlite3",
        "b#2.sqlite3-wal",
        "b#3.sqlite3.new",
        "b#x.sqlite3",
        "b.sqlite3",
        "notes.txt",
        "b.door.lock",
    ):
        (tmp_path / name).touch()
    keys = [job.key for job in job_files(tmp_path)]
    assert keys == [JobKey("a#", 1), JobKey("b", 2), JobKey("b", 10)]
    assert [job.key.number for job in job_files(tmp_path, "b")] == [2, 10]
    assert job_files(tmp_path / "nowhere") == []


def test_an_old_sqlite_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 34, 1))
    with pytest.raises(ConfigurationError, match=r"needs 3\.35 or newer"):
        SqliteStore("anywhere")


def test_an_sqlite_without_json_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite_files, "SQL", {"needs_json": "SELECT value FROM no_such('[1]')"})
    with pytest.raises(ConfigurationError, match="without its JSON functions"):
        SqliteStore("anywhere")


# SQL files


@pytest.mark.parametrize("file", FILES)
def test_every_statement_is_used(file: str) -> None:
    package = Path(queries.__file__).parents[1]
    code = "".join(path.read_text() for path in package.rglob("*.py"))
    for name in load_queries("sqlite", file):
        assert f'["{name}"]' in code, name


@pytest.mark.parametrize(
    "text",
    [
        "-- name: one\nSELECT 1;",
        "-- name: one\n-- described\n",
        "-- name: one\n-- a\nSELECT 1;\n-- name: one\n-- b\nSELECT 2;",
    ],
)
def test_a_block_without_a_description_a_statement_or_a_name_of_its_own_is_refused(
    text: str,
) -> None:
    with pytest.raises(ValueError, match="'one'"):
        dict(queries._parse(text))


def test_a_block_is_its_statement() -> None:
    text = "-- A file.\n\n-- name: one\n-- What for,\n-- and why.\nSELECT 1\n  -- inner\nFROM t;\n"
    assert dict(queries._parse(text)) == {"one": "SELECT 1\n  -- inner\nFROM t;"}


def test_a_script_is_split_into_statements() -> None:
    script = "CREATE TABLE a (b); -- c;\nINSERT INTO a\nVALUES (';');\n-- the end\n"
    statements = list(split_statements(script))
    assert len(statements) == 2
    assert statements[1].endswith("VALUES (';');")
    with pytest.raises(ValueError, match="within a statement"):
        list(split_statements("SELECT 1"))


# Errors


@pytest.mark.parametrize(
    ("text", "kind", "remedy"),
    [
        ("database is locked", StoreUnavailableError, "is locked by another process"),
        ("database or disk is full", StoreUnavailableError, "make room"),
        ("disk I/O error", StoreUnavailableError, "check the disk"),
        ("attempt to write a readonly database", StoreUnavailableError, "permissions"),
        ("unable to open database file", StoreUnavailableError, "directory"),
        ("locking protocol", StoreUnavailableError, "not on NFS"),
        ("out of memory", StoreUnavailableError, "memory"),
        ("file is not a database", StoreDamagedError, "Restore"),
        ("database disk image is malformed", StoreDamagedError, "Restore"),
        ("UNIQUE constraint failed: request.id", StoreError, "report"),
    ],
)
def test_an_error_without_a_code_is_known_by_its_text(
    text: str, kind: type[StoreError], remedy: str
) -> None:
    """Python 3.10 gives none."""
    error = store_error(sqlite3.OperationalError(text), PATH)
    assert type(error) is kind
    assert str(PATH) in str(error)
    assert remedy in str(error)


def test_the_text_of_sqlite_is_the_one_that_is_looked_for(tmp_path: Path) -> None:
    with pytest.raises(sqlite3.OperationalError) as caught:
        sqlite3.connect(f"file:{tmp_path}/nothing?mode=rw", uri=True)
    assert result_code(sqlite3.OperationalError(str(caught.value))) == 14


def test_the_owner_of_a_lock_is_named() -> None:
    locked = sqlite3.OperationalError("database is locked")
    message = str(store_error(locked, PATH, lambda: "tokyo:4711"))
    assert "end it on tokyo: kill -9 4711" in message


@pytest.mark.parametrize(
    ("code", "kind", "remedy"),
    [
        (errno.ENOTDIR, ConfigurationError, "name another directory"),
        (errno.EEXIST, ConfigurationError, "name another directory"),
        (errno.ENOSPC, StoreUnavailableError, "make room"),
        (errno.EACCES, StoreUnavailableError, "permissions"),
        (errno.EROFS, StoreUnavailableError, "read-only"),
        (errno.ENOLCK, StoreUnavailableError, "NFS"),
        (errno.EMFILE, StoreUnavailableError, "Too many open files"),
    ],
)
def test_an_error_of_the_file_system_has_a_remedy(
    code: int, kind: type[Exception], remedy: str
) -> None:
    error = file_error(OSError(code, os.strerror(code), "/store"), PATH)
    assert type(error) is kind
    assert "/store" in str(error)
    assert remedy in str(error)
