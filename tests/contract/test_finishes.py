from __future__ import annotations

from typing import Any

import pytest

from scrapy_resume.model import EVERY_RUN_ITEM, Selection, State
from scrapy_resume.store.contract import ItemRecord, Release

from .conftest import Place
from .records import BOOKS, Run, admission, continuation, finish, identity, tombstone


def item(occurrence: int, payload: str, key: str | None = None) -> ItemRecord:
    return ItemRecord(occurrence, payload, key)


def test_a_finish_and_its_items_become_visible_together(place: Place) -> None:
    run = place.begin()
    run.admit(admission(1, lease=True))
    committed = run.finish(finish(1, ["a", "b"], http_status=200, attempts=2))
    assert place.items() == ["a", "b"]
    row = place.rows()["1"]
    assert (row["state"], row["http_status"], row["attempts"], row["items"]) == ("done", 200, 2, 2)
    assert committed.counts.items_stored == 2
    assert (committed.counts.done, committed.counts.leased) == (1, 0)


def test_a_row_ends_once(place: Place) -> None:
    run = place.begin()
    run.admit(admission(1, lease=True))
    run.finish(finish(1, ["a"]), finish(1, ["b"], state=State.failed))
    run.finish(finish(1, ["c"]))
    assert place.items() == ["a"]
    assert place.states() == {"1": "done"}


def test_a_row_that_is_not_leased_cannot_end(place: Place) -> None:
    run = place.begin()
    run.admit(admission(1))
    committed = run.finish(finish(1, ["a"]), finish(42, ["b"]))
    assert committed.counts.pending == committed.counts.total == 1
    assert place.items() == []


def test_a_row_may_arrive_go_on_and_end_in_one_batch(place: Place) -> None:
    run = place.begin()
    run.commit(
        arrivals=[admission(1, lease=True), continuation(1, "b")],
        spills=[(1, item(0, "a"))],
        finishes=[finish(1, [item(1, "b")], spilled=True)],
    )
    assert place.items() == ["a", "b"]
    assert place.states() == {"b": "done"}


@pytest.mark.parametrize("state", [State.failed, State.ignored, State.parked])
def test_a_failure_is_kept_with_its_reason(place: Place, state: State) -> None:
    run = place.begin()
    run.admit(admission(1, lease=True))
    message = "no \udcff name"
    committed = run.finish(
        finish(1, state=state, http_status=503, error="HttpError", error_message=message)
    )
    row = place.rows()["1"]
    assert (row["state"], row["http_status"], row["error"]) == (state.name, 503, "HttpError")
    assert row["error_message"] == r"no \udcff name"
    assert getattr(committed.counts, state.name) == 1


def test_dropped_and_failed_items_are_counted(place: Place) -> None:
    run = place.begin()
    run.admit(admission(1, lease=True), admission(2, lease=True))
    finishes = finish(1, items_dropped=2), finish(2, items_dropped=1, items_failed=3)
    counts = run.finish(*finishes).counts
    assert (counts.items_dropped, counts.items_failed) == (3, 3)
    run.die()
    counts = place.resume().session.counts
    assert (counts.items_dropped, counts.items_failed) == (3, 3)


# Spilled items


def test_spilled_items_are_invisible_until_the_finish(place: Place) -> None:
    run = place.begin()
    run.admit(admission(1, lease=True))
    run.commit(spills=[(1, item(n, f"s{n}")) for n in range(2500)])
    committed = run.commit(spills=[(1, item(2500, "s2500"))])
    assert committed.counts.items_stored == 0
    assert place.items() == []
    committed = run.finish(finish(1, [item(2501, "last")], spilled=True))
    assert place.items() == [*(f"s{n}" for n in range(2501)), "last"]
    assert committed.counts.items_stored == place.rows()["1"]["items"] == 2502


