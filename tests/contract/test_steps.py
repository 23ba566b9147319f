"""Steps of items, as every store keeps them."""

from __future__ import annotations

from typing import Any

import pytest

from scrapy_resume.model import Phase, Selection, State, StepState
from scrapy_resume.store.contract import (
    ItemChange,
    ItemRecord,
    LeasedStep,
    NewStep,
    StepAttempt,
    StepRelease,
    StepWish,
)

from .conftest import Place
from .records import BOOKS, Run, admission, finish

PENDING = StepState.pending


def item(
    occurrence: int,
    payload: str,
    *names: str,
    key: str | None = None,
    waiting: tuple[str, ...] = (),
    skipped: tuple[str, ...] = (),
) -> ItemRecord:
    steps = [NewStep(name, PENDING) for name in names]
    steps += [NewStep(name, StepState.waiting) for name in waiting]
    steps += [NewStep(name, StepState.skipped, "it lacks a field") for name in skipped]
    return ItemRecord(occurrence, payload, key, steps=steps, stable_key=key or f"item {occurrence}")


def page(run: Run, row: int, *items: ItemRecord) -> None:
    run.admit(admission(row, lease=True))
    run.finish(finish(row, items))


def lease(run: Run, *names: str, count: int = 10, **limits: Any) -> list[LeasedStep]:
    wishes = [StepWish(name, count, **limits) for name in names]
    return run.commit(wishes_of_steps=wishes).steps.leased


def done(
    leased: LeasedStep,
    payload: str | None = None,
    *,
    state: StepState = StepState.done,
    others: tuple[NewStep, ...] = (),
    visible: str | None = None,
    kept: bool = False,
    **fields: Any,
) -> ItemChange:
    attempt = StepAttempt(leased.name, state, leased.attempts + 1, **fields)
    return ItemChange(leased.item, leased.version, [attempt], others, payload, visible, kept)


def test_an_item_becomes_visible_when_its_steps_have_ended(place: Place) -> None:
    run = place.begin()
    page(run, 1, item(0, "a", "photos", "vin"), item(1, "b"))
    assert place.items() == ["b"]
    photos, vin = lease(run, "photos", "vin")
    assert (photos.payload, photos.key, photos.url) == ("a", "item 0", "http://shop.example/1")
    assert photos.states == {"photos": StepState.running, "vin": StepState.running}
    answer = run.commit(changes=[done(photos, "a+")])
    assert place.items() == ["b"]
    assert not answer.counts.nothing_open
    answer = run.commit(changes=[done(vin)])
    assert place.items() == ["b", "a+"]
    assert answer.counts.nothing_open
    assert answer.steps.ended == {vin.item: ()}
    assert answer.counts.items_stored == 2


def test_what_becomes_visible_may_lack_what_steps_consume(place: Place) -> None:
    run = place.begin()
    page(run, 1, item(0, "whole", "vin"))
    (vin,) = lease(run, "vin")
    run.commit(changes=[done(vin, "whole+", visible="shown")])
    assert place.items() == ["shown"]


def test_two_results_of_one_item_in_one_batch(place: Place) -> None:
    run = place.begin()
    page(run, 1, item(0, "a", "photos", "vin"))
    photos, vin = lease(run, "photos", "vin")
    run.commit(changes=[done(photos, "a+"), done(vin)])
    assert place.items() == ["a+"]


@pytest.mark.parametrize("lost", ["version", "lease", "twice"])
def test_a_result_that_is_not_current_is_refused(place: Place, lost: str) -> None:
    run = place.begin()
    page(run, 1, item(0, "a", "vin"))
    (vin,) = lease(run, "vin")
    change = done(vin, "a+")
    if lost == "version":
        change = change._replace(version=vin.version + 1)
    elif lost == "lease":
        run.commit(releases_of_steps=[StepRelease(vin.item, "vin", 0)])
    else:
        run.commit(changes=[change])
    answer = run.commit(changes=[change._replace(payload="wrong")])
    assert answer.steps.refused == {vin.item}
    assert "wrong" not in place.items()


def test_a_failed_step_leaves_the_item_partial(place: Place) -> None:
    run = place.begin()
    page(run, 1, item(0, "a", "vin"))
    (vin,) = lease(run, "vin")
    again = done(vin, state=PENDING, error="OSError", message="down", not_before=5.0)
    answer = run.commit(changes=[again])
    assert (answer.steps.delayed, place.items()) == (0, [])  # its time has come
    (vin,) = lease(run, "vin")
    assert vin.attempts == 1
    answer = run.commit(
        changes=[done(vin, state=StepState.failed, error="OSError", message="down")]
    )
    assert answer.steps.ended == {vin.item: ("vin",)}
    assert place.items() == ["a"]
    counts = answer.steps.counts["vin"]
    assert (counts.failed, counts.open, counts.success_rate) == (1, 0, 0.0)


