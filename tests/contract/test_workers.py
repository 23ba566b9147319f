"""Who works on a job, where it stands, and its named units, as readers and plain SQL have it."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from typing import Any

import pytest

from scrapy_resume.model import Phase, State, UnitState
from scrapy_resume.store.contract import EndedUnit

from .conftest import Place
from .records import BOOKS, Run, admission, finish


def named(place: Place) -> dict[str, int]:
    found = place.reader.named_unit_tally(BOOKS)
    return {state.name: count for state, count in found.items() if count}


def sql(place: Place, statement: str) -> list[Any]:
    """What a person's SQL shell answers."""
    if place.store.shared:
        with place.reader._link.alone() as connection:
            rows: list[Any] = connection.execute(statement.format("scrapy_resume.")).fetchall()
            return rows
    with contextlib.closing(sqlite3.connect(place.reader.path(BOOKS))) as connection:
        return connection.execute(statement.format("")).fetchall()


def visit(run: Run, row: int, unit: str | int, **fields: Any) -> None:
    run.admit(admission(row, unit=unit, lease=True))
    run.finish(finish(row, **fields))


def test_a_worker_is_at_work_from_its_opening_until_it_closes(place: Place) -> None:
    run = place.begin()
    run.admit(*(admission(row, lease=True) for row in (1, 2, 3)))
    for row, phase in ((1, Phase.sent), (2, Phase.answered)):
        run.job.mark(row, phase)
    run.commit(pages=7)
    run.job.unmark(1)
    run.finish(finish(1))
    run.commit(pages=7)
    (worker,) = place.reader.workers(BOOKS)
    assert (worker.run, worker.alive, worker.pages) == (1, True, 7)
    assert [url.rpartition("/")[2] for url in worker.in_hand] == ["2"]
    assert worker.started_at <= worker.beat_at
    assert 0 <= worker.silent_seconds < worker.silent_after
    run.close()
    assert place.reader.workers(BOOKS) == []


def test_the_view_has_the_workers_with_their_last_heartbeat(place: Place) -> None:
    run = place.begin()
    run.commit(pages=3)
    columns = "run, status, pages, stale, silent_seconds < 60, heartbeat_at >= started_at"
    ((number, status, pages, stale, recent, order),) = sql(
        place, f"SELECT {columns} FROM {{0}}workers"
    )
    assert (number, status, pages) == (1, "running", 3)
    assert (bool(stale), bool(recent), bool(order)) == (False, True, True)
    run.close()
    assert sql(place, "SELECT * FROM {0}workers") == []


def test_a_worker_that_died_is_no_longer_alive_but_still_there(place: Place) -> None:
    run = place.begin(orphan_seconds=0.3, heartbeat_seconds=0.1)
    run.admit(admission(1, lease=True))
    run.die()
    deadline = time.monotonic() + 30.0
    while (
        place.reader.workers(BOOKS)[0].alive or not sql(place, "SELECT stale FROM {0}workers")[0][0]
    ):
        assert time.monotonic() < deadline
    (worker,) = place.reader.workers(BOOKS)
    assert not worker.alive
    place.resume()
    assert [worker.run for worker in place.reader.workers(BOOKS)] == [2]


def test_the_page_that_was_finished_last_is_where_a_run_stands(place: Place) -> None:
    run = place.begin()
    run.admit(*(admission(row, unit="city", lease=True) for row in (1, 2, 3)))
    run.finish(finish(2), finish(1), finish(3, state=State.failed, error="E"))
    run.commit(pages=3)
    (told,) = place.reader.runs(BOOKS)
    assert told["cursor"] == 1
    point = place.reader.place(BOOKS, told["cursor"])
    assert point is not None
    assert (point["url"].rpartition("/")[2], point["unit"]) == ("1", "city")
    assert place.reader.place(BOOKS, 99) is None


def test_only_units_with_a_name_are_counted_as_named(place: Place) -> None:
    run = place.begin()
    run.admit(
        admission(1, unit=1, lease=True),
        admission(2, unit="a", lease=True),
        admission(3, unit="a", lease=True),
        admission(4, unit="b", lease=True),
        admission(5, unit="c"),
    )
    assert named(place) == {"pending": 3}
    answer = run.finish(finish(1), finish(2))
    assert answer.units == []
    assert answer.named_units is not None
    assert answer.named_units[UnitState.in_progress] == 1
    assert named(place) == {"pending": 2, "in_progress": 1}
    answer = run.finish(
        finish(3, ["x", "y"]), finish(4, state=State.failed, error="E", items_failed=1)
    )
    assert answer.units == [
        EndedUnit("a", done=2, failed=0, parked=0, ignored=0, items=2, items_failed=0),
        EndedUnit("b", done=0, failed=1, parked=0, ignored=0, items=0, items_failed=1),
    ]
    assert answer.named_pages == 2
    assert named(place) == {"pending": 1, "completed": 1, "failed": 1}
    (told,) = place.reader.runs(BOOKS)
    assert [told[name] for name in ("units", "unit_pages", "named_pages")] == [2, 3, 3]


def test_a_commit_that_changes_no_named_unit_answers_with_them_only_if_asked(place: Place) -> None:
    run = place.begin()
    visit(run, 1, 1)
    assert run.commit().named_units is None
    asked = run.commit(named_units_wanted=True).named_units
    assert asked is not None
    assert not any(asked.values())


def test_what_is_retried_is_named_work_again(place: Place) -> None:
    run = place.begin()
    visit(run, 1, "a", state=State.failed, error="E")
    visit(run, 2, "b")
    assert named(place) == {"failed": 1, "completed": 1}
    place.retry(1, run)
    assert named(place) == {"pending": 1, "completed": 1}
    again = place.resume()
    before = again.session.progress
    assert (before.units, before.unit_pages, before.named_pages) == (2, 2, 2)
    ((began, ended),) = before.spans
    assert 0 < began <= ended
    [row] = again.lease()
    assert [unit.name for unit in again.finish(finish(row.id)).units] == ["a"]
    assert named(place) == {"completed": 2}


@pytest.mark.parametrize("count", [1, 40])
def test_units_that_end_in_one_commit_are_all_told(place: Place, count: int) -> None:
    run = place.begin()
    rows = range(1, count + 1)
    run.admit(*(admission(row, unit=f"unit {row}", lease=True) for row in rows))
    answer = run.finish(*map(finish, rows))
    assert sorted(unit.name for unit in answer.units) == sorted(f"unit {row}" for row in rows)