def test_a_finish_that_did_not_spill_leaves_others_alone(place: Place) -> None:
    run = place.begin()
    run.admit(admission(1, lease=True), admission(2, lease=True))
    run.commit(spills=[(1, item(0, "one")), (2, item(0, "two"))])
    run.finish(finish(2, spilled=True))
    assert place.items() == ["two"]
    run.finish(finish(1, spilled=True))
    assert place.items() == ["two", "one"]


def test_a_release_drops_spilled_items(place: Place) -> None:
    run = place.begin()
    run.admit(admission(1, lease=True))
    run.commit(spills=[(1, item(0, "half"))], releases=[Release(1, 1)])
    (row,) = run.lease()
    assert row.attempts == 1
    run.finish(finish(1, [item(0, "whole")], spilled=True))
    assert place.items() == ["whole"]


def test_a_death_drops_spilled_items(place: Place) -> None:
    run = place.begin()
    run.admit(admission(1, lease=True))
    run.commit(spills=[(1, item(0, "half"))])
    run.die()
    run = place.resume()
    run.lease()
    run.finish(finish(1, [item(0, "whole")], spilled=True))
    assert place.items() == ["whole"]


def test_a_close_drops_spilled_items(place: Place) -> None:
    run = place.begin()
    run.admit(admission(1, lease=True))
    run.commit(spills=[(1, item(0, "half"))])
    run.close()
    run = place.resume()
    run.lease()
    run.finish(finish(1, spilled=True))
    assert place.items() == []


# Items with a key


def test_a_later_item_with_the_key_replaces_the_earlier_one_and_comes_last(place: Place) -> None:
    run = place.begin()
    run.admit(*(admission(row, lease=True) for row in (1, 2, 3)))
    run.finish(finish(1, [item(0, "old", "k"), item(1, "other")]))
    committed = run.finish(finish(2, [item(0, "new", "k")]), finish(3, [item(0, "newest", "k")]))
    assert place.items() == ["other", "newest"]
    assert committed.counts.items_stored == 2
    assert [place.rows()[name]["items"] for name in "123"] == [1, 0, 1]


def test_equal_keys_within_one_request_are_one_item(place: Place) -> None:
    run = place.begin()
    run.admit(admission(1, lease=True))
    committed = run.finish(finish(1, [item(0, "a", "k"), item(1, "b", "k"), item(2, "c", "é")]))
    assert place.items() == ["b", "c"]
    assert committed.counts.items_stored == place.rows()["1"]["items"] == 2


def test_spilled_items_with_a_key_replace_too(place: Place) -> None:
    run = place.begin()
    run.admit(admission(1, lease=True), admission(2, lease=True))
    run.finish(finish(1, [item(0, "old", "k")]))
    run.commit(spills=[(2, item(0, "new", "k")), (2, item(1, "x", "j"))])
    committed = run.finish(finish(2, [item(2, "newest", "j")], spilled=True))
    assert place.items() == ["new", "newest"]
    assert committed.counts.items_stored == 2
    assert [place.rows()[name]["items"] for name in "12"] == [0, 2]


def test_of_items_with_one_key_the_first_stays_where_duplicates_are_dropped(place: Place) -> None:
    run = place.begin()
    run.admit(*(admission(row, lease=True) for row in (1, 2, 3)))
    run.commit(
        finishes=[finish(1, [item(0, "a", "k"), item(1, "b", "k"), item(2, "c")])],
        drops_item_duplicates=True,
    )
    run.commit(spills=[(2, item(0, "d", "k")), (2, item(1, "e", "j"))])
    committed = run.commit(
        finishes=[
            finish(2, [item(2, "f", "j")], spilled=True),
            finish(3, [item(0, "new", f"{EVERY_RUN_ITEM}x")]),
        ],
        drops_item_duplicates=True,
    )
    assert place.items() == ["a", "c", "e", "new"]
    assert (committed.counts.items_stored, committed.counts.items_dropped) == (4, 3)
    assert committed.items.given == 2
    assert [place.rows()[name]["items"] for name in "123"] == [2, 1, 1]