def test_steps_that_wait_are_not_leased_before_others_let_them(place: Place) -> None:
    run = place.begin()
    page(run, 1, item(0, "a", "photos", waiting=("scale",)))
    photos, *more = lease(run, "photos", "scale")
    assert not more
    answer = run.commit(changes=[done(photos, "a+", others=(NewStep("scale", PENDING),))])
    assert answer.steps.counts["scale"].pending == 1
    (scale,) = lease(run, "scale")
    assert scale.payload == "a+"
    run.commit(changes=[done(scale, "a++")])
    assert place.items() == ["a++"]


def test_an_item_whose_steps_are_all_skipped_is_visible_at_once(place: Place) -> None:
    run = place.begin()
    page(run, 1, item(0, "a", skipped=("vin",)))
    assert place.items() == ["a"]
    assert run.commit().steps.counts["vin"].skipped == 1


def test_what_ran_when_the_process_died_runs_again(place: Place) -> None:
    run = place.begin()
    page(run, 1, item(0, "a", "vin"), item(1, "b", "vin"))
    first, _ = lease(run, "vin")
    run.job.mark(first.mark, Phase.sent)
    run.commit()
    run.die()
    run = place.resume()
    assert run.session.steps.counts["vin"].pending == 2
    assert run.session.counts.steps_open == 2
    again, other = lease(run, "vin")
    assert (again.item, again.attempts, again.crashes) == (first.item, 1, 1)
    assert (other.attempts, other.crashes) == (0, 0)
    run.commit(changes=[done(again), done(other)])
    assert place.items() == ["a", "b"]


def run_with_suspect(place: Place) -> Run:
    """A run after one in which the process died while the step ``vin`` of an item ran."""
    run = place.begin(crash_limit=1)
    page(run, 1, item(0, "a", "vin"))
    (vin,) = lease(run, "vin")
    run.job.mark(vin.mark, Phase.sent)
    run.commit()
    run.die()
    return place.resume(crash_limit=1)


def test_a_step_that_ends_the_process_runs_alone_and_is_condemned(place: Place) -> None:
    run = run_with_suspect(place)
    assert lease(run, "vin") == []
    assert run.session.steps.suspects == 1
    alone = run.commit(suspect_wish_of_steps=True).steps.suspect
    assert alone is not None
    assert alone.condemned is None
    run.job.mark(alone.mark, Phase.sent)
    run.commit()
    run.die()
    run = place.resume(crash_limit=1)
    condemned = run.commit(suspect_wish_of_steps=True).steps.suspect
    assert condemned is not None
    assert condemned.condemned is not None
    answer = run.commit(
        changes=[done(condemned, state=StepState.parked, error="crash", message="it dies")]
    )
    assert (answer.steps.counts["vin"].parked, place.items()) == (1, ["a"])


def test_a_graceful_end_counts_nothing(place: Place) -> None:
    run = place.begin()
    page(run, 1, item(0, "a", "vin"))
    (vin,) = lease(run, "vin")
    run.job.mark(vin.mark, Phase.sent)
    run.commit()
    assert run.close("completed", "finished") == "paused"
    run = place.resume()
    (vin,) = lease(run, "vin")
    assert (vin.attempts, vin.crashes) == (0, 0)
    run.commit(changes=[done(vin)])
    assert run.close("completed", "finished") == "completed"


def test_limits_hold(place: Place) -> None:
    run = place.begin()
    page(run, 1, *(item(number, str(number), "vin", "api") for number in range(5)))
    first, _ = lease(run, "vin", concurrency=2)
    assert lease(run, "vin", concurrency=2) == []
    run.commit(changes=[done(first)])
    assert len(lease(run, "vin", concurrency=2)) == 1
    used = lease(run, "api", rate_count=3, rate_seconds=3600.0)
    assert len(used) == 3
    run.commit(changes=[done(one) for one in used])
    answer = run.commit(
        wishes_of_steps=[StepWish("api", 10, rate_count=3, rate_seconds=3600.0)]
    ).steps
    assert answer.leased == []
    assert answer.next_due > 0


def again(place: Place, run: Run, *items: ItemRecord, **fields: Any) -> Run:
    """Retry the page 1, which is done, and have it give other items."""
    run.close()
    selection = Selection((State.done,), url="*/1")
    assert place.store.steer(BOOKS, selection, State.pending) == 1
    run = place.resume()
    (row,) = run.lease()
    run.finish(finish(row.id, items, supersedes=row.items > 0, **fields))
    return run


