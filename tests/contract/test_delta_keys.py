"""A delta crawl skips what gave items in earlier numbers of the job, and nothing else."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from scrapy_resume.errors import JobNotFoundError
from scrapy_resume.model import JobKey, Kind, Selection, State
from scrapy_resume.store.contract import Committed, ItemRecord
from scrapy_resume.store.transaction.selection import UNRECORDED

from .conftest import Place
from .records import BOOKS, Run, admission, continuation, finish, identity, tombstone

NAMES = ("given", "empty", "failed", "lost", "start item", "first", "target", "lambda")


def number(count: int) -> JobKey:
    return JobKey(BOOKS.name, count)


def fill(place: Place, key: JobKey = BOOKS, **fields: Any) -> Run:
    """A number in which everything gave something, or nothing, in another way; still open."""
    run = place.begin(key, **fields)
    run.admit(
        admission(1, "given", lease=True),
        admission(2, "empty", lease=True),
        admission(3, "failed", lease=True),
        admission(4, "lost", lease=True),
        admission(5, "start item", kind=Kind.start_item, lease=True),
        admission(6, "first", every_run=True, lease=True),
        admission(7, "source", lease=True),
        admission(8, "own key", lease=True, given_key=identity("key")),
    )
    run.admit(continuation(7, "target"))
    run.finish(
        finish(1, ["{}", "{}"]),
        finish(2),
        finish(3, ["{}"], state=State.failed, error="ValueError"),
        finish(4, items_failed=1, error="KeyError"),
        finish(5, ["{}"]),
        finish(6, ["{}"]),
        finish(7, ["{}"]),
        finish(8, ["{}"]),
        tombstone(9, ["{}"], name="lambda", payload=UNRECORDED),
    )
    return run


def complete(run: Run) -> None:
    assert run.close("completed", "finished") == "completed"


def ask(run: Run, names: Iterable[object], first: int = 100, **fields: Any) -> Committed:
    fields = {"may_be_skipped": True, "parent": 1, "lease": True, **fields}
    return run.admit(*(admission(first + at, name, **fields) for at, name in enumerate(names)))


def skipped(run: Run, names: Iterable[object], first: int = 100, **fields: Any) -> list[object]:
    """Which of these a number skips."""
    listed = list(names)
    answer = ask(run, listed, first, **fields)
    return [name for at, name in enumerate(listed) if first + at in answer.skipped]


GIVEN = ["given", "source", "target", "lambda"]
ALL = [*NAMES, "source", "own key", "new"]


def test_skips_what_is_done_and_gave_items_under_all_its_identities(place: Place) -> None:
    complete(fill(place))
    run = place.begin(number(2), delta=True)
    assert run.session.delta
    assert sorted(map(str, skipped(run, ALL))) == sorted(GIVEN)


def test_what_is_skipped_is_ignored_for_that_reason_and_never_leased(place: Place) -> None:
    complete(fill(place))
    run = place.begin(number(2), delta=True)
    answer = ask(run, ["given", "new"], lease=False, not_before=1.0)
    assert answer.skipped == {100}
    assert not answer.duplicates
    assert (answer.counts.ignored, answer.counts.pending) == (1, 1)
    row = place.rows(number(2))["given"]
    assert (row["state"], row["error"], row["attempts"]) == ("ignored", "delta", 0)
    assert row["not_before"] is None
    assert [row.url.rpartition("/")[2] for row in run.lease()] == ["new"]


def test_the_same_request_is_fetched_when_it_may_not_be_skipped(place: Place) -> None:
    complete(fill(place))
    run = place.begin(number(2), delta=True)
    assert skipped(run, ["given"]) == ["given"]
    answer = ask(run, ["given"], first=200, may_be_skipped=False)
    assert not answer.skipped | answer.duplicates
    assert answer.counts.leased == 1
    assert ask(run, ["given"], first=300, may_be_skipped=False).duplicates == {300}


def test_what_was_skipped_once_is_a_duplicate_after_that(place: Place) -> None:
    complete(fill(place))
    run = place.begin(number(2), delta=True)
    answer = ask(run, ["given", "given"])
    assert (answer.skipped, answer.duplicates) == ({100}, {101})
    run.die()
    run = place.resume(number(2))
    assert run.session.delta
    assert ask(run, ["given"], first=200).duplicates == {200}


def test_a_key_of_its_own_stands_for_the_identity(place: Place) -> None:
    complete(fill(place))
    run = place.begin(number(2), delta=True)
    assert skipped(run, ["own key"]) == []
    assert skipped(run, ["elsewhere"], first=200, given_key=identity("key")) == ["elsewhere"]
    assert skipped(run, ["given"], first=300, given_key=identity("other")) == []


def test_a_question_writes_nothing(place: Place) -> None:
    complete(fill(place))
    run = place.begin(number(2), delta=True)
    answer = ask(run, ["given"], record=False)
    assert answer.skipped == {100}
    assert answer.counts.total == 0
    assert not place.rows(number(2))


def test_items_that_were_superseded_by_nothing_do_not_count(place: Place) -> None:
    run = fill(place)
    complete(run)
    assert place.store.steer(BOOKS, Selection((State.done,), url="*/given"), State.pending) == 1
    run = place.resume()
    [row] = run.lease()
    run.finish(finish(row.id, attempts=2, supersedes=True))
    complete(run)
    assert skipped(place.begin(number(2), delta=True), GIVEN) == GIVEN[1:]


def test_what_is_to_be_fetched_again_is_not_skipped_though_its_items_are_there(
    place: Place,
) -> None:
    complete(fill(place))
    place.store.steer(BOOKS, Selection((State.done,), url="*/given"), State.pending)
    place.store.cancel(BOOKS)
    assert skipped(place.begin(number(2), delta=True), GIVEN) == GIVEN[1:]


def test_items_of_a_number_that_was_given_up_count(place: Place) -> None:
    fill(place).die()
    place.store.cancel(BOOKS)
    assert skipped(place.begin(number(2), delta=True), GIVEN) == GIVEN


def test_provisional_items_do_not_count(place: Place) -> None:
    run = place.begin()
    run.admit(admission(1, "open", lease=True))
    run.commit(spills=[(1, ItemRecord(0, "{}"))])
    run.die()
    place.store.cancel(BOOKS)
    assert skipped(place.begin(number(2), delta=True), ["open"]) == []


@pytest.mark.parametrize("modes", [(True, True), (True, False), (False, True)])
def test_what_was_known_once_survives_the_deletion_of_numbers(
    place: Place, modes: tuple[bool, bool]
) -> None:
    complete(fill(place))
    for at, delta in enumerate(modes, 2):
        run = place.begin(number(at), delta=delta)
        run.admit(admission(1, f"of {at}", lease=True))
        run.finish(finish(1, ["{}"]))
        complete(run)
        for old in range(1, at - 1):
            with suppress(JobNotFoundError):
                place.store.delete(number(old))
    place.store.delete(number(2))
    known = skipped(place.begin(number(4), delta=True), [*GIVEN, "of 2", "of 3", "new"])
    assert known == [*GIVEN, "of 2", "of 3"]


def test_a_job_that_never_was_crawled_so_keeps_nothing_and_skips_nothing(place: Place) -> None:
    complete(fill(place))
    run = place.begin(number(2))
    assert not run.session.delta
    assert skipped(run, ALL) == []


def test_a_number_in_another_mode_knows_and_does_not_skip(place: Place) -> None:
    complete(fill(place))
    complete(place.begin(number(2), delta=True))
    run = place.begin(number(3))
    assert not run.session.delta
    assert not place.store.latest(BOOKS.name).delta  # type: ignore[union-attr]


def test_all_numbers_are_asked_the_first_time(place: Place) -> None:
    for at in range(1, 13):
        run = place.begin(number(at))
        run.admit(admission(1, f"of {at}", lease=True))
        run.finish(finish(1, ["{}"]))
        complete(run)
    names = [f"of {at}" for at in range(1, 13)]
    assert skipped(place.begin(number(13), delta=True), names) == names
    assert place.store.latest(BOOKS.name).delta  # type: ignore[union-attr]


def test_the_first_number_may_be_a_delta_crawl(place: Place) -> None:
    run = place.begin(delta=True)
    assert skipped(run, ALL) == []
    assert run.session.delta


def test_other_names_are_other_jobs(place: Place) -> None:
    complete(fill(place, JobKey("books and more", 1)))
    assert skipped(place.begin(delta=True), GIVEN) == []


def test_what_a_start_that_died_took_over_is_taken_over_anew(place: Place) -> None:
    """The job is there, and no run of it ever was: begun again, in another mode."""
    complete(fill(place))
    place.begin(number(2), delta=True).die()
    forget_runs(place, number(2))
    assert not place.begin(number(2)).session.delta


def test_a_number_whose_file_is_damaged_is_left_alone(
    exclusive_place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    place = exclusive_place
    complete(fill(place))
    run = place.begin(number(2))
    run.admit(admission(1, "of 2", lease=True))
    run.finish(finish(1, ["{}"]))
    complete(run)
    path = place.reader.path(BOOKS)
    whole = path.read_bytes()
    path.write_bytes(b"x" * len(whole))
    run = place.begin(number(3), delta=True)
    assert skipped(run, ["given", "of 2"]) == ["of 2"]
    assert "Requests that gave items in books#1 are fetched again" in caplog.text
    assert path.read_bytes() == b"x" * len(whole)


def forget_runs(place: Place, key: JobKey) -> None:
    """As a death right after the job was made leaves it."""
    reader = place.reader
    if hasattr(reader, "path"):
        with sqlite3.connect(reader.path(key)) as connection:
            connection.execute("DELETE FROM run")
            connection.execute("UPDATE job SET status = 'initialized', epoch = 0")
        connection.close()
        for lock in Path(reader.directory).glob("*.lock"):
            lock.unlink()
        return
    with reader._link.alone() as connection:
        connection.execute(
            "DELETE FROM scrapy_resume.run AS r USING scrapy_resume.job AS j"
            " WHERE j.id = r.job AND j.number = %s",
            (key.number,),
        )
        connection.execute(
            "UPDATE scrapy_resume.job SET status = 'initialized', next_run = 1 WHERE number = %s",
            (key.number,),
        )
