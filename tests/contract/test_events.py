"""What somebody wants to be told is kept with what makes it true, until it was told."""

from __future__ import annotations

from typing import Any

import pytest

from scrapy_resume.errors import LeaseLostError
from scrapy_resume.model import Phase, State
from scrapy_resume.store.contract import Batch, Closing, EventNote, EventReport

from .conftest import Place
from .records import BOOKS, SLOT, Run, admission, continuation, finish, tombstone

ENDS = frozenset({"request_finished", "request_failed", "request_parked", "unit_completed"})


def names(notes: list[EventNote]) -> list[str]:
    return [event["event"] for note in notes for event in note.events]


def settled(run: Run) -> Run:
    """What its opening has to tell was told."""
    run.commit(delivered=[note.id for note in run.session.events.of_job])
    return run


def three(run: Run) -> list[Any]:
    run.admit(*(admission(row, unit="city", lease=True) for row in (1, 2, 3)))
    return [
        finish(1, ["item"], http_status=200),
        finish(2, state=State.failed, error="HttpError", attempts=3),
        finish(3, state=State.ignored, error="duplicate"),
    ]


def test_an_opening_tells_that_it_began_went_on_or_recovered(place: Place) -> None:
    run = place.begin()
    assert names(run.session.events.of_job) == ["job_opened"]
    settled(run).close()
    run = settled(place.resume())
    assert names(run.session.events.of_job) == ["job_resumed"]
    run.die()
    run = place.resume()
    assert names(run.session.events.of_job) == ["job_resumed", "job_recovered"]
    assert run.session.events.of_job[-1].events[-1] == {
        "event": "job_recovered",
        "run": 3,
        "recovered": 0,
        "parked": 0,
    }


def test_what_nobody_wants_is_not_kept(place: Place) -> None:
    run = settled(place.begin())
    ends = three(run)
    assert run.commit(finishes=ends).events == []
    run.close()
    assert place.store.undelivered_events(BOOKS) == []


def test_ends_of_requests_and_units_are_told_with_what_became_of_them(place: Place) -> None:
    run = settled(place.begin())
    ends = three(run)
    (note,) = run.commit(finishes=ends, wanted=ENDS, notices=[{"event": "breaker_opened"}]).events
    assert names([note]) == [
        "breaker_opened",
        "request_finished",
        "request_failed",
        "request_finished",
        "unit_completed",
    ]
    _, done, failed, ignored, unit = note.events
    assert (done["request"]["url"], done["request"]["items"]) == (f"http://{SLOT}/1", 1)
    assert (failed["request"]["error"], failed["request"]["attempts"]) == ("HttpError", 3)
    assert ignored["request"]["state"] == "ignored"
    assert (unit["unit"]["unit"], unit["unit"]["state"]) == ("city", "partial")


def test_only_what_is_wanted_is_told(place: Place) -> None:
    run = settled(place.begin())
    ends = three(run)
    (note,) = run.commit(finishes=ends, wanted=frozenset({"request_failed"})).events
    assert names([note]) == ["request_failed"]


def test_what_was_not_told_before_a_death_is_told_by_the_next_run(place: Place) -> None:
    run = settled(place.begin())
    ends = three(run)
    (note,) = run.commit(finishes=ends, wanted=ENDS).events
    run.die()
    run = place.resume()
    assert run.session.events.of_job[0] == note
    assert names(run.session.events.of_job[1:]) == ["job_resumed", "job_recovered"]
    settled(run).die()
    assert "request_failed" not in names(place.resume().session.events.of_job)


def test_a_batch_that_is_sent_again_tells_the_same_once(place: Place) -> None:
    run = settled(place.begin())
    ends = three(run)
    batch = Batch(next_id=9, finishes=ends, events=EventReport(wanted=ENDS))
    first = run.job.commit(batch)
    run.die()
    assert len(first.events) == 1
    assert names(place.resume().session.events.of_job).count("request_failed") == 1


def test_an_event_of_a_batch_that_is_refused_is_not_kept(place: Place) -> None:
    run = settled(place.begin())
    ends = three(run)
    other = settled(place.resume(force=True))
    with pytest.raises(LeaseLostError):
        run.commit(finishes=ends, wanted=ENDS)
    other.close()
    assert place.store.undelivered_events(BOOKS) == []


