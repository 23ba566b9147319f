"""The counts of a unit are those of its requests, at any time, and cost the same for any number."""

from __future__ import annotations

from typing import Any

import pytest

from scrapy_resume.model import NO_PARENT, Kind, Phase, Selection, State, UnitState, unit_state
from scrapy_resume.store.contract import ItemRecord, Release
from scrapy_resume.store.transaction.steering import to_park, to_retry

from .conftest import Place
from .records import BOOKS, SLOT, admission, continuation, finish, tombstone


def units(place: Place, state: UnitState | None = None) -> dict[str, dict[str, Any]]:
    return {row["unit"]: row for row in place.reader.units(BOOKS, state)}


def unit(place: Place, name: str = "city") -> dict[str, Any]:
    return units(place)[name]


def tally(place: Place) -> dict[str, int]:
    found = place.reader.unit_tally(BOOKS)
    return {state.name: count for state, count in found.items() if count}


def city(*rows: int, **fields: Any) -> list[Any]:
    return [admission(row, unit="city", lease=True, **fields) for row in rows]


def test_a_unit_is_pending_until_one_of_its_requests_ends(place: Place) -> None:
    run = place.begin()
    run.admit(*city(1, 2))
    assert unit(place)["state"] == "pending"
    run.finish(finish(1))
    assert unit(place)["state"] == "in_progress"
    run.finish(finish(2))
    assert unit(place)["state"] == "completed"
    assert tally(place) == {"completed": 1}


def test_a_unit_counts_its_pages_items_and_attempts(place: Place) -> None:
    run = place.begin()
    run.admit(*city(1, 2, 3, 4, 5))
    run.finish(finish(1, ["a", "b"], attempts=3, items_failed=1))
    run.finish(
        finish(2, ["c"]),
        finish(3, state=State.failed, error="HttpError", error_message="500", attempts=2),
        finish(4, state=State.ignored, error="duplicate"),
    )
    row = unit(place)
    assert row.pop("first_at") <= row.pop("last_at")
    assert row == {
        "unit": "city",
        "state": "in_progress",
        "open": 1,
        "done": 2,
        "failed": 1,
        "parked": 0,
        "ignored": 1,
        "items": 3,
        "items_failed": 1,
        "items_open": 0,
        "attempts": 7,
        "error": "HttpError",
        "error_message": "500",
        "cursor": f"http://{SLOT}/2",
    }


def test_without_a_name_a_start_request_is_its_own_unit(place: Place) -> None:
    run = place.begin()
    run.admit(admission(1, lease=True), admission(2, unit=1, lease=True), admission(3))
    run.finish(finish(2, ["item"]))
    found = units(place)
    assert list(found) == [f"http://{SLOT}/1", f"http://{SLOT}/3"]
    assert found[f"http://{SLOT}/1"]["cursor"] == f"http://{SLOT}/2"
    assert tally(place) == {"in_progress": 1, "pending": 1}


def test_a_root_that_lives_in_memory_is_a_unit_all_the_same(place: Place) -> None:
    run = place.begin()
    run.admit(admission(2, unit=1, lease=True))
    run.finish(finish(2, ["item"]))
    run.finish(tombstone(1, ["other"], unit=1))
    row = unit(place, f"http://{SLOT}/1")
    assert (row["done"], row["items"], row["state"]) == (2, 2, "completed")


def test_an_item_of_start_belongs_to_no_unit(place: Place) -> None:
    run = place.begin()
    run.finish(tombstone(1, ["item"], kind=Kind.start_item, parent=NO_PARENT))
    assert units(place) == {}
    assert tally(place) == {}


@pytest.mark.parametrize(
    ("counts", "state"),
    [
        ((0, 0, 0, 0, 0, 0), None),
        ((2, 0, 0, 0, 0, 0), UnitState.pending),
        ((2, 0, 0, 1, 0, 0), UnitState.pending),
        ((2, 1, 0, 0, 0, 0), UnitState.in_progress),
        ((2, 0, 1, 0, 0, 0), UnitState.in_progress),
        ((0, 2, 0, 0, 1, 0), UnitState.completed),
        ((0, 0, 0, 0, 1, 0), UnitState.completed),
        ((0, 2, 1, 0, 0, 0), UnitState.partial),
        ((0, 2, 0, 1, 0, 0), UnitState.partial),
        ((0, 2, 0, 0, 0, 1), UnitState.partial),
        ((0, 0, 1, 1, 1, 0), UnitState.failed),
        ((0, 0, 0, 1, 1, 0), UnitState.parked),
    ],
)
def test_a_state_follows_from_the_counts(
    counts: tuple[int, int, int, int, int, int], state: UnitState | None
) -> None:
    assert unit_state(*counts) is state


def test_a_duplicate_counts_for_the_unit_that_came_first(place: Place) -> None:
    run = place.begin()
    run.admit(*city(1), admission(2, 1, unit="village"))
    assert list(units(place)) == ["city"]
    run.admit(*city(3))
    run.admit(continuation(3, 1))
    assert (unit(place)["open"], unit(place)["ignored"]) == (1, 1)


def test_attempts_count_when_a_request_goes_on_and_when_it_is_given_back(place: Place) -> None:
    run = place.begin()
    run.admit(*city(1, 2))
    run.admit(continuation(1, attempts=2))
    run.commit(releases=[Release(2, 1)])
    assert unit(place)["attempts"] == 3
    run.finish(finish(1, attempts=3))
    assert unit(place)["attempts"] == 4


def test_a_death_leaves_a_unit_as_it_was_committed(place: Place) -> None:
    run = place.begin()
    run.admit(*city(1, 2))
    run.finish(finish(1, ["item"]))
    before = unit(place)
    run.die()
    assert unit(place) == before
    place.resume()
    assert unit(place) == before


