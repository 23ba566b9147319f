"""What a run may think of others, and of what it did itself, when the server was out of reach.

Orders of events that hardly ever happen, each made to happen.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from scrapy_resume.errors import LeaseLostError, StoreUnavailableError
from scrapy_resume.store.contract import Batch, Closing, Committed, FeedNote, Leasing, Wish
from tests.support.postgres import PostgresServer

from .conftest import Place
from .records import BOOKS, SLOT, Run, finish
from .test_sharing import idle, new, two

LONG_AGO = 1_000.0


@contextmanager
def answer_lost(run: Run) -> Iterator[None]:
    """The server keeps what it is sent, and the connection breaks before it can say so."""
    link: Any = run.job._link  # type: ignore[attr-defined]
    whole = link.transaction

    @contextmanager
    def cut() -> Iterator[Any]:
        with whole() as connection:
            yield connection
        raise StoreUnavailableError("the connection broke")

    link.transaction = cut
    try:
        with pytest.raises(StoreUnavailableError, match="broke"):
            yield
    finally:
        link.transaction = whole


def write(run: Run, sql: str) -> None:
    with run.job._link.alone() as connection:  # type: ignore[attr-defined]
        connection.execute(sql)


def insisting(run: Run, **fields: Any) -> Committed:
    """A commit, as the store's thread sends it when connections have broken."""
    while True:
        try:
            return run.commit(**fields)
        except StoreUnavailableError:
            continue


def fall_silent(run: Run) -> None:
    """It lives, and nothing is heard of it."""
    run.job._heartbeat.stop()  # type: ignore[attr-defined]


def watch(run: Run) -> Any:
    return run.job._watch  # type: ignore[attr-defined]


def statuses(place: Place) -> list[str]:
    return [run["status"] for run in place.reader.runs(BOOKS)]


def test_slots_of_a_claim_that_was_not_answered_are_leased_from(shared_place: Place) -> None:
    run = shared_place.begin()
    run.admit(*(new(run, n) for n in range(4)))
    batch = Batch(next_id=run.next_id, leasing=Leasing(wishes=[Wish(SLOT, 1)]))
    with answer_lost(run):
        run.job.commit(batch)
    answer = run.job.commit(batch)
    assert (len(answer.leased), answer.sharing.claimed) == (1, [SLOT])
    assert len(run.lease()) == 3, "the slot is this run's, and it does not know"


def test_what_was_kept_and_not_answered_is_done_once(shared_place: Place) -> None:
    run = shared_place.begin()
    run.admit(new(run, "a"))
    [row] = run.lease()
    batch = Batch(next_id=run.next_id, arrivals=[new(run, "b")], finishes=[finish(row.id, ["1"])])
    for _ in range(2):
        with answer_lost(run):
            run.job.commit(batch)
    run.job.commit(batch)
    assert shared_place.items() == ["1"]
    assert (run.commit().counts.done, run.commit().counts.pending) == (1, 1)


def test_what_was_rolled_back_and_not_answered_is_done_again(shared_place: Place) -> None:
    run = shared_place.begin()
    run.admit(new(run, "a"))
    [row] = run.lease()
    batch = Batch(next_id=run.next_id, finishes=[finish(row.id, ["1"])])
    link: Any = run.job._link  # type: ignore[attr-defined]
    whole = link.transaction

    @contextmanager
    def cut() -> Iterator[Any]:
        with whole() as connection:
            yield connection
            connection.execute("ROLLBACK; BEGIN")
        raise StoreUnavailableError("the connection broke")

    link.transaction = cut
    with pytest.raises(StoreUnavailableError):
        run.job.commit(batch)
    link.transaction = whole
    assert shared_place.items() == []
    run.job.commit(batch)
    assert shared_place.items() == ["1"]


def test_a_close_that_was_kept_and_not_answered_is_no_loss(shared_place: Place) -> None:
    run = shared_place.begin()
    run.commit(start_exhausted=True)
    assert run.job.is_last()
    closing = Closing("completed", "finished")
    with answer_lost(run):
        run.job.close(closing)
    assert run.job.close(closing) == "completed"
    assert statuses(shared_place) == ["completed"]


