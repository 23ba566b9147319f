"""The state machine of requests in hand: what is to be written of them, and when.

A row is finished when the engine has let go of it (downloaded, callback or errback
exhausted, every request that it yielded admitted, every item through the pipelines) and
every unrecorded row below it is whole. Its finish and its items are then one entry in one
batch: visible together or not at all.

From a forced shutdown on the tracker is frozen: Scrapy cancels what runs, errbacks see
``CancelledError`` and requests leave the engine; none of that is an outcome.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

from scrapy.utils.defer import maybe_deferred_to_future
from twisted.internet.defer import Deferred

from scrapy_resume.errors import ResumeError
from scrapy_resume.frontier.row import Row, admission_of
from scrapy_resume.model import START, State
from scrapy_resume.store.contract import Finish
from scrapy_resume.tracking.outcomes import outcome_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from scrapy import Request
    from twisted.python.failure import Failure

    from scrapy_resume.commits.committer import Committer
    from scrapy_resume.dispatch.dispatcher import Dispatcher
    from scrapy_resume.dispatch.workers import Workers
    from scrapy_resume.frontier.lease_buffer import LeaseBuffer
    from scrapy_resume.model import Counts
    from scrapy_resume.politeness.host_breaker import HostBreakers
    from scrapy_resume.tracking.admission import Admissions
    from scrapy_resume.tracking.items import OpenItems

logger = logging.getLogger("scrapy_resume")

FINISHES_AT_RISK: Final = 8
"""Finished requests that send a batch before its time: a death would have them fetched again."""

START_BELOW_LIMIT: Final = 2_000
"""Unrecorded requests and items of ``start()`` in hand at which it waits for their end."""


class Tracker:
    """Rows in hand: what the engine holds, what waits for others, what is to be written."""

    def __init__(
        self,
        counts: Counts,
        frontier: LeaseBuffer,
        dispatcher: Dispatcher,
        items: OpenItems,
        fleet: Workers,
        ignored_http_codes: Collection[int],
    ) -> None:
        self._frontier = frontier
        self._dispatcher = dispatcher
        self._handed = dispatcher.handed
        self.items = items
        self._fleet = fleet
        self._ignored_http_codes = frozenset(ignored_http_codes)
        self._going_on: dict[Request, Row] = {}
        self._start_items = 0
        self.start_exhausted = False
        """``start()`` came to its end in this run, or was not to be run again."""
        self._start_over = False
        """``start()`` is not running: it is over, or was not to be run."""
        self._start_waiter: Deferred[None] | None = None
        self.frozen = False
        """Nothing that happens is an outcome any more."""
        self._holds: set[str] = set()
        """Why no requests are handed out for now."""
        self.counts = counts
        """As of the last commit."""
        self.pages = 0
        """Responses to this run's requests."""
        # Filled by the crawl that puts the parts together.
        self.committer: Committer
        self.admissions: Admissions
        self.hosts: HostBreakers
        self.wake: Callable[[], None] = lambda: None
        """Have the engine ask for a request."""
        self.decode: Callable[[Row], Request]
        self.on_gave_up: Callable[[Exception], None] = lambda _: None

    # ---- arrivals

    def arrive(self, request: Request, parent: Row | None) -> bool:
        """A request reaches the scheduler. False: it is a duplicate."""
        if self.frozen:
            return True
        row = self._going_on.pop(request, None)
        if row is None:
            return self.admissions.arrive(request, parent)
        row.going_on = False
        row.went_on = self.admissions.go_on(row, request)
        self.wake()
        return row.went_on

    # ---- hand-out

    def next_request(self) -> Request | None:
        """The request that comes next; ``None``: not now. Wakes the engine when that changes."""
        if self.frozen or self._holds or (self._handed and self.items.crowded(self.wake)):
            return None
        while (row := self._dispatcher.next_row()) is not None:
            if (error := self.hosts.error_for(row)) is not None:
                self._give_up(row, error)
                continue
            request = self._open(row)
            if request is not None:
                self._dispatcher.hand(row, request)
                return request
        self._dispatcher.ask_for_more()
        self._fleet.poll_if_needed()
        return None

    def _open(self, row: Row) -> Request | None:
        if row.request is not None:
            request, row.request = row.request, None
            return self._own(request)
        try:
            return self.decode(row)
        except (ResumeError, ValueError, TypeError) as error:
            logger.error("%s cannot be restored: %s", row.url, error)
            self._give_up(row, error)
            return None

    def _give_up(self, row: Row, error: Exception) -> None:
        """A row fails without being sent."""
        self._dispatcher.not_sent(row)
        row.settle(State.failed, type(error).__name__, str(error))
        self.close(row)

    def _own(self, request: Request) -> Request:
        """An object of its own, should the engine hold this very one already: a spider may
        yield it twice, and a middleware may return it for several."""
        return request.copy() if request in self._handed else request

    def has_pending(self) -> bool:
        """Something is left to be handed out, or may turn out to be."""
        if self.frozen:
            return False
        return bool(
            self._holds
            or self._dispatcher.has_pending()
            or self._start_items
            or self.counts.delayed
            or self._fleet.others_at_work
        )

    def look_at_the_clock(self) -> None:
        """Close the spider if there has been nothing but delayed requests for too long."""
        waits = (
            self._start_over
            and not self.frozen
            and not self._holds
            and not self._start_items
            and bool(self.counts.delayed or self._dispatcher.waiting or self._frontier.blocked_rows)
            and self._dispatcher.only_waits()
            and self._fleet.only_waits
        )
        self._dispatcher.waiting.look(waits, self.counts.delayed + self._frontier.blocked_rows)

    def hold(self, why: str, held: bool) -> None:
        """Hand out no requests, and do not end, until told otherwise for the same reason."""
        if held:
            self._holds.add(why)
        elif why in self._holds:
            self._holds.remove(why)
            self.wake()

    def __len__(self) -> int:
        """Requests that are known to wait."""
        return self._frontier.leased + self._frontier.pending_rows + len(self.admissions.expected)

    # ---- what the engine does with a request

    def row_of(self, request: Request) -> Row | None:
        """The row of a request that the engine holds; ``None``: it came around the scheduler."""
        return self._handed.get(request)

    def passed_robots(self, request: Request) -> None:
        """The request has reached the downloader, past the robots.txt middleware."""
        row = self._handed.get(request)
        robots = self._frontier.robots
        if row is not None and robots is not None and robots.passed(row):
            self.wake()

    def goes_on_as(self, row: Row, request: Request) -> None:
        """The downloader gave a request in place of a response."""
        row.going_on = True
        self._going_on[request] = row

    def got_page(self, row: Row, http_status: int) -> None:
        """The downloader gave a response."""
        self.pages += 1
        row.http_status = http_status

    def download_failed(self, row: Row, failure: Failure) -> None:
        """A failure goes to the errback: it is the outcome, whatever the errback does."""
        assert failure.value is not None
        row.settle(*outcome_of(failure.value, self._ignored_http_codes))

    def callback_failed(self, row: Row, failure: Failure) -> None:
        """The callback or the errback raised."""
        row.settle(State.failed, type(failure.value).__name__, str(failure.value))

    def let_go(self, request: Request) -> None:
        """The engine is done with the request."""
        row = self._dispatcher.take_back(request) if not self.frozen else None
        if row is None:
            return
        self.hosts.let_go(row)
        if row.went_on:
            row.went_on = False
            return
        if row.going_on:
            self._refused(row)
        self.close(row)

    def _refused(self, row: Row) -> None:
        """A handler of ``request_scheduled`` did not let through what the row goes on as."""
        row.going_on = False
        self._going_on = {k: other for k, other in self._going_on.items() if other is not row}
        row.settle(State.ignored, "IgnoreRequest", "refused by a request_scheduled handler")

    # ---- items

    def item_scraped(self, row: Row, occurrence: int, item: Any) -> None:
        """An item has come through the pipelines."""
        if not self.frozen:
            self.items.add(row, occurrence, item)

    # ---- start()

    async def begin_start_item(self, item: Any) -> Row | None:
        """An item that ``start()`` yielded is about to go into the pipelines.

        Returns its row, or ``None`` if an earlier run has stored what it gave. Raises
        ``ItemNotRecordableError``.
        """
        row = self.admissions.start_item(item)
        if self.frozen or not await self.admissions.is_new(row):
            return None
        row.in_engine = True
        row.anchor = self.admissions.start
        self.admissions.start.open_below += 1
        self._start_items += 1
        return row

    def orphan_item(self) -> Row:
        """A row for an item that nothing known has yielded: it is stored once it is through."""
        row = self.admissions.orphan_item()
        row.in_engine = True
        self._start_items += 1
        return row

    def end_start_item(self, row: Row) -> None:
        """It has come through, or was dropped."""
        self._start_items -= 1
        row.in_engine = False
        if not self.frozen:
            self.close(row)
            self.wake()

    async def room_for_start(self) -> None:
        """Wait while much is on its way to the store, or runs from memory, for ``start()``."""
        await self.committer.room()
        while self.admissions.start.open_below >= START_BELOW_LIMIT and not self.frozen:
            self._start_waiter = Deferred()
            await maybe_deferred_to_future(self._start_waiter)

    def _let_start_go_on(self) -> None:
        waiter, self._start_waiter = self._start_waiter, None
        if waiter is not None:
            waiter.callback(None)

    def start_ended(self, *, exhausted: bool) -> None:
        """``start()`` is over: came to its end, raised, or was not run at all."""
        self.start_exhausted = exhausted
        self._start_over = True
        self._fleet.starting = False
        self.stop_awaiting_every_run()
        if exhausted and not self.frozen:
            self._close_start()
        self.wake()

    def stop_awaiting_every_run(self) -> None:
        """What comes first in every run has come, or will not: others may go."""
        if self._frontier.awaits_every_run:
            self._frontier.awaits_every_run = False
            self.wake()

    def _close_start(self) -> None:
        if self.start_exhausted and not self.admissions.start.open_below:
            self.committer.note().start_exhausted = True

    # ---- the end of a row

    def close(self, row: Row) -> None:
        """Write the row's end, unless something below it is not whole yet."""
        if row.in_engine:
            return
        if row.open_below:
            row.ended = True
            self._dispatcher.left_engine(row)
            self.items.hold(row)
            return
        anchor = row.anchor
        row.ended = True
        self.admissions.dupefilter.ended(row)
        self._dispatcher.drop(row)
        self.items.ended(row)
        finishes = self.committer.note().finishes
        finishes.append(self._finish_of(row))
        if len(finishes) >= FINISHES_AT_RISK:
            self.committer.hurry()
        row.anchor = None
        if anchor is not None:
            self.close_below(anchor)

    def close_below(self, anchor: Row) -> None:
        """Something that the row has waited for is whole, or was known."""
        anchor.open_below -= 1
        if anchor.id == START and anchor.open_below < START_BELOW_LIMIT // 2:
            self._let_start_go_on()
        if anchor.open_below:
            return
        if anchor.id == START:
            self._close_start()
        elif anchor.ended:
            self.items.unhold(anchor)
            self.close(anchor)

    def _finish_of(self, row: Row) -> Finish:
        tombstone = None
        if not row.recorded:
            tombstone = admission_of(row, row.id, row.identity, record=True)
        return Finish(
            id=row.id,
            state=row.state,
            attempts=row.attempts,
            http_status=row.http_status,
            error=row.error,
            error_message=row.error_message,
            items=row.items,
            spilled=row.spilled,
            supersedes=row.supersedes,
            items_dropped=row.dropped,
            items_failed=row.item_errors,
            aliases=[identity for identity in row.memory_identities if identity != row.identity],
            origin=row,
            tombstone=tombstone,
        )

    # ---- the end

    def gave_up(self, error: Exception) -> None:
        """The store takes nothing any more: accept nothing either."""
        self.frozen = True
        self._let_start_go_on()
        self.on_gave_up(error)

    def freeze(self) -> bool:
        """A forced shutdown: from here on nothing is an outcome. False: it was frozen before."""
        if self.frozen:
            return False
        self.frozen = True
        self._let_start_go_on()
        self._dispatcher.take_all_back()
        return True
