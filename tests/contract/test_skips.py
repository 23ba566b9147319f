"""What is skipped for good is never leased, in no later number either, until that is undone."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from scrapy_resume.model import JobKey, SkipRule, State, digest
from scrapy_resume.reporting.filters import selection
from scrapy_resume.store.contract import Continuation
from scrapy_resume.store.transaction.steering import to_retry

from .conftest import Place
from .records import BOOKS, SLOT, admission, finish

NEXT = JobKey(BOOKS.name, BOOKS.number + 1)


def fill(place: Place) -> Any:
    """One request in each state, of two units; 5 is pending."""
    run = place.begin()
    run.admit(
        admission(1, lease=True, unit="north"),
        admission(2, lease=True, unit="north"),
        admission(3, lease=True, unit="south"),
        admission(4, lease=True, unit="south"),
        admission(5, unit="south"),
        admission(6, lease=True, every_run=True, unit="south"),
    )
    failed: dict[str, Any] = {"state": State.failed, "error": "HttpError", "http_status": 500}
    run.commit(
        finishes=[
            finish(1, ["{}"]),
            finish(2, state=State.ignored, error="HttpError", http_status=404),
            finish(3, **failed),
        ]
    )
    return run


def skip(place: Place, key: JobKey = BOOKS, **filters: Any) -> int:
    return place.store.steer(key, selection(**filters), State.ignored)


def undo(place: Place, key: JobKey = BOOKS, **filters: Any) -> int:
    return place.store.steer(key, to_retry(selection(skipped=True, **filters)), State.pending)


def skipped(place: Place, key: JobKey = BOOKS) -> list[str]:
    rows = place.rows(key)
    return [name for name, row in sorted(rows.items()) if row["error"] == "skipped"]


def is_whole(place: Place, key: JobKey = BOOKS) -> None:
    assert place.store.verify(key).violations == []
    assert place.reader.skipped_count(key) == len(skipped(place, key))


@pytest.fixture
def rested(place: Place) -> Place:
    fill(place).close("paused", "shutdown")
    return place


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({"url": "*/3"}, ["3"]),
        ({"unit": "sou*"}, ["3", "4", "5"]),
        ({"units": ["south"]}, ["3", "4", "5"]),
        ({"host": SLOT}, ["3", "4", "5"]),
        ({"host": "elsewhere"}, []),
        ({"url": "*/[34]"}, []),
        ({"status": 500}, ["3"]),
        ({"state": "failed"}, ["3"]),
        ({"state": "done"}, []),
        ({"urls": [f"http://{SLOT}/4#x", "http://new.example/"]}, ["4"]),
        ({"unit": "south", "limit": 1}, ["3"]),
        ({"url": "*/5", "unit": "north"}, []),
    ],
)
def test_what_is_open_or_in_trouble_is_ignored(
    rested: Place, filters: dict[str, Any], expected: list[str]
) -> None:
    assert skip(rested, **filters) == len(expected)
    assert skipped(rested) == expected
    assert {rested.rows()[name]["state"] for name in expected} <= {"ignored"}
    assert rested.rows()["1"]["state"] == "done"
    is_whole(rested)


def test_no_plain_retry_takes_it_and_one_of_skipped_does(rested: Place) -> None:
    assert skip(rested, unit="south") == 3
    assert rested.store.steer(BOOKS, to_retry(selection()), State.pending) == 0
    ignored = to_retry(selection("ignored"))
    assert rested.store.steer(BOOKS, ignored, State.pending, dry_run=True) == 1
    assert undo(rested, url="*/4") == 1
    assert skipped(rested) == ["3", "5"]
    assert undo(rested) == 2
    assert skipped(rested) == []
    run = rested.resume()
    assert {row.id for row in run.lease(9)} == {3, 4, 5}
    run.close()
    is_whole(rested)


ARRIVALS = {
    "url": {"url": f"http://{SLOT}/private/1"},
    "unit": {"unit": "Paris 4"},
    "other": {"unit": "Lyon"},
}


def admit_next(run: Any, first: int, salt: str = "") -> set[str]:
    """Admit what ``ARRIVALS`` says; which of it was skipped."""
    rows = {
        first + at: admission(first + at, identity=digest(f"{name}{salt}".encode()), **fields)
        for at, (name, fields) in enumerate(ARRIVALS.items())
    }
    answer = run.admit(*rows.values())
    names = dict(zip(rows, ARRIVALS, strict=True))
    return {names[row] for row in answer.skipped_for_good}


def test_what_arrives_later_and_matches_is_skipped(place: Place) -> None:
    run = fill(place)
    run.close("paused", "shutdown")
    assert skip(place, url="*/private/*") == 0
    assert skip(place, unit="Paris*") == 0
    run = place.resume()
    assert admit_next(run, 101) == {"url", "unit"}
    assert skipped(place) == ["1", "102"]
    assert admit_next(run, 201) == set(), "they are known by now"
    run.close()
    is_whole(place)


def test_later_numbers_inherit_it_until_it_is_undone(place: Place) -> None:
    fill(place).close("paused", "shutdown")
    skip(place, url="*/private/*")
    skip(place, state="failed")
    run = place.begin(NEXT)
    same = [admission(row, lease=True) for row in (1, 3, 4)]
    assert run.admit(*same).skipped_for_good == {3}
    assert admit_next(run, 101) == {"url"}
    run.close("paused", "shutdown")
    assert skipped(place, NEXT) == ["1", "3"]
    is_whole(place, NEXT)
    assert undo(place, NEXT) == 2
    third = replace(NEXT, number=NEXT.number + 1)
    run = place.begin(third)
    assert run.admit(*same).skipped_for_good == set()
    assert admit_next(run, 101) == set()


def test_what_is_undone_alone_is_an_exception_from_the_rule(place: Place) -> None:
    fill(place).close("paused", "shutdown")
    skip(place, url="*")
    assert undo(place, status=500) == 0, "what is skipped has no status any more"
    assert undo(place, unit="south", url="*/3*", limit=1) == 1
    assert skipped(place) == ["4", "5"]
    run = place.begin(NEXT)
    answer = run.admit(*(admission(row, lease=True) for row in (3, 4, 5)))
    assert answer.skipped_for_good == {4, 5}


def test_a_rule_is_taken_back_by_its_own_words(place: Place) -> None:
    fill(place).close("paused", "shutdown")
    skip(place, unit="Paris*")
    skip(place, url="*/private/*")
    undo(place, unit="Paris*")
    run = place.begin(NEXT)
    assert admit_next(run, 101) == {"url"}


SETTING = (SkipRule(url="*/private/*"), SkipRule(unit="sou*"))


def test_the_setting_holds_for_runs_that_have_it(place: Place) -> None:
    fill(place).close("paused", "shutdown")
    run = place.resume(skip=SETTING)
    assert skipped(place) == ["4", "5"], "what was pending; what has failed stays so"
    assert admit_next(run, 101) == {"url"}
    run.close("paused", "shutdown")
    is_whole(place)
    run = place.resume()
    assert admit_next(run, 201, "again") == set()
    run.close("paused", "shutdown")
    assert admit_next(place.begin(NEXT), 301) == set(), "no later number inherits it"


def test_a_command_comes_before_the_setting(place: Place) -> None:
    fill(place).close("paused", "shutdown")
    place.resume(skip=SETTING).close("paused", "shutdown")
    assert undo(place, url="*/5") == 1
    place.resume(skip=SETTING).close("paused", "shutdown")
    assert skipped(place) == ["4"]


def test_children_of_a_start_request_that_is_its_own_unit(place: Place) -> None:
    run = place.begin(skip=(SkipRule(unit="*/root"),))
    root = admission(1, url="http://a.example/root", unit=1)
    other = admission(2, url="http://a.example/other", unit=2)
    assert run.admit(root, other).skipped_for_good == {1}
    children = [admission(3, unit=1), admission(4, unit=2)]
    assert run.admit(*children).skipped_for_good == {3}


def test_a_redirect_to_what_is_skipped_ends_there(place: Place) -> None:
    run = place.begin(skip=(SkipRule(url="*/private/*"),))
    run.admit(admission(1, lease=True), admission(2, lease=True))

    def going_on(row: int, path: str, **how: Any) -> Continuation:
        fields = {"payload": "{}", "slot": SLOT, "priority": 0, "start": 0, "seq": row}
        return Continuation(id=row, url=f"http://{SLOT}/{path}", attempts=1, **fields, **how)

    answer = run.commit(arrivals=[going_on(1, "private/a"), going_on(2, "private/b", failed=True)])
    assert answer.skipped_for_good == {1}
    assert answer.duplicates == {1}
    assert skipped(place) == ["1"]
    run.close()
    is_whole(place)


def test_workers_are_told_of_what_they_have_leased(shared_place: Place) -> None:
    run = fill(shared_place)
    assert skip(shared_place, unit="south") == 2
    answer = run.commit()
    assert answer.leased_skipped == {4}
    assert answer.skipped_count == 2
    assert run.commit().leased_skipped == set()


def test_a_request_that_is_in_every_run_is_not_skipped(place: Place) -> None:
    run = place.begin(skip=(SkipRule(url="*"),))
    answer = run.admit(admission(1, lease=True, every_run=True), admission(2))
    assert answer.skipped_for_good == {2}