def test_the_old_version_stays_until_the_new_one_is_whole(place: Place) -> None:
    run = place.begin()
    page(run, 1, item(0, "a", "vin"), item(1, "b", "vin"))
    run.commit(
        changes=[
            done(one, one.payload + "+", version="1", inputs="x", gave=["vin"])
            for one in lease(run, "vin")
        ]
    )
    assert place.items() == ["a+", "b+"]
    run = again(place, run, item(0, "A", "vin"))
    assert place.items() == ["a+"]  # of the second one no new version comes
    (vin,) = lease(run, "vin")
    assert (vin.version, vin.payload) == (2, "A")
    assert vin.earlier is not None
    assert vin.earlier == ("1", "x", ("vin",), "a+")
    answer = run.commit(changes=[done(vin, "A+")])
    assert place.items() == ["A+"]
    assert answer.counts.items_stored == 1


def test_an_open_version_is_replaced_and_its_results_are_refused(place: Place) -> None:
    run = place.begin()
    page(run, 1, item(0, "a", "vin", "photos"))
    (vin,) = lease(run, "vin")
    run.commit(changes=[done(vin, "a+")])
    run = again(place, run, item(0, "A", "vin"))
    assert run.commit(changes=[done(vin, "wrong")]).steps.refused == {vin.item}
    assert run.commit().steps.counts["photos"].open == 0
    (vin,) = lease(run, "vin")
    run.commit(changes=[done(vin, "A+")])
    assert place.items() == ["A+"]


def test_a_page_that_fails_again_takes_nothing_back(place: Place) -> None:
    run = place.begin()
    page(run, 1, item(0, "a", "vin"))
    run = again(place, run, item(0, "A", "vin"), state=State.failed)
    (vin,) = lease(run, "vin")
    assert (vin.version, vin.payload) == (1, "a")
    run.commit(changes=[done(vin)])
    assert place.items() == ["a"]


def test_with_the_page_its_items_go(place: Place) -> None:
    run = place.begin()
    page(run, 1, item(0, "a", "vin"), item(1, "b", "vin"))
    first, _ = lease(run, "vin")
    run.commit(changes=[done(first)])
    run = again(place, run, state=State.ignored, http_status=404)
    assert place.items() == []
    answer = run.commit()
    assert (answer.counts.steps_open, answer.steps.counts["vin"].done) == (0, 0)


def test_items_with_one_key_are_one(place: Place) -> None:
    run = place.begin()
    page(run, 1, item(0, "a", "vin", key="k"))
    page(run, 2, item(0, "b", "vin", key="k"))
    (vin,) = lease(run, "vin")
    assert vin.payload == "b"
    run.commit(changes=[done(vin, "b+")])
    page(run, 3, item(0, "c", "vin", key="k"))
    assert place.items() == ["b+"]
    (vin,) = lease(run, "vin")
    run.commit(changes=[done(vin, "c+")])
    assert place.items() == ["c+"]


def test_two_items_of_one_batch_have_the_key(place: Place) -> None:
    run = place.begin()
    page(run, 1, item(0, "a", "vin", key="k"), item(1, "b", "vin", key="k"))
    (vin,) = lease(run, "vin")
    assert vin.payload == "b"
    run.commit(changes=[done(vin)])
    assert place.items() == ["b"]


def test_the_first_of_a_key_stays_where_duplicates_are_dropped(place: Place) -> None:
    run = place.begin()
    page(run, 1, item(0, "a", "vin", key="k"))
    run.admit(admission(2, lease=True))
    run.commit(finishes=[finish(2, [item(0, "b", "vin", key="k")])], drops_item_duplicates=True)
    (vin,) = lease(run, "vin")
    assert vin.payload == "a"
    assert run.commit().counts.items_dropped == 1


def test_spilled_items_have_steps(place: Place) -> None:
    run = place.begin()
    run.admit(admission(1, lease=True))
    run.commit(spills=[(1, item(0, "a", "vin"))])
    run.finish(finish(1, [item(1, "b", "vin")], spilled=True))
    assert place.items() == []
    run.commit(changes=[done(one) for one in lease(run, "vin")])
    assert place.items() == ["a", "b"]


def test_a_unit_is_open_with_its_steps_and_partial_with_one_that_failed(place: Place) -> None:
    run = place.begin()
    run.admit(admission(1, lease=True, unit="oslo"))
    run.finish(finish(1, [item(0, "a", "vin")]))

    def unit() -> str:
        (found,) = place.reader.units(run.session.job)
        return str(found["state"])

    assert unit() == "in_progress"
    (vin,) = lease(run, "vin")
    run.commit(changes=[done(vin, state=StepState.failed, error="OSError")])
    assert unit() == "partial"
