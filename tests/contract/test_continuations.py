from __future__ import annotations

from scrapy_resume.model import State
from scrapy_resume.store.contract import ItemRecord

from .conftest import Place
from .records import SLOT, admission, continuation, finish


def test_a_retry_keeps_its_row(place: Place) -> None:
    run = place.begin()
    run.admit(admission(1, lease=True))
    committed = run.admit(continuation(1, attempts=1, payload='{"meta":1}', priority=-1))
    assert not committed.duplicates
    assert committed.counts.leased == committed.counts.total == 1
    run.finish(finish(1, attempts=2))
    assert place.rows()["1"]["attempts"] == 2


def test_a_continuation_that_is_not_kept_is_pending_where_it_goes(place: Place) -> None:
    run = place.begin()
    run.admit(admission(1, lease=True))
    committed = run.admit(
        continuation(1, "moved", lease=False, slot="other.example", priority=7, start=1, seq=-3)
    )
    assert committed.pending["other.example"] == 1
    (row,) = run.lease(slot="other.example")
    assert (row.id, row.attempts, row.url) == (1, 1, f"http://{SLOT}/moved")
    assert (row.priority, row.start, row.seq) == (7, 1, -3)


def test_a_redirect_adds_its_target_to_what_is_known(place: Place) -> None:
    run = place.begin()
    run.admit(admission(1, lease=True))
    assert run.admit(continuation(1, "target")).duplicates == set()
    assert run.admit(admission(2, "target")).duplicates == {2}
    assert run.admit(admission(3, 1)).duplicates == {3}
    run.die()
    assert place.resume().admit(admission(9, "target")).duplicates == {9}


def test_a_redirect_to_what_is_known_ends_the_row_as_a_duplicate(place: Place) -> None:
    run = place.begin()
    run.admit(admission(1, lease=True), admission(2, "target"))
    run.commit(spills=[(1, ItemRecord(0, "{}"))])
    committed = run.admit(continuation(1, "target", attempts=3))
    assert committed.duplicates == {1}
    assert committed.counts.ignored == 1
    assert committed.counts.leased == 0
    row = place.rows()["1"]
    assert (row["state"], row["error"], row["attempts"]) == ("ignored", "duplicate", 3)
    # It has ended: its finish comes too late.
    run.finish(finish(1, ["{}"], spilled=True))
    assert place.items() == []
    assert place.states()["1"] == "ignored"


def test_a_redirect_to_itself_ends_the_row(place: Place) -> None:
    run = place.begin()
    run.admit(admission(1, lease=True))
    assert run.admit(continuation(1, 1)).duplicates == {1}


def test_a_redirect_back_to_an_earlier_target_ends_the_row(place: Place) -> None:
    run = place.begin()
    run.admit(admission(1, lease=True))
    run.admit(continuation(1, "a"), continuation(1, "b"))
    assert run.admit(continuation(1, "a")).duplicates == {1}


def test_arrivals_and_redirects_of_one_batch_count_in_their_order(place: Place) -> None:
    run = place.begin()
    committed = run.admit(
        admission(1, "a", lease=True),
        continuation(1, "b"),
        admission(2, "b"),
        admission(3, "c", lease=True),
        continuation(3, "b"),
        admission(4, "d"),
        continuation(3, "e"),
    )
    assert committed.duplicates == {2, 3}
    assert place.states() == {"b": "leased", "c": "ignored", "d": "pending"}


def test_a_redirect_without_an_identity_is_always_followed(place: Place) -> None:
    run = place.begin()
    run.admit(admission(1, lease=True), admission(2, "target"))
    assert not run.admit(continuation(1)).duplicates
    assert place.states()["1"] == "leased"


def test_what_is_not_leased_does_not_go_on(place: Place) -> None:
    run = place.begin()
    run.admit(admission(1), admission(2, lease=True))
    run.finish(finish(2))
    committed = run.admit(continuation(1, "x"), continuation(2, "y"), continuation(99, "z"))
    assert not committed.duplicates
    assert place.states() == {"1": "pending", "2": "done"}
    # Nor does it add to what is known.
    assert not run.admit(admission(5, "x"), admission(6, "y"), admission(7, "z")).duplicates


def test_a_row_that_went_on_is_recovered_as_what_it_went_on_as(place: Place) -> None:
    run = place.begin()
    run.admit(admission(1, lease=True))
    run.admit(continuation(1, "target", payload='{"meta":2}', attempts=1))
    run.die()
    (row,) = place.resume().lease()
    assert row.url == f"http://{SLOT}/target"
    assert row.payload == '{"meta":2}'
    assert row.attempts == 1


def test_the_first_failure_is_remembered_until_the_end_and_after_a_retry(place: Place) -> None:
    run = place.begin()
    run.admit(admission(1, lease=True), admission(2, lease=True), admission(3, lease=True))
    run.admit(continuation(1, failed=True), continuation(2))
    assert place.rows()["1"]["first_failed_at"] is not None
    assert place.rows()["2"]["first_failed_at"] is None, "a redirect is no failure"
    first = place.rows()["1"]["first_failed_at"]
    run.finish(finish(1), finish(2), finish(3, state=State.failed, error="HttpError"))
    rows = place.rows()
    assert rows["1"]["first_failed_at"] == first
    assert rows["2"]["first_failed_at"] is None
    assert rows["3"]["first_failed_at"] == rows["3"]["updated_at"]
    place.retry(3, run)
    assert place.rows()["3"]["first_failed_at"] == rows["3"]["updated_at"]
