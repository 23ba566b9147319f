"""Times that were stored while a clock was wrong, and clocks that are set while a run lasts."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from scrapy_resume.model import StepState
from scrapy_resume.store.contract import HostNote, Release, StepWish, WaitLimits

from .conftest import Place
from .records import BOOKS, SLOT, Run, admission, finish
from .test_steps import done, item, page
from .test_steps import lease as lease_steps

HOURS = 5 * 3600.0
LIMITS = WaitLimits(retry_seconds=600, cooldown_seconds=600, retry_after_seconds=86_400)
LATE_SECONDS = 60.0


def waits(run: Run) -> float:
    """In how many seconds the first delayed row is due."""
    return run.commit().next_due - time.time()


def record(stored_at: float, **waits_seconds: float) -> str:
    times = {name: stored_at + seconds for name, seconds in waits_seconds.items()}
    return json.dumps({"open_until": 0, "probes": 1, "wait_until": 0, "at": stored_at, **times})


def test_row_delayed_by_a_fast_clock_waits_no_longer_than_it_may(place: Place) -> None:
    run = place.begin()
    run.admit(admission(1, not_before=time.time() + HOURS + 30))
    assert waits(run) > HOURS
    run.close()
    run = place.resume(limits=LIMITS)
    assert run.session.now == pytest.approx(time.time(), abs=LATE_SECONDS)
    assert run.session.counts.delayed == 1
    assert 0 < waits(run) <= 600


def test_row_that_may_wait_keeps_its_time(place: Place) -> None:
    run = place.begin()
    due = time.time() + 300
    run.admit(admission(1, not_before=due))
    run.die()
    run = place.resume(limits=LIMITS)
    assert run.commit().next_due == pytest.approx(due)


def test_row_is_bounded_while_the_run_lasts(place: Place) -> None:
    run = place.begin(limits=LIMITS)
    answer = run.admit(
        admission(1, not_before=time.time() + HOURS), admission(2, not_before=time.time() + 5)
    )
    assert answer.counts.delayed == 2
    run.close()
    times = [row["not_before"] for row in place.reader.requests(BOOKS)]
    latest = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 601))
    assert all(moment <= latest for moment in times), times


def test_row_waits_for_as_long_as_its_host_has_asked_for(place: Place) -> None:
    run = place.begin(limits=LIMITS)
    until = time.time() + HOURS
    run.admit(admission(1, lease=True))
    run.commit(
        hosts=[HostNote(SLOT, record(time.time(), wait_until=HOURS))],
        releases=[Release(1, 1, until)],
    )
    run.die()
    run = place.resume(limits=LIMITS)
    assert run.commit().next_due == pytest.approx(until)


def test_row_and_its_host_wait_no_longer_than_the_host_asked_for_by_a_fast_clock(
    place: Place,
) -> None:
    run = place.begin()
    run.admit(admission(1, not_before=time.time() + HOURS + 100))
    run.commit(hosts=[HostNote(SLOT, record(time.time() + HOURS, wait_until=100))])
    assert waits(run) > HOURS
    run.close()
    run = place.resume(limits=LIMITS)
    assert 0 < waits(run) <= 600
    notes = run.session.hosts or run.commit(slots_wanted=1).sharing.hosts
    assert all(json.loads(note.record)["wait_until"] <= time.time() + 100 for note in notes)


def test_other_rows_of_the_job_do_not_wait_for_a_host_that_waits(place: Place) -> None:
    run = place.begin()
    run.admit(
        admission(1, slot="a", not_before=time.time() + HOURS),
        admission(2, slot="b", not_before=time.time() + HOURS),
    )
    run.commit(hosts=[HostNote("a", record(time.time(), wait_until=HOURS + 10))])
    run.close()
    run = place.resume(limits=LIMITS)
    assert 0 < waits(run) <= 600, "b has not asked for anything"
    run.close()
    rows = {row["url"][-1]: row["not_before"] for row in place.reader.requests(BOOKS)}
    assert rows["1"] > rows["2"]


# Steps of items


def test_a_step_that_failed_by_a_fast_clock_waits_as_long_as_it_was_to_wait(place: Place) -> None:
    run = place.begin()
    page(run, 1, item(0, "a", "slow", "soon"))
    slow, soon = lease_steps(run, "slow", "soon")
    now = time.time()
    ends = [(soon, 200.0), (slow, 5000.0)]
    for step, seconds in ends:
        run.commit(changes=[done(step, state=StepState.pending, not_before=now + seconds)])
    stored_by_a_fast_clock(run)
    run.close()
    run = place.resume()
    due = run.commit().steps.next_due
    assert due == pytest.approx(time.time() + 200, abs=LATE_SECONDS)
    run.close()
    assert place.resume().commit().steps.next_due == pytest.approx(due, abs=2)


def test_a_step_that_waits_by_a_right_clock_keeps_its_time(place: Place) -> None:
    run = place.begin()
    page(run, 1, item(0, "a", "slow"))
    (slow,) = lease_steps(run, "slow")
    due = time.time() + 30 * 24 * 3600
    run.commit(changes=[done(slow, state=StepState.pending, not_before=due)])
    run.die()
    assert place.resume().commit().steps.next_due == pytest.approx(due)


def test_an_attempt_counts_for_its_rate_limit_no_longer_than_it_has_to(place: Place) -> None:
    run = place.begin()
    page(run, 1, item(0, "a", "api"))
    page(run, 2, item(0, "b", "api"))
    limit: dict[str, Any] = {"rate_count": 1, "rate_seconds": 100.0}
    (first,) = lease_steps(run, "api", **limit)
    run.commit(changes=[done(first)])
    stored_by_a_fast_clock(run)
    run.close()
    answer = place.resume().commit(wishes_of_steps=[StepWish("api", 1, **limit)])
    assert not answer.steps.leased
    assert answer.steps.next_due == pytest.approx(time.time() + 100, abs=LATE_SECONDS)


def stored_by_a_fast_clock(run: Run) -> None:
    """Have the times of the job's steps be of a clock that was hours ahead."""
    for change in (
        f"step SET not_before = not_before + {HOURS}, last_at = last_at + {HOURS}"
        " WHERE not_before > 0",
        f"step_use SET until = until + {HOURS} WHERE until > 0",
    ):
        if hasattr(run.job, "_link"):
            executed(run, f"UPDATE scrapy_resume.{change}")
        else:
            run.job._connection.execute(f"UPDATE {change}")  # type: ignore[attr-defined]


