"""Steps of items in orders of events that are rare: what was found by the state machine."""

from __future__ import annotations

import pytest

from scrapy_resume.model import Phase, Selection, State, StepState
from scrapy_resume.store.contract import ItemRecord, NewStep, StepRelease, StepWish

from .conftest import Place
from .records import BOOKS, Run, admission, finish
from .test_steps import PENDING, again, done, item, lease, page, run_with_suspect


def wrong(place: Place) -> list[str]:
    """What the store finds wrong with itself; payloads are plain words here."""
    found = place.store.verify(BOOKS).violations
    return [text for text in found if not text.endswith("is not JSON")]


def fetch_again(place: Place, run: Run, *rows: int) -> None:
    """Close the run and retry pages that are done."""
    run.close()
    for row in rows:
        selection = Selection((State.done,), url=f"*/{row}")
        assert place.store.steer(BOOKS, selection, State.pending) == 1


def test_the_first_items_with_steps_of_a_job_may_be_spilled(place: Place) -> None:
    """In an earlier batch than that of the finish, which has none."""
    run = place.begin()
    run.admit(admission(1, lease=True))
    run.commit(spills=[(1, item(0, "a", "vin"))])
    answer = run.commit(finishes=[finish(1, ["b"], spilled=True)])
    assert answer.steps.counts["vin"].pending == 1
    assert place.items() == ["b"]
    run.commit(changes=[done(one) for one in lease(run, "vin")])
    assert place.items() == ["b", "a"]


def test_a_suspect_that_is_released_remains_one(place: Place) -> None:
    run = run_with_suspect(place)
    alone = run.commit(suspect_wish_of_steps=True).steps.suspect
    assert alone is not None
    answer = run.commit(releases_of_steps=[StepRelease(alone.item, "vin", 1)]).steps
    assert (answer.suspects, answer.ready) == (1, {"vin": 0})
    assert lease(run, "vin") == []
    assert wrong(place) == []
    assert run.commit(suspect_wish_of_steps=True).steps.suspect is not None
    assert wrong(place) == []


def test_a_suspect_whose_state_changes_for_others_is_none_any_more(place: Place) -> None:
    run = place.begin(crash_limit=1)
    page(run, 1, item(0, "a", "photos", "vin"))
    (vin,) = lease(run, "vin")
    run.job.mark(vin.mark, Phase.sent)
    run.commit()
    run.die()
    run = place.resume(crash_limit=1)
    (photos,) = lease(run, "photos")
    skipped = NewStep("vin", StepState.skipped, "it lacks a field")
    run.commit(changes=[done(photos, state=PENDING, others=(skipped,))])
    (photos,) = lease(run, "photos")
    run.commit(changes=[done(photos, others=(NewStep("vin", PENDING),))])
    assert run.commit().steps.suspects == 0
    (vin,) = lease(run, "vin")
    assert vin.crashes == 0
    assert wrong(place) == []


def test_what_ran_alone_does_not_once_its_item_has_a_new_version(place: Place) -> None:
    """The new one's steps run beside others: a death does not condemn them."""
    run = run_with_suspect(place)
    fetch_again(place, run, 1)
    run = place.resume(crash_limit=1)
    (row,) = run.lease()
    alone = run.commit(suspect_wish_of_steps=True).steps.suspect
    assert alone is not None
    run.finish(finish(row.id, [item(0, "A", "vin")]))
    (vin,) = lease(run, "vin")
    assert (vin.mark, vin.version) == (alone.mark, 2)
    run.job.mark(vin.mark, Phase.sent)
    run.commit()
    run.die()
    run = place.resume(crash_limit=1)
    suspect = run.commit(suspect_wish_of_steps=True).steps.suspect
    assert suspect is not None
    assert suspect.condemned is None