def test_a_request_that_kills_the_process_is_parked_in_its_unit(place: Place) -> None:
    run = place.begin(crash_limit=1)
    run.admit(*city(1))
    for _ in range(2):
        run.job.mark(1, Phase.answered)
        run.commit()
        run.die()
        run = place.resume(crash_limit=1)
        run.commit(suspect_wish=True)
    row = unit(place)
    assert (row["state"], row["parked"], row["attempts"]) == ("parked", 1, 2)
    assert row["error"] == "crash"


def test_an_item_that_is_taken_by_its_key_leaves_the_other_unit(place: Place) -> None:
    run = place.begin()
    run.admit(*city(1), admission(2, unit="village", lease=True))
    run.finish(finish(1, [ItemRecord(0, "old", "key"), ItemRecord(1, "own")]))
    run.finish(finish(2, [ItemRecord(0, "new", "key")]))
    found = units(place)
    assert (found["city"]["items"], found["village"]["items"]) == (1, 1)


def test_a_retry_takes_back_what_a_unit_had_of_its_requests(place: Place) -> None:
    run = place.begin()
    run.admit(*city(1, 2), admission(3, unit="village", lease=True))
    run.finish(finish(1, ["a", "b"], items_failed=1), finish(2, ["c"]))
    run.finish(finish(3, state=State.failed, error="OneError"))
    run.close()
    store = place.store
    assert store.steer(BOOKS, to_retry(Selection(partial=True, unit="city")), State.pending) == 1
    row = unit(place)
    assert (row["state"], row["items"], row["items_failed"]) == ("in_progress", 3, 0)
    run = place.resume()
    run.lease()
    run.finish(finish(1, ["d"], supersedes=True))
    row = unit(place)
    assert (row["state"], row["items"], row["done"]) == ("completed", 2, 2)
    assert tally(place) == {"completed": 1, "failed": 1}


def test_a_unit_is_parked_and_retried_alone(place: Place) -> None:
    run = place.begin()
    run.admit(*(admission(row, unit=f"city {row % 3}") for row in range(1, 10)))
    run.close()
    store = place.store
    assert store.steer(BOOKS, to_park(Selection(unit="city 1")), State.parked) == 3
    assert {name: row["state"] for name, row in units(place).items()} == {
        "city 0": "pending",
        "city 1": "parked",
        "city 2": "pending",
    }
    assert tally(place) == {"pending": 2, "parked": 1}
    assert store.steer(BOOKS, to_retry(Selection(unit="city 1")), State.pending) == 3
    assert tally(place) == {"pending": 3}


def test_a_dry_run_changes_no_unit(place: Place) -> None:
    run = place.begin()
    run.admit(admission(1, unit="city"))
    run.close()
    before = unit(place)
    assert place.store.steer(BOOKS, to_park(Selection()), State.parked, dry_run=True) == 1
    assert unit(place) == before


def test_units_in_trouble_are_listed_first_and_others_as_they_were_found(place: Place) -> None:
    run = place.begin()
    run.admit(*(admission(row, unit=f"u{row}", lease=True) for row in range(1, 7)))
    run.admit(*(admission(row, unit="u5", lease=True) for row in (8, 9)))
    run.finish(finish(1), finish(2, state=State.failed), finish(3), finish(5), finish(8))
    run.finish(finish(9, state=State.parked), finish(4, state=State.ignored))
    assert [(row["unit"], row["state"]) for row in place.reader.units(BOOKS)] == [
        ("u2", "failed"),
        ("u5", "partial"),
        ("u6", "pending"),
        ("u1", "completed"),
        ("u3", "completed"),
        ("u4", "completed"),
    ]
    assert [row["unit"] for row in place.reader.units(BOOKS, limit=2)] == ["u2", "u5"]
    completed = place.reader.units(BOOKS, UnitState.completed, limit=2)
    assert [row["unit"] for row in completed] == ["u1", "u3"]


def test_a_batch_that_is_rolled_back_leaves_units_alone(place: Place) -> None:
    run = place.begin()
    run.admit(*city(1))
    other = place.resume(force=True)
    with pytest.raises(Exception, match="taken over"):
        run.admit(*city(2))
    assert unit(place)["open"] == 1
    other.lease()
    other.finish(finish(1))
    assert unit(place)["state"] == "completed"


def test_workers_count_in_one_unit_together(shared_place: Place) -> None:
    place = shared_place
    first = place.begin(slots_shared=True)
    second = place.resume(slots_shared=True)
    first.admit(*city(first.next_id, slot="a"))
    second.admit(*city(second.next_id, slot="b"))
    first.finish(finish(first.next_id - 1, ["a"]))
    assert (unit(place)["state"], unit(place)["open"]) == ("in_progress", 1)
    second.finish(finish(second.next_id - 1, ["b"]))
    row = unit(place)
    assert (row["state"], row["done"], row["items"]) == ("completed", 2, 2)
    assert tally(place) == {"completed": 1}
    first.close()
    second.close("completed", "finished")
    assert tally(place) == {"completed": 1}


def test_a_dead_worker_s_requests_are_counted_once(shared_place: Place) -> None:
    place = shared_place
    first = place.begin(slots_shared=True)
    second = place.resume(slots_shared=True)
    first.admit(*city(first.next_id))
    row = first.next_id - 1
    first.job.mark(row, Phase.answered)
    first.commit()
    first.die()
    second.commit(idle=True)
    (leased,) = second.lease()
    second.finish(finish(leased.id, attempts=leased.attempts + 1))
    found = unit(place)
    assert (found["state"], found["done"], found["attempts"]) == ("completed", 1, 2)
