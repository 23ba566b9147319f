"""A job that is intact passes every check; each check finds what it is there for."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from scrapy_resume.errors import JobNotFoundError, StoreDamagedError
from scrapy_resume.model import JobKey, State, StepState
from scrapy_resume.store.contract import (
    ItemChange,
    ItemRecord,
    NewStep,
    StepAttempt,
    StepWish,
)
from scrapy_resume.store.contract.verification import APART, WORDS
from scrapy_resume.store.postgres.backup import VERIFY as POSTGRES_VERIFY
from scrapy_resume.store.postgres.connections import Link
from scrapy_resume.store.sqlite.backup import VERIFY as SQLITE_VERIFY
from scrapy_resume.store.sqlite.backup import VERIFY_STEPS

from .conftest import Place
from .records import BOOKS, Run, admission, finish


def job_with_all(place: Place) -> Run:
    """Live: done 1 with two items, failed 2, parked 3, pending 4 and 5, leased 6 with a spill;
    done 7 with three items with steps: one of them is visible, one has a step that is running."""
    run = place.begin()
    run.admit(*(admission(row, lease=row in (1, 2, 6)) for row in range(1, 7)))
    run.commit(
        finishes=[finish(1, ["{}", "{}"]), finish(2, state=State.failed, error="E")],
        spills=[(6, ItemRecord(0, "{}"))],
    )
    steps = [NewStep("vin", StepState.pending), NewStep("photos", StepState.skipped, "no URLs")]
    records = [ItemRecord(n, "{}", steps=steps, stable_key=f"item {n}") for n in range(3)]
    run.admit(admission(7, lease=True))
    run.finish(finish(7, records))
    leased = run.commit(wishes_of_steps=[StepWish("vin", 2)]).steps.leased
    ended = StepAttempt("vin", StepState.done, 1)
    run.commit(changes=[ItemChange(leased[0].item, leased[0].version, [ended])])
    return run


def test_every_check_has_its_words() -> None:
    names = SQLITE_VERIFY.keys() | VERIFY_STEPS.keys() | POSTGRES_VERIFY.keys()
    assert names - APART == WORDS.keys()


def test_an_intact_job_passes_live_dead_and_at_rest(place: Place) -> None:
    run = job_with_all(place)
    verdict = place.store.verify(BOOKS)
    assert verdict.violations == []
    assert verdict.checks >= 30
    run.die()
    assert place.store.verify(BOOKS).violations == []
    run = place.resume()
    assert place.store.verify(BOOKS).violations == []
    run.close()
    assert place.store.verify(BOOKS).violations == []
    with pytest.raises(JobNotFoundError):
        place.store.verify(JobKey("quotes", 1))


SQLITE_BROKEN = [
    ("UPDATE job SET done = done + 1", "the job counts 3 done, there are 2"),
    ("UPDATE job SET items_stored = 1", "the job counts 1 items stored, there are 3"),
    ("DELETE FROM item WHERE id = 1", "/1 says that it gave 2 items, and has 1"),
    ("UPDATE slot SET pending = 9", "counts 9 pending requests, and has"),
    ("UPDATE item SET request = 77 WHERE id = 1", "item 1 belongs to no request"),
    ("INSERT INTO spill (request, occurrence, payload) VALUES (1, 0, '{}')", "provisional item"),
    ("UPDATE request SET identity_head = 1, identity_tail = x'00'", "shares its identity"),
    ("INSERT INTO alias VALUES (1, x'00', 77)", "belongs to request 77, which is not there"),
    ("UPDATE request SET slot = 77 WHERE id = 1", "/1 is of a slot that is not there"),
    ("UPDATE job SET next_id = 3", "the next request is to be number 3, but there is a number 7"),
    ("UPDATE job SET next_item = 1", "the next item is to be number 1, but there is a number 3"),
    ("UPDATE request SET state = 1 WHERE id = 4", "/4 is leased, but no live run"),
    ("UPDATE job SET status = 'completed'", "/4 is open, though the job is completed"),
    ("UPDATE request SET payload = '{', shared = NULL WHERE id = 1", "request 1 is not JSON"),
    ("UPDATE payload SET text = '{'", "request 1 is not JSON"),
    ("DELETE FROM payload", "request 1 is not JSON"),
    ("DELETE FROM beginning", "the URL of request 1 has no beginning"),
    ("UPDATE item SET payload = '{' WHERE id = 1", "item 1 is not JSON"),
    ("UPDATE job SET steps_open = 7", "the job counts 7 steps open, there are 2"),
    ("UPDATE step_tally SET done = 9 WHERE kind = 1", "the step vin counts (2,0,0,0,0,9,"),
    ("UPDATE step_tally SET ready = 1, suspect = 1", "the step vin counts (1,0,1,0,0,1,"),
    ("DELETE FROM step_tally", "the step vin counts (0,0,0,0,0,0,0,0,0)"),
    ("UPDATE stepped SET open = 7 WHERE occurrence = 1", "item 1 counts 7 open steps, and has 1"),
    ("DELETE FROM stepped WHERE occurrence = 1", "a step is of item 2, which is not there"),
    ("DELETE FROM step WHERE item = 2", "item 1 is kept for its steps, and has none"),
    ("UPDATE step SET state = 1 WHERE item = 2", "a step of item 2 is running, but no live run"),
    ("UPDATE job SET status = 'completed'", "a step of item 2 is open, though the job is"),
    ("DELETE FROM item WHERE request = 7", "the item item 0 is to be visible, and is not"),
    ("UPDATE stepped SET shown = 0", "item 0 has no open step, and is not visible"),
    ("UPDATE unit_count SET items_open = 7", "items with open steps, there are 2"),
    ("UPDATE stepped SET payload = '{' WHERE occurrence = 1", "item with steps 2 is not JSON"),
]


@pytest.mark.parametrize(("statement", "words"), SQLITE_BROKEN)
def test_each_check_of_a_file_finds_what_it_is_there_for(
    exclusive_place: Place, directory: Path, statement: str, words: str
) -> None:
    job_with_all(exclusive_place).close()
    with closing(sqlite3.connect(directory / "books#1.sqlite3")) as connection, connection:
        connection.execute(statement)
    found = exclusive_place.store.verify(BOOKS).violations
    assert any(words in text for text in found), found


POSTGRES_BROKEN = [
    ("UPDATE {s}.job SET done = done + 1", "the job counts 3 done, there are 2"),
    ("UPDATE {s}.run SET items_stored = 7", "items stored, there are 3"),
    ("DELETE FROM {s}.item WHERE occurrence = 1", "/1 says that it gave 2 items, and has 1"),
    ("UPDATE {s}.item SET request = 77 WHERE occurrence = 0", "belongs to no request"),
    (
        "INSERT INTO {s}.spill (request, job, run, occurrence, payload) VALUES (6, 1, 1, 0, '')",
        "provisional item",
    ),
    ("DELETE FROM {s}.seen WHERE request = 1", "/1 shares its identity"),
    ("UPDATE {s}.seen SET request = 77 WHERE request = 1", "belongs to request 77"),
    ("DELETE FROM {s}.frontier WHERE id = 4", "/4 is open and not in the frontier"),
    ("DELETE FROM {s}.trouble", "/2 has failed or is parked and is not listed"),
    ("UPDATE {s}.request SET slot = 77 WHERE id = 1", "/1 is of a slot that is not there"),
    ("UPDATE {s}.job SET next_id = 1; UPDATE {s}.run SET next_id = 1", "the next request is to be"),
    ("UPDATE {s}.frontier SET run = 1 WHERE id = 4", "/4 is leased, but no live run"),
    ("UPDATE {s}.slot SET run = 1", "belongs to run 1, which has ended"),
    ("UPDATE {s}.job SET status = 'completed'", "/4 is open, though the job is completed"),
    ("UPDATE {s}.run SET steps_open = 7", "steps open, there are 2"),
    ("UPDATE {s}.step_tally SET done = 9 WHERE kind = 1", "the step vin counts (2,0,0,0,0,9,"),
    (
        "UPDATE {s}.step_tally SET ready = ready - 1, suspect = 1 WHERE kind = 1 AND ready > 0",
        "the step vin counts (1,0,1,0,0,1,",
    ),
    ("DELETE FROM {s}.step_tally", "the step vin counts (0,0,0,0,0,0,0,0,0)"),
    ("UPDATE {s}.stepped SET open = 7 WHERE occurrence = 1", "item 1 counts 7 open steps, and"),
    ("DELETE FROM {s}.stepped WHERE occurrence = 1", "a step is of item 4097, which is not"),
    ("DELETE FROM {s}.step WHERE item = 4097", "item 1 is kept for its steps, and has none"),
    (
        "UPDATE {s}.step SET state = 1, run = 1 WHERE item = 4097",
        "a step of item 4097 is running, but no live run",
    ),
    ("UPDATE {s}.job SET status = 'completed'", "a step of item 4097 is open, though the job"),
    ("DELETE FROM {s}.item WHERE request = 7", "the item item 0 is to be visible, and is not"),
    ("UPDATE {s}.stepped SET shown = 0", "item 0 has no open step, and is not visible"),
    ("UPDATE {s}.unit_count SET items_open = 7", "items with open steps, there are 2"),
]


@pytest.mark.parametrize(("statement", "words"), POSTGRES_BROKEN)
def test_each_check_of_a_database_finds_what_it_is_there_for(
    shared_place: Place, statement: str, words: str
) -> None:
    job_with_all(shared_place).close()
    break_database(shared_place, lambda execute: execute(statement.format(s="scrapy_resume")))
    found = shared_place.store.verify(BOOKS).violations
    assert any(words in text for text in found), found


def break_database(place: Place, how: Callable[[Any], Any]) -> None:
    store: Any = place.store
    link = Link(store._url)
    with link.alone() as connection:
        how(connection.execute)


def test_pages_that_are_torn_are_found(exclusive_place: Place, directory: Path) -> None:
    run = exclusive_place.begin()
    run.admit(*(admission(row) for row in range(1, 2_000)))
    run.close()
    path = directory / "books#1.sqlite3"
    content = bytearray(path.read_bytes())
    for at in range(len(content) // 2, len(content), 4096):
        content[at : at + 100] = b"\xff" * 100
    path.write_bytes(content)
    try:
        found = exclusive_place.store.verify(BOOKS).violations
    except StoreDamagedError:
        return
    assert any(text.startswith("the file: ") for text in found), found


def test_a_cancelled_job_whose_last_run_died_passes(place: Place) -> None:
    job_with_all(place).die()
    place.store.cancel(BOOKS)
    assert place.store.verify(BOOKS).violations == []
    run = place.resume()
    assert run.session.crashed
    run.close()
    assert place.store.verify(BOOKS).violations == []
