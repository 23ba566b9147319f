"""Every reading command, of a job in every status: its exit code, its document, and no trace.

A reading command leaves everything as it was, beside a live crawl too: nothing is written and
nothing is moved from the WAL into the main file.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from scrapy_resume.commands.status_screen import look
from scrapy_resume.reporting.overview import overview
from scrapy_resume.reporting.reports import open_store
from scrapy_resume.store.contract import JobStore
from tests.support import schemas
from tests.support.postgres import postgres_server, postgres_url

from .conftest import Answer, Shelf

__all__ = ["postgres_server", "postgres_url"]

Call = Callable[..., Answer]

SCHEMA_OF = {
    ("list",): "list",
    ("status", "books"): "status",
    ("show", "books"): "show",
    ("requests", "books"): "requests",
    ("requests", "books", "-o", "x.jsonl", "--overwrite"): "requests-file",
    ("failed", "books"): "failed",
    ("workers", "books"): "workers",
    ("report",): "report",
    ("report", "books"): "report",
    ("export", "books", "-o", "x.csv", "--overwrite"): "export",
    ("report", "-o", "x.html", "--overwrite"): "report-file",
    ("retry", "books", "--dry-run"): "retry",
    ("park", "books", "--state", "pending", "--dry-run"): "park",
    ("skip", "books", "--host", "127.0.0.1", "--dry-run"): "skip",
    ("items", "books"): "items",
    ("steps", "books"): "steps",
    ("steps", "books", "--by-day"): "steps",
    ("units", "books", "--unit", "*"): "units",
}
CHECK = {"completed": 3}
"""What ``status --check`` says: all jobs here have a failure."""


def close(status: str, reason: str) -> Callable[[Shelf, JobStore], None]:
    return lambda shelf, job: shelf.close(job, status, reason)


def as_if(status: str) -> Callable[[Shelf, JobStore], None]:
    """What a process leaves that stands between two commits of its opening."""

    def store(shelf: Shelf, _: JobStore) -> None:
        statement = f"UPDATE job SET status = '{status}'"
        if shelf.url:
            import psycopg

            with psycopg.connect(shelf.url, autocommit=True) as connection:
                connection.execute(statement.replace("job", "scrapy_resume.job"))
            return
        with contextlib.closing(sqlite3.connect(database(shelf), timeout=10)) as connection:
            connection.execute(statement)
            connection.commit()

    return store


def initialized(shelf: Shelf, job: JobStore) -> None:
    shelf.close(job, "paused", "shutdown")
    as_if("initialized")(shelf, job)


STATUSES: dict[str, Callable[[Shelf, JobStore], None]] = {
    "initialized": initialized,
    "running": lambda shelf, job: None,
    "recovering": as_if("recovering"),
    "crashed": lambda shelf, job: shelf.crash(job),
    "paused": close("paused", "shutdown"),
    "cancelled": close("cancelled", "cancelled"),
    "failed": close("failed", "start_error"),
    "completed": close("completed", "finished"),
}


@pytest.fixture
def shelf(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Shelf]:
    """The store that the test names."""
    url = request.getfixturevalue("postgres_url") if request.param == "postgres" else None
    shelf = Shelf(tmp_path / "store", url)
    yield shelf
    for job in shelf.open_jobs:
        job.abandon()


def database(shelf: Shelf) -> Path:
    (file,) = shelf.directory.glob("books#1.sqlite3")
    return file


def kept(shelf: Shelf, folder: Path) -> Any:
    """All that is stored: bytes of files, or rows of tables."""
    return rows(shelf.url) if shelf.url else contents(shelf.directory, folder)


def contents(directory: Path, folder: Path) -> dict[str, bytes]:
    """Copied by another process: one that closes a file that it has open as a database would
    drop its own locks. A reader may leave an empty WAL and SQLite's shared memory behind."""
    folder.mkdir(exist_ok=True)
    subprocess.run(["cp", "-R", f"{directory}/.", str(folder)], check=True)
    found = [file for file in folder.iterdir() if not file.name.endswith("-shm")]
    return {file.name: file.read_bytes() for file in found if file.stat().st_size}


def rows(url: str) -> dict[str, list[str]]:
    import psycopg

    with psycopg.connect(url) as connection:
        tables = connection.execute(
            "SELECT tablename FROM pg_tables WHERE schemaname = 'scrapy_resume'"
        ).fetchall()
        assert tables
        return {
            table: [
                row
                for (row,) in connection.execute(
                    f"SELECT t::text FROM scrapy_resume.{table} AS t ORDER BY 1"
                )
            ]
            for (table,) in tables
        }


def cases() -> Iterator[Any]:
    """Each status with each store; what tells nothing new of the second is left to the soak."""
    for status in STATUSES:
        yield pytest.param("sqlite", status, id=f"sqlite-{status}")
        told = status == "running"
        marks = [] if told else [pytest.mark.soak]
        yield pytest.param("postgres", status, id=f"postgres-{status}", marks=marks)


@pytest.mark.parametrize(("shelf", "status"), list(cases()), indirect=["shelf"])
def test_documents_are_those_of_the_schemas_and_nothing_is_changed(
    shelf: Shelf, call: Call, tmp_path: Path, status: str
) -> None:
    # No heartbeat while the commands are called, however slow the machine is.
    job = shelf.begin(
        metadata={"ticket": 7},
        input_hashes={"seeds.csv": "ab"},
        heartbeat_seconds=600.0,
        orphan_seconds=1_800.0,
    )
    is_over = status == "completed"
    shelf.crawl(job, done=[[{"a": 1}]] * 3, failed=["boom"], ignored=1, pending=2 * (not is_over))
    STATUSES[status](shelf, job)
    before = kept(shelf, tmp_path / "before")
    for words, schema in SCHEMA_OF.items():
        answer = call(*words, "--json")
        assert (answer.code, answer.err) == (0, ""), words
        document = json.loads(answer.out)
        schemas.check(document, schema)
        if schema == "status":
            assert document["status"] == status
        answer = call(*words)
        assert (answer.code, answer.err) == (0, ""), words
        assert answer.out
    assert call("export", "books", "-o", "-:jsonlines").out.count("\n") == 3
    assert call("status", "--check").code == CHECK.get(status, 4)
    if status not in ("running", "recovering"):
        assert call("status", "--watch").code == 0
    assert kept(shelf, tmp_path / "after") == before


def test_a_screen_takes_one_connection(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import psycopg

    there = Shelf(Path("nowhere"), postgres_url)
    job = there.begin()
    there.crawl(job, done=[[{"a": 1}]], failed=["boom"], pending=1)
    connect, opened = psycopg.connect, []

    def counted(*words: Any, **options: Any) -> Any:
        opened.append(1)
        return connect(*words, **options)

    monkeypatch.setattr(psycopg, "connect", counted)
    store = open_store(postgres_url)
    asks = (lambda: look(store, "books"), store.jobs, store.details, lambda: overview(store))
    for ask in (*asks, store.steps):
        opened.clear()
        ask()
        assert len(opened) == 1
    job.abandon()
