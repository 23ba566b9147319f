"""What a death leaves behind: G1, G4, and the suspects."""

from __future__ import annotations

from scrapy_resume.model import Phase
from scrapy_resume.store.contract import LeasedRow, Release, Wish

from .conftest import Place
from .records import SLOT, Run, admission, continuation, finish


def test_killed_after_lease_is_fetched_again(place: Place) -> None:
    run = place.begin()
    run.admit(admission(1, lease=True), admission(2, lease=True), admission(3), admission(4))
    run.commit(wishes=[Wish(SLOT, 1)], finishes=[finish(2, ["a"])])
    run.die()
    run = place.resume()
    session = run.session
    assert session.crashed
    assert (session.recovered.requests, session.recovered.parked, session.frontier.suspects) == (
        2,
        0,
        0,
    )
    assert (session.counts.pending, session.counts.leased, session.counts.done) == (3, 0, 1)
    assert [row.id for row in run.lease()] == [1, 3, 4]
    assert place.items() == ["a"]


def test_a_death_counts_for_what_is_marked_only(place: Place) -> None:
    run = place.begin()
    run.admit(*(admission(row, lease=True) for row in (1, 2, 3)))
    run.job.mark(1, Phase.sent)
    run.job.mark(2, Phase.sent)
    run.job.mark(2, Phase.answered)
    run.job.unmark(2)
    run.job.mark(99, Phase.sent)
    run.job.unmark(98)
    run.die()
    leased = place.resume().lease()
    assert [(row.id, row.crashes, row.attempts) for row in leased] == [
        (1, 1, 1),
        (2, 0, 0),
        (3, 0, 0),
    ]


def test_a_row_that_ended_before_the_death_has_no_crash(place: Place) -> None:
    run = place.begin()
    run.admit(admission(1, lease=True))
    run.job.mark(1, Phase.answered)
    run.finish(finish(1))
    run.die()
    assert place.resume().session.recovered.requests == 0
    assert place.rows()["1"]["crashes"] == 0


def test_marks_of_a_run_that_ended_well_do_not_count(place: Place) -> None:
    run = place.begin()
    run.admit(admission(1, lease=True))
    run.job.mark(1, Phase.answered)
    run.close()
    run = place.resume()
    run.die()
    (row,) = place.resume().lease()
    assert (row.crashes, row.attempts) == (0, 0)


def test_a_death_before_anything_is_committed_blames_nobody_twice(place: Place) -> None:
    run = place.begin()
    run.admit(admission(1, lease=True))
    run.job.mark(1, Phase.sent)
    run.die()
    for _ in range(3):
        place.resume().die()
    (row,) = place.resume().lease()
    assert row.crashes == 1


def test_deaths_before_and_within_a_retry_add_up(place: Place) -> None:
    run = place.begin()
    run.admit(admission(1, lease=True))
    run.admit(continuation(1, attempts=1))
    run.job.mark(1, Phase.sent)
    run.die()
    (row,) = place.resume().lease()
    assert (row.attempts, row.crashes) == (2, 1)


def crash(place: Place, phase: Phase = Phase.answered, *, limit: int = 3, row: int = 1) -> Run:
    """The next run leases everything, alone if it is a suspect, and dies with the row in hand."""
    run = place.resume(crash_limit=limit)
    if run.session.frontier.suspects:
        assert run.commit(suspect_wish=True).suspect is not None
    else:
        run.lease()
    run.job.mark(row, phase)
    run.die()
    return run


def suspect(place: Place, phase: Phase = Phase.answered) -> None:
    """A row that has crashed three times, and another one."""
    run = place.begin()
    run.admit(admission(1, slot=SLOT), admission(2))
    run.close()
    for _ in range(3):
        crash(place, phase)


def test_a_row_that_crashed_too_often_is_leased_only_as_a_suspect(place: Place) -> None:
    suspect(place)
    run = place.resume()
    assert run.session.frontier.suspects == 1
    assert run.session.counts.pending == 2
    assert run.session.frontier.pending == {SLOT: 1}
    assert [row.id for row in run.lease()] == [2]
    committed = run.commit(suspect_wish=True)
    assert isinstance(committed.suspect, LeasedRow)
    assert (committed.suspect.id, committed.suspect.slot) == (1, SLOT)
    assert (committed.suspect.crashes, committed.suspect.attempts) == (3, 3)
    assert committed.suspects == 0
    assert run.commit(suspect_wish=True).suspect is None


