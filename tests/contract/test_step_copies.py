"""Nothing of the steps of items is lost by a copy, and verify finds what is wrong with them."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from scrapy_resume.model import StepState
from scrapy_resume.store.contract import StepRelease, StepSelection

from .conftest import Place
from .records import BOOKS, Run
from .test_step_steering import fill, retry
from .test_steps import done, item, lease, page


def job_with_steps(place: Place) -> Run:
    """Live: steps that have ended in each way, that are delayed, waiting and running."""
    run = fill(place)
    page(run, 2, *(item(at, "{}", "vin", waiting=("scale",)) for at in range(3)))
    delayed, released, _ = lease(run, "vin", count=3)
    run.commit(changes=[done(delayed, state=StepState.pending, error="E", not_before=4e9)])
    run.commit(releases_of_steps=[StepRelease(released.item, "vin", 2)])
    return run


def all_of(place: Place) -> dict[str, Any]:
    reader = place.reader
    return {
        "counts": reader.step_counts(BOOKS),
        "days": reader.step_days(BOOKS),
        "failures": reader.step_failures(BOOKS, 3, 10),
        "items": list(reader.stepped_items(BOOKS, StepSelection())),
        "units": list(reader.units(BOOKS)),
        "visible": place.items(),
    }


def test_a_copy_of_a_job_has_its_steps(place: Place, tmp_path: Path) -> None:
    run = job_with_steps(place)
    assert place.store.verify(BOOKS).violations == []
    place.store.backup(BOOKS, tmp_path / "copy")
    run.close()
    before = all_of(place)
    place.store.delete(BOOKS)
    assert place.store.restore(tmp_path / "copy") == BOOKS
    assert place.store.verify(BOOKS).violations == []
    assert all_of(place) == before  # but for what was running: it is pending, as after a close
    assert retry(place).steps == 2
    run = place.resume()
    assert len(lease(run, "vin")) == 4
    page(run, 3, item(0, "{}", "vin"))
    assert len(lease(run, "vin")) == 1  # its id was never used


def test_an_intact_job_with_steps_passes_live_dead_and_at_rest(place: Place) -> None:
    run = job_with_steps(place)
    run.die()
    assert place.store.verify(BOOKS).violations == []
    run = place.resume()
    assert place.store.verify(BOOKS).violations == []
    run.close()
    assert place.store.verify(BOOKS).violations == []


def test_nothing_of_a_deleted_job_is_left(place: Place) -> None:
    job_with_steps(place).close()
    place.store.delete(BOOKS)
    run = place.begin()
    page(run, 1, item(0, "{}", "api"))
    assert list(place.reader.step_counts(BOOKS)) == ["api"]
    assert place.reader.step_days(BOOKS) == []
    assert [record["key"] for record in place.reader.stepped_items(BOOKS, StepSelection())] == [
        "item 0"
    ]


BROKEN = [
    ("UPDATE step_tally SET done = done + 1", "the step vin counts (2,1,0,0,0,2,1,1,1)"),
    ("DELETE FROM step_tally", "the step scale counts (0,0,0,0,0,0,0,0,0)"),
    ("UPDATE job SET steps_open = 0", "the job counts 0 steps open, there are 6"),
    ("UPDATE stepped SET open = 3 WHERE key = 'done'", "item done counts 3 open steps, and has 0"),
    (
        "UPDATE stepped SET shown = 0 WHERE key = 'done'",
        "the item done has no open step, and is not visible",
    ),
    ("DELETE FROM stepped WHERE key = 'done'", "which is not there"),
    ("UPDATE step SET state = 1 WHERE state = 0", "is running, but no live run"),
    ("UPDATE stepped SET payload = '{' WHERE key = 'done'", "item with steps 3 is not JSON"),
]


@pytest.mark.parametrize(("statement", "words"), BROKEN)
def test_each_check_of_steps_in_a_file_finds_what_it_is_there_for(
    exclusive_place: Place, directory: Path, statement: str, words: str
) -> None:
    job_with_steps(exclusive_place).close()
    assert exclusive_place.store.verify(BOOKS).violations == []
    with closing(sqlite3.connect(directory / "books#1.sqlite3")) as connection, connection:
        connection.execute(statement)
    found = exclusive_place.store.verify(BOOKS).violations
    assert any(words in text for text in found), found