def test_a_duplicate_is_one_after_what_its_own_request_gave_before_is_replaced(
    place: Place,
) -> None:
    run = place.begin()
    run.admit(admission(1, lease=True))
    run.finish(finish(1, [item(0, "old", "k")], state=State.failed))
    place.retry(1, run)
    run = place.resume()
    run.lease()
    committed = run.commit(
        finishes=[finish(1, [item(0, "new", "k"), item(1, "again", "k")], supersedes=True)],
        drops_item_duplicates=True,
    )
    assert place.items() == ["new"]
    assert committed.counts.items_dropped == 1


# A later execution of a request


def test_a_later_execution_supersedes_the_items_of_an_earlier_one(place: Place) -> None:
    run = place.begin()
    run.admit(admission(1, lease=True), admission(2, lease=True))
    run.finish(finish(1, ["a", "b"], state=State.failed), finish(2, ["c"]))
    place.retry(1, run)
    run = place.resume()
    (row,) = run.lease()
    assert row.items == 2
    committed = run.finish(finish(1, ["d"], supersedes=True))
    assert place.items() == ["c", "d"]
    assert committed.counts.items_stored == 2
    assert place.rows()["1"]["items"] == 1


def test_an_execution_that_gives_nothing_supersedes_too(place: Place) -> None:
    run = place.begin()
    run.admit(admission(1, lease=True))
    run.finish(finish(1, ["a", "b"], state=State.failed))
    place.retry(1, run)
    run = place.resume()
    run.lease()
    committed = run.finish(finish(1, supersedes=True))
    assert place.items() == []
    assert committed.counts.items_stored == place.rows()["1"]["items"] == 0


def test_an_item_that_another_request_took_over_by_its_key_is_not_superseded(
    place: Place,
) -> None:
    run = place.begin()
    run.admit(admission(1, lease=True), admission(2, lease=True))
    run.finish(finish(1, [item(0, "old", "k"), item(1, "a")], state=State.failed))
    place.retry(1, run)
    run = place.resume()
    rows = run.lease()
    assert {row.id: row.items for row in rows} == {1: 2, 2: 0}
    committed = run.finish(finish(2, [item(0, "new", "k")]), finish(1, ["b"], supersedes=True))
    assert sorted(place.items()) == ["b", "new"]
    assert committed.counts.items_stored == 2
    assert [place.rows()[name]["items"] for name in "12"] == [1, 1]


@pytest.mark.parametrize(("prefix", "superseded"), [("", 0), (EVERY_RUN_ITEM, 1)])
def test_only_items_that_every_run_gives_are_superseded_by_those_with_their_key(
    place: Place, prefix: str, superseded: int
) -> None:
    run = place.begin()
    run.admit(admission(1, lease=True), admission(2, lease=True))
    before = run.finish(finish(1, [item(0, "old", f"{prefix}k")]))
    committed = run.finish(finish(2, [item(0, "new", f"{prefix}k")]))
    assert place.items() == ["new"]
    assert committed.items.superseded - before.items.superseded == superseded


def retry_done(place: Place, run: Run, row: int = 1) -> Run:
    """The row, which was done, is fetched again: leased by the next run."""
    run.close()
    meant = Selection((State.done,), url=f"*/{row}")
    assert place.store.steer(BOOKS, meant, State.pending) == 1
    run = place.resume()
    assert row in [leased.id for leased in run.lease()]
    return run


FAILURES = (
    {"state": State.failed, "http_status": 500},
    {"state": State.failed, "http_status": None, "error": "TimeoutError"},
    {"state": State.failed, "http_status": 200, "error": "ValueError"},
    {"state": State.ignored, "http_status": 403},
    {"state": State.ignored, "http_status": None, "error": "robots"},
    {"state": State.parked, "http_status": None, "error": "HostUnavailableError"},
)