def test_a_close_that_was_not_kept_is_refused_when_others_took_the_run_for_dead(
    shared_place: Place,
) -> None:
    first, second = two(shared_place)
    first.job._ending = "paused"  # type: ignore[attr-defined]
    first.job._presence.end()  # type: ignore[attr-defined]
    idle(second)
    with pytest.raises(LeaseLostError):
        first.close()


def test_nobody_is_dead_because_the_server_was_not_there(
    shared_place: Place, postgres_server: PostgresServer
) -> None:
    """The first that is back after an outage does not take the others for dead."""
    first, second = two(shared_place, orphan_seconds=250)
    first.admit(new(first, "a", lease=True))
    postgres_server.restart("fast")
    write(second, "UPDATE scrapy_resume.run SET beat_at = 0")
    assert insisting(second, idle=True).counts.leased == 1
    third = shared_place.resume(orphan_seconds=250)
    assert third.session.sharing.others == 2
    insisting(first)
    assert statuses(shared_place) == ["running"] * 3
    assert [run["alive"] for run in shared_place.reader.runs(BOOKS)] == [True] * 3


@pytest.mark.parametrize("why", ["no answer", "a clock that leapt"])
def test_who_was_out_of_touch_gives_the_others_time(shared_place: Place, why: str) -> None:
    first, second = two(shared_place, orphan_seconds=0.2)
    fall_silent(second)
    second_row = new(second, "a", lease=True)
    second.admit(second_row)
    watch(first)._look_at = float("inf")
    time.sleep(0.3)  # by the server's clock: it is silent from here on
    first.commit()
    here, there = watch(first)._heard
    watch(first)._orphan_seconds = LONG_AGO
    if why == "no answer":
        watch(first)._heard = (here - LONG_AGO, there - LONG_AGO)
    else:
        watch(first)._heard = (here, there - LONG_AGO)
    assert idle(first).counts.leased == 1
    assert statuses(shared_place) == ["running", "running"]
    watch(first)._patient_until = 0.0
    assert idle(first).counts.leased == 0, "it had its time"
    assert statuses(shared_place) == ["running", "crashed"]


def test_a_clock_that_was_set_back_keeps_no_dead_run_alive(shared_place: Place) -> None:
    first, second = two(shared_place, orphan_seconds=0.3)
    first.admit(*(new(first, n) for n in range(3)))
    second.lease(1)
    fall_silent(second)
    first.commit()
    write(first, "UPDATE scrapy_resume.run SET beat_at = beat_at + 3600 WHERE number = 2")
    write(first, "UPDATE scrapy_resume.slot SET free_at = free_at + 1e10")
    here, there = watch(first)._heard
    watch(first)._heard = (here, there + 3600)
    deadline = time.monotonic() + 20
    while not (answer := first.commit(idle=True, slots_wanted=8, slot_share=9)).leased:
        assert time.monotonic() < deadline, answer
    assert statuses(shared_place) == ["running", "crashed"]
    assert len(answer.leased) == 3


def test_the_last_one_waits_for_those_of_whom_nothing_is_heard(shared_place: Place) -> None:
    """A machine that lost its power near the end has nothing in hand, and never says that it
    leaves: the job is completed all the same, by those who are left."""
    first, second = two(shared_place, orphan_seconds=0.5)
    first.commit(start_exhausted=True)
    fall_silent(second)
    assert first.job.is_last() is None
    deadline = time.monotonic() + 20
    while (last := first.job.is_last()) is None:
        assert time.monotonic() < deadline
    assert last
    assert first.close("completed", "finished") == "completed"


def test_nobody_waits_for_the_last_one(shared_place: Place) -> None:
    """It delivers the feeds, which may take long."""
    first, second = two(shared_place)
    first.commit(start_exhausted=True)
    assert second.job.is_last() is None, "the first has not noticed yet"
    assert first.job.is_last()
    assert second.job.is_last() is False
    third = shared_place.resume()
    assert third.job.is_last() is False


