"""A process that dies while it deletes or restores a job in a database leaves nothing half done."""

from __future__ import annotations

import os
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from scrapy_resume.store.contract import Store
from tests.contract.conftest import Place, place_of
from tests.contract.records import BOOKS, admission, finish

psycopg = pytest.importorskip("psycopg")

KILLED = 9


@pytest.fixture
def place(postgres_server: Any) -> Place:
    return place_of(postgres_server.new_database())


def filled(place: Place) -> None:
    run = place.begin()
    first = run.next_id
    run.admit(*(admission(first + n, lease=True) for n in range(3)))
    run.finish(*(finish(first + n, [f"{n}"]) for n in range(3)))
    run.close("completed", "finished")


def killed_at(last: int, place: Place, call: Callable[[Store], object]) -> int:
    """Call it in a child that ends before its ``last`` statement; its exit code."""
    child = os.fork()
    if child == 0:
        statements = count(1)

        def before(function: Callable[..., Any]) -> Callable[..., Any]:
            def counted(*arguments: Any, **named: Any) -> Any:
                if next(statements) == last:
                    os._exit(KILLED)
                return function(*arguments, **named)

            return counted

        code = 1
        try:
            for kind, name in ((psycopg.Connection, "execute"), (psycopg.Cursor, "copy")):
                setattr(kind, name, before(getattr(kind, name)))
            call(place.another_store())
            code = 0
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def rows(place: Place) -> int:
    """Rows in all tables that belong to jobs, restored copies included."""
    with place.another_store()._ready() as connection:  # type: ignore[attr-defined]
        names = connection.execute(
            "SELECT table_name FROM information_schema.columns"
            " WHERE table_schema = 'scrapy_resume' AND column_name = 'job'"
        ).fetchall()
        counts = [
            connection.execute(f'SELECT count(*) FROM scrapy_resume."{name}"').fetchall()[0][0]
            for (name,) in names
        ]
    return sum(counts)


@pytest.mark.soak
def test_killed_at_any_statement_of_a_deletion_a_job_is_whole_or_gone(place: Place) -> None:
    filled(place)
    whole = rows(place)
    for last in count(1):
        code = killed_at(last, place, lambda store: store.delete(BOOKS))
        if code == 0:
            break
        assert code == KILLED
        assert rows(place) == whole
        assert place.store.verify(BOOKS).violations == []
    assert last > 5
    assert rows(place) == 0
    assert place.store.remove_leftovers() == []


def test_killed_at_any_statement_of_a_restore_a_job_is_whole_or_absent(
    place: Place, tmp_path: Path
) -> None:
    filled(place)
    items = place.items()
    place.store.backup(BOOKS, tmp_path / "books.backup")
    place.store.delete(BOOKS)
    for last in count(1, 3):
        code = killed_at(last, place, lambda store: store.restore(tmp_path / "books.backup"))
        if code == 0:
            break
        assert code == KILLED
        assert rows(place) == 0
    assert last > 20
    assert place.items() == items
    assert place.store.verify(BOOKS).violations in ([], ["item 1 is not JSON"])
