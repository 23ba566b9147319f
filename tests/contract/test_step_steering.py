"""Steps of items are opened again, or given up, by command: exactly those that are meant."""

from __future__ import annotations

from typing import Any

import pytest

from scrapy_resume.errors import ConfigurationError
from scrapy_resume.model import JobKey, StepState
from scrapy_resume.store.contract import SteeredSteps, StepSelection
from scrapy_resume.store.transaction.parking import CRASH

from .conftest import Place
from .records import BOOKS, Run, admission, finish
from .test_control import told
from .test_steps import done, item, lease, page

FAILED, PARKED, DONE, SKIPPED = (
    StepState.failed,
    StepState.parked,
    StepState.done,
    StepState.skipped,
)
PENDING = StepState.pending


def ended(run: Run, name: str, state: StepState, payload: str | None = None, **fields: Any) -> None:
    """The next step of that name ends so."""
    (one,) = lease(run, name, count=1)
    run.commit(changes=[done(one, payload, state=state, **fields)])


def fill(place: Place) -> Run:
    """Four items whose step vin has ended in each way, with one more step each; the job is live."""
    run = place.begin()
    run.admit(admission(1, lease=True, unit="oslo"))
    names = ("failed", "parked", "done", "skipped")
    items = [item(at, f'{{"n":{at}}}', "vin", "api", key=name) for at, name in enumerate(names)]
    run.finish(finish(1, items))
    for one in lease(run, "api"):
        run.commit(changes=[done(one, version="1", gave=["stock"])])
    ended(run, "vin", FAILED, error="OSError", message="down")
    ended(run, "vin", PARKED, error=CRASH, message="it died")
    ended(run, "vin", DONE, '{"n":2,"vin":"x"}', version="1", inputs="i", gave=["vin"])
    ended(run, "vin", SKIPPED, error="SkipStep", message="none there")
    return run


def states(place: Place, name: str = "vin") -> dict[str, str]:
    """The states of a step by the key of its item."""
    records = place.reader.stepped_items(BOOKS, StepSelection(name=name))
    return {
        record["key"]: next(step["state"] for step in record["steps"] if step["step"] == name)
        for record in records
    }


def retry(place: Place, **fields: Any) -> SteeredSteps:
    return place.store.steer_steps(BOOKS, StepSelection(**{"name": "vin", **fields}), PENDING)


def unit(place: Place) -> dict[str, Any]:
    (found,) = place.reader.units(BOOKS)
    return dict(found)


ENDED = {"failed", "parked", "done", "skipped"}
SELECTIONS: list[tuple[dict[str, Any], set[str]]] = [
    ({}, {"failed", "parked"}),
    ({"states": (FAILED,)}, {"failed"}),
    ({"states": (DONE, SKIPPED)}, {"done", "skipped"}),
    ({"keys": ("done", "parked", "unknown")}, {"done", "parked"}),
    ({"keys": ("done", "parked"), "states": (PARKED,)}, {"parked"}),
    ({"keys": ()}, set()),
    ({"missing": ("vin",)}, ENDED - {"done"}),
    ({"missing": ("n",)}, set()),
    ({"missing": ("vin",), "keys": ("skipped", "done")}, {"skipped"}),
    ({"version": "1"}, ENDED - {"done"}),
    ({"version": "2"}, ENDED),
    ({"limit": 1}, {"failed"}),
    ({"name": "isbn"}, set()),
]


@pytest.mark.parametrize(("fields", "expected"), SELECTIONS)
def test_a_retry_opens_those_that_are_meant(
    place: Place, fields: dict[str, Any], expected: set[str]
) -> None:
    run = fill(place)
    assert run.close("completed", "finished") == "completed"
    before = place.items()
    selection = StepSelection(**{"name": "vin", **fields})
    counted = place.store.steer_steps(BOOKS, selection, PENDING, dry_run=True)
    assert {name for name, state in states(place).items() if state == "pending"} == set()
    assert retry(place, **fields) == counted == SteeredSteps(len(expected))
    assert {name for name, state in states(place).items() if state == "pending"} == expected
    assert set(states(place, "api").values()) == {"done"}
    assert place.items() == before  # what is visible stays so
    counts = place.reader.step_counts(BOOKS)["vin"]
    assert counts.pending == len(expected)
    assert counts.done + counts.failed + counts.parked + counts.skipped == 4 - len(expected)
    summary = place.reader.summary(BOOKS)
    assert summary.counts.steps_open == len(expected)
    assert summary.counts.done == 1  # no page
    assert (summary.status, summary.reason) == (
        ("paused", "retry") if expected else ("completed", "finished")
    )
    assert (summary.completed_at is None) == bool(expected)
    assert unit(place)["items_open"] == len(expected)
    assert unit(place)["items_failed"] == 2 - len(expected & {"failed", "parked"})
    assert place.store.verify(BOOKS).violations == []


