"""Downloads that steps want in a fleet: each is done by the worker that owns its slot."""

from __future__ import annotations

import time
from typing import Any

import pytest

from scrapy_resume.store.contract import FetchDone, StepAnswer, WantedFetch

from .conftest import Place
from .records import SLOT, Run
from .test_sharing import new, two
from .test_steps import item
from .test_steps_of_fleets import page


@pytest.fixture
def runs(shared_place: Place) -> tuple[Run, Run]:
    """The first one owns a slot; the second one has steps to run."""
    first, second = two(shared_place)
    first.admit(new(first, "a"), new(first, "b"))
    assert first.lease(1)
    page(second, "c", item(0, "c", "photos"), slot="other")
    return first, second


def wanted(number: int = 1, slot: str = SLOT) -> WantedFetch:
    return WantedFetch(number, slot, f"http://{slot}/{number}", "{}")


def want(run: Run, *fetches: WantedFetch, **fields: Any) -> StepAnswer:
    awaited = {"fetches_awaited_of_steps": True, "fetches_wanted_of_steps": list(fetches)}
    return run.commit(**awaited, **fields).steps


def end(run: Run, *done: FetchDone) -> StepAnswer:
    return run.commit(fetches_done_of_steps=list(done)).steps


def test_the_owner_of_the_slot_does_it(runs: tuple[Run, Run]) -> None:
    owner, asker = runs
    answer = want(asker, wanted(7))
    assert (answer.fetches_to_do, answer.fetches_done) == ([], {})
    (todo,) = owner.commit().steps.fetches_to_do
    assert todo == (asker.session.run, 7, SLOT, f"http://{SLOT}/7", "{}")
    assert owner.commit().steps.fetches_to_do == [], "it is taken once"
    end(owner, FetchDone(todo.run, todo.id, "the response"))
    assert want(asker).fetches_done == {7: "the response"}
    assert want(asker).fetches_done == {}, "it is told once"


def test_a_slot_that_nobody_owns_is_claimed_for_it(runs: tuple[Run, Run]) -> None:
    owner, asker = runs
    committed = asker.commit(
        fetches_wanted_of_steps=[wanted(1, "images")], fetches_awaited_of_steps=True
    )
    assert committed.sharing.claimed == ["images"]
    (todo,) = committed.steps.fetches_to_do
    assert (todo.run, todo.slot) == (asker.session.run, "images")
    want(owner, wanted(1, "images"))
    (of_owner,) = asker.commit().steps.fetches_to_do
    assert of_owner.run == owner.session.run
    assert owner.commit().steps.fetches_to_do == []


def test_a_slot_that_was_given_away_is_claimed_after_its_delay(runs: tuple[Run, Run]) -> None:
    owner, asker = runs
    want(asker, wanted())
    owner.commit(slots_given={SLOT: 0.5})
    given_at = time.monotonic()
    assert owner.commit().steps.fetches_to_do == []
    while not (answer := want(asker)).fetches_to_do:
        pass
    assert time.monotonic() - given_at >= 0.4
    assert answer.fetches_to_do[0].run == asker.session.run


def test_what_a_dead_owner_was_to_do_is_done_by_another(runs: tuple[Run, Run]) -> None:
    owner, asker = runs
    want(asker, wanted())
    assert owner.commit().steps.fetches_to_do
    owner.die()
    asker.commit(idle=True)
    while not (answer := want(asker)).fetches_to_do:
        pass  # the site may still be answering the dead one
    assert answer.fetches_to_do[0].id == 1


def test_what_an_owner_that_closes_has_not_done_is_done_by_another(runs: tuple[Run, Run]) -> None:
    owner, asker = runs
    want(asker, wanted())
    assert owner.commit().steps.fetches_to_do
    owner.close()
    assert [todo.id for todo in want(asker).fetches_to_do] == [1]


def test_nobody_does_what_a_dead_worker_has_wanted(runs: tuple[Run, Run]) -> None:
    owner, asker = runs
    want(asker, wanted(1), wanted(2))
    first, *_ = owner.commit().steps.fetches_to_do
    want(asker, wanted(3))
    asker.die()
    owner.commit(idle=True)
    assert owner.commit().steps.fetches_to_do == []
    end(owner, FetchDone(first.run, first.id, "nobody wants it"))
    assert want(owner).fetches_done == {}


def test_nobody_does_what_was_given_up(runs: tuple[Run, Run]) -> None:
    owner, asker = runs
    want(asker, wanted(1), wanted(2))
    want(asker, fetches_given_up_of_steps=[1])
    assert [todo.id for todo in owner.commit().steps.fetches_to_do] == [2]


def test_a_worker_that_was_asked_by_several_tells_each(runs: tuple[Run, Run]) -> None:
    owner, asker = runs
    want(asker, wanted(1))
    todos = want(owner, wanted(1)).fetches_to_do
    assert [todo.run for todo in todos] == [run.session.run for run in runs]
    ends = [FetchDone(run.session.run, 1, f"for {run.session.run}") for run in runs]
    end(owner, *ends)
    assert want(owner).fetches_done == {1: f"for {owner.session.run}"}
    assert want(asker).fetches_done == {1: f"for {asker.session.run}"}


def test_where_slots_are_shared_nobody_does_it_for_another(shared_place: Place) -> None:
    first, second = two(shared_place, slots_shared=True)
    page(first, "a", item(0, "a", "photos"))
    assert want(second, wanted()).fetches_to_do == []
    assert first.commit().steps.fetches_to_do == []
