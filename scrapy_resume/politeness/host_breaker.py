"""Blocks hosts that do not answer (circuit breaker), or have asked for a pause (``Retry-After``).

Each host has a circuit breaker. While it is *closed*, requests are sent. After
RESUME_BREAKER_FAILURES failures in a row (connection, timeout, 5xx, 429) it *opens*: requests wait,
which uses up none of their attempts. After RESUME_BREAKER_COOLDOWN one request is sent as a
*probe*: an answer closes the breaker, a failure doubles the cool-down. After RESUME_BREAKER_PROBES
failed probes in a row the host is *unavailable*: until the next probe is due, its requests fail
instead of waiting, so that a dead host does not keep a job from ending.

A host is a download slot. Where the settings order all requests by priority first, it is the host
of the URL.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct

from scrapy_resume.errors import HostUnavailableError, message_of
from scrapy_resume.frontier.retries import Backoff, seconds_until
from scrapy_resume.politeness.host_state import Host
from scrapy_resume.politeness.retry_after import (
    LONGEST_RETRY_AFTER_SECONDS,
    delay,
    retry_after,
)
from scrapy_resume.politeness.wait_log import WaitLog, shown_seconds
from scrapy_resume.store.contract import WaitLimits
from scrapy_resume.store.contract.waits import bounded_host

if TYPE_CHECKING:
    from collections.abc import Iterable

    from scrapy.http import Response
    from scrapy.statscollectors import StatsCollector

    from scrapy_resume.commits.committer import Committer
    from scrapy_resume.frontier.lease_buffer import LeaseBuffer
    from scrapy_resume.frontier.row import Row
    from scrapy_resume.ports.clock import Clock
    from scrapy_resume.ports.engine import Engine
    from scrapy_resume.store.contract import HostNote

logger = logging.getLogger("scrapy_resume")

TOO_MANY_REQUESTS: Final = 429
SERVER_ERRORS: Final = range(500, 600)

HOSTS_REMEMBERED: Final = 20_000
"""Hosts that are remembered. Beyond that number, those that do not block anything are forgotten."""

LEAST_COOLDOWN_SECONDS: Final = 0.1
"""The least cool-down, whatever the setting: a dead host must not be asked without a pause."""

PUT_OFF_SECONDS: Final = 1.0
"""How long a row at most is delayed that waits for a probe of its host, where one queue has the
rows of all hosts. Less if the cool-down is short."""


class BreakerRules(Struct, frozen=True):
    """When a breaker opens, and for how long. From the settings RESUME_BREAKER_*."""

    failures: int
    """Failures in a row after which a breaker opens; 0: none ever opens."""
    probes: int
    """Failed probes in a row after which the host's requests fail."""
    cooldown_seconds: float
    longest_cooldown_seconds: float
    errors: tuple[type[BaseException], ...]
    """Download errors that count as failures of the host (``RETRY_EXCEPTIONS``)."""


def wait_limits(longest_retry_seconds: float, cooldown_seconds: float) -> WaitLimits:
    """The longest waits that the settings RESUME_RETRY_DELAY_MAX and RESUME_BREAKER_COOLDOWN
    allow."""
    return WaitLimits(
        retry_seconds=longest_retry_seconds,
        cooldown_seconds=max(longest_retry_seconds, cooldown_seconds, LEAST_COOLDOWN_SECONDS),
        retry_after_seconds=LONGEST_RETRY_AFTER_SECONDS,
    )