def test_the_last_one_may_be_gone_before_another_asks_again(shared_place: Place) -> None:
    """It has delivered the feeds: they are not to be delivered twice."""
    first, second = two(shared_place)
    first.commit(start_exhausted=True)
    assert second.job.is_last() is None
    assert first.job.is_last()
    assert first.close("completed", "finished") == "completed"
    assert second.job.is_last() is False
    assert second.close("completed", "finished") == "completed"


def test_who_pauses_waits_for_nobody(shared_place: Place) -> None:
    first, second = two(shared_place)
    first.admit(new(first, "a"))
    assert second.job.is_last() is False
    assert first.job.is_last() is False


def test_a_run_reads_the_items_of_its_own_part_as_long_as_it_has_one(shared_place: Place) -> None:
    first, second = two(shared_place, orphan_seconds=0.3)
    for run in (first, second):
        rows = [new(run, f"{run.session.run}-{n}", lease=True) for n in range(3)]
        run.admit(*rows)
        run.finish(*(finish(row.id, [row.url[-3:]]) for row in rows))
    shared: Any = second.job
    payloads = [item.payload for item in shared.items_of_run(2, 0, 9)]
    assert payloads == ["2-0", "2-1", "2-2"]
    fall_silent(second)
    deadline = time.monotonic() + 20
    while statuses(shared_place) != ["running", "crashed"]:
        assert time.monotonic() < deadline
        idle(first)
    with pytest.raises(LeaseLostError):
        shared.items_of_run(2, 0, 9)
    others: Any = first.job
    assert len(others.items_of_run(2, 0, 2)) == 2, "the one that is left completes its part"


def test_an_opening_that_met_a_recovery_crosswise_is_begun_again(
    shared_place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    from psycopg.errors import DeadlockDetected

    from scrapy_resume.store.postgres import opening as postgres_opening

    shared_place.begin().die()
    whole, met = postgres_opening._end_the_dead, []

    def crosswise(*args: Any) -> Any:
        found = whole(*args)
        if len(met) < 2:
            met.append(found)
            raise DeadlockDetected
        return found

    monkeypatch.setattr(postgres_opening, "_end_the_dead", crosswise)
    assert shared_place.resume().session.crashed
    assert len(met) == 2
    assert statuses(shared_place) == ["crashed", "running"]


def parts(*runs: int) -> list[FeedNote]:
    return [FeedNote(f"items.part-{run}.jsonl", 1, "{}", False) for run in runs]


def test_the_last_one_leaves_the_parts_of_who_is_leaving_alone(shared_place: Place) -> None:
    """Two that deliver one part at a time would spoil it."""
    first, second = two(shared_place)
    first.commit(start_exhausted=True, feeds=parts(1))
    second.commit(feeds=parts(2))
    assert second.job.is_last() is None
    assert first.job.is_last()
    assert second.job.is_last() is False
    assert first.job.feeds_left() is None, "the second delivers its own"  # type: ignore[attr-defined]
    second.close("completed", "finished")
    assert first.job.feeds_left() == parts(1, 2), "it has not"  # type: ignore[attr-defined]


def test_the_last_one_ends_who_dies_while_it_delivers_its_part(shared_place: Place) -> None:
    first, second = two(shared_place, orphan_seconds=0.5)
    first.commit(start_exhausted=True)
    second.commit(feeds=parts(2))
    assert second.job.is_last() is None
    assert first.job.is_last()
    fall_silent(second)
    deadline = time.monotonic() + 20
    while (left := first.job.feeds_left()) is None:  # type: ignore[attr-defined]
        assert time.monotonic() < deadline
    assert left == parts(2)
    with pytest.raises(LeaseLostError):
        second.commit(feeds=parts(2))


def test_who_has_joined_since_the_last_one_paused_goes_on(shared_place: Place) -> None:
    first = shared_place.begin()
    first.admit(new(first, 1))
    first.commit(feeds=parts(1))
    assert first.job.is_last(), "it pauses, with a request open"
    second = shared_place.resume()
    assert first.job.feeds_left() == []  # type: ignore[attr-defined]
    assert first.close("paused", "shutdown") == "running"
    assert second.job.is_last()
    assert second.job.feeds_left() == parts(1)  # type: ignore[attr-defined]
    assert second.close("paused", "shutdown") == "paused"