def test_a_retried_step_begins_anew_and_its_error_stays_until_it_ends(place: Place) -> None:
    fill(place).close("completed", "finished")
    assert retry(place).steps == 2
    (record, crashed) = place.reader.stepped_items(
        BOOKS, StepSelection(name="vin", states=(PENDING,))
    )
    step = {step["step"]: step for step in record["steps"]}["vin"]
    assert (step["attempts"], step["error"], step["error_message"]) == (0, "OSError", "down")
    run = place.resume()
    first, second = lease(run, "vin")
    assert (first.attempts, first.crashes, first.condemned) == (0, 0, None)
    assert (second.key, second.condemned) == ("parked", None)
    assert crashed["key"] == "parked"
    assert {step["step"]: step["error"] for step in crashed["steps"]}["vin"] is None
    answer = run.commit(changes=[done(first, '{"n":0,"vin":"y"}')])
    assert answer.steps.ended == {first.item: ()}
    assert '{"n":0,"vin":"y"}' in place.items()
    assert '{"n":0}' not in place.items()
    run.commit(changes=[done(second)])
    assert run.close("completed", "finished") == "completed"
    assert unit(place)["state"] == "completed"


def test_a_step_that_was_done_runs_again_and_does_not_carry_its_result_over(place: Place) -> None:
    run = place.begin()
    page(run, 1, item(0, "a", "vin", "api", key="k"))
    ended(run, "api", FAILED, error="OSError")
    ended(run, "vin", DONE, "a+", version="1", inputs="i", gave=["vin"], kept=True)
    assert retry_on(run, place, keys=("k",)) == SteeredSteps(1)
    (vin,) = lease(run, "vin")
    assert (vin.payload, vin.earlier) == ("a+", None)


def retry_on(run: Run, place: Place, **fields: Any) -> SteeredSteps:
    """A retry of a live job, while its process listens."""
    selection = StepSelection(**{"name": "vin", **fields})
    store = place.another_store()
    answer = told(run, lambda: store.steer_steps(BOOKS, selection, PENDING))
    assert isinstance(answer, SteeredSteps)
    return answer


def test_steps_of_a_live_job_are_retried_while_it_runs(place: Place) -> None:
    run = fill(place)
    assert retry_on(run, place) == SteeredSteps(2)
    answer = run.commit()
    assert answer.counts.steps_open == 2
    assert answer.steps.counts["vin"].pending == 2
    assert answer.steps.ready["vin"] == 2
    run.commit(changes=[done(one) for one in lease(run, "vin")])
    assert run.commit().counts.nothing_open
    assert place.reader.summary(BOOKS).status == "running"


def test_a_step_that_runs_or_waits_is_left_alone(place: Place) -> None:
    run = place.begin()
    page(run, 1, item(0, "a", "vin"), item(1, "b", "vin"), item(2, "c", waiting=("vin",)))
    (running,) = lease(run, "vin", count=1)
    assert retry_on(run, place, keys=("item 0", "item 1", "item 2")) == SteeredSteps(0)
    assert run.commit(changes=[done(running)]).steps.refused == set()
    for state in (PENDING, StepState.running, StepState.waiting):
        with pytest.raises(ConfigurationError, match="cannot be retried"):
            retry(place, states=(state,))
    with pytest.raises(ConfigurationError, match="No step is named"):
        retry(place, name="")


