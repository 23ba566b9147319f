"""Hosts that are not to be asked for now: their own wish, or because they do not answer.

A circuit breaker for each host. *Closed*: requests go. After RESUME_BREAKER_FAILURES failures in
a row (connection, timeout, 5xx, 429) it is *open*: requests wait, and no attempt of theirs is
used up. After RESUME_BREAKER_COOLDOWN one request goes as a *probe*: an answer closes the
breaker, a failure doubles the cool-down. After RESUME_BREAKER_PROBES failed probes in a row the
host is *unavailable*: until the next probe is due, its requests fail instead of waiting, so that
a dead host cannot hold a job open.

A host is a download slot here, as everywhere in Scrapy; where the settings order all requests by
priority alone, it is the host of the URL.
"""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from scrapy_resume.errors import HostUnavailableError
from scrapy_resume.frontier.retries import Backoff, seconds_until
from scrapy_resume.politeness.retry_after import retry_after
from scrapy_resume.store.contract import HostNote

if TYPE_CHECKING:
    from collections.abc import Iterable

    from scrapy.http import Response
    from scrapy.statscollectors import StatsCollector

    from scrapy_resume.commits.committer import Committer
    from scrapy_resume.frontier.lease_buffer import LeaseBuffer
    from scrapy_resume.frontier.row import Row
    from scrapy_resume.ports.clock import Clock, Timer
    from scrapy_resume.ports.engine import Engine

logger = logging.getLogger("scrapy_resume")

TOO_MANY_REQUESTS: Final = 429
SERVER_ERRORS: Final = range(500, 600)

HOSTS_REMEMBERED: Final = 20_000
"""Hosts that have failed since they answered last; beyond it those with a closed breaker are
forgotten."""

LEAST_COOLDOWN_SECONDS: Final = 0.1
"""Whatever the setting says: a dead host is not to be asked without a pause."""

PUT_OFF_SECONDS: Final = 1.0
"""While a probe is on its way, where one queue has the requests of all hosts: at most so long,
and less than a short cool-down."""


@dataclass
class Host:
    """What is known of one host. Times are seconds since the epoch; 0: never."""

    key: str
    failures: int = 0
    """In a row, up to the opening of its breaker."""
    open_until: float = 0.0
    """0: the breaker is closed. Past: a probe may go, or is on its way."""
    probes: int = 0
    """That have failed since the breaker opened."""
    wait_until: float = 0.0
    """The host has asked for it (``Retry-After``)."""
    probe: Row | None = None
    """On its way."""
    dead: bool = False
    """Its requests fail, without being sent, until a probe may go. Not told by the clock, which
    is ahead of the event loop: all that is ready would go to the host in place of one probe."""
    timer: Timer | None = None

    def note(self) -> HostNote:
        """What the store keeps of it."""
        values = {
            "open_until": self.open_until,
            "probes": self.probes,
            "wait_until": self.wait_until,
        }
        return HostNote(self.key, json.dumps(values))


@dataclass(frozen=True)
class BreakerRules:
    """When a breaker opens, and for how long. Made from the settings of the same names."""

    failures: int
    """In a row, that open a breaker; 0: none ever opens."""
    probes: int
    """Failed ones in a row, after which the host's requests fail."""
    cooldown_seconds: float
    longest_cooldown_seconds: float
    errors: tuple[type[BaseException], ...]
    """Download errors that count as failures of the host (``RETRY_EXCEPTIONS``)."""