class HostBreakers:
    """The hosts that have failed lately, or have asked for a pause."""

    def __init__(
        self,
        rules: BreakerRules,
        frontier: LeaseBuffer,
        stats: StatsCollector,
        committer: Committer,
        engine: Engine,
        clock: Clock,
    ) -> None:
        self._rules = rules
        self._limits = wait_limits(rules.longest_cooldown_seconds, rules.cooldown_seconds)
        cooldown_seconds = max(rules.cooldown_seconds, LEAST_COOLDOWN_SECONDS)
        self._cooldown = Backoff(cooldown_seconds, self._limits.cooldown_seconds, clock)
        self._put_off_seconds = min(PUT_OFF_SECONDS, cooldown_seconds / 4)
        self._frontier = frontier
        self._stats = stats
        self._committer = committer
        self._engine = engine
        self._clock = clock
        self._hosts: dict[str, Host] = {}
        self._changed: dict[str, Host] = {}
        self._events: list[dict[str, Any]] = []
        self._waits = WaitLog(clock)

    def restore(self, notes: Iterable[HostNote]) -> None:
        """Take over the state of hosts that other runs of this job, earlier or elsewhere, have
        stored. To be called in the event loop.

        No wait is longer than the settings allow from now on, whatever was stored.
        """
        now = self._clock.time()
        for note in notes:
            bounded = bounded_host(note, now, self._limits)
            host = self._hosts.setdefault(note.key, Host(note.key))
            host.restore(bounded.record)
            if bounded is not note:
                self._changed[host.key] = host
            if host.blocked_until > now:
                self._waits.host_waits(host.key, host.blocked_until)
            self._apply(host)

    def retry_waits(self, row: Row, until: float) -> None:
        """A request whose attempt has failed is tried again after ``until``."""
        self._waits.request_waits(self._frontier.host_of(row), until)

    def store_again(self) -> None:
        """Store the state of all hosts that wait: the store's clock was set."""
        self._changed.update(
            (host.key, host) for host in self._hosts.values() if host.blocked_until
        )
        if self._changed:
            self._committer.send_soon()

    def take_changes(self) -> list[HostNote]:
        """The state of the hosts that have changed since the last call, for the store."""
        now = self._clock.time()
        notes = [host.note(now) for host in self._changed.values()]
        self._changed.clear()
        return notes

    def take_events(self) -> list[dict[str, Any]]:
        """One event for each breaker that this run has opened or closed since the last call."""
        events, self._events = self._events, []
        return events

    # ---- outcomes of requests

    def downloaded(self, row: Row, response: Response) -> None:
        """A response has been downloaded. This is called before the downloader sends the next
        request of the slot, so that ``Retry-After`` applies to that one too."""
        if until := retry_after(response, self._clock.time()):
            self._delay(self._host(row), until, response)

    def answered(self, row: Row, response: Response) -> bool:
        """A response has arrived. Returns whether the request must wait, as if it had not been
        sent."""
        row.retry_after = retry_after(response, self._clock.time())
        if row.retry_after:
            self._delay(self._host(row), row.retry_after, response)
        status = response.status
        if status == TOO_MANY_REQUESTS or status in SERVER_ERRORS:
            return self._failed(row, f"HTTP {status}")
        self._succeeded(row)
        return False

    def failed(self, row: Row, error: BaseException) -> bool:
        """A download has failed. Returns whether the request must wait, as if it had not been
        sent."""
        if not isinstance(error, self._rules.errors):
            return False
        return self._failed(row, f"{type(error).__name__}: {message_of(error)}")

    def held_back(self, row: Row) -> None:
        """A request was dispatched, but not sent: that was no attempt."""
        row.attempts -= 1

    def engine_done(self, row: Row) -> None:
        """The engine is done with a request, whatever its outcome. If it is a probe without a
        result, another one may be sent."""
        host = self._hosts.get(self._frontier.host_of(row)) if self._hosts else None
        if host is not None and host.probe is row:
            host.probe = None
            self._apply(host)

    def error_for(self, row: Row) -> HostUnavailableError | None:
        """The error with which a row fails without being sent; ``None``: it may be sent."""
        if not self._hosts:
            return None
        host = self._hosts.get(self._frontier.host_of(row))
        if host is None or not host.dead or host.probe is row:
            return None
        return HostUnavailableError(
            f"{host.key} has not answered {host.probes} probes in a row "
            "(RESUME_BREAKER_PROBES); retry its requests when it is back"
        )

    def blocked_until(self, row: Row) -> float:
        """When a request may be sent, as far as its host is concerned; 0: at any time."""
        host = self._hosts.get(self._frontier.host_of(row)) if self._hosts else None
        return 0.0 if host is None else host.blocked_until

    def must_wait(self, row: Row) -> bool:
        """Whether a request that was dispatched must not be sent now."""
        if not self._hosts:
            return False
        host = self._hosts.get(self._frontier.host_of(row))
        return (
            host is not None and host.probe is not row and host.blocked_until > self._clock.time()
        )

    def put_off_until(self, row: Row) -> float:
        """The ``not_before`` of a row that is released since its host is blocked.

        0 where each slot has a queue, since a blocked slot is not leased from. Otherwise the row
        would be leased again at once.
        """
        if self._frontier.by_slot:
            return 0.0
        return max(self.blocked_until(row), self._clock.time() + self._put_off_seconds)

    @property
    def next_due(self) -> float:
        """When the first of the blocked hosts may be asked again; 0: none is blocked."""
        now = self._clock.time()
        moments = [host.blocked_until for host in self._hosts.values()]
        return min((moment for moment in moments if moment > now), default=0.0)

    # ---- the breaker

    def _host(self, row: Row) -> Host:
        key = self._frontier.host_of(row)
        if len(self._hosts) >= HOSTS_REMEMBERED and key not in self._hosts:
            self._forget_unblocked()
        return self._hosts.setdefault(key, Host(key))

    def _forget_unblocked(self) -> None:
        """Forget the hosts that have failed too rarely to be blocked. Their count starts anew."""
        now = self._clock.time()
        self._hosts = {
            key: host
            for key, host in self._hosts.items()
            if host.open_until or host.wait_until > now
        }

    def _failed(self, row: Row, how: str) -> bool:
        self._waits.trouble(self._frontier.host_of(row), how)
        if not self._rules.failures:
            return False
        host = self._host(row)
        if host.open_until:
            return self._failed_while_open(host, row, how)
        host.failures += 1
        if host.failures >= self._rules.failures:
            self._open(host, how)
        return False

    def _open(self, host: Host, how: str) -> None:
        host.probes = 0
        self._cool_down(host)
        self._stats.inc_value("resume/breaker/opened")
        self._events.append(
            {
                "event": "breaker_opened",
                "host": host.key,
                "failures": host.failures,
                "error": how,
                "seconds": round(host.open_until - self._clock.time(), 3),
            }
        )
        logger.warning(
            "waiting %s for host %s: %s; it has failed %d times in a row, and its requests wait",
            self._announced_seconds(host),
            host.key,
            how,
            host.failures,
        )

    def _failed_while_open(self, host: Host, row: Row, how: str) -> bool:
        """Requests that were sent before the breaker opened wait. A failed probe counts."""
        if host.probe is not row:
            return True
        host.probe = None
        host.probes += 1
        self._cool_down(host)
        self._stats.inc_value("resume/breaker/probes_failed")
        if host.probes < self._rules.probes:
            logger.warning(
                "waiting %s for host %s: %s; it does not answer yet",
                self._announced_seconds(host),
                host.key,
                how,
            )
            return True
        self._stats.inc_value("resume/breaker/unavailable")
        logger.error(
            "%s has not answered %d probes in a row (the last time: %s): its requests fail",
            host.key,
            host.probes,
            how,
        )
        return True

    def _cool_down(self, host: Host) -> None:
        host.open_until = self._clock.time() + self._cooldown.seconds(host.probes + 1)
        self._changed[host.key] = host
        self._apply(host)
        self._hold_back(host)

    def _announced_seconds(self, host: Host) -> str:
        self._waits.announced(host.key, host.open_until)
        return shown_seconds(host.open_until - self._clock.time())

    def _hold_back(self, host: Host) -> None:
        self._engine.hold_back(lambda row: self._frontier.host_of(row) == host.key)

    def _succeeded(self, row: Row) -> None:
        if not self._hosts:
            return
        key = self._frontier.host_of(row)
        host = self._hosts.get(key)
        if host is None:
            return
        host.failures = 0
        if host.probe is row:
            host.probe = None
            host.open_until, host.probes = 0.0, 0
            self._changed[key] = host
            self._stats.inc_value("resume/breaker/closed")
            self._events.append({"event": "breaker_closed", "host": key})
            logger.info("%s answers again", key)
            self._apply(host)
        elif not host.open_until and host.wait_until <= self._clock.time():
            self._hosts.pop(key)

    def _delay(self, host: Host, until: float, response: Response) -> None:
        if delay(host, until):
            self._waits.trouble(host.key, f"HTTP {response.status}")
            self._waits.host_waits(host.key, until)
            self._changed[host.key] = host
            self._apply(host)
            self._hold_back(host)

    def reset_all(self) -> None:
        """Close all breakers: someone has retried requests, so the hosts may answer again."""
        for host in list(self._hosts.values()):
            host.close()
            self._changed[host.key] = host
            self._apply(host)

    # ---- which hosts are blocked

    def _apply(self, host: Host) -> None:
        """Block or unblock the host in the lease buffer, as its state says, and again when a wait
        is over."""
        if host.timer is not None:
            host.timer.cancel()
            host.timer = None
        now = self._clock.time()
        waits_until = host.wait_until if host.wait_until > now else host.open_until
        host.dead = host.probes >= self._rules.probes and host.open_until > now
        if host.dead:
            self._frontier.unblock(host.key)
        elif waits_until > now or host.probe is not None:
            self._frontier.block(host.key)
        elif host.open_until:
            self._frontier.allow_probe(host.key)
        else:
            self._frontier.unblock(host.key)
        if waits_until > now:
            seconds = seconds_until(waits_until, now)
            host.timer = self._clock.call_later(seconds, self._wait_over, host)
        self._committer.send_soon()
        self._engine.wake()

    def _wait_over(self, host: Host) -> None:
        host.timer = None
        self._apply(host)

    def claim_probe(self, row: Row) -> None:
        """A row is dispatched. If its host may get one request as a probe, this is the probe."""
        if self._hosts and self._frontier.claim_probe(row):
            host = self._host(row)
            host.probe = row
            self._frontier.block(host.key)

    def end(self) -> None:
        """Stop all timers: nothing more is dispatched."""
        for host in self._hosts.values():
            if host.timer is not None:
                host.timer.cancel()
                host.timer = None