def test_a_suspect_that_survives_is_cleared(place: Place) -> None:
    suspect(place)
    run = place.resume()
    run.commit(suspect_wish=True)
    run.finish(finish(1))
    assert place.rows()["1"]["crashes"] == 0
    run.die()
    session = place.resume().session
    assert (session.frontier.suspects, session.counts.parked) == (0, 0)


def test_a_suspect_that_kills_alone_is_parked_with_the_reason(place: Place) -> None:
    suspect(place)
    run = place.resume()
    run.commit(suspect_wish=True)
    run.job.mark(1, Phase.answered)
    run.die()
    session = place.resume().session
    assert (session.recovered.parked, session.frontier.suspects, session.counts.parked) == (1, 0, 1)
    row = place.rows()["1"]
    assert (row["state"], row["error"], row["crashes"]) == ("parked", "crash", 4)
    assert row["error_message"] == (
        "the process died 4 times while it was in flight, the last time while it ran alone"
    )


def test_a_suspect_whose_site_had_not_answered_is_not_parked(place: Place) -> None:
    """A kill from outside while a slow page is in flight is not the page's doing."""
    suspect(place, Phase.sent)
    for _ in range(10):
        crash(place, Phase.sent)
    session = place.resume().session
    assert (session.frontier.suspects, session.counts.parked) == (1, 0)
    assert place.rows()["1"]["crashes"] == 13


def test_a_suspect_that_kills_before_any_answer_is_parked_in_the_end(place: Place) -> None:
    suspect(place, Phase.sent)
    for _ in range(20):
        crash(place, Phase.sent)
    assert place.resume().session.counts.parked == 1


def test_a_suspect_that_waits_beside_others_is_not_blamed(place: Place) -> None:
    suspect(place)
    run = place.resume()
    run.lease()
    run.job.mark(2, Phase.answered)
    run.die()
    run = place.resume()
    assert run.session.frontier.suspects == 1
    run.commit(suspect_wish=True)
    run.die()
    session = place.resume().session
    assert (session.frontier.suspects, session.counts.parked) == (1, 0)
    assert {name: row["crashes"] for name, row in place.rows().items()} == {"1": 3, "2": 1}


def test_a_suspect_that_is_given_back_is_not_alone_any_more(place: Place) -> None:
    suspect(place)
    run = place.resume()
    run.commit(suspect_wish=True)
    committed = run.commit(releases=[Release(1, 3)])
    assert committed.suspects == 1
    assert run.commit(suspect_wish=True, releases=[]).suspect is not None
    committed = run.admit(continuation(1, lease=False, attempts=4))
    assert committed.suspects == 1
    assert committed.pending.get(SLOT, 1) == 1
    run.job.mark(1, Phase.answered)
    run.die()
    assert place.resume().session.counts.parked == 0


def test_a_suspect_that_goes_on_alone_is_still_alone(place: Place) -> None:
    suspect(place)
    run = place.resume()
    run.commit(suspect_wish=True)
    run.admit(continuation(1, attempts=4))
    run.job.mark(1, Phase.answered)
    run.die()
    assert place.resume().session.counts.parked == 1


def test_the_crash_limit_is_the_openings(place: Place) -> None:
    place.begin().close()
    run = place.resume()
    run.admit(admission(1))
    run.close()
    crash(place, limit=1)
    assert place.resume(crash_limit=1).session.frontier.suspects == 1


def test_suspects_wait_for_their_delay(place: Place) -> None:
    suspect(place)
    run = place.resume()
    run.commit(suspect_wish=True)
    committed = run.admit(continuation(1, lease=False, not_before=2e10))
    assert (committed.suspects, committed.counts.delayed) == (0, 1)
    assert run.commit(suspect_wish=True).suspect is None


def test_more_rows_than_the_board_has_room_for_are_leased_and_recovered(place: Place) -> None:
    run = place.begin()
    run.admit(*(admission(row, lease=True) for row in range(1, 5001)))
    for row in range(1, 5001):
        run.job.mark(row, Phase.sent)
    run.die()
    run = place.resume()
    assert run.session.recovered.requests == 5000
    assert sum(row.crashes for row in run.lease(5000)) == 4096
