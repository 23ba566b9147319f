"""The circuit breaker of a host, state by state, on a clock of its own."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest
from scrapy.http import Response
from twisted.internet.error import ConnectionRefusedError as Refused

from scrapy_resume.commits.committer import Committer
from scrapy_resume.errors import HostUnavailableError
from scrapy_resume.frontier import retries
from scrapy_resume.frontier.lease_buffer import LeaseBuffer
from scrapy_resume.frontier.row import Row, rank_of
from scrapy_resume.politeness.host_breaker import HOSTS_REMEMBERED, BreakerRules, HostBreakers
from scrapy_resume.store.contract import HostNote
from tests.support.clock import ManualClock, StubEngine

NOW = 1_000_000.0
COOLDOWN = 100.0


class Stats(dict[str, int]):
    def inc_value(self, name: str) -> None:
        self[name] = self.get(name, 0) + 1


class Watched:
    """Hosts over a frontier with some rows of two slots."""

    def __init__(
        self, clock: ManualClock, *, by_slot: bool = True, notes: Any = (), failures: int = 3
    ) -> None:
        rules = BreakerRules(
            failures=failures,
            probes=2,
            cooldown_seconds=COOLDOWN,
            longest_cooldown_seconds=600,
            errors=(Refused,),
        )
        self.clock = clock
        self.engine = StubEngine()
        self.stats = Stats()
        self.frontier = LeaseBuffer(concurrency=8, by_slot=by_slot, pending={})
        self.hosts = HostBreakers(
            rules,
            self.frontier,
            self.stats,  # type: ignore[arg-type]
            cast(Committer, SimpleNamespace(send_soon=lambda: None)),
            self.engine,
            clock,
        )
        self.hosts.restore(notes)
        self.next_id = 0

    def add(self, host: str = "a", count: int = 1) -> list[Row]:
        rows = []
        for _ in range(count):
            self.next_id += 1
            row = Row(self.next_id, bytes(20), recorded=True)
            row.slot = host if self.frontier.by_slot else ""
            row.url = f"http://{host}/{row.id}"
            row.rank = rank_of(0, 0, row.id, every_run=False)
            self.frontier.push(row)
            rows.append(row)
        return rows

    def take(self) -> Row | None:
        row = self.frontier.next_row(lambda _: 0)
        if row is not None:
            self.hosts.claim_probe(row)
        return row

    def fail(self, *rows: Row, status: int = 503) -> list[bool]:
        """Whether each of them is to wait as if it had not been sent."""
        return [self.hosts.answered(row, Response(row.url, status=status)) for row in rows]

    def held_back_hosts(self) -> list[str]:
        """The hosts of what was called back from the downloader's queue."""
        return [row.url.split("/")[2] for row in self.engine.held_back]

    def open(self) -> None:
        self.fail(*self.add("a", 3))
        self.frontier.take_blocked_rows()
        assert self.take() is None


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> ManualClock:
    monkeypatch.setattr(retries.random, "uniform", lambda low, high: low)
    return ManualClock(NOW)


@pytest.fixture
def watched(clock: ManualClock) -> Watched:
    return Watched(clock)


def test_failures_in_a_row_open_the_breaker_of_their_host_alone(watched: Watched) -> None:
    rows = watched.add("a", 6)
    watched.add("b")
    assert watched.fail(*rows[:2]) == [False, False]
    assert watched.hosts.failed(rows[2], Refused()) is False, "it opens with this one"
    taken = watched.take()
    assert taken is not None
    assert taken.slot == "b"
    assert watched.take() is None
    assert len(watched.frontier.take_blocked_rows()) == 6
    assert watched.stats == {"resume/breaker/opened": 1}


def test_an_answer_begins_the_count_anew(watched: Watched) -> None:
    rows = watched.add("a", 5)
    watched.fail(*rows[:2])
    watched.hosts.answered(rows[2], Response(rows[2].url, status=404))
    watched.fail(*rows[3:])
    assert watched.take() is not None


@pytest.mark.parametrize("error", [ValueError("odd"), KeyError()])
def test_what_is_no_failure_of_the_host_does_not_count(watched: Watched, error: Any) -> None:
    for row in watched.add("a", 9):
        assert watched.hosts.failed(row, error) is False
    assert watched.take() is not None


def test_what_was_on_its_way_waits_without_using_an_attempt_up(watched: Watched) -> None:
    watched.open()
    late = watched.add("a", 2)
    assert watched.fail(*late) == [True, True]
    watched.hosts.answered(late[0], Response(late[0].url))
    assert watched.take() is None, "a late answer does not close it"
    assert watched.stats["resume/breaker/opened"] == 1