# The clock is set while a run lasts


class SetClock:
    """The machine's clock, which the test sets."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.ahead_seconds = 0.0
        real, any_clock = time.time, time.clock_gettime

        def ahead(clock: int = time.CLOCK_REALTIME) -> float:
            return self.ahead_seconds if clock == time.CLOCK_REALTIME else 0.0

        monkeypatch.setattr(time, "time", lambda: real() + ahead())
        monkeypatch.setattr(time, "clock_gettime", lambda clock: any_clock(clock) + ahead(clock))


@pytest.fixture
def set_clock(monkeypatch: pytest.MonkeyPatch) -> SetClock:
    return SetClock(monkeypatch)


@pytest.mark.parametrize(("before", "after"), [(HOURS, 0.0), (0.0, HOURS)], ids=["back", "forward"])
def test_what_waits_and_the_run_itself_follow_the_machines_clock(
    exclusive_place: Place, set_clock: SetClock, before: float, after: float
) -> None:
    place = exclusive_place
    set_clock.ahead_seconds = before
    run = place.begin()
    began = time.time()
    run.admit(admission(1, not_before=time.time() + 300), admission(2, lease=True))
    run.commit(finishes=[finish(2)], pages=1)
    set_clock.ahead_seconds = after
    assert 290 < waits(run) <= 300
    moved = began - before + after
    [row] = place.reader.runs(BOOKS)
    assert row["started_at"] == pytest.approx(moved, abs=LATE_SECONDS)
    assert row["beat_at"] >= row["started_at"]
    [minute] = place.reader.minutes(BOOKS, 0.0)
    assert minute["at"] == pytest.approx(moved, abs=60 + LATE_SECONDS)
    assert minute["pages"] == 1
    run.close()
    [row] = place.reader.runs(BOOKS)
    assert 0 <= row["ended_at"] - row["started_at"] < LATE_SECONDS


def test_clock_that_is_set_before_the_close_is_noticed_by_it(
    exclusive_place: Place, set_clock: SetClock
) -> None:
    set_clock.ahead_seconds = HOURS
    run = exclusive_place.begin()
    run.commit()
    set_clock.ahead_seconds = 0.0
    run.close()
    [row] = exclusive_place.reader.runs(BOOKS)
    assert 0 <= row["ended_at"] - row["started_at"] < LATE_SECONDS


def test_times_of_earlier_runs_stay_as_they_are(
    exclusive_place: Place, set_clock: SetClock
) -> None:
    run = exclusive_place.begin()
    run.admit(admission(1, lease=True))
    run.commit(finishes=[finish(1)], pages=1)
    run.close()
    [first] = exclusive_place.reader.runs(BOOKS)
    [minute] = exclusive_place.reader.minutes(BOOKS, 0.0)
    set_clock.ahead_seconds = HOURS
    run = exclusive_place.resume()
    set_clock.ahead_seconds = 0.0
    run.commit()
    assert exclusive_place.reader.runs(BOOKS)[0] == first
    assert exclusive_place.reader.minutes(BOOKS, 0.0) == [minute]


# The server's clock


def executed(run: Run, statement: str) -> None:
    link: Any = run.job._link  # type: ignore[attr-defined]
    with link.transaction() as connection:
        connection.execute(statement)


def server_was_fast(run: Run) -> None:
    """Have the times in the database, and what the run has heard, be of a clock that was fast."""
    executed(run, f"UPDATE scrapy_resume.run SET started_at = started_at + {HOURS}")
    executed(run, f"UPDATE scrapy_resume.run SET beat_at = beat_at + {HOURS}")
    executed(run, f"UPDATE scrapy_resume.slot SET free_at = free_at + {HOURS} WHERE run = 0")
    watch: Any = run.job._watch  # type: ignore[attr-defined]
    if watch._heard is not None:
        here, there = watch._heard
        watch._heard = (here, there + HOURS)


def test_run_follows_the_servers_clock(shared_place: Place) -> None:
    run = shared_place.begin(heartbeat_seconds=60)
    run.admit(admission(1, lease=True))
    run.commit(finishes=[finish(1)], pages=3)
    server_was_fast(run)
    executed(run, f"UPDATE scrapy_resume.minute SET minute = minute + {HOURS // 60:.0f}")
    run.commit()
    [row] = shared_place.reader.runs(BOOKS)
    assert row["started_at"] == pytest.approx(time.time(), abs=LATE_SECONDS)
    [minute] = shared_place.reader.minutes(BOOKS, 0.0)
    assert minute["at"] == pytest.approx(time.time(), abs=60 + LATE_SECONDS)
    assert minute["pages"] == 3


@pytest.mark.parametrize("by", ["recover", "resume"])
def test_heartbeat_in_the_future_does_not_keep_a_dead_worker_alive(
    shared_place: Place, monkeypatch: pytest.MonkeyPatch, by: str
) -> None:
    monkeypatch.setattr("scrapy_resume.store.postgres.recovery.is_gone", lambda name: False)
    run = shared_place.begin(worker="a:1", heartbeat_seconds=60, orphan_seconds=0.5)
    run.admit(admission(1, lease=True))
    run.job._heartbeat.stop()  # type: ignore[attr-defined]
    server_was_fast(run)
    run.die()
    if by == "recover":
        recovery = shared_place.store.recover(BOOKS, 3, 0.0)
        assert recovery.workers == ("a:1",)
        return
    other = shared_place.resume(worker="b:2", orphan_seconds=60)
    deadline = time.monotonic() + 20
    while not (leased := other.commit(slots_wanted=1, idle=True).leased):
        assert time.monotonic() < deadline, "the dead worker counts as alive"
    assert [row.id for row in leased] == [1]


def test_slot_that_was_to_be_free_hours_from_now_is_free_after_its_delay(
    shared_place: Place,
) -> None:
    run = shared_place.begin(slot_delay_seconds=0.1)
    run.admit(admission(1))
    run.close()
    run = shared_place.resume(slot_delay_seconds=0.1)
    run.lease()
    run.close()
    store: Any = shared_place.another_store()
    run = shared_place.resume()
    server_was_fast(run)
    run.close()
    assert store.latest("books").counts.pending == 1
    run = shared_place.resume()
    deadline = time.monotonic() + 20
    while not run.commit(slots_wanted=1).leased:
        assert time.monotonic() < deadline, "nobody may claim the slot"


def test_store_tells_its_time(place: Place) -> None:
    assert place.begin().commit().now == pytest.approx(time.time(), abs=LATE_SECONDS)


def test_sqlite_rows_of_hosts_without_a_record_of_waits_are_read(
    exclusive_place: Place,
) -> None:
    """An earlier version stored no time beside a host's."""
    run = exclusive_place.begin()
    run.admit(admission(1, not_before=time.time() + HOURS))
    run.commit(hosts=[HostNote(SLOT, json.dumps({"open_until": time.time() + HOURS}))])
    run.close()
    run = exclusive_place.resume(limits=LIMITS)
    assert 0 < waits(run) <= 600
