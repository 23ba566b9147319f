from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from scrapy_resume.model import JobKey, Selection, State
from scrapy_resume.store.contract import JobStore, Store
from scrapy_resume.store.sqlite.pages import SqlitePages
from scrapy_resume.store.sqlite.reader import reading
from scrapy_resume.store.sqlite.store import SqliteStore
from tests.support.postgres import postgres_server

from .records import BOOKS, Run, opening

__all__ = ["postgres_server"]


class Place:
    """A place that keeps jobs: what the suite needs of each backend."""

    def __init__(
        self,
        store: Callable[[], Store],
        reader: Any,
        item_ids: Callable[[JobKey], list[int]],
    ) -> None:
        self._new_store = store
        self.store = store()
        self.reader = reader
        self.item_ids = item_ids
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
        return [payload for _, payload in self.reader.items(key)]

    def rows(self, key: JobKey = BOOKS) -> dict[str, dict[str, Any]]:
        """The requests by the last part of their URL."""
        return {row["url"].rpartition("/")[2]: row for row in self.reader.requests(key)}

    def states(self, key: JobKey = BOOKS) -> dict[str, str]:
        return {name: row["state"] for name, row in self.rows(key).items()}

    def retry(self, row: int, run: Run) -> None:
        """Make a failed row pending again, when the run has ended. It is named as its id."""
        run.close()
        self.retry_closed(row)

    def retry_closed(self, row: int) -> None:
        """The same, of a job that nobody crawls."""
        meant = Selection((State.failed,), url=f"*/{row}")
        assert self.store.steer(BOOKS, meant, State.pending) == 1

    def close(self) -> None:
        """Give up what a test left open."""
        with ExitStack() as stack:
            for job in self._opened:
                stack.callback(job.abandon)


def sqlite_place(folder: Path, _: Callable[[str], Any]) -> Place:
    directory = folder / "store"
    reader = SqlitePages(directory)

    def item_ids(key: JobKey = BOOKS) -> list[int]:
        with reading(reader.path(key)) as connection:
            return [row for (row,) in connection.execute("SELECT id FROM item ORDER BY id")]

    return Place(lambda: SqliteStore(directory), reader, item_ids)


def postgres_place(_: Path, fixture: Callable[[str], Any]) -> Place:
    return place_of(fixture("postgres_server").new_database())


def place_of(url: str) -> Place:
    """A database, by that way."""
    from scrapy_resume.store.postgres.connections import Link
    from scrapy_resume.store.postgres.pages import PostgresPages
    from scrapy_resume.store.postgres.store import PostgresStore

    link = Link(url)

    def item_ids(key: JobKey = BOOKS) -> list[int]:
        with link.alone() as connection:
            return [
                row
                for (row,) in connection.execute(
                    "SELECT i.id FROM scrapy_resume.item AS i JOIN scrapy_resume.job AS j"
                    " ON j.id = i.job WHERE j.name = %s AND j.number = %s ORDER BY i.id",
                    (key.name, key.number),
                )
            ]

    return Place(lambda: PostgresStore(url), PostgresPages(url), item_ids)


BACKENDS = [
    pytest.param(sqlite_place, id="sqlite"),
    pytest.param(postgres_place, id="postgres"),
]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A promise is tested on every backend; what is about one of them, on that one."""
    if "place" in metafunc.fixturenames:
        own = metafunc.module.__name__.rpartition(".")[2].startswith("test_sqlite_")
        metafunc.parametrize("place", BACKENDS[:1] if own else BACKENDS, indirect=True)


@pytest.fixture
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """Each backend in turn, empty."""
    place = request.param(tmp_path, request.getfixturevalue)
    yield place
    place.close()


@pytest.fixture
def exclusive_place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """A backend whose jobs have one run at a time."""
    place = sqlite_place(tmp_path, request.getfixturevalue)
    yield place
    place.close()


@pytest.fixture
def shared_place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """A backend whose jobs have many."""
    place = postgres_place(tmp_path, request.getfixturevalue)
    yield place
    place.close()


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """Where the SQLite backend keeps the jobs of ``place``."""
    return tmp_path / "store"
