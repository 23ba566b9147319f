"""Which request the engine gets next, and which requests the engine holds."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from scrapy_resume.frontier.retries import retries_of
from scrapy_resume.model import Phase

if TYPE_CHECKING:
    from scrapy import Request

    from scrapy_resume.commits.committer import Committer
    from scrapy_resume.dispatch.delayed import DelayedRows
    from scrapy_resume.errors import HostUnavailableError
    from scrapy_resume.frontier.lease_buffer import LeaseBuffer
    from scrapy_resume.frontier.row import Row
    from scrapy_resume.politeness.host_breaker import HostBreakers
    from scrapy_resume.ports.clock import Clock, Waiter
    from scrapy_resume.ports.engine import Engine
    from scrapy_resume.store.contract import JobStore

LONGEST_WAIT_SECONDS: Final = 5.0
"""How long a callback waits, on a job that has crashed, for a store that does not answer."""


class Dispatcher:
    """The requests that the engine holds, and the choice of the next."""

    def __init__(
        self,
        job: JobStore,
        frontier: LeaseBuffer,
        delayed: DelayedRows,
        breakers: HostBreakers,
        committer: Committer,
        engine: Engine,
        clock: Clock,
    ) -> None:
        self._job = job
        self._frontier = frontier
        self.delayed = delayed
        self._breakers = breakers
        self._committer = committer
        self._engine = engine
        self._clock = clock
        self._hold: int | None = None
        """The number of batches that have to be answered before the next request goes."""
        self.arrived_before: int | None = None
        """The id from which on arrivals came too late to take part in the choice of it."""
        self.handed: dict[Request, Row] = {}
        """By object: retries and redirects copy everything else."""
        self.alone: Row | None = None
        """The suspect whose turn it is: nothing else is handed out until it has ended."""
        self.suspects = job.session.frontier.suspects
        """Suspects that wait in the store."""
        self.expected: dict[int, Request] = {}
        """Arrivals that the store has not answered yet, by id."""
        self.releasing = 0
        """Rows on their way back to the store."""

    def wake(self) -> None:
        """Have the engine ask for a request."""
        self._engine.wake()

    def next_row(self) -> Row | None:
        """The row that comes next; ``None``: none may be handed out now."""
        if self.alone is not None:
            alone = self.alone
            waits = (
                alone.in_engine
                or self.handed
                or alone.id in self.expected
                or alone.not_before > self._clock.time()
            )
            return None if waits else alone
        if self._must_wait_for_store():
            return None
        row = self._frontier.next_row(self._engine.active_downloads, self.arrived_before)
        if row is not None:
            self._breakers.dispatched(row)
        self._stop_holding()
        return row

    def error_for(self, row: Row) -> HostUnavailableError | None:
        """Why the row that comes next is to fail without being sent; ``None``: it is not."""
        return self._breakers.error_for(row)

    def _must_wait_for_store(self) -> bool:
        """With an idle downloader, what is not here yet may come before all that is.

        So the order is plain Scrapy's where requests go one by one: all that arrived so far
        takes part, what the store has for a queue that ran dry does too, and what the page
        that was just fetched is about to give does not. One commit is waited for, not more:
        a stream of arrivals must not keep everything else from going.
        """
        if not self._engine.is_idle():
            return False
        if self._hold is None:
            if not self.expected and not self._frontier.has_dry_queue:
                return False
            collected = bool(self._committer.batch.arrivals) or self._frontier.hungry
            self._hold = self._committer.sent + (1 if collected else 0)
            self.arrived_before = self._committer.batch.next_id
            self._committer.hurry()
        return self._committer.received < self._hold

    def _stop_holding(self) -> None:
        self._hold = self.arrived_before = None

    def hand(self, row: Row, request: Request) -> None:
        """The engine gets it: an attempt, and in flight if the process dies now."""
        self.handed[request] = row
        row.in_engine = True
        row.attempts += 1
        row.retry_times = retries_of(request)
        if row.recorded:
            self._job.mark(row.id, Phase.sent)

    def not_sent(self, row: Row) -> None:
        """A row that came next has failed before the engine got it: others need not wait for it."""
        self._breakers.let_go(row)
        if self._frontier.robots is not None:
            self._frontier.robots.not_sent(row)

    def passed_robots(self, request: Request) -> None:
        """The request has reached the downloader, past the robots.txt middleware."""
        row = self.handed.get(request)
        robots = self._frontier.robots
        if row is not None and robots is not None and robots.passed(row):
            self._engine.wake()

    def site_answers(self, request: Request) -> None:
        """The site has begun to answer: a death of the process from here on may be due to the
        answer. Called by whatever sees the answer first; it is marked once."""
        row = self.handed.get(request)
        if row is not None and row.recorded:
            self._job.mark(row.id, Phase.answered)

    async def known_to_be_answered(self) -> None:
        """Wait until a death of the process from here on would be known to be the answers' doing;
        not for long where the store does not answer."""
        waiter: Waiter[None] = self._clock.waiter()
        if not self._job.when_marked(partial(self._clock.post, waiter.set, None)):
            timer = self._clock.call_later(LONGEST_WAIT_SECONDS, waiter.set, None)
            try:
                await waiter.wait()
            finally:
                timer.cancel()

    def take_back(self, request: Request) -> Row | None:
        """The engine let go of a request; ``None``: it came around the scheduler."""
        row = self.handed.pop(request, None)
        if row is None:
            return None
        row.in_engine = False
        if row.recorded:
            self._job.unmark(row.id)
        if self._frontier.robots is not None:
            self._frontier.robots.passed(row)
        self._breakers.let_go(row)
        return row

    def take_all_back(self) -> None:
        """What the engine holds is not in flight any more: it is being torn down."""
        for row in self.handed.values():
            if row.recorded:
                self._job.unmark(row.id)

    def put(self, row: Row) -> None:
        """A row is ready to be handed out, when its time has come."""
        if row.not_before > self._clock.time():
            self.delayed.hold(row, self._due)
        elif row is not self.alone:
            self._frontier.push(row)

    def _due(self, row: Row) -> None:
        self.put(row)
        self._engine.wake()

    def take_alone(self, row: Row) -> None:
        """A suspect's turn has come, as soon as its host may be asked."""
        self.alone = row
        row.not_before = self._breakers.blocked_until(row)
        if row.not_before > self._clock.time():
            self.delayed.hold(row, self._due)

    def drop(self, row: Row) -> None:
        """A row has ended: what waited for it may go."""
        self._frontier.ended(row)
        if row is self.alone:
            self.alone = None

    def left_engine(self, row: Row) -> None:
        """A row is open through what lives in memory below it alone: that may go, and others."""
        self._frontier.ended(row)
        if row is self.alone:
            self.alone = None

    def ask_for_more(self) -> None:
        """The engine wants requests and there are none: ask the store now, if it may help."""
        frontier = self._frontier
        arrivals = self._committer.batch.arrivals
        if frontier.hungry or frontier.put_off or arrivals or self.wants_suspect():
            self._committer.hurry()

    def wants_suspect(self) -> bool:
        """Suspects run alone: when nothing else is ready, on its way, or in flight."""
        return bool(
            self.suspects
            and self.alone is None
            and not self.handed
            and not self._frontier.ready_rows
            and not self._frontier.pending_rows
            and not self.expected
            and not self.releasing
            and not self._frontier.awaits_every_run
        )

    def has_pending(self) -> bool:
        """Something is left to be handed out, or may turn out to be."""
        return bool(
            self._frontier.leased
            or self._frontier.pending_rows
            or self.expected
            or self._frontier.blocked_rows
            or self.releasing
            or self.suspects
            or (self.alone is not None and not self.alone.in_engine)
            or self.delayed
        )

    @property
    def waiting_count(self) -> int:
        """Requests that are known to wait: here, in the store, or on their way to it."""
        return self._frontier.leased + self._frontier.pending_rows + len(self.expected)

    @property
    def blocked_rows(self) -> int:
        """Rows that are known to wait for their host."""
        return self._frontier.blocked_rows

    def stop_awaiting_every_run(self) -> bool:
        """Dispatch others, though what comes first in every run may not have come. Returns whether
        they had to wait for it."""
        awaited, self._frontier.awaits_every_run = self._frontier.awaits_every_run, False
        return awaited

    def only_waits(self) -> bool:
        """Nothing is in hand but rows whose time has not come."""
        frontier = self._frontier
        return not (
            self.handed
            or frontier.ready_rows
            or frontier.pending_rows
            or self.expected
            or self.releasing
            or self.suspects
            or (self.alone is not None and self.alone.not_before <= self._clock.time())
        )
