"""What readers are told of the steps of items: from counters, and bounded where there are none."""

from __future__ import annotations

import pytest

from scrapy_resume.model import Selection, StepCounts, StepState
from scrapy_resume.store.contract import StepSelection

from .conftest import Place
from .records import BOOKS, admission, finish
from .test_step_steering import DONE, FAILED, PARKED, SKIPPED, ended, fill
from .test_steps import done, item, lease, page


def test_steps_are_counted_by_name_and_state(place: Place) -> None:
    run = place.begin()
    page(run, 1, *(item(at, "{}", "api", "vin", waiting=("scale",)) for at in range(3)))
    lease(run, "vin", count=1)
    ended(run, "api", DONE)
    assert place.reader.step_counts(BOOKS) == {
        "api": StepCounts(pending=2, done=1),
        "scale": StepCounts(pending=3),
        "vin": StepCounts(pending=2, running=1),
    }
    assert place.reader.hidden_items(BOOKS) == 3


def test_a_job_without_steps_has_none(place: Place) -> None:
    run = place.begin()
    page(run, 1)
    reader = place.reader
    assert reader.step_counts(BOOKS) == {}
    assert reader.step_failures(BOOKS, 3, 10) == reader.step_days(BOOKS) == []
    assert list(reader.stepped_items(BOOKS, StepSelection())) == []
    assert reader.hidden_items(BOOKS) == reader.count_steps(BOOKS, StepSelection()) == 0


def test_failed_and_parked_steps_are_grouped_by_error_with_examples(place: Place) -> None:
    run = place.begin()
    page(run, 1, *(item(at, "{}", "vin", "api", key=f"k{at}") for at in range(5)))
    for at in range(3):
        ended(run, "vin", FAILED, error="OSError", message=f"no luck {at}")
    ended(run, "vin", PARKED, error="crash", message="it died")
    ended(run, "api", FAILED, error="OSError", message="refused")
    groups = place.reader.step_failures(BOOKS, 2, 100)
    shown = [(group["step"], group["error"], group["count"], group["parked"]) for group in groups]
    assert shown == [("vin", "OSError", 3, 0), ("vin", "crash", 1, 1), ("api", "OSError", 1, 0)]
    url = "http://shop.example/1"
    assert groups[0]["examples"] == [{"key": "k0", "url": url}, {"key": "k1", "url": url}]
    assert groups[0]["error_message"] == "no luck 2"
    assert groups[0]["first_at"] <= groups[0]["last_at"]
    (latest, *_) = place.reader.step_failures(BOOKS, 2, 1)
    assert (latest["count"], latest["examples"][0]["key"]) == (1, "k3")  # those found last


def test_attempts_are_counted_by_day(place: Place) -> None:
    run = place.begin()
    page(run, 1, item(0, "{}", "vin", "api"))
    ended(run, "vin", StepState.pending, error="OSError")
    ended(run, "vin", DONE)
    ended(run, "api", SKIPPED, error="SkipStep")
    first, second = place.reader.step_days(BOOKS)
    assert first["day"] == second["day"]
    names = ("step", "attempts", "retries", "done", "failed", "skipped", "success_rate")
    assert [first[name] for name in names] == ["api", 1, 0, 0, 0, 1, None]
    assert [second[name] for name in names] == ["vin", 2, 1, 1, 1, 0, 0.5]


def test_items_are_listed_with_their_steps(place: Place) -> None:
    run = place.begin()
    page(run, 1, item(0, '{"n":0}', "vin", key="k"), item(1, '{"n":1}', "vin"))
    page(run, 2, item(0, '{"n":2}'))
    ended(run, "vin", DONE, '{"n":0,"vin":1}', version="7")
    plain, whole = place.reader.item_records(BOOKS)
    assert (plain["payload"], plain["key"], plain["open"], plain["steps"]) == (
        '{"n":2}',
        None,
        0,
        [],
    )
    assert (whole["payload"], whole["key"], whole["open"]) == ('{"n":0,"vin":1}', "k", 0)
    (step,) = whole["steps"]
    assert step["step"] == "vin"
    assert (step["state"], step["attempts"], step["version"]) == ("done", 1, "7")
    assert step["error"] is step["not_before"] is None
    assert step["first_at"] is not None
    stepped = list(place.reader.stepped_items(BOOKS, StepSelection(name="vin")))
    assert [record["key"] for record in stepped] == ["k", "item 1"]
    assert stepped[0] == whole
    hidden = stepped[1]
    assert (hidden["payload"], hidden["open"], hidden["stored_at"]) == ('{"n":1}', 1, None)
    assert hidden["url"] == hidden["unit"] == "http://shop.example/1"
    (only,) = place.reader.item_records(BOOKS, Selection(url="*/1"))
    assert only == whole


@pytest.mark.parametrize(
    ("fields", "requests", "expected"),
    [
        ({"name": "vin", "states": (FAILED,)}, {}, {"failed"}),
        ({"states": (FAILED, PARKED)}, {}, {"failed", "parked"}),
        ({"name": "vin", "states": (DONE,)}, {}, {"done"}),
        ({"name": "api", "states": (DONE,), "limit": 2}, {}, {"failed", "parked"}),
        ({"keys": ("skipped",)}, {}, {"skipped"}),
        ({"missing": ("vin",), "name": "vin"}, {}, {"failed", "parked", "skipped"}),
        ({"name": "vin"}, {"unit": "bergen"}, set()),
        ({"name": "vin", "limit": 1}, {"unit": "oslo"}, {"failed"}),
    ],
)
def test_items_are_found_by_their_steps(
    place: Place, fields: dict[str, object], requests: dict[str, object], expected: set[str]
) -> None:
    fill(place)
    found = place.reader.stepped_items(BOOKS, StepSelection(**fields), Selection(**requests))
    assert {record["key"] for record in found} == expected


def test_keys_of_items_are_known(place: Place) -> None:
    fill(place)
    assert place.reader.known_item_keys(BOOKS, ["done", "dome"]) == {"done"}
    assert place.reader.item_keys(BOOKS, 2) == ["skipped", "done"]


def test_what_a_step_consumes_is_not_listed_of_a_visible_item(place: Place) -> None:
    run = place.begin()
    page(run, 1, item(0, '{"html":1}', "vin"))
    ended(run, "vin", FAILED, visible="{}", kept=True, error="OSError")
    (record,) = place.reader.stepped_items(BOOKS, StepSelection(name="vin"))
    assert record["payload"] == "{}"
    assert ("item", '{"html":1}') in set(place.reader.recorded_texts(BOOKS))


def test_a_unit_says_how_many_of_its_items_are_open(place: Place) -> None:
    run = place.begin()
    run.admit(admission(1, lease=True, unit="oslo"))
    run.finish(finish(1, [item(0, "{}", "vin"), item(1, "{}", "vin"), item(2, "{}")]))
    run.commit(changes=[done(lease(run, "vin", count=1)[0])])
    (unit,) = place.reader.units(BOOKS)
    assert (unit["items"], unit["items_open"], unit["state"]) == (2, 1, "in_progress")
