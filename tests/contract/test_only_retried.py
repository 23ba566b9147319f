"""A run that fetches only what was retried, and what that leads to, leases nothing else."""

from __future__ import annotations

from scrapy_resume.model import Phase, State
from scrapy_resume.store.contract import Release

from .conftest import Place
from .records import SLOT, Run, admission, continuation, finish

LATER = 2e10


def with_one_retried(place: Place) -> Run:
    """Of four rows 1 was retried, and the others are pending: 3 is delayed. A run for 1 alone."""
    run = place.begin()
    run.admit(admission(1, lease=True), admission(2), admission(3, not_before=LATER), admission(4))
    run.finish(finish(1, state=State.failed))
    place.retry(1, run)
    return place.resume(only_retried=True)


def ids(run: Run) -> list[int]:
    return [row.id for row in run.lease()]


def test_only_retried_rows_are_found_and_leased(place: Place) -> None:
    run = with_one_retried(place)
    frontier = run.session.frontier
    assert (frontier.pending, frontier.suspects, frontier.delayed) == ({SLOT: 1}, 0, 0)
    assert run.session.counts.pending == 4
    assert ids(run) == [1]
    assert ids(run) == []
    committed = run.admit()
    assert (committed.delayed, committed.next_due) == (0, 0.0)
    assert committed.counts.delayed == 1


def test_what_a_retried_row_leads_to_is_leased_too(place: Place) -> None:
    run = with_one_retried(place)
    run.lease()
    new = run.session.ids.first
    step = run.session.ids.step
    committed = run.admit(
        admission(new, parent=1, retried=True),
        admission(new + step, parent=1),
        admission(new + 2 * step, parent=1, retried=True, not_before=LATER),
    )
    assert committed.pending == {SLOT: 1}
    assert (committed.delayed, committed.next_due) == (1, LATER)
    assert ids(run) == [new]


def test_the_choice_outlives_a_death_and_a_release(place: Place) -> None:
    run = with_one_retried(place)
    run.lease()
    new = run.session.ids.first
    run.admit(admission(new, parent=1, lease=True, retried=True))
    run.commit(releases=[Release(new, 1)])
    run.die()
    run = place.resume(only_retried=True)
    assert sorted(ids(run)) == [1, new]
    run.admit(continuation(1, lease=False))
    assert ids(run) == [1]
    run.close()
    run = place.resume()
    assert run.session.frontier.pending == {SLOT: 4}
    assert sorted(ids(run)) == [1, 2, 4, new], "all others too, as usual"


def test_a_suspect_that_was_not_retried_waits_too(place: Place) -> None:
    run = place.begin(crash_limit=1)
    run.admit(admission(1, lease=True), admission(2, lease=True))
    run.finish(finish(1, state=State.failed))
    run.job.mark(2, Phase.answered)
    run.die()
    run = place.resume(crash_limit=1)
    assert run.session.frontier.suspects == 1
    place.retry(1, run)
    run = place.resume(only_retried=True, crash_limit=1)
    assert run.session.frontier.suspects == 0
    assert run.commit(suspect_wish=True).suspect is None
    run.lease()
    run.job.mark(1, Phase.answered)
    run.die()
    run = place.resume(only_retried=True, crash_limit=1)
    assert run.session.frontier.suspects == 1
    suspect = run.commit(suspect_wish=True).suspect
    assert suspect is not None
    assert suspect.id == 1


def test_a_job_with_other_open_rows_is_not_completed(place: Place) -> None:
    run = with_one_retried(place)
    run.lease()
    run.finish(finish(1))
    assert run.close("completed", "finished") == "paused"
    assert place.states() == {"1": "done", "2": "pending", "3": "pending", "4": "pending"}


def test_a_worker_that_retries_does_not_wait_for_what_others_have(shared_place: Place) -> None:
    run = with_one_retried(shared_place)
    run.lease()
    other = shared_place.resume(worker="host:2")
    assert other.commit(idle=True).sharing.others_at_work
    run.finish(finish(1))
    answer = run.commit(idle=True).sharing
    assert (answer.others_at_work, answer.only_delayed) == (False, True)
