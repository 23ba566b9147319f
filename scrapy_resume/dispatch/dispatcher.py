"""Chooses the request that is dispatched next, and knows which requests the engine holds."""

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
"""How long a callback waits for the store to record that its response has arrived (which it does
only in a job that has crashed)."""


SHORTEST_PAUSE_SECONDS: Final = 0.05
"""How often the engine is woken at most because the delay of a slot is over."""


class Dispatcher:
    """Chooses rows from the lease buffer, and tracks the requests that the engine holds."""

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
        self._batches_awaited: int | None = None
        """How many batches must have been answered before the next row is chosen; ``None``: no
        number in particular."""
        self.arrived_before: int | None = None
        """Arrivals from this id on came too late to be chosen next; ``None``: none did."""
        self.dispatched: dict[Request, Row] = {}
        """Requests that the engine holds. Keyed by object identity: retries and redirects copy all
        else."""
        self.alone: Row | None = None
        """The suspect whose turn it is (see ``run_alone``): nothing else is dispatched until it has
        ended."""
        self.suspects = job.session.frontier.suspects
        """Number of suspects that wait in the store."""
        self.expected: dict[int, Request] = {}
        """By id: requests whose arrival the store has not answered yet."""
        self._asks_again = False
        """The engine will be woken, since a slot's delay will be over."""
        self.releasing = 0
        """Number of rows that are being released to the store."""

    def wake(self) -> None:
        """Have the engine ask for the next request."""
        self._engine.wake()

    def next_row(self) -> Row | None:
        """Take the row that comes next; ``None``: none may be dispatched now."""
        if self.alone is not None:
            alone = self.alone
            waits = (
                alone.in_engine
                or self.dispatched
                or alone.id in self.expected
                or alone.not_before > self._clock.time()
            )
            return None if waits else alone
        self._frontier.look_for_room()
        if self._must_wait_for_store():
            return None
        row = self._frontier.next_row(self._engine.active_downloads, self.arrived_before)
        if row is not None:
            self._breakers.claim_probe(row)
        elif self._frontier.delay_seconds:
            self._ask_again_after(self._frontier.delay_seconds)
        self._stop_waiting_for_store()
        return row

    def _ask_again_after(self, delay_seconds: float) -> None:
        """A slot has one request waiting in the downloader, which is sent when its delay is over:
        nothing tells the engine that there is room for the next one then. The delay varies from a
        half of its length on."""
        if not self._asks_again:
            self._asks_again = True
            pause_seconds = max(delay_seconds / 2, SHORTEST_PAUSE_SECONDS)
            self._clock.call_later(pause_seconds, self._ask_again)

    def _ask_again(self) -> None:
        self._asks_again = False
        self._engine.wake()

    def error_for(self, row: Row) -> HostUnavailableError | None:
        """The error with which a row fails without being sent; ``None``: it may be sent."""
        return self._breakers.error_for(row)

    def _must_wait_for_store(self) -> bool:
        """Whether to wait for an answer of the store before the next row is chosen.

        It is waited for while the downloader is idle, so that the order is plain Scrapy's where
        requests are sent one by one: rows that are still in the store, or on their way to it, may
        rank before all leased ones. The choice then includes all arrivals so far, and what the
        store has for empty queues, but not what the last response is about to yield. Only one
        commit is waited for: a stream of arrivals must not hold up everything else.
        """
        if not self._engine.is_idle():
            return False
        if self._batches_awaited is None:
            if not self.expected and not self._frontier.has_dry_queue:
                return False
            collected = bool(self._committer.batch.arrivals) or self._frontier.needs_refill
            self._batches_awaited = self._committer.sent + (1 if collected else 0)
            self.arrived_before = self._committer.batch.next_id
            self._committer.send_soon()
        return self._committer.received < self._batches_awaited

    def _stop_waiting_for_store(self) -> None:
        self._batches_awaited = self.arrived_before = None

    def dispatch(self, row: Row, request: Request) -> None:
        """The engine gets a row's request: this is an attempt. A recorded row is marked as in
        flight, so that a later run knows of it if the process dies."""
        self.dispatched[request] = row
        row.in_engine = True
        row.attempts += 1
        row.retry_times = retries_of(request)
        if row.recorded:
            self._job.mark(row.id, Phase.sent)

    def retry_waits(self, row: Row) -> None:
        """A row whose attempt has failed is tried again when ``Row.not_before`` has come."""
        self._breakers.retry_waits(row, row.not_before)

    def not_sent(self, row: Row) -> None:
        """A row that ``next_row`` returned is not dispatched, but fails."""
        self._breakers.engine_done(row)
        if self._frontier.robots is not None:
            self._frontier.robots.not_sent(row)

    def passed_robots(self, request: Request) -> None:
        """A request has passed the robots.txt middleware and reached the downloader."""
        row = self.dispatched.get(request)
        robots = self._frontier.robots
        if row is not None and robots is not None and robots.passed(row):
            self._engine.wake()

    def mark_answered(self, request: Request) -> None:
        """The site has begun to answer: if the process dies from now on, the answer may be the
        cause. Called whenever a part of the answer arrives; only the first call has an effect."""
        row = self.dispatched.get(request)
        if row is not None and row.recorded:
            self._job.mark(row.id, Phase.answered)

    async def wait_until_marked(self) -> None:
        """Wait until the store has recorded all that was marked, for at most
        ``LONGEST_WAIT_SECONDS``. If the process dies after that, the next run knows which answers
        may be the cause."""
        waiter: Waiter[None] = self._clock.waiter()
        if not self._job.when_marked(partial(self._clock.post, waiter.set, None)):
            timer = self._clock.call_later(LONGEST_WAIT_SECONDS, waiter.set, None)
            try:
                await waiter.wait()
            finally:
                timer.cancel()

    def take_back(self, request: Request) -> Row | None:
        """The engine is done with a request. Returns its row; ``None``: it did not come from the
        scheduler."""
        row = self.dispatched.pop(request, None)
        if row is None:
            return None
        row.in_engine = False
        if row.recorded:
            self._job.unmark(row.id)
        if self._frontier.robots is not None:
            self._frontier.robots.passed(row)
        self._breakers.engine_done(row)
        return row

    def unmark_all(self) -> None:
        """The engine is being torn down: none of its requests is in flight any more."""
        for row in self.dispatched.values():
            if row.recorded:
                self._job.unmark(row.id)

    def enqueue(self, row: Row) -> None:
        """Queue a row that is leased; if it is delayed, as soon as it is due."""
        if row.not_before > self._clock.time():
            self.delayed.hold(row, self._due)
        elif row is not self.alone:
            self._frontier.push(row)

    def _due(self, row: Row) -> None:
        self.enqueue(row)
        self._engine.wake()

    def run_alone(self, row: Row) -> None:
        """Dispatch a suspect next, as soon as its host may be asked, and nothing beside it.

        Suspects were in flight when the process died, so each of them may be the cause.
        """
        self.alone = row
        row.not_before = self._breakers.blocked_until(row)
        if row.not_before > self._clock.time():
            self.delayed.hold(row, self._due)

    def stop_waiting_for(self, row: Row) -> None:
        """A row has ended, or is open only because of unrecorded rows below it: dispatch those that
        had to wait for it."""
        self._frontier.every_run.ended(row.id)
        if row is self.alone:
            self.alone = None

    def request_more(self) -> None:
        """The engine asks for requests and there are none: send the batch now, if the answer may
        bring some."""
        frontier = self._frontier
        arrivals = self._committer.batch.arrivals
        if frontier.needs_refill or frontier.put_off or arrivals or self.wants_suspect():
            self._committer.send_soon()

    def wants_suspect(self) -> bool:
        """Whether to ask for a suspect. Suspects run alone, after all others: when nothing else is
        ready, arriving, being released, or in flight."""
        return bool(
            self.suspects
            and self.alone is None
            and not self.dispatched
            and not self._frontier.ready_rows
            and not self._frontier.pending_rows
            and not self.expected
            and not self.releasing
            and not self._frontier.every_run.awaited
        )

    def has_pending(self) -> bool:
        """Whether requests are left to dispatch, or others may still come."""
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
        """Number of requests that wait here, in the store, or on their way to it."""
        return self._frontier.leased + self._frontier.pending_rows + len(self.expected)

    @property
    def leased_count(self) -> int:
        """Number of requests among them that are leased, and not handed out."""
        return self._frontier.leased

    @property
    def blocked_rows(self) -> int:
        """Number of rows, here and in the store, that wait for their host."""
        return self._frontier.blocked_rows

    def stop_awaiting_every_run(self) -> bool:
        """Dispatch other requests, even if those that come first in every run have not arrived.
        Returns whether they had to wait for these."""
        return self._frontier.every_run.stop_awaiting()

    def only_waits(self) -> bool:
        """Whether all requests that are left are delayed."""
        frontier = self._frontier
        return not (
            self.dispatched
            or frontier.ready_rows
            or frontier.pending_rows
            or self.expected
            or self.releasing
            or self.suspects
            or (self.alone is not None and self.alone.not_before <= self._clock.time())
        )
