"""A job that cannot be read: one line, exit code 1, and the others are read all the same."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Callable
from pathlib import Path

import jsonschema
import pytest

from scrapy_resume.store.sqlite import files as sqlite_files
from tests.support import schemas
from tests.support.postgres import postgres_server, postgres_url

from .conftest import Shelf
from .test_every_status import SCHEMA_OF, Call, contents, database

__all__ = ["postgres_server", "postgres_url"]

OF_ALL_JOBS = {"list", "report"}


def newer(file: Path) -> None:
    with contextlib.closing(sqlite3.connect(file)) as connection:
        connection.execute("PRAGMA user_version = 99")
        connection.commit()


def not_a_database(file: Path) -> None:
    file.write_bytes(b"this is no database. " * 500)


def cut_off(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-700])


def empty(file: Path) -> None:
    file.write_bytes(b"")


def another_program_s(file: Path) -> None:
    with contextlib.closing(sqlite3.connect(file)) as connection:
        connection.execute("PRAGMA application_id = 7")
        connection.commit()


@pytest.mark.parametrize("spoil", [newer, not_a_database, cut_off, empty, another_program_s])
def test_a_job_that_cannot_be_read_is_one_line_and_the_others_are_read(
    shelf: Shelf, call: Call, tmp_path: Path, spoil: Callable[[Path], None]
) -> None:
    for name in ("books", "quotes"):
        job = shelf.begin(name)
        shelf.crawl(job, done=[[{"a": 1}]])
        shelf.close(job)
    spoil(database(shelf))
    before = contents(shelf.directory, tmp_path / "before")
    for words, schema in SCHEMA_OF.items():
        answer = call(*words, "--json")
        assert (answer.code, answer.err.count("\n")) == (1, 1), words
        assert str(database(shelf)) in answer.err
        if words[0] in OF_ALL_JOBS:
            document = json.loads(answer.out)
            schemas.check(document, schema)
            if words == ("list",):
                assert [one["status"] for one in document] == [
                    "completed",
                    "unreadable" if spoil is newer else "damaged",
                ]
        else:
            assert not answer.out
        assert "Traceback" not in answer.err
    assert call("status", "quotes", "--check").code == 0
    assert contents(shelf.directory, tmp_path / "after") == before


def test_a_database_of_a_newer_version_is_one_line(postgres_url: str, call: Call) -> None:
    import psycopg

    there = Shelf(Path("nowhere"), postgres_url)
    there.close(there.begin())
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute("INSERT INTO scrapy_resume.migration VALUES (99, 0)")
    for words in SCHEMA_OF:
        answer = call(*words, "--json", RESUME_STORE=postgres_url)
        assert (answer.code, answer.out, answer.err.count("\n")) == (1, "", 1), words
        assert "upgrade scrapy-resume" in answer.err


def test_a_schema_notices_what_does_not_belong(shelf: Shelf, call: Call) -> None:
    shelf.close(shelf.begin())
    for words, schema in SCHEMA_OF.items():
        document = json.loads(call(*words, "--json").out)
        wrong = [{"nonsense": 1}] if isinstance(document, list) else {**document, "nonsense": 1}
        with pytest.raises(jsonschema.ValidationError):
            schemas.check(wrong, schema)
    stage = json.loads(call("report", "--json").out)
    stage["stages"][0]["nonsense"] = 1
    with pytest.raises(jsonschema.ValidationError):
        schemas.check(stage, "report")


def test_a_job_that_another_program_has_locked_is_one_line(
    shelf: Shelf, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_files, "BUSY_SECONDS", 0.05)
    for name in ("books", "quotes"):
        shelf.close(shelf.begin(name))
    with contextlib.closing(sqlite3.connect(database(shelf), isolation_level=None)) as connection:
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        connection.execute("BEGIN EXCLUSIVE")
        for words in SCHEMA_OF:
            answer = call(*words)
            assert (answer.code, answer.err.count("\n")) == (1, 1), words
            assert "is locked by another process" in answer.err
        assert [one["status"] for one in json.loads(call("list", "--json").out)] == [
            "completed",
            "unreadable",
        ]


@pytest.mark.parametrize(
    "store",
    ["postgresql://me:s3cret@127.0.0.1:1/crawls", "postgresql://me:s3/cret@h:x/y", "file/x"],
)
def test_a_store_that_cannot_be_asked_is_one_line(
    shelf: Shelf, call: Call, tmp_path: Path, store: str
) -> None:
    (tmp_path / "file").write_text("not a directory")
    for words in SCHEMA_OF:
        answer = call(*words, "--json", RESUME_STORE=store)
        assert (answer.code, answer.out, answer.err.count("\n")) == (1, "", 1), words
        assert "cret" not in answer.err


def test_a_job_that_is_not_there_suggests_the_nearest(shelf: Shelf, call: Call) -> None:
    shelf.close(shelf.begin("books"))
    for command, *words in SCHEMA_OF:
        if "books" not in words:
            continue
        mistyped = ["boks" if word == "books" else word for word in words]
        answer = call(command, *mistyped)
        assert (answer.code, answer.out, answer.err.count("\n")) == (1, "", 1), command
        assert "The nearest: books." in answer.err