@pytest.mark.parametrize("failure", FAILURES)
def test_an_execution_that_fails_takes_back_nothing_that_a_done_one_gave(
    place: Place, failure: dict[str, Any]
) -> None:
    run = place.begin()
    run.admit(admission(1, lease=True))
    run.finish(finish(1, ["1", item(1, "2", "k")]))
    before = place.item_ids()
    run = retry_done(place, run)
    run.commit(spills=[(1, item(0, "x", "k"))])
    ends = finish(1, [item(1, "y"), item(2, "z", "k")], spilled=True, supersedes=True, **failure)
    committed = run.finish(ends)
    assert place.items() == ["1", "2"]
    assert place.item_ids() == before, "no feed has to be written again"
    assert committed.items.given == 0
    assert committed.counts.items_stored == place.rows()["1"]["items"] == 2
    assert place.states() == {"1": failure["state"].name}
    run.close()
    assert not place.store.verify(BOOKS).violations


def test_items_stay_over_many_failures_until_an_execution_is_done(place: Place) -> None:
    run = place.begin()
    run.admit(admission(1, lease=True))
    run.finish(finish(1, ["a"]))
    run = retry_done(place, run)
    for _ in range(2):
        run.finish(finish(1, ["x"], state=State.failed, supersedes=True))
        assert place.items() == ["a"]
        place.retry(1, run)
        run = place.resume()
        (row,) = run.lease()
        assert row.items == 1
    run.finish(finish(1, ["b", "c"], supersedes=True))
    assert place.items() == ["b", "c"]
    run = retry_done(place, run)
    run.finish(finish(1, ["y"], state=State.failed, supersedes=True))
    assert place.items() == ["b", "c"]


def test_that_an_execution_gave_nothing_is_kept_too(place: Place) -> None:
    """Items come from one execution: those of one that fails are not added to no items."""
    run = place.begin()
    run.admit(admission(1, lease=True))
    run.finish(finish(1))
    run = retry_done(place, run)
    run.finish(finish(1, ["half"], state=State.failed))
    assert place.items() == []


@pytest.mark.parametrize("status", [404, 410])
def test_the_items_of_a_page_that_is_gone_are_gone(place: Place, status: int) -> None:
    run = place.begin()
    run.admit(admission(1, lease=True))
    run.finish(finish(1, ["a"]))
    run = retry_done(place, run)
    run.finish(finish(1, ["gone"], state=State.ignored, http_status=status, supersedes=True))
    assert place.items() == ["gone"]
    run.close()
    meant = Selection((State.ignored,), url="*/1")
    assert place.store.steer(BOOKS, meant, State.pending) == 1
    run = place.resume()
    run.lease()
    run.finish(finish(1, ["half"], state=State.failed, supersedes=True))
    assert place.items() == ["half"], "no execution that was done has given the one before"


def test_killed_in_the_second_execution_the_items_of_the_first_stay(place: Place) -> None:
    run = place.begin()
    run.admit(admission(1, lease=True), admission(2, lease=True))
    run.finish(finish(1, ["a"]), finish(2, ["b"]))
    run = retry_done(place, run)
    run.commit(spills=[(1, item(0, "x"))])
    run.die()
    run = place.resume()
    assert place.items() == ["a", "b"]
    (row,) = run.lease()
    run.finish(finish(row.id, ["y"], state=State.failed, supersedes=row.items > 0))
    assert place.items() == ["a", "b"]


def test_items_never_take_the_place_of_deleted_ones(place: Place) -> None:
    """A feed that has read as far as some item finds everything that came after it."""
    run = place.begin()
    run.admit(*(admission(row, lease=True) for row in (1, 2)))
    run.finish(finish(2, ["z"]))
    run.finish(finish(1, ["a"], state=State.failed))
    before = place.item_ids()
    place.retry(1, run)
    run = place.resume()
    run.lease()
    run.finish(finish(1, ["b"], supersedes=True))
    assert place.item_ids()[-1] > max(before)


# Tombstones


