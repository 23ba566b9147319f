"""Opening, closing, taking over: a job over its runs, and G6 and G7 of the guarantee."""

from __future__ import annotations

import threading
import time

import pytest

from scrapy_resume.errors import (
    JobExistsError,
    JobLockedError,
    JobNotFoundError,
    LeaseLostError,
)
from scrapy_resume.model import JobKey
from scrapy_resume.run.pruning import prune
from scrapy_resume.store.contract import Closing, MetadataChange, Wish

from .conftest import Place
from .records import BOOKS, SLOT, admission, finish, opening


def test_a_new_job_is_empty_and_running(place: Place) -> None:
    assert place.store.latest("books") is None
    run = place.begin(
        arguments={"city": "Köln"}, metadata={"team": 1}, input_hashes={"seeds.txt": "ab"}
    )
    session = run.session
    assert (session.job, session.run, session.epoch) == (BOOKS, 1, 1)
    assert session.began
    assert not session.crashed
    assert session.counts.total == 0
    job = place.store.latest("books")
    assert job is not None
    assert (job.key, job.spider, job.status, job.alive) == (BOOKS, "books", "running", True)
    assert (job.owner, job.reason, job.completed_at) == ("host:1", None, None)
    assert (job.arguments, job.metadata) == ({"city": "Köln"}, {"team": 1})
    assert job.input_hashes == {"seeds.txt": "ab"}


def test_the_highest_number_is_the_latest(place: Place) -> None:
    for number in (1, 2, 10):
        place.begin(JobKey("books", number)).close()
    place.begin(JobKey("books#1", 77)).close()
    place.begin(JobKey("book", 99)).close()
    for name, number in (("books", 10), ("books#1", 77), ("book", 99)):
        job = place.store.latest(name)
        assert job is not None
        assert job.key == JobKey(name, number)
    assert place.store.latest("boo") is None


@pytest.mark.parametrize(
    "name",
    ["../../etc/passwd", ".hidden", "a/b", "Ünï cödé", "100%", "a#1", "", "x" * 300, "~", "a\n"],
)
def test_any_name_is_safe(place: Place, name: str) -> None:
    key = JobKey(name, 3)
    with place.store.door(name):
        place.begin(key).close()
    job = place.store.latest(name)
    assert job is not None
    assert job.key == key
    assert place.reader.keys() == [key]
    assert place.resume(key).session.job == key


def test_long_names_that_begin_alike_are_different_jobs(place: Place) -> None:
    place.begin(JobKey("x" * 200 + "1", 1)).close()
    assert place.store.latest("x" * 200 + "2") is None
    place.begin(JobKey("x" * 200 + "2", 1)).close()
    assert {job.name[-1] for job in list(place.reader.keys())} == {"1", "2"}


def test_a_job_is_begun_once(place: Place) -> None:
    place.begin().close()
    with pytest.raises(JobExistsError, match="books#1"):
        place.begin()


def test_a_job_that_is_not_there_cannot_be_resumed_or_cancelled(place: Place) -> None:
    with pytest.raises(JobNotFoundError, match="books#1"):
        place.resume()
    with pytest.raises(JobNotFoundError, match="books#1"):
        place.store.cancel(BOOKS)


def test_metadata_that_changes_while_the_job_is_crawled_is_kept_with_the_commit(
    place: Place,
) -> None:
    run = place.begin(metadata={"a": 1, "b": [2]})
    run.commit(metadata=MetadataChange({"b": {"c": "\0ö"}, "d": 4}, ["a"]))
    assert place.reader.summary(BOOKS).metadata == {"b": {"c": "\0ö"}, "d": 4}
    run.commit(metadata=MetadataChange({}, ["d", "never there"]))
    run.die()
    place.resume().die()
    assert place.reader.summary(BOOKS).metadata == {"b": {"c": "\0ö"}}
    place.resume(metadata={"e": 5}).close()
    assert place.reader.summary(BOOKS).metadata == {"e": 5}


def test_metadata_of_a_later_run_is_kept(place: Place) -> None:
    place.begin(metadata={"a": 1}, input_hashes={"f": "1"}).close()
    place.resume(input_hashes={"f": "2"}).close()
    job = place.store.latest("books")
    assert job is not None
    assert (job.metadata, job.input_hashes) == ({"a": 1}, {"f": "1"})
    place.resume(metadata={"b": object}).close()
    job = place.store.latest("books")
    assert job is not None
    assert job.metadata == {"b": "<class 'object'>"}


# Closing


def test_completed_needs_that_nothing_is_open(place: Place) -> None:
    run = place.begin()
    run.admit(admission(1, lease=True), admission(2))
    run.finish(finish(1))
    assert run.close("completed", "finished") == "paused"
    job = place.store.latest("books")
    assert job is not None
    assert (job.status, job.reason, job.completed_at) == ("paused", "finished", None)
    assert not job.alive
    run = place.resume()
    run.lease()
    run.finish(finish(2))
    assert run.close("completed", "finished") == "completed"
    job = place.store.latest("books")
    assert job is not None
    assert job.status == "completed"
    assert job.completed_at is not None