def test_a_request_that_a_recovery_parks_is_told(place: Place) -> None:
    run = place.begin(crash_limit=1)
    run.admit(admission(1, unit="city", lease=True))
    for _ in range(2):
        run.job.mark(1, Phase.answered)
        run.commit()
        settled(run).die()
        run = place.resume(crash_limit=1)
        run.commit(suspect_wish=True)
    assert names(run.session.events.of_job) == [
        "job_resumed",
        "job_recovered",
        "unit_started",
        "request_parked",
        "unit_completed",
    ]


def test_the_end_of_a_run_is_told_until_it_is_forgotten(place: Place) -> None:
    run = settled(place.begin())
    run.job.close(Closing("completed", "finished", announce=True))
    note = run.job.closed
    assert note is not None
    assert note.events == [
        {"event": "job_closed", "run": 1, "status": "completed", "reason": "finished"}
    ]
    assert place.store.undelivered_events(BOOKS) == [note]
    place.store.delete_events(BOOKS, [note.id])
    assert place.store.undelivered_events(BOOKS) == []


def test_what_a_closing_was_told_is_forgotten_with_it(place: Place) -> None:
    run = place.begin()
    told = [note.id for note in run.session.events.of_job]
    run.job.close(Closing("paused", "shutdown", delivered=told))
    assert run.job.closed is None
    assert place.store.undelivered_events(BOOKS) == []


def test_a_worker_tells_what_one_that_died_did_not(shared_place: Place) -> None:
    place = shared_place
    first = settled(place.begin(slots_shared=True))
    second = settled(place.resume(slots_shared=True))
    ends = three(first)
    (note,) = first.commit(finishes=ends, wanted=ENDS).events
    assert second.commit(idle=True).events == []
    first.die()
    assert second.commit(idle=True).events == [note]
    second.die()
    assert place.resume().session.events.of_job[0] == note


def test_custom_metrics_are_kept_with_the_batch_and_at_the_end(place: Place) -> None:
    run = place.begin()
    run.commit(custom='{"custom/frames": 3}', expected_total=120.0)
    run.commit()
    (kept,) = place.reader.runs(BOOKS)
    assert kept["custom"] == {"custom/frames": 3}
    assert place.reader.summary(BOOKS).expected_total == 120.0
    run.job.close(Closing("paused", "shutdown", custom='{"custom/frames": 4}'))
    (kept,) = place.reader.runs(BOOKS)
    assert kept["custom"] == {"custom/frames": 4}


def test_a_unit_has_started_when_the_first_of_its_requests_ends_and_only_then(place: Place) -> None:
    wanted = frozenset({"unit_started", "unit_completed"})
    run = settled(place.begin())
    run.admit(*(admission(row, unit="city", lease=row < 3) for row in range(1, 4)))
    run.admit(admission(4, lease=True))
    (first,) = run.commit(finishes=[finish(1), finish(4)], wanted=wanted, logged=True).events
    told = [(event["event"], event["unit"]["unit"]) for event in first.events]
    root = f"http://{SLOT}/4"
    assert sorted(told[:2]) == [("unit_started", "city"), ("unit_started", root)]
    assert told[2:] == [("unit_completed", root)]
    assert run.commit(finishes=[finish(2)], wanted=wanted).events == []
    run.die()
    run = settled(place.resume())
    (again,) = [row.id for row in run.lease(9)]
    (last,) = run.commit(finishes=[finish(again)], wanted=wanted).events
    assert [event["event"] for event in last.events] == ["unit_completed"]


def test_the_event_log_is_told_unit_and_callback_of_what_a_batch_ends_or_continues(
    place: Place,
) -> None:
    run = settled(place.begin())
    payload = '{"callback":"parse_city"}'
    run.admit(admission(1, unit="city", lease=True, payload=payload))
    run.admit(admission(2, lease=True), admission(3, unit=2, lease=True, payload=payload))
    answer = run.commit(
        finishes=[finish(1), finish(3), tombstone(9, unit="city", payload=payload)],
        arrivals=[continuation(2, "elsewhere")],
        logged=True,
    )
    log = answer.log
    assert log is not None
    root = log.requests[2].unit
    assert root is not None
    assert log.requests == {
        1: ("city", "parse_city"),
        2: (root, "parse"),
        3: (root, "parse_city"),
        9: ("city", "parse_city"),
    }
    assert sorted(log.units_started) == sorted(["city", root])
    assert [unit["unit"] for unit in log.units_completed] == ["city"]
    assert run.commit(finishes=[finish(2)]).log is None, "nobody keeps a log"
