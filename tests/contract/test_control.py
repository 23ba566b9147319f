"""What people tell a live job its owner does; on a dead one it is done under the lock."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from scrapy_resume.errors import (
    JobLockedError,
    JobNotFoundError,
    LeaseLostError,
    StoreUnavailableError,
)
from scrapy_resume.model import JobKey, Phase, Selection, State
from scrapy_resume.store.contract import HostNote, Orders
from scrapy_resume.store.sqlite import store as sqlite
from scrapy_resume.store.transaction.steering import to_park, to_retry

from .conftest import Place
from .records import BOOKS, SLOT, Run, admission, finish, tombstone

LIMIT_SECONDS = 20.0
CRASH_LIMIT = 3


def told(run: Run, tell: Callable[[], Any]) -> Any:
    """What a command gives that another process would give, while the run listens as it crawls."""
    answers: list[Any] = []
    thread = threading.Thread(target=lambda: answers.append(tell()), daemon=True)
    thread.start()
    until = time.monotonic() + LIMIT_SECONDS
    while thread.is_alive() and time.monotonic() < until:
        if run.job.orders().changed:
            run.commit()
        thread.join(0.01)
    assert answers, "the command has not come back"
    return answers[0]


def live_job(place: Place) -> Run:
    """Two failed requests, one pending."""
    run = place.begin()
    run.admit(admission(1, lease=True), admission(2, lease=True, slot="other"), admission(3))
    run.commit(
        finishes=[finish(row, state=State.failed, error="E") for row in (1, 2)],
        hosts=[HostNote(SLOT, "{}")],
    )
    return run


def test_requests_of_a_live_job_are_retried_while_it_is_crawled(place: Place) -> None:
    run = live_job(place)
    store = place.another_store()
    assert told(run, lambda: store.steer(BOOKS, to_retry(Selection()), State.pending)) == 2
    assert place.states() == {"1": "pending", "2": "pending", "3": "pending"}
    assert sorted(row.id for row in [*run.lease(5), *run.lease(5, "other")]) == [1, 2, 3]
    counts = run.commit(finishes=[finish(row) for row in (1, 2, 3)]).counts
    assert (counts.pending, counts.leased, counts.done, counts.failed) == (0, 0, 3, 0)
    assert place.reader.summary(BOOKS).status == "running"


def test_an_owner_is_told_which_slots_have_more_to_fetch(exclusive_place: Place) -> None:
    run = live_job(exclusive_place)
    store = exclusive_place.another_store()
    answers = []
    thread = threading.Thread(
        target=lambda: answers.append(store.steer(BOOKS, to_retry(Selection()), State.pending))
    )
    thread.start()
    until = time.monotonic() + LIMIT_SECONDS
    while not (orders := run.job.orders()).changed:
        assert time.monotonic() < until
    assert orders == Orders(stop=False, changed=True, retried=True)
    assert run.commit().pending == {SLOT: 2, "other": 1}
    thread.join(LIMIT_SECONDS)
    assert answers == [2]
    assert run.job.orders() == Orders()


def test_requests_of_a_live_job_are_parked_while_it_is_crawled(place: Place) -> None:
    run = live_job(place)
    store = place.another_store()
    parked = to_park(Selection(url="*/3"))
    assert told(run, lambda: store.steer(BOOKS, parked, State.parked)) == 1
    assert place.states()["3"] == "parked"
    assert run.lease(5) == []
    assert run.commit().counts.parked == 1


def test_a_dry_run_asks_nobody(place: Place) -> None:
    run = live_job(place)
    everything = to_retry(Selection())
    assert place.store.steer(BOOKS, everything, State.pending, dry_run=True) == 2
    assert run.job.orders() == Orders()
    assert place.states() == {"1": "failed", "2": "failed", "3": "pending"}


def test_an_order_that_its_owner_does_not_take_up_is_withdrawn(
    exclusive_place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "ANSWER_SECONDS", 0.2)
    run = live_job(exclusive_place)
    with pytest.raises(StoreUnavailableError, match="does not answer"):
        exclusive_place.store.steer(BOOKS, to_retry(Selection()), State.pending)
    assert run.job.orders() == Orders()
    run.commit()
    assert exclusive_place.states()["1"] == "failed"


def test_an_order_whose_owner_dies_is_carried_out_under_the_lock(exclusive_place: Place) -> None:
    run = live_job(exclusive_place)
    store = exclusive_place.another_store()
    answers = []
    thread = threading.Thread(
        target=lambda: answers.append(store.steer(BOOKS, to_retry(Selection()), State.pending))
    )
    thread.start()
    until = time.monotonic() + LIMIT_SECONDS
    while not run.job.orders().changed:
        assert time.monotonic() < until
    run.die()
    thread.join(LIMIT_SECONDS)
    assert answers == [2]
    assert exclusive_place.reader.summary(BOOKS).counts.pending == 3
    run = exclusive_place.resume()
    assert run.job.orders() == Orders(), "what the dead was told is nobody's"
    assert run.commit().counts.pending == 3


def test_runs_that_are_asked_to_stop_are_told(place: Place) -> None:
    run = place.begin(worker="host:5")
    assert run.job.orders() == Orders()
    asked = place.another_store().stop(BOOKS)
    assert [(one.number, one.worker) for one in asked] == [(1, "host:5")]
    assert run.job.orders() == Orders(stop=True)
    run.close()
    assert place.store.stop(BOOKS) == []
    assert place.resume().job.orders() == Orders(), "that was for the run before"


def test_a_worker_that_joins_later_is_not_stopped(shared_place: Place) -> None:
    first = shared_place.begin(worker="host:1")
    second = shared_place.resume(worker="host:2")
    asked = shared_place.store.stop(BOOKS)
    assert [one.worker for one in asked] == ["host:1", "host:2"]
    third = shared_place.resume(worker="host:3")
    stops = [run.job.orders().stop for run in (first, second, third)]
    assert stops == [True, True, False]


def test_nobody_is_asked_of_a_job_that_is_not_there(place: Place) -> None:
    place.begin()
    for act in (
        lambda key: place.store.stop(key),
        lambda key: place.store.recover(key, CRASH_LIMIT),
        lambda key: place.store.delete(key),
        lambda key: place.store.summary(key),
    ):
        with pytest.raises(JobNotFoundError):
            act(JobKey("quotes", 1))


# -- recover


def crashed_job(place: Place) -> None:
    run = place.begin(worker="host:9")
    run.admit(admission(1, lease=True), admission(2, lease=True), admission(3))
    run.job.mark(1, Phase.answered)
    run.commit(spills=[])
    run.die()


def test_what_a_dead_worker_held_is_taken_back_without_a_run(place: Place) -> None:
    crashed_job(place)
    recovery = place.store.recover(BOOKS, CRASH_LIMIT)
    assert (recovery.workers, recovery.requests, recovery.alive) == (("host:9",), 2, ())
    summary = place.reader.summary(BOOKS)
    assert (summary.status, summary.reason) == ("paused", "recovered")
    assert (summary.counts.pending, summary.counts.leased) == (3, 0)
    assert {name: row["crashes"] for name, row in place.rows().items()} == {"1": 1, "2": 0, "3": 0}
    assert place.store.recover(BOOKS, CRASH_LIMIT).workers == (), "it is done once"
    run = place.resume()
    assert sorted(row.id for row in run.lease(9)) == [1, 2, 3]
    assert place.rows()["1"]["crashes"] == 1, "a crash is counted once"


def test_a_suspect_that_died_alone_is_parked_by_a_recovery(place: Place) -> None:
    run = place.begin(crash_limit=1)
    run.admit(admission(1, lease=True))
    run.job.mark(1, Phase.answered)
    run.die()
    assert place.store.recover(BOOKS, crash_limit=1).parked == 0
    run = place.resume(crash_limit=1)
    assert run.commit(suspect_wish=True).suspect is not None
    run.job.mark(1, Phase.answered)
    run.die()
    assert place.store.recover(BOOKS, crash_limit=1).parked == 1
    assert place.states() == {"1": "parked"}


def test_a_live_worker_keeps_what_it_has(place: Place) -> None:
    run = place.begin(worker="host:9")
    run.admit(admission(1, lease=True))
    recovery = place.store.recover(BOOKS, CRASH_LIMIT)
    assert (recovery.workers, recovery.requests, recovery.alive) == ((), 0, ("host:9",))
    run.commit(finishes=[finish(1)])
    assert place.states() == {"1": "done"}


def test_a_worker_that_was_silent_for_too_long_is_fenced(shared_place: Place) -> None:
    run = shared_place.begin(worker="host:9")
    run.admit(admission(1, lease=True))
    recovery = shared_place.store.recover(BOOKS, CRASH_LIMIT, timeout_seconds=0)
    assert (recovery.workers, recovery.requests) == (("host:9",), 1)
    with pytest.raises(LeaseLostError):
        run.commit(finishes=[finish(1)])
    assert shared_place.states() == {"1": "pending"}
    assert shared_place.reader.summary(BOOKS).status == "paused"


# -- delete


@pytest.mark.parametrize("status", ["paused", "completed", "failed", "cancelled"])
def test_a_job_at_rest_is_deleted_whole(place: Place, status: str) -> None:
    run = place.begin()
    run.finish(tombstone(1, ["{}"]))
    run.close(status, "a reason")
    other = place.begin(JobKey("quotes", 1))
    other.finish(tombstone(1, ["{}"]))
    assert place.store.delete(BOOKS)
    assert place.store.jobs() == [JobKey("quotes", 1)]
    assert place.items(JobKey("quotes", 1)) == ["{}"]
    with pytest.raises(JobNotFoundError):
        place.store.delete(BOOKS)
    again = place.begin()
    assert again.session.began
    assert again.finish(tombstone(1, ["{}"])).counts.done == 1


def test_a_crashed_job_is_deleted(place: Place) -> None:
    crashed_job(place)
    assert place.store.delete(BOOKS)
    assert place.store.jobs() == []


def test_a_live_job_is_not_deleted(place: Place) -> None:
    run = place.begin(worker="host:9")
    with pytest.raises(JobLockedError, match=r"it is being crawled by another process \(host:9"):
        place.store.delete(BOOKS)
    assert run.finish(tombstone(1, ["{}"])).counts.done == 1


def test_only_what_is_completed_before_a_time_is_deleted_if_that_is_meant(place: Place) -> None:
    run = place.begin()
    run.close("paused", "shutdown")
    later = time.time() + 900
    assert not place.store.delete(BOOKS, completed_before=later)
    place.resume().close("completed", "finished")
    assert not place.store.delete(BOOKS, completed_before=time.time() - 900)
    assert place.store.delete(BOOKS, completed_before=later)


def test_only_what_nobody_has_gone_on_with_is_deleted_if_that_is_meant(place: Place) -> None:
    place.begin().close("paused", "shutdown")
    before = time.time()
    place.resume().close("paused", "shutdown")
    assert not place.store.delete(BOOKS, untouched_since=before)
    assert place.store.delete(BOOKS, untouched_since=time.time() + 900)


# -- how it was started


def test_how_a_crawl_was_started_is_kept_until_one_says_otherwise(place: Place) -> None:
    run = place.begin(launch={"command": "crawl"})
    assert place.store.summary(BOOKS).launch == {"command": "crawl"}
    run.close()
    place.resume().close()
    assert place.store.summary(BOOKS).launch == {"command": "crawl"}
    place.resume(launch={"command": "runspider", "file": "ö.py"})
    assert place.store.summary(BOOKS).launch == {"command": "runspider", "file": "ö.py"}
