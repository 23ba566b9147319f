"""Requests are retried and parked: exactly those that are meant, and the counts stay exact."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from scrapy_resume.errors import ConfigurationError
from scrapy_resume.model import Kind, Selection, State
from scrapy_resume.store.contract import HostNote, Wish
from scrapy_resume.store.transaction.selection import UNRECORDED
from scrapy_resume.store.transaction.steering import to_park, to_retry

from .conftest import Place
from .records import BOOKS, SLOT, admission, finish, tombstone


def fill(place: Place) -> None:
    """A job in which everything has ended in another way, closed as finished."""
    run = place.begin()
    run.admit(
        admission(1, lease=True),
        admission(2, lease=True, url="http://other.example:80/2", unit="cities", slot="other"),
        admission(3, lease=True, payload=json.dumps({"callback": "parse_city"})),
        admission(4, lease=True, url=f"http://{SLOT}/a[1]_%/4"),
        admission(5, lease=True),
        admission(6, lease=True, every_run=True),
    )
    failed: dict[str, Any] = {"state": State.failed, "error": "HttpError"}
    run.commit(
        finishes=[
            finish(1, ["{}"], http_status=200),
            finish(2, http_status=500, attempts=3, **failed),
            finish(3, http_status=503, **failed),
            finish(4, state=State.failed, error="ValueError", items_failed=1),
            finish(5, ["{}"], items_failed=2, error="KeyError"),
            finish(6, **failed),
            tombstone(7, payload=UNRECORDED),
        ],
        start_exhausted=True,
    )
    run.close("completed", "finished")


def meant(place: Place, **fields: Any) -> list[str]:
    """What the reader lists of a selection, by the last part of the URL."""
    found = place.reader.requests(BOOKS, Selection(**fields))
    return [row["url"].rpartition("/")[2] for row in found]


FAILED = (State.failed,)
FILTERS: list[tuple[dict[str, Any], list[str]]] = [
    ({"states": FAILED}, ["2", "3", "4", "6"]),
    ({"states": FAILED, "host": "other.example"}, ["2"]),
    ({"states": FAILED, "host": "OTHER.example"}, ["2"]),
    ({"states": FAILED, "host": "ther.example"}, []),
    ({"states": FAILED, "status": 503}, ["3"]),
    ({"states": FAILED, "error": "ValueError"}, ["4"]),
    ({"states": FAILED, "callback": "parse_city"}, ["3"]),
    ({"states": FAILED, "callback": "parse"}, ["2", "4", "6"]),
    ({"states": FAILED, "url": f"http://{SLOT}/*"}, ["3", "4", "6"]),
    ({"states": FAILED, "url": f"http://{SLOT}/a[1]_%/?"}, ["4"]),
    ({"states": FAILED, "url": f"http://{SLOT}/?"}, ["3", "6"]),
    ({"states": FAILED, "url": "*/a[12]_*"}, []),
    ({"states": FAILED, "url": "*_/4"}, []),
    ({"states": FAILED, "unit": "cities"}, ["2"]),
    ({"states": FAILED, "max_attempts": 2}, ["3", "4", "6"]),
    ({"states": FAILED, "host": SLOT, "error": "HttpError"}, ["3", "6"]),
    ({"partial": True}, ["5"]),
    ({"states": (State.done, State.failed), "status": 200}, ["1"]),
    ({"url": "*' OR '1'='1"}, []),
]


@pytest.mark.parametrize(("fields", "expected"), FILTERS)
def test_a_filter_lets_those_through_that_all_of_it_holds_for(
    place: Place, fields: dict[str, Any], expected: list[str]
) -> None:
    fill(place)
    assert meant(place, **fields) == expected


@pytest.mark.parametrize(("fields", "expected"), [case for case in FILTERS if case[1]])
def test_exactly_what_is_listed_is_retried(
    place: Place, fields: dict[str, Any], expected: list[str]
) -> None:
    fill(place)
    expected = [name for name in expected if name != "6"]  # it comes first in every run
    before = place.states()
    selection = Selection(**fields)
    assert place.store.steer(BOOKS, selection, State.pending, dry_run=True) == len(expected)
    assert place.states() == before
    assert place.store.steer(BOOKS, selection, State.pending) == len(expected)
    assert place.states() == {**before, **dict.fromkeys(expected, "pending")}
    summary = place.reader.summary(BOOKS)
    status = "paused" if expected else "completed"
    assert (summary.status, summary.completed_at is None) == (status, bool(expected))
    counted = [state for state in place.states().values() if state == "pending"]
    assert summary.counts.pending == len(counted) == len(expected)
    assert summary.counts.failed == sum(s == "failed" for s in place.states().values())
    run = place.resume()
    slots = {"shop.example", "other"}
    rows = run.commit(wishes=[Wish(slot, 9) for slot in sorted(slots)]).leased
    assert sorted(row.url.rpartition("/")[2] for row in rows) == sorted(expected)
    run.commit(finishes=[finish(row.id, supersedes=row.items > 0) for row in rows])
    counts = run.commit().counts
    assert (counts.pending, counts.leased) == (0, 0)
    assert counts.items_stored == len(place.items())


def test_nothing_is_held_against_what_is_retried(place: Place) -> None:
    run = place.begin()
    payload = {"meta": {"retry_times": 2, "kept": 1}, "callback": "parse_city"}
    run.admit(
        admission(1, lease=True, payload=json.dumps(payload)),
        admission(2, lease=True, payload=json.dumps({"meta": {"retry_times": 2}})),
    )
    run.commit(
        finishes=[
            finish(row, state=State.failed, error="E", error_message="m", http_status=500)
            for row in (1, 2)
        ],
        hosts=[HostNote(SLOT, "{}")],
    )
    run.close()
    place.store.steer(BOOKS, Selection(), State.pending)
    row = place.rows()["1"]
    assert (row["error"], row["error_message"], row["http_status"]) == (None, None, None)
    run = place.resume()
    assert run.session.hosts == []
    one, two = run.lease(2)
    assert json.loads(one.payload) == {"meta": {"kept": 1}, "callback": "parse_city"}
    assert json.loads(two.payload) == {}
    assert one.attempts == 1


def test_what_is_parked_is_not_fetched_until_it_is_retried(place: Place) -> None:
    run = place.begin()
    run.admit(
        admission(1),
        admission(2, not_before=time.time() + 900),
        admission(3, lease=True),
        admission(4),
    )
    run.commit(finishes=[finish(3, state=State.failed, error="E")])
    run.close()
    parked = Selection((State.pending, State.failed), url="*/[123]")
    assert place.store.steer(BOOKS, parked, State.parked) == 0, "a glob has no sets"
    for row in (1, 2, 3):
        selection = to_park(Selection(url=f"*/{row}"))
        assert place.store.steer(BOOKS, selection, State.parked) == 1
    counts = place.reader.summary(BOOKS).counts
    assert (counts.pending, counts.delayed, counts.parked, counts.failed) == (1, 0, 3, 0)
    assert place.rows()["1"]["error"] == "Parked"
    assert place.rows()["3"]["error"] == "E"
    run = place.resume()
    assert [row.id for row in run.lease(9)] == [4]
    run.close()
    assert place.store.steer(BOOKS, to_retry(Selection()), State.pending) == 3
    counts = place.reader.summary(BOOKS).counts
    assert (counts.pending, counts.delayed, counts.parked) == (4, 0, 0)
    assert len(place.resume().lease(9)) == 4


@pytest.mark.soak
def test_very_many_are_changed_in_portions(place: Place) -> None:
    run = place.begin()
    run.admit(*(admission(row, lease=True) for row in range(1, 6_002)))
    run.commit(finishes=[finish(row, state=State.failed, error="E") for row in range(1, 6_002)])
    run.close()
    assert place.store.steer(BOOKS, to_retry(Selection()), State.pending) == 6_001
    assert place.reader.summary(BOOKS).counts.pending == 6_001
    assert place.resume().commit().counts.pending == 6_001


def test_failures_are_listed_by_error(place: Place) -> None:
    fill(place)
    first, *others = place.reader.failures(BOOKS, examples=1, bound=1_000)
    assert (first["count"], len(first["examples"])) == (1, 1)
    found = {(row["error"], row["http_status"]): row["count"] for row in (first, *others)}
    assert found == {
        ("HttpError", 500): 1,
        ("HttpError", 503): 1,
        ("HttpError", None): 1,
        ("ValueError", None): 1,
    }


@pytest.mark.parametrize("state", [State.pending, State.leased])
def test_what_is_open_cannot_be_retried(state: State) -> None:
    with pytest.raises(ConfigurationError, match="cannot be retried"):
        to_retry(Selection((state,)))


@pytest.mark.parametrize("state", [State.done, State.leased, State.parked, State.ignored])
def test_what_has_ended_well_cannot_be_parked(state: State) -> None:
    with pytest.raises(ConfigurationError, match="cannot be parked"):
        to_park(Selection((state,)))


def test_what_a_crash_left_behind_is_recovered_all_the_same(place: Place) -> None:
    run = place.begin()
    run.admit(admission(1, lease=True), admission(2, lease=True))
    run.commit(finishes=[finish(1, state=State.failed, error="E")])
    run.die()
    assert place.store.steer(BOOKS, to_retry(Selection()), State.pending) == 1
    run = place.resume()
    assert run.session.crashed
    assert sorted(row.id for row in run.lease(5)) == [1, 2]


def test_items_of_start_are_not_requests(place: Place) -> None:
    run = place.begin()
    run.finish(tombstone(1, ["{}"], kind=Kind.start_item))
    run.close("completed", "finished")
    done = Selection((State.done,))
    assert place.store.steer(BOOKS, done, State.pending) == 0