def test_a_tombstone_is_a_row_in_its_final_state(place: Place) -> None:
    run = place.begin()
    committed = run.finish(tombstone(3, ["a"], depth=2))
    assert not committed.duplicates
    assert committed.counts.done == committed.counts.total == 1
    assert place.items() == ["a"]
    row = place.rows()["3"]
    assert (row["state"], row["depth"], row["items"], row["attempts"]) == ("done", 2, 1, 1)
    assert run.admit(admission(4, 3)).duplicates == {4}


def test_a_tombstone_of_what_is_known_keeps_nothing(place: Place) -> None:
    run = place.begin()
    run.finish(tombstone(1, ["a"], name="lambda"))
    run.commit(spills=[(2, item(0, "b"))])
    finishes = [tombstone(2, name="lambda"), tombstone(3, ["d"], name="lambda")]
    finishes[0].spilled = True
    finishes[0].items_dropped = 5
    committed = run.finish(*finishes)
    assert committed.duplicates == {2, 3}
    assert committed.counts.total == 1
    assert committed.counts.items_dropped == 0
    assert place.items() == ["a"]


def test_a_tombstone_takes_the_items_that_were_spilled_for_it(place: Place) -> None:
    run = place.begin()
    run.commit(spills=[(2, item(0, "a"))])
    end = tombstone(2, [item(1, "b")])
    end.spilled = True
    committed = run.finish(end)
    assert place.items() == ["a", "b"]
    assert committed.counts.items_stored == place.rows()["2"]["items"] == 2


def test_an_arrival_of_the_same_batch_makes_a_tombstone_a_duplicate(place: Place) -> None:
    run = place.begin()
    committed = run.commit(
        arrivals=[admission(1, "x"), admission(2, "y", record=False)],
        finishes=[tombstone(3, ["a"], name="x"), tombstone(2, ["b"], name="y")],
    )
    assert committed.duplicates == {3}
    assert place.items() == ["b"]


def test_tombstones_are_counted_as_arrivals_are(place: Place) -> None:
    run = place.begin()
    finishes = [tombstone(row, [str(row)], name="seed", counted=True) for row in (1, 2)]
    assert not run.finish(*finishes).duplicates
    run.die()
    run = place.resume()
    finishes = [tombstone(row, [str(row)], name="seed", counted=True) for row in (3, 4, 5)]
    assert run.finish(*finishes).duplicates == {3, 4}
    assert place.items() == ["1", "2", "5"]


# State beside items


def test_state_and_cookies_are_kept_with_the_batch(place: Place) -> None:
    run = place.begin()
    assert run.session.state.spider_state is None
    assert run.session.state.cookies == {}
    run.commit(spider_state='{"a":1}', cookies={"": "one", "2": "two"}, start_exhausted=True)
    run.commit(cookies={"": "three"})
    run.die()
    session = place.resume().session
    assert session.state.spider_state == '{"a":1}'
    assert session.state.cookies == {"": "three", "2": "two"}
    assert session.start.exhausted


def test_pages_are_added_up_over_the_runs(place: Place) -> None:
    run = place.begin()
    run.commit(pages=3)
    run.commit(pages=5)
    run.die()
    run = place.resume()
    assert run.session.progress.pages == 5
    run.commit(pages=2)
    run.close()
    assert place.resume().session.progress.pages == 7


def test_aliases_are_known_from_the_finish_on(place: Place) -> None:
    """Of requests that continued a row and could not be recorded: a redirect to a lambda's."""
    run = place.begin()
    run.admit(admission(1, lease=True))
    assert not run.commit(arrivals=[admission(2, "target", record=False)]).duplicates
    run.finish(finish(1, aliases=[identity("target"), identity("target"), identity(1)]))
    assert run.admit(admission(3, "target")).duplicates == {3}
    run.die()
    assert place.resume().admit(admission(4, "target")).duplicates == {4}


def test_aliases_of_a_finish_that_does_not_count_are_not_known(place: Place) -> None:
    run = place.begin()
    run.admit(admission(1, lease=True))
    run.finish(finish(1), finish(1, aliases=[identity("target")]))
    assert not run.admit(admission(2, "target")).duplicates
