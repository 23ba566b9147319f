from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from scrapy_resume.model import JobKey
from scrapy_resume.store.contract import JobStore, Store
from scrapy_resume.store.sqlite import SqliteStore
from scrapy_resume.store.sqlite_read import SqliteReader, reading

from .records import BOOKS, Run, opening

RETRY = """
    BEGIN IMMEDIATE;
    UPDATE request SET state = 0 WHERE id = :row;
    UPDATE slot SET pending = pending + 1 WHERE id = (SELECT slot FROM request WHERE id = :row);
    UPDATE job SET pending = pending + 1, failed = failed - 1, status = 'paused';
    COMMIT;
"""
"""What the retry command is to do to a failed row."""


class Place:
    """A place that keeps jobs: what the suite needs of each backend."""

    def __init__(
        self, store: Callable[[], Store], reader: Any, retry: Callable[[int], None]
    ) -> None:
        self._new_store = store
        self._retry = retry
        self.store = store()
        self.reader = reader
        self._opened: list[JobStore] = []

    def another_store(self) -> Store:
        """The same place, as another process sees it."""
        return self._new_store()

    def begin(self, key: JobKey = BOOKS, **fields: Any) -> Run:
        return self._run(self.store.begin(key, opening(**fields)))

    def resume(self, key: JobKey = BOOKS, **fields: Any) -> Run:
        return self._run(self.store.resume(key, opening(**fields)))

    def _run(self, job: JobStore) -> Run:
        self._opened.append(job)
        return Run(job)

    def items(self, key: JobKey = BOOKS) -> list[str]:
        """The visible items, in order."""
        return list(self.reader.item_payloads(key))

    def rows(self, key: JobKey = BOOKS) -> dict[str, dict[str, Any]]:
        """The requests by the last part of their URL."""
        return {row["url"].rpartition("/")[2]: row for row in self.reader.requests(key)}

    def item_ids(self, key: JobKey = BOOKS) -> list[int]:
        with reading(self.reader.path(key)) as connection:
            return [row for (row,) in connection.execute("SELECT id FROM item ORDER BY id")]

    def states(self, key: JobKey = BOOKS) -> dict[str, str]:
        return {name: row["state"] for name, row in self.rows(key).items()}

    def retry(self, row: int, run: Run) -> None:
        """Make a failed row pending, as the command does: when the run has ended."""
        run.close()
        self.retry_closed(row)

    def retry_closed(self, row: int) -> None:
        self._retry(row)

    def close(self) -> None:
        """Give up what a test left open."""
        with ExitStack() as stack:
            for job in self._opened:
                stack.callback(job.abandon)


def sqlite_place(folder: Path) -> Place:
    directory = folder / "store"
    reader = SqliteReader(directory)

    def retry(row: int) -> None:
        with contextlib.closing(sqlite3.connect(reader.path(BOOKS))) as connection:
            connection.executescript(RETRY.replace(":row", str(row)))

    return Place(lambda: SqliteStore(directory), reader, retry)


@pytest.fixture(params=[sqlite_place])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """Each backend in turn, empty."""
    place = request.param(tmp_path)
    yield place
    place.close()


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """Where the SQLite backend keeps the jobs of ``place``."""
    return tmp_path / "store"