def test_after_the_cool_down_one_request_goes_and_its_answer_lets_the_others_go(
    watched: Watched,
) -> None:
    watched.open()
    watched.clock.move(COOLDOWN - 1)
    assert watched.take() is None
    watched.clock.move(1.1)
    watched.add("a", 3)
    probe = watched.take()
    assert probe is not None
    assert watched.take() is None
    watched.hosts.answered(probe, Response(probe.url))
    watched.hosts.engine_done(probe)
    assert watched.take() is not None
    assert watched.take() is not None
    assert watched.stats["resume/breaker/closed"] == 1


def test_a_probe_that_comes_to_nothing_makes_way_for_another(watched: Watched) -> None:
    watched.open()
    watched.clock.move(COOLDOWN + 0.1)
    watched.add("a", 2)
    probe = watched.take()
    assert probe is not None
    watched.hosts.engine_done(probe)
    assert watched.take() is not None


def test_probes_that_fail_double_the_cool_down_and_then_the_requests_fail(
    watched: Watched,
) -> None:
    watched.open()
    watched.clock.move(COOLDOWN + 0.1)
    watched.add("a", 5)
    probe = watched.take()
    assert probe is not None
    assert watched.fail(probe) == [True]
    watched.hosts.engine_done(probe)
    watched.clock.move(2 * COOLDOWN - 1)
    assert watched.take() is None
    watched.clock.move(1.1)
    probe = watched.take()
    assert probe is not None
    assert watched.fail(probe) == [True]
    row = watched.take()
    assert row is not None
    assert isinstance(watched.hosts.error_for(row), HostUnavailableError)
    assert watched.stats["resume/breaker/unavailable"] == 1
    watched.clock.move(4 * COOLDOWN + 0.1)
    [row, *_] = watched.add("a", 2)
    probe = watched.take()
    assert probe is not None
    assert watched.hosts.error_for(probe) is None, "it is asked again"
    assert watched.take() is None


def test_one_probe_goes_to_an_unavailable_host_though_the_event_loop_is_late(
    watched: Watched, clock: ManualClock
) -> None:
    watched.open()
    for cooldown in (COOLDOWN, 2 * COOLDOWN):
        watched.add("a")
        clock.move(cooldown + 0.1)
        probe = watched.take()
        assert probe is not None
        watched.fail(probe)
    rows = watched.add("a", 3)
    clock.now += 4 * COOLDOWN  # and the timer has not been called yet
    assert all(watched.hosts.error_for(row) is not None for row in rows)
    clock.move(0.1)
    assert watched.take() is not None
    assert watched.take() is None


def test_the_host_says_when_to_come_back(watched: Watched) -> None:
    row, *_ = watched.add("a", 3)
    answer = Response(row.url, status=429, headers={"Retry-After": "30"})
    assert watched.hosts.answered(row, answer) is False
    assert watched.take() is None
    assert watched.hosts.next_due == NOW + 30
    watched.clock.move(30.1)
    assert watched.take() is not None
    assert watched.take() is not None


def test_another_process_goes_on_where_this_one_was(watched: Watched, clock: ManualClock) -> None:
    watched.open()
    [note] = watched.hosts.take_changes()
    assert watched.hosts.take_changes() == []
    assert note.key == "a"
    other = Watched(clock, notes=[note])
    other.add("a", 2)
    assert other.take() is None
    clock.move(COOLDOWN + 0.1)
    assert other.take() is not None
    assert other.take() is None, "it is a probe"


def test_an_unavailable_host_is_known_to_the_next_process(clock: ManualClock) -> None:
    record = '{"open_until": %s, "probes": 2, "wait_until": 0}' % (NOW + 50)
    other = Watched(clock, notes=[HostNote("a", record)])
    [row] = other.add("a")
    assert other.hosts.error_for(row) is not None


def test_where_one_queue_has_all_rows_the_hosts_of_urls_are_told_apart(clock: ManualClock) -> None:
    watched = Watched(clock, by_slot=False)
    watched.fail(*watched.add("a", 3))
    watched.add("b", 2)
    first, second = watched.take(), watched.take()
    assert first is not None
    assert second is not None
    assert {first.url[:9], second.url[:9]} == {"http://b/"}, (first.url, second.url)
    assert watched.take() is None
    off = watched.frontier.take_blocked_rows()
    assert len(off) == 3
    assert watched.hosts.put_off_until(off[0]) == pytest.approx(NOW + COOLDOWN, abs=1)
    assert watched.frontier.leased == 0