@pytest.mark.parametrize("fields", [{"lease": True}, {"not_before": time.time() + 900}])
def test_leased_and_delayed_rows_are_open_too(place: Place, fields: dict[str, object]) -> None:
    run = place.begin()
    run.admit(admission(1, **fields))
    assert run.close("completed", "finished") == "paused"


@pytest.mark.parametrize("status", ["paused", "cancelled", "failed"])
def test_any_other_end_is_kept_word_for_word(place: Place, status: str) -> None:
    assert place.begin().close(status, "closespider_itemcount") == status
    job = place.store.latest("books")
    assert job is not None
    assert (job.status, job.reason) == (status, "closespider_itemcount")


def test_a_close_releases_what_is_leased(place: Place) -> None:
    run = place.begin()
    run.admit(admission(1, lease=True), admission(2))
    run.close()
    assert place.states() == {"1": "pending", "2": "pending"}
    session = place.resume().session
    assert session.frontier.pending == {SLOT: 2}
    assert not session.crashed
    assert session.recovered.requests == 0


def test_the_runs_of_a_job_are_remembered(place: Place) -> None:
    run = place.begin(worker="a:1")
    run.admit(admission(1, lease=True), admission(2, lease=True))
    run.commit(finishes=[finish(1, ["x", "y"])], pages=4)
    run.die()
    run = place.resume(worker="b:2")
    assert run.session.run == 2
    run.lease()
    run.finish(finish(2, ["z"]))
    run.close("completed", "finished", requests=3, odd={1})
    first, second = place.reader.runs(BOOKS)
    assert (first["worker"], first["status"], first["pages"], first["items"]) == (
        ("a:1", "crashed", 4, 2)
    )
    assert first["stats"] is None
    assert (second["status"], second["reason"], second["items"]) == ("completed", "finished", 1)
    assert second["stats"] == {"requests": 3, "odd": "{1}"}
    assert second["ended_at"] >= second["started_at"] >= first["ended_at"]


def test_a_run_that_has_closed_is_refused(place: Place) -> None:
    run = place.begin()
    run.close()
    with pytest.raises(LeaseLostError):
        run.commit()


def test_another_thread_may_close(place: Place) -> None:
    run = place.begin()
    run.admit(admission(1))
    thread = threading.Thread(target=run.close)
    thread.start()
    thread.join()
    job = place.store.latest("books")
    assert job is not None
    assert job.status == "paused"


# Ownership: G7


def test_a_live_job_is_refused_and_left_as_it_is(exclusive_place: Place) -> None:
    place = exclusive_place
    run = place.begin(worker="tokyo:4711")
    run.admit(admission(1, lease=True))
    store = place.another_store()
    before = store.latest("books")
    for _ in range(2):
        with pytest.raises(JobLockedError, match="tokyo:4711"):
            store.resume(BOOKS, opening())
        with pytest.raises(JobLockedError, match="tokyo:4711"):
            store.cancel(BOOKS)
    assert store.latest("books") == before
    assert place.states() == {"1": "leased"}
    run.finish(finish(1, ["a"]))
    run.close()


def test_two_jobs_are_open_at_a_time(place: Place) -> None:
    first = place.begin(JobKey("a", 1))
    second = place.begin(JobKey("b", 1))
    first.admit(admission(1))
    second.admit(admission(1))
    first.close()
    second.admit(admission(2))
    assert place.store.latest("a").alive is False  # type: ignore[union-attr]
    assert place.store.latest("b").alive is True  # type: ignore[union-attr]


def test_a_takeover_by_force_fences_the_old_owner(place: Place) -> None:
    old = place.begin()
    old.admit(admission(1, lease=True), admission(2))
    old.job.mark(1, 2)  # type: ignore[arg-type]
    if place.store.shared:
        old.commit()  # that takes the mark along
    new = place.resume(force=True, worker="new:2")
    assert new.session.epoch == old.session.epoch + 1
    assert new.session.recovered.requests == 1
    for attempt in (
        lambda: old.admit(admission(7)),
        lambda: old.finish(finish(1, ["stale"])),
        lambda: old.close("completed", "finished"),
        lambda: old.commit(wishes=[Wish(SLOT, 1)]),
    ):
        with pytest.raises(LeaseLostError):
            attempt()
    old.job.mark(2, 1)  # type: ignore[arg-type]
    old.die()
    assert place.items() == []
    assert place.states() == {"1": "pending", "2": "pending"}
    # The old owner's end gives nothing away.
    if not place.store.shared:
        with pytest.raises(JobLockedError):
            place.resume()
    assert [row.id for row in new.lease()] == [1, 2]
    # Nobody died: no request is blamed, but it was tried.
    row = place.rows()["1"]
    assert (row["crashes"], row["attempts"]) == (0, 1)
    new.close()