class HostBreakers:
    """The hosts that are in trouble, or have asked for a pause."""

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
        cooldown_seconds = max(rules.cooldown_seconds, LEAST_COOLDOWN_SECONDS)
        longest_seconds = max(rules.longest_cooldown_seconds, cooldown_seconds)
        self._cooldown = Backoff(cooldown_seconds, longest_seconds, clock)
        self._put_off_seconds = min(PUT_OFF_SECONDS, cooldown_seconds / 4)
        self._frontier = frontier
        self._stats = stats
        self._committer = committer
        self._engine = engine
        self._clock = clock
        self._hosts: dict[str, Host] = {}
        self._changed: dict[str, Host] = {}
        self._events: list[dict[str, Any]] = []

    def restore(self, notes: Iterable[HostNote]) -> None:
        """Take over what this job's other runs, earlier or elsewhere, have stored of hosts. The
        event loop runs."""
        for key, record in notes:
            values = json.loads(record)
            host = self._hosts.setdefault(key, Host(key))
            host.open_until = values["open_until"]
            host.probes = values["probes"]
            host.wait_until = values["wait_until"]
            self._apply(host)

    def take_changes(self) -> list[HostNote]:
        """What the store is to keep, since the last time."""
        notes = [host.note() for host in self._changed.values()]
        self._changed.clear()
        return notes

    def take_events(self) -> list[dict[str, Any]]:
        """Breakers that this run opened or closed since the last time."""
        events, self._events = self._events, []
        return events

    # ---- what becomes of requests

    def downloaded(self, row: Row, response: Response) -> None:
        """A response is here, and nothing else of its slot has been sent since."""
        if until := retry_after(response, self._clock.time()):
            self._wait(self._host(row), until)

    def answered(self, row: Row, response: Response) -> bool:
        """A host has answered. Whether the request is to wait, as if it had not been sent."""
        row.retry_after = retry_after(response, self._clock.time())
        if row.retry_after:
            self._wait(self._host(row), row.retry_after)
        status = response.status
        if status == TOO_MANY_REQUESTS or status in SERVER_ERRORS:
            return self._failed(row, f"HTTP {status}")
        self._succeeded(row)
        return False

    def failed(self, row: Row, error: BaseException) -> bool:
        """No answer. Whether the request is to wait, as if it had not been sent."""
        if not isinstance(error, self._rules.errors):
            return False
        return self._failed(row, f"{type(error).__name__}: {error}")

    def held_back(self, row: Row) -> None:
        """It was handed out and not sent: it was no attempt, nor a probe."""
        row.attempts -= 1

    def let_go(self, row: Row) -> None:
        """The engine is done with a request, whatever became of it."""
        host = self._hosts.get(self._frontier.host_of(row)) if self._hosts else None
        if host is not None and host.probe is row:
            host.probe = None
            self._apply(host)

    def error_for(self, row: Row) -> HostUnavailableError | None:
        """Why a request is to fail without being sent; ``None``: it is not."""
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
        """When a request may go, as far as its host is concerned; 0: at any time."""
        host = self._hosts.get(self._frontier.host_of(row)) if self._hosts else None
        return 0.0 if host is None else max(host.open_until, host.wait_until)

    def must_wait(self, row: Row) -> bool:
        """Whether a request that was handed out is not to be sent all the same."""
        if not self._hosts:
            return False
        host = self._hosts.get(self._frontier.host_of(row))
        return (
            host is not None
            and host.probe is not row
            and max(host.open_until, host.wait_until) > self._clock.time()
        )

    def put_off_until(self, row: Row) -> float:
        """What to keep with a row that goes back to the store for its host's sake.

        0 where its whole slot is left alone; otherwise it would be leased again at once.
        """
        if self._frontier.by_slot:
            return 0.0
        return max(self.blocked_until(row), self._clock.time() + self._put_off_seconds)

    @property
    def next_due(self) -> float:
        """When the first of the hosts that are waited for may be asked again; 0: none is."""
        now = self._clock.time()
        moments = [max(host.open_until, host.wait_until) for host in self._hosts.values()]
        return min((moment for moment in moments if moment > now), default=0.0)

    # ---- the breaker

    def _host(self, row: Row) -> Host:
        key = self._frontier.host_of(row)
        if len(self._hosts) >= HOSTS_REMEMBERED and key not in self._hosts:
            self._forget_some()
        return self._hosts.setdefault(key, Host(key))

    def _forget_some(self) -> None:
        """Those that have failed a few times, long ago or just now: they begin to count anew."""
        now = self._clock.time()
        self._hosts = {
            key: host
            for key, host in self._hosts.items()
            if host.open_until or host.wait_until > now
        }

    def _failed(self, row: Row, how: str) -> bool:
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
            "%s has failed %d times in a row (the last one: %s): its requests wait, the next "
            "attempt is in %.0f s",
            host.key,
            host.failures,
            how,
            host.open_until - self._clock.time(),
        )

    def _failed_while_open(self, host: Host, row: Row, how: str) -> bool:
        """What was on its way when the breaker opened waits; a probe has its consequences."""
        if host.probe is not row:
            return True
        host.probe = None
        host.probes += 1
        self._cool_down(host)
        self._stats.inc_value("resume/breaker/probes_failed")
        if host.probes < self._rules.probes:
            logger.warning(
                "%s does not answer yet (%s): the next attempt is in %.0f s",
                host.key,
                how,
                host.open_until - self._clock.time(),
            )
            return True
        self._stats.inc_value("resume/breaker/unavailable")
        logger.error(
            "%s has not answered %d probes in a row (the last one: %s): its requests fail",
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

    def _wait(self, host: Host, until: float) -> None:
        if until > host.wait_until:
            host.wait_until = until
            self._changed[host.key] = host
            self._apply(host)
            self._hold_back(host)

    def ask_all_again(self) -> None:
        """Somebody has retried requests, and believes that what was the matter is over."""
        for host in list(self._hosts.values()):
            host.failures = host.probes = 0
            host.open_until = host.wait_until = 0.0
            host.probe = None
            self._changed[host.key] = host
            self._apply(host)

    # ---- what the frontier hands out

    def _apply(self, host: Host) -> None:
        """Have the frontier do as the host's state wants it; come back when that changes."""
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
            self._frontier.let_one_go(host.key)
        else:
            self._frontier.unblock(host.key)
        if waits_until > now:
            seconds = seconds_until(waits_until, now)
            host.timer = self._clock.call_later(seconds, self._look_again, host)
        self._committer.hurry()
        self._engine.wake()

    def _look_again(self, host: Host) -> None:
        host.timer = None
        self._apply(host)

    def dispatched(self, row: Row) -> None:
        """A row goes to the engine: where one alone may go to its host, it is the probe."""
        if self._hosts and self._frontier.is_probe(row):
            host = self._host(row)
            host.probe = row
            self._frontier.block(host.key)

    def end(self) -> None:
        """Nothing is handed out any more."""
        for host in self._hosts.values():
            if host.timer is not None:
                host.timer.cancel()
                host.timer = None