def test_without_the_setting_nothing_is_remembered(clock: ManualClock) -> None:
    watched = Watched(clock, failures=0)
    assert not any(watched.fail(*watched.add("a", 50)))
    assert not watched.hosts._hosts
    assert watched.take() is not None


def test_what_is_remembered_of_failing_hosts_has_an_end(watched: Watched) -> None:
    watched.open()
    for number in range(HOSTS_REMEMBERED + 10):
        row = Row(number, bytes(20), recorded=True)
        row.slot = f"h{number}"
        watched.hosts.failed(row, Refused())
    assert len(watched.hosts._hosts) <= HOSTS_REMEMBERED
    assert watched.hosts._hosts["a"].open_until


@pytest.mark.parametrize("by_slot", [True, False])
def test_what_is_queued_for_a_host_in_trouble_comes_back(clock: ManualClock, by_slot: bool) -> None:
    watched = Watched(clock, by_slot=by_slot)
    watched.engine.queued = [*watched.add("a"), *watched.add("b")]
    back = watched.held_back_hosts
    [row] = watched.add("a")
    watched.hosts.downloaded(row, Response(row.url, status=429))
    assert back() == [], "it has not asked for it"
    answer = Response(row.url, status=429, headers={"Retry-After": "20"})
    watched.hosts.downloaded(row, answer)
    assert back() == ["a"]
    watched.fail(*watched.add("b", 3))
    assert back() == ["a", "b"]


def test_dispatched_requests_of_a_blocked_host_are_not_sent_but_for_the_probe(
    watched: Watched,
) -> None:
    [late] = watched.add("a")
    [other] = watched.add("b")
    assert not watched.hosts.must_wait(late)
    watched.fail(*watched.add("a", 3))
    watched.frontier.take_blocked_rows()
    assert watched.hosts.must_wait(late)
    assert not watched.hosts.must_wait(other)
    watched.clock.move(COOLDOWN + 1)
    watched.add("a")
    probe = next(row for row in iter(watched.take, None) if row.slot == "a")
    assert not watched.hosts.must_wait(probe)


def test_a_breaker_s_opening_and_closing_are_events_once_each(clock: ManualClock) -> None:
    watched = Watched(clock)
    watched.open()
    (opened,) = watched.hosts.take_events()
    seconds = opened.pop("seconds")
    assert COOLDOWN / 2 <= seconds <= COOLDOWN * 2
    assert opened == {"event": "breaker_opened", "host": "a", "failures": 3, "error": "HTTP 503"}
    clock.move(2 * seconds)
    (waiting,) = watched.add("a")
    probe = watched.take()
    assert probe is waiting
    watched.hosts.answered(probe, Response(probe.url))
    assert watched.hosts.take_events() == [{"event": "breaker_closed", "host": "a"}]
    assert watched.hosts.take_events() == []


# Clocks that were wrong


def test_breaker_that_a_fast_clock_has_opened_blocks_no_longer_than_its_cooldown(
    clock: ManualClock,
) -> None:
    fast = ManualClock(NOW + 18_000)
    watched = Watched(fast)
    watched.open()
    other = Watched(clock, notes=watched.hosts.take_changes())
    other.add("a", 2)
    assert other.take() is None
    assert 0 < other.hosts.next_due - NOW <= COOLDOWN * 1.25
    clock.move(COOLDOWN * 1.25 + 0.1)
    assert other.take() is not None
    assert other.hosts.take_changes(), "what was wrong is stored anew"


def test_time_that_nobody_can_have_meant_is_bounded_by_the_settings(clock: ManualClock) -> None:
    record = '{"open_until": 9e12, "probes": 1, "wait_until": 9e12}'
    other = Watched(clock, notes=[HostNote("a", record)])
    other.add("a")
    host = other.hosts._hosts["a"]
    assert host.open_until == NOW + 600
    assert host.wait_until == NOW + 86_400


def test_hosts_that_wait_are_stored_again_when_the_stores_clock_was_set(
    clock: ManualClock,
) -> None:
    watched = Watched(clock)
    watched.open()
    watched.fail(*watched.add("b", 1))
    assert [note.key for note in watched.hosts.take_changes()] == ["a"]
    watched.hosts.store_again()
    assert [note.key for note in watched.hosts.take_changes()] == ["a"]