def test_a_result_for_an_item_that_its_page_does_not_give_any_more_is_refused(
    place: Place,
) -> None:
    run = place.begin()
    page(run, 1, item(0, "a", "vin"))
    fetch_again(place, run, 1)
    run = place.resume()
    (row,) = run.lease()
    (vin,) = lease(run, "vin")
    answer = run.commit(finishes=[finish(row.id)], changes=[done(vin, "wrong")])
    assert (answer.steps.refused, answer.steps.ended) == ({vin.item}, {})
    assert place.items() == []
    assert answer.counts.nothing_open
    assert wrong(place) == []


@pytest.mark.parametrize("ended", [True, False])
def test_an_item_without_steps_takes_the_place_of_one_with_steps(place: Place, ended: bool) -> None:
    """The steps were switched off."""
    run = place.begin()
    page(run, 1, item(0, "a", "vin"))
    if ended:
        run.commit(changes=[done(one) for one in lease(run, "vin")])
    run = again(place, run, ItemRecord(0, "A"))
    assert place.items() == ["A"]
    assert run.commit().counts.items_stored == 1
    assert wrong(place) == []


def test_an_item_with_a_key_is_not_known_by_its_place(place: Place) -> None:
    """The page gives another item in the place of the one with the key, and then that one."""
    run = place.begin()
    page(run, 1, item(0, "a", "vin", key="k"))
    run.commit(changes=[done(one) for one in lease(run, "vin")])
    run = again(place, run, item(0, "new", "vin"), item(1, "A", "vin", key="k"))
    assert place.items() == ["a"]
    leased = lease(run, "vin")
    assert {(one.payload, one.version) for one in leased} == {("new", 1), ("A", 2)}
    run.commit(changes=[done(one) for one in leased])
    assert sorted(place.items()) == ["A", "new"]
    assert wrong(place) == []


def test_an_item_moves_to_another_page_that_ends_in_the_same_batch(place: Place) -> None:
    run = place.begin()
    page(run, 1, item(0, "one", "vin"))
    page(run, 2, item(0, "a", "vin", key="k"))
    fetch_again(place, run, 1, 2)
    run = place.resume()
    assert len(run.lease()) == 2
    moved = [finish(1, [item(0, "one", "vin"), item(1, "A", "vin", key="k")]), finish(2)]
    answer = run.commit(finishes=moved)
    assert answer.steps.counts["vin"].pending == 2
    leased = run.commit(wishes_of_steps=[StepWish("vin", 9)]).steps.leased
    assert {one.payload for one in leased} == {"one", "A"}
    run.commit(changes=[done(one) for one in leased])
    assert sorted(place.items()) == ["A", "one"]
    assert wrong(place) == []


def test_the_old_version_stays_when_its_page_gives_it_no_more_but_another_one_does(
    place: Place,
) -> None:
    run = place.begin()
    page(run, 1, item(0, "a", "vin", key="k"), item(1, "b", "vin"))
    run.commit(changes=[done(one) for one in lease(run, "vin")])
    page(run, 2, item(0, "A", "vin", key="k"))
    run = again(place, run, item(0, "B", "vin"))
    assert place.items() == ["a"]
    assert wrong(place) == []
    run.commit(changes=[done(one) for one in lease(run, "vin")])
    assert sorted(place.items()) == ["A", "B"]


def test_what_was_taken_back_is_not_visible_when_another_page_gives_it(place: Place) -> None:
    run = place.begin()
    page(run, 1, item(0, "a", "vin", key="k"))
    page(run, 2, item(0, "b", "vin"))
    run.commit(changes=[done(one) for one in lease(run, "vin")])
    fetch_again(place, run, 1, 2)
    run = place.resume()
    assert len(run.lease()) == 2
    run.commit(finishes=[finish(1), finish(2, [item(0, "A", "vin", key="k")])])
    assert place.items() == []
    assert wrong(place) == []
    run.commit(changes=[done(one) for one in lease(run, "vin")])
    assert place.items() == ["A"]
