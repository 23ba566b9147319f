"""Steps of items, as the workers of a fleet share them."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest

from scrapy_resume.errors import LeaseLostError
from scrapy_resume.model import JobKey, Phase, StepState
from scrapy_resume.store.contract import LeasedStep, StepWish

from .conftest import Place
from .records import BOOKS, Run, finish
from .test_delta_keys import skipped
from .test_sharing import idle, new, two
from .test_steps import done, item, lease


def page(run: Run, name: object, *items: Any, **fields: Any) -> None:
    """A page that gives these items, fetched by this run."""
    arrival = new(run, name, lease=True, **fields)
    run.admit(arrival)
    run.finish(finish(arrival.id, items))


def test_no_two_workers_run_steps_of_one_item(shared_place: Place) -> None:
    first, second = two(shared_place)
    page(first, "a", item(0, "a", "photos", "vin"), item(1, "b", "photos", "vin"))
    (photos,) = lease(first, "photos", count=1)
    of_second = lease(second, "photos", "vin")
    assert {step.item for step in of_second}.isdisjoint({photos.item})
    assert len(of_second) == 2
    (vin,) = lease(first, "vin")
    assert vin.item == photos.item
    first.commit(changes=[done(photos, "a+"), done(vin)])
    second.commit(changes=[done(step) for step in of_second])
    assert sorted(shared_place.items()) == ["a+", "b"]


def test_a_step_is_leased_by_whom_another_leaves_the_item(shared_place: Place) -> None:
    first, second = two(shared_place)
    page(first, "a", item(0, "a", "photos", "vin"))
    (photos,) = lease(first, "photos")
    assert lease(second, "vin") == []
    first.commit(changes=[done(photos, "a+")])
    (vin,) = lease(second, "vin")
    assert vin.payload == "a+"


def test_workers_that_lease_at_the_same_time_share(shared_place: Place) -> None:
    runs = [*two(shared_place), shared_place.resume(worker="c:3")]
    page(runs[0], "a", *(item(number, str(number), "photos", "vin") for number in range(60)))
    at_work: dict[int, set[int]] = {}
    """Item → the runs that have steps of it in hand."""
    ends: list[tuple[int, str]] = []
    crossed: list[int] = []
    lock = threading.Lock()

    def work(run: Run) -> None:
        wishes = [StepWish(name, 3) for name in ("photos", "vin")]
        held: list[LeasedStep] = []
        while True:
            answer = run.commit(wishes_of_steps=wishes, changes=[done(step) for step in held])
            with lock:
                for step in held:
                    at_work[step.item].discard(run.session.run)
                held = answer.steps.leased
                for step in held:
                    owners = at_work.setdefault(step.item, set())
                    owners.add(run.session.run)
                    ends.append((step.item, step.name))
                    if len(owners) > 1:
                        crossed.append(step.item)
            if answer.counts.nothing_open:
                return

    # A commit is noted a little after it: who has leased what another one has just ended is early.
    threads = [threading.Thread(target=work, args=(run,)) for run in runs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(ends) == len(set(ends)) == 120
    assert len(shared_place.items()) == 60
    assert shared_place.store.verify(BOOKS).violations == []


def test_concurrency_holds_over_all_workers(shared_place: Place) -> None:
    first, second = two(shared_place)
    page(first, "a", *(item(number, str(number), "vin") for number in range(5)))
    held = lease(first, "vin", concurrency=2)
    assert len(held) == 2
    assert lease(second, "vin", concurrency=2) == []
    first.commit(changes=[done(held[0])])
    assert len(lease(second, "vin", concurrency=2)) == 1


def test_a_rate_limit_holds_over_all_workers(shared_place: Place) -> None:
    first, second = two(shared_place)
    page(first, "a", *(item(number, str(number), "api") for number in range(9)))
    limit = {"rate_count": 3, "rate_seconds": 1.0}
    held = lease(first, "api", count=2, **limit)
    assert len(held) == 2
    assert len(lease(second, "api", **limit)) == 1
    ended_at = time.monotonic()
    first.commit(changes=[done(step) for step in held])
    wishes = [StepWish("api", 9, **limit)]  # type: ignore[arg-type]
    answer = second.commit(wishes_of_steps=wishes).steps
    assert (answer.leased, answer.ready["api"]) == ([], 0)
    assert 0 < answer.next_due <= time.time() + 1.0
    while not (rows := lease(second, "api", **limit)):
        pass
    assert time.monotonic() - ended_at >= 0.9
    assert len(rows) == 2, "one of them has not ended"


def test_an_attempt_of_a_dead_worker_counts_for_its_limit(shared_place: Place) -> None:
    first, second = two(shared_place)
    page(first, "a", *(item(number, str(number), "api") for number in range(2)))
    limit = {"rate_count": 1, "rate_seconds": 1.0}
    (held,) = lease(first, "api", **limit)
    died_at = time.monotonic()
    first.die()
    answer = idle(second)
    assert answer.steps.counts["api"].pending == 2
    while not (rows := lease(second, "api", **limit)):
        pass
    assert time.monotonic() - died_at >= 0.9
    assert rows[0].item == held.item


def test_another_worker_runs_what_a_dead_one_held(shared_place: Place) -> None:
    first, second = two(shared_place)
    page(first, "a", item(0, "a", "vin"), item(1, "b", "vin"))
    held, _ = lease(first, "vin")
    first.job.mark(held.mark, Phase.sent)
    first.commit()
    first.die()
    answer = idle(second)
    assert answer.steps.counts["vin"].pending == 2
    assert answer.counts.steps_open == 2
    again, other = lease(second, "vin")
    assert (again.item, again.attempts, again.crashes) == (held.item, 1, 1)
    assert (other.attempts, other.crashes) == (0, 0)
    assert shared_place.store.verify(BOOKS).violations == []


def test_what_a_fenced_worker_brings_is_refused(shared_place: Place) -> None:
    first = shared_place.begin(worker="a:1")
    page(first, "a", item(0, "a", "vin"))
    (vin,) = lease(first, "vin")
    second = shared_place.resume(worker="b:2", force=True)
    with pytest.raises(LeaseLostError):
        first.commit(changes=[done(vin, "wrong")])
    (again,) = lease(second, "vin")
    assert (again.attempts, again.crashes) == (0, 0), "it may not have begun"
    second.commit(changes=[done(again)])
    assert shared_place.items() == ["a"]


def test_a_job_is_at_work_while_a_step_is_open(shared_place: Place) -> None:
    first, second = two(shared_place)
    page(first, "a", item(0, "a", "vin"))
    first.commit(start_exhausted=True)
    answer = idle(second).sharing
    assert (answer.others_at_work, answer.only_delayed) == (True, False), "it can be leased"
    (vin,) = lease(first, "vin")
    answer = idle(second).sharing
    assert (answer.others_at_work, answer.only_delayed) == (True, False), "it is running"
    again = done(vin, state=StepState.pending, not_before=2e10, error="OSError")
    first.commit(changes=[again])
    answer = idle(second).sharing
    assert (answer.others_at_work, answer.only_delayed) == (True, True), "it waits"
    assert second.job.is_last() is False
    assert second.close("completed", "finished") == "running"
    assert first.close("completed", "finished") == "paused"
    run = shared_place.resume()
    assert run.session.counts.steps_open == 1
    assert run.session.steps.delayed == 1
    assert run.session.steps.next_due == 2e10
    run.close()


def test_the_last_worker_completes_the_job(shared_place: Place) -> None:
    first, second = two(shared_place)
    page(first, "a", item(0, "a", "vin"))
    first.commit(start_exhausted=True)
    (vin,) = lease(second, "vin")
    second.commit(changes=[done(vin)])
    assert not first.job.is_last()
    assert first.close("completed", "finished") == "running"
    assert second.job.is_last()
    assert second.close("completed", "finished") == "completed"
    assert shared_place.store.verify(BOOKS).violations == []


def test_ids_of_items_of_two_workers_never_meet(shared_place: Place) -> None:
    first, second = two(shared_place)
    page(first, "a", *(item(number, f"a{number}", "vin") for number in range(50)))
    page(second, "b", *(item(number, f"b{number}", "vin") for number in range(50)))
    leased = lease(first, "vin", count=200)
    assert len({step.item for step in leased}) == 100
    assert len({step.mark for step in leased}) == 100


def test_items_with_one_key_are_one_over_all_workers(shared_place: Place) -> None:
    first, second = two(shared_place)
    page(first, "a", item(0, "a", "vin", key="k"))
    (vin,) = lease(first, "vin")
    page(second, "b", item(0, "b", "vin", key="k"))
    assert first.commit(changes=[done(vin, "old")]).steps.refused == {vin.item}
    (vin,) = lease(second, "vin")
    assert vin.payload == "b"
    second.commit(changes=[done(vin)])
    assert shared_place.items() == ["b"]
    assert shared_place.store.verify(BOOKS).violations == []


@pytest.mark.parametrize("ends", [StepState.done, StepState.failed])
def test_delta_leaves_alone_what_gave_complete_items(place: Place, ends: StepState) -> None:
    run = place.begin(delta=True)
    page(run, "whole", item(0, "a", "vin"))
    page(run, "partial", item(0, "b", "vin"))
    whole, partial = lease(run, "vin")
    run.commit(changes=[done(whole), done(partial, state=ends)], start_exhausted=True)
    assert run.close("completed", "finished") == "completed"
    run = place.begin(JobKey(BOOKS.name, 2), delta=True)
    complete = ["whole", "partial"] if ends is StepState.done else ["whole"]
    assert skipped(run, ["whole", "partial"]) == complete