def test_a_step_waits_for_those_that_it_is_after(place: Place) -> None:
    fill(place).close("completed", "finished")
    assert place.store.steer_steps(
        BOOKS, StepSelection(name="api", keys=("failed",)), PENDING
    ) == SteeredSteps(1)
    assert retry(place, after=("api", "isbn")) == SteeredSteps(2)
    run = place.resume()
    assert [one.key for one in lease(run, "vin")] == ["parked"]
    (api,) = lease(run, "api")
    assert api.states["vin"] is StepState.waiting


def test_items_whose_input_was_consumed_are_left_alone_and_counted(place: Place) -> None:
    run = place.begin()
    page(run, 1, *(item(at, f'{{"html":{at}}}', "vin", key=str(at)) for at in range(3)))
    ended(run, "vin", DONE, '{"html":0,"vin":1}', visible='{"vin":1}', version="1")
    ended(run, "vin", FAILED, visible="{}", kept=True, error="OSError")
    ended(run, "vin", DONE, visible='{"vin":2}', version="1")
    run.close("completed", "finished")
    selection = StepSelection(name="vin", version="2", is_consumed=True, limit=5)
    expected = SteeredSteps(1, consumed=2)
    assert place.store.steer_steps(BOOKS, selection, PENDING, dry_run=True) == expected
    assert place.store.steer_steps(BOOKS, selection, PENDING) == expected
    assert states(place) == {"0": "done", "1": "pending", "2": "done"}
    run = place.resume()
    (vin,) = lease(run, "vin")
    assert vin.payload == '{"html":1}'


def test_steps_that_never_succeed_are_given_up(place: Place) -> None:
    fill(place).close("completed", "finished")
    before = place.items()
    selection = StepSelection(name="vin")
    assert place.store.steer_steps(BOOKS, selection, SKIPPED, dry_run=True) == SteeredSteps(2)
    assert place.store.steer_steps(BOOKS, selection, SKIPPED) == SteeredSteps(2)
    assert states(place) == {
        "failed": "skipped",
        "parked": "skipped",
        "done": "done",
        "skipped": "skipped",
    }
    assert place.items() == before
    assert (unit(place)["state"], unit(place)["items_failed"]) == ("completed", 0)
    summary = place.reader.summary(BOOKS)
    assert (summary.status, summary.counts.steps_open) == ("completed", 0)
    assert retry(place) == SteeredSteps(0)
    assert retry(place, states=(SKIPPED,)) == SteeredSteps(3)
    with pytest.raises(ConfigurationError, match="cannot be skipped"):
        place.store.steer_steps(BOOKS, StepSelection(name="vin", states=(DONE,)), SKIPPED)


def test_a_retry_reaches_more_items_than_one_statement_changes(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("scrapy_resume.store.transaction.steering.AT_ONCE", 3)
    run = place.begin()
    page(run, 1, *(item(at, str(at), "vin") for at in range(8)))
    run.commit(
        changes=[done(one, state=FAILED, error="OSError") for one in lease(run, "vin")],
    )
    run.close("completed", "finished")
    assert retry(place, limit=7) == SteeredSteps(7)
    assert place.reader.step_counts(BOOKS)["vin"].pending == 7
    assert retry(place) == SteeredSteps(1)


def test_an_item_of_start_is_retried_too(place: Place) -> None:
    from scrapy_resume.model import Kind

    run = place.begin()
    run.admit(admission(1, lease=True, kind=Kind.start_item))
    run.finish(finish(1, [item(0, "a", "vin", key="k")]))
    ended(run, "vin", FAILED, error="OSError")
    run.close("completed", "finished")
    assert retry(place) == SteeredSteps(1)
    (vin,) = lease(place.resume(), "vin")
    assert vin.payload == "a"


def test_other_numbers_of_the_job_are_left_alone(place: Place) -> None:
    fill(place).close("completed", "finished")
    second = JobKey("books", 2)
    other = place.begin(second)
    page(other, 1, item(0, "z", "vin", key="failed"))
    ended(other, "vin", FAILED, error="OSError")
    other.close("completed", "finished")
    assert retry(place) == SteeredSteps(2)
    assert place.reader.step_counts(second)["vin"].failed == 1
