"""Jobs that are extended: in each round, what ``start()`` yields is fetched again, once."""

from __future__ import annotations

import pytest

from scrapy_resume.model import State

from .conftest import Place
from .records import SLOT, Run, admission, continuation, finish, identity


def completed(place: Place, **fields: object) -> Run:
    """1 and 2 are of start(), 3 is below 1; all have given an item."""
    run = place.begin(**fields)
    run.admit(
        admission(1, lease=True), admission(2, lease=True), admission(3, parent=1, lease=True)
    )
    run.finish(finish(1, ["a"]), finish(2, ["b"]), finish(3, ["c"]))
    assert run.close("completed", "finished") == "completed"
    return run


def given(run: Run, *names: object) -> list[int]:
    """start() gives these: which rows can be leased then?"""
    first, step = max(run.next_id, run.session.ids.first), run.session.ids.step
    run.admit(*(admission(first + n * step, name) for n, name in enumerate(names)))
    return sorted(row.id for row in run.lease())


def test_a_round_fetches_what_start_gives_and_nothing_else(place: Place) -> None:
    completed(place)
    run = place.resume(extend=True)
    assert run.session.start.round == 1
    assert not run.session.start.exhausted
    assert given(run, 1, 1) == [1]
    run.finish(finish(1, ["A"], supersedes=True))
    assert given(run, 1, 2) == [2]
    assert place.items() == ["b", "c", "A"]
    run.finish(finish(2, state=State.failed, supersedes=True))
    assert place.items() == ["b", "c", "A"]
    run.admit(admission(run.session.ids.first + 10 * run.session.ids.step, 3, parent=1))
    assert run.lease() == [], "a known request that a page leads to"
    assert place.states() == {"1": "done", "2": "failed", "3": "done"}
    run.close("completed", "finished")
    assert place.reader.summary(run.session.job).round == 1
    assert not [v for v in place.store.verify(run.session.job).violations if "JSON" not in v]


def test_a_round_lasts_until_the_job_is_completed(place: Place) -> None:
    completed(place)
    run = place.resume(extend=True)
    assert given(run, 1) == [1]
    run.finish(finish(1, ["A"], supersedes=True))
    run.die()
    run = place.resume(extend=True)
    assert run.session.start.round == 1
    assert given(run, 1, 2, "new") != [1, 2]
    assert place.states() == {"1": "done", "2": "leased", "3": "done", "new": "leased"}
    (new,) = (row["items"] for name, row in place.rows().items() if name == "new")
    assert new == 0
    run.finish(*(finish(row, supersedes=True) for row in (2, *run_rows(place, run, "new"))))
    assert given(run, "new") == [], "this round has added it"
    run.close("completed", "finished")
    run = place.resume(extend=True)
    assert run.session.start.round == 2
    assert len(given(run, 1, 2, "new")) == 3


def run_rows(place: Place, run: Run, name: str) -> list[int]:
    """The ids that were given to the request of that name."""
    first, step = run.session.ids.first, run.session.ids.step
    return [first + 2 * step]


def test_without_it_nothing_is_fetched_again(place: Place) -> None:
    completed(place)
    run = place.resume()
    assert run.session.start.round == 0
    assert given(run, 1, 2) == []


def test_a_run_that_goes_on_with_a_round_belongs_to_it(place: Place) -> None:
    """Whatever its mode: the round is the job's."""
    completed(place)
    place.resume(extend=True).die()
    assert given(place.resume(), 1, 2) == [1, 2]


def test_a_seed_is_fetched_as_it_is_given_now(place: Place) -> None:
    """It was redirected, and may be redirected to the same page again."""
    run = place.begin()
    run.admit(admission(1, lease=True))
    run.admit(continuation(1, "target"))
    run.finish(finish(1, ["a"]))
    run.close("completed", "finished")
    run = place.resume(extend=True)
    first = run.session.ids.first
    run.admit(admission(first, 1, payload='{"meta":{"page":2}}', priority=7))
    (row,) = run.lease()
    assert (row.id, row.url, row.priority) == (1, f"http://{SLOT}/1", 7)
    assert row.payload == '{"meta":{"page":2}}'
    committed = run.admit(continuation(1, "target", attempts=2))
    assert not committed.duplicates
    run.finish(finish(1, ["A"], supersedes=True))
    assert place.items() == ["A"]


@pytest.mark.parametrize("state", [State.failed, State.ignored, State.parked])
def test_what_is_parked_stays_so(place: Place, state: State) -> None:
    run = place.begin()
    run.admit(admission(1, lease=True))
    run.finish(finish(1, state=state, items_failed=1))
    run.close("completed", "finished")
    run = place.resume(extend=True)
    assert given(run, 1) == ([] if state is State.parked else [1])
    assert run.commit().counts.items_failed == (1 if state is State.parked else 0)


def test_equal_requests_of_start_are_fetched_again_by_their_number(place: Place) -> None:
    run = place.begin()
    equal = {"identity": identity("twice"), "counted": True}
    run.admit(admission(1, lease=True, **equal), admission(2, lease=True, **equal))
    run.finish(finish(1, ["a"]), finish(2, ["b"]))
    run.close("completed", "finished")
    run = place.resume(extend=True)
    first, step = run.session.ids.first, run.session.ids.step
    run.admit(*(admission(first + n * step, **equal) for n in range(3)))
    assert sorted(row.id for row in run.lease()) == [1, 2, first + 2 * step]
