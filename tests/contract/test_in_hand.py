"""What is in hand is what was sent and has not ended, not what is leased."""

from __future__ import annotations

import pytest

from scrapy_resume.model import Phase

from .conftest import Place
from .records import BOOKS, Run, admission, finish


def leasing(place: Place) -> Run:
    """A run that has leased five requests, and sent two of them."""
    run = place.begin()
    run.admit(*(admission(row, lease=True) for row in range(1, 6)))
    run.job.mark(2, Phase.sent)
    run.job.mark(4, Phase.answered)
    run.commit()
    return run


def in_hand(place: Place) -> list[str]:
    """Those that have a worker, among all requests."""
    rows = list(place.reader.requests(BOOKS))
    assert all((row["worker"] is None) == (row["leased_at"] is None) for row in rows)
    return [row["url"] for row in rows if row["worker"] is not None]


def test_in_flight_worker_and_leased_at_agree(place: Place) -> None:
    run = leasing(place)
    urls = [admission(row).url for row in (2, 4)]
    assert place.reader.in_flight_urls(BOOKS) == urls
    assert in_hand(place) == urls
    assert place.reader.summary(BOOKS).counts.leased == 5
    run.job.unmark(2)
    run.finish(finish(2))
    assert place.reader.in_flight_urls(BOOKS) == in_hand(place) == urls[1:]
    run.job.unmark(4)
    run.commit()
    assert place.reader.in_flight_urls(BOOKS) == in_hand(place) == []
    run.close()


def test_a_death_leaves_what_was_in_hand_to_be_seen(place: Place) -> None:
    leasing(place).die()
    assert len(place.reader.in_flight_urls(BOOKS)) == 2


def test_a_crash_counts_what_was_in_hand_and_blames_nothing_else(place: Place) -> None:
    leasing(place).die()
    run = place.resume()
    session = run.session
    assert (session.crashed, session.taken_over) == (True, False)
    assert (session.recovered.requests, session.recovered.in_flight) == (5, 2)
    crashes = [row["crashes"] for row in place.reader.requests(BOOKS)]
    assert crashes == [0, 1, 0, 1, 0]
    run.close()


@pytest.mark.parametrize("die", [False, True])
def test_a_takeover_by_force_is_no_crash(place: Place, die: bool) -> None:
    run = leasing(place)
    taker = place.resume(force=True)
    session = taker.session
    assert (session.crashed, session.taken_over) == (False, True)
    assert session.recovered.requests == 5
    assert [row["crashes"] for row in place.reader.requests(BOOKS)] == [0] * 5
    run.die()
    if die:
        taker.die()
        assert place.resume().session.crashed
    else:
        taker.close()
        assert not place.resume().session.crashed


def test_when_the_job_made_progress_last_is_known(place: Place) -> None:
    run = place.begin()
    assert run.session.progress.progressed_at is None
    run.admit(admission(1, lease=True))
    run.commit(finishes=[finish(1)], pages=1)
    run.close()
    progressed_at = place.resume().session.progress.progressed_at
    assert progressed_at is not None
    assert progressed_at % 60 == 0