def test_force_takes_a_dead_job_too(place: Place) -> None:
    run = place.begin()
    run.die()
    assert place.resume(force=True).session.crashed


def test_a_cancelled_job_goes_on_where_it_was(place: Place) -> None:
    run = place.begin()
    run.admit(admission(1, lease=True))
    run.job.mark(1, 1)  # type: ignore[arg-type]
    run.die()
    place.store.cancel(BOOKS)
    job = place.store.latest("books")
    assert job is not None
    assert (job.status, job.reason, job.alive) == ("cancelled", "cancelled", False)
    run = place.resume()
    assert run.session.crashed
    assert [(row.id, row.crashes) for row in run.lease()] == [(1, 1)]


def test_a_run_of_before_cannot_commit_to_a_cancelled_job(place: Place) -> None:
    run = place.begin()
    run.close()
    place.store.cancel(BOOKS)
    with pytest.raises(LeaseLostError):
        run.commit()


def test_one_at_a_time_passes_the_door(place: Place) -> None:
    inside: list[int] = []
    most: list[int] = []

    def pass_door() -> None:
        with place.another_store().door("books"):
            inside.append(1)
            most.append(len(inside))
            time.sleep(0.02)
            inside.pop()

    threads = [threading.Thread(target=pass_door) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1] * 5


def test_doors_of_different_names_are_different(place: Place) -> None:
    with place.store.door("a"), place.another_store().door("b"):
        pass


# Pruning


def complete(place: Place, number: int, name: str = "books") -> JobKey:
    key = JobKey(name, number)
    place.begin(key).close("completed", "finished")
    return key


def test_the_latest_completed_jobs_are_kept(place: Place) -> None:
    keys = [complete(place, number) for number in range(1, 6)]
    complete(place, 1, "other")
    assert prune(place.store, "books", 2) == keys[:3]
    assert prune(place.store, "books", 2) == []
    assert place.reader.keys() == [*keys[3:], JobKey("other", 1)]


def test_unfinished_and_live_jobs_are_not_pruned(place: Place) -> None:
    place.begin(JobKey("books", 1)).close("paused")
    place.begin(JobKey("books", 2)).die()
    place.begin(JobKey("books", 3)).close("cancelled")
    complete(place, 4)
    complete(place, 5)
    live = place.resume(JobKey("books", 4))
    complete(place, 6)
    assert prune(place.store, "books", 1) == [JobKey("books", 5)]
    live.admit(admission(1))


def test_no_number_is_deleted_that_a_delta_crawl_rests_on(place: Place) -> None:
    """It has not fetched what gave items before: the old numbers have the only copy of them."""
    keys = [complete(place, 1), complete(place, 2)]
    place.begin(JobKey("books", 3), delta=True).close("completed", "finished")
    assert prune(place.store, "books", 1) == []
    keys += [JobKey("books", 3), complete(place, 4), complete(place, 5)]
    assert prune(place.store, "books", 1) == keys[:4], "that one is not wanted any more either"


def test_a_delta_crawl_that_is_under_way_rests_on_all_before_it(place: Place) -> None:
    complete(place, 1)
    complete(place, 2)
    place.begin(JobKey("books", 3), delta=True)
    complete(place, 1, "other")
    complete(place, 2, "other")
    assert prune(place.store, "books", 1) == []
    assert prune(place.store, "other", 1) == [JobKey("other", 1)]


def test_zero_keeps_all(place: Place) -> None:
    complete(place, 1)
    complete(place, 2)
    assert prune(place.store, "books", 0) == []


def test_closing_can_name_any_stats(place: Place) -> None:
    run = place.begin()
    run.job.close(Closing("paused", "x", {"when": time.localtime(), "none": None}))
    assert place.reader.runs(BOOKS)[0]["stats"]["none"] is None


# The end of the crawl that has completed a job


def owed(place: Place) -> list[str]:
    notes = place.store.undelivered_events(BOOKS)
    return [event["process"] for note in notes for event in note.events if "process" in event]


def test_who_completes_a_job_owes_the_end_of_its_crawl(place: Place) -> None:
    run = place.begin()
    assert run.job.close(Closing("completed", "finished", process="me")) == "completed"
    assert owed(place) == ["me"]
    assert run.job.end_owed is not None
    place.store.delete_events(BOOKS, [run.job.end_owed.id])
    assert owed(place) == []


def test_who_does_not_complete_a_job_owes_nothing(place: Place) -> None:
    run = place.begin()
    run.admit(admission(1))
    assert run.job.close(Closing("completed", "finished", process="me")) == "paused"
    assert (owed(place), run.job.end_owed) == ([], None)
