"""The state machine of requests in hand: what is stored of them, and when.

A row is finished when the engine has let go of it (downloaded, callback or errback
exhausted, every request that it yielded admitted, every item through the pipelines) and
every unrecorded row below it is whole. Its finish and its items are then one entry in one
batch: visible together or not at all.

From a forced shutdown on the tracker is frozen: Scrapy cancels what runs, errbacks see
``CancelledError`` and requests leave the engine; none of that is an outcome.
"""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from scrapy_resume.errors import ResumeError
from scrapy_resume.frontier.row import Row, admission_of
from scrapy_resume.model import START, State
from scrapy_resume.store.contract import Finish

if TYPE_CHECKING:
    from scrapy import Request

    from scrapy_resume.commits.committer import Committer
    from scrapy_resume.dispatch.dispatcher import Dispatcher
    from scrapy_resume.dispatch.workers import Workers
    from scrapy_resume.model import Counts, Outcome
    from scrapy_resume.tracking.admission import Admissions
    from scrapy_resume.tracking.items import OpenItems
    from scrapy_resume.tracking.start import Start

logger = logging.getLogger("scrapy_resume")

FINISHES_AT_RISK: Final = 8
"""Finished requests that send a batch before its time: a death would have them fetched again."""


class Tracker:
    """Rows in hand: what the engine holds, what waits for others, what is to be committed."""

    def __init__(
        self,
        counts: Counts,
        dispatcher: Dispatcher,
        admissions: Admissions,
        items: OpenItems,
        start: Start,
        workers: Workers,
        committer: Committer,
    ) -> None:
        self._dispatcher = dispatcher
        self._handed = dispatcher.handed
        self.admissions = admissions
        self.items = items
        self.start = start
        self._workers = workers
        self._committer = committer
        self._going_on: dict[Request, Row] = {}
        self.frozen = False
        """Nothing that happens is an outcome any more."""
        self._holds: set[str] = set()
        """Why no requests are handed out for now."""
        self.counts = counts
        """As of the last commit."""
        self.pages = 0
        """Responses to this run's requests."""

    def wake(self) -> None:
        """Have the engine ask for a request."""
        self._dispatcher.wake()

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
            if (error := self._dispatcher.error_for(row)) is not None:
                self._give_up(row, error)
                continue
            request = self._open(row)
            if request is not None:
                self._dispatcher.hand(row, request)
                row.page = partial(self.admissions.dupefilter.page_of, row.identity, request)
                return request
        self._dispatcher.ask_for_more()
        self._workers.poll_if_needed()
        return None

    def _open(self, row: Row) -> Request | None:
        if row.request is not None:
            request, row.request = row.request, None
            return self._own(request)
        try:
            return self.admissions.restore(row)
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
            or self.start.items_in_hand
            or self.counts.delayed
            or self._workers.others_at_work
        )

    def look_at_the_clock(self) -> None:
        """Close the spider if there has been nothing but delayed requests for too long."""
        dispatcher = self._dispatcher
        waits = (
            self.start.over
            and not self.frozen
            and not self._holds
            and not self.start.items_in_hand
            and bool(self.counts.delayed or dispatcher.delayed or dispatcher.blocked_rows)
            and dispatcher.only_waits()
            and self._workers.only_waits
        )
        dispatcher.delayed.look(waits, self.counts.delayed + dispatcher.blocked_rows)

    def hold(self, why: str, held: bool) -> None:
        """Hand out no requests, and do not end, until told otherwise for the same reason."""
        if held:
            self._holds.add(why)
        elif why in self._holds:
            self._holds.remove(why)
            self.wake()

    def __len__(self) -> int:
        """Requests that are known to wait."""
        return self._dispatcher.waiting_count

    # ---- what the engine does with a request

    def row_of(self, request: Request) -> Row | None:
        """The row of a request that the engine holds; ``None``: it came around the scheduler."""
        return self._handed.get(request)

    def goes_on_as(self, row: Row, request: Request) -> None:
        """The downloader gave a request in place of a response."""
        row.going_on = True
        self._going_on[request] = row

    def got_page(self, row: Row, http_status: int) -> None:
        """The downloader gave a response."""
        self.pages += 1
        row.http_status = http_status

    def download_failed(self, row: Row, outcome: Outcome) -> None:
        """A failure goes to the errback: it is the outcome, whatever the errback does."""
        row.settle(outcome.state, outcome.error, outcome.message, outcome.http_status)

    def callback_failed(self, row: Row, error: BaseException) -> None:
        """The callback or the errback raised."""
        row.settle(State.failed, type(error).__name__, str(error))

    def let_go(self, request: Request) -> None:
        """The engine is done with the request."""
        row = self._dispatcher.take_back(request) if not self.frozen else None
        if row is None:
            return
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

    def end_start_item(self, row: Row) -> None:
        """An item of ``start()``, or of nobody, has come through the pipelines or was dropped."""
        self.start.items_in_hand -= 1
        row.in_engine = False
        if not self.frozen:
            self.close(row)
            self.wake()

    def start_ended(self, *, exhausted: bool) -> None:
        """``start()`` is over: came to its end, raised, or was not run at all."""
        self.start.exhausted = exhausted
        self.start.over = True
        self._workers.starting = False
        self.stop_awaiting_every_run()
        if exhausted and not self.frozen:
            self.start.close()
        self.wake()

    def stop_awaiting_every_run(self) -> None:
        """What comes first in every run has come, or will not: others may go."""
        if self._dispatcher.stop_awaiting_every_run():
            self.wake()

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
        finishes = self._committer.note().finishes
        finishes.append(self._finish_of(row))
        if len(finishes) >= FINISHES_AT_RISK:
            self._committer.hurry()
        row.anchor = None
        if anchor is not None:
            self.close_below(anchor)

    def close_below(self, anchor: Row) -> None:
        """Something that the row has waited for is whole, or was known."""
        anchor.open_below -= 1
        if anchor.id == START:
            self.start.closed_below()
        if anchor.open_below:
            return
        if anchor.id == START:
            self.start.close()
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

    def store_gave_up(self) -> None:
        """The store takes nothing any more: accept nothing either."""
        self.frozen = True
        self.start.freeze()

    def freeze(self) -> bool:
        """A forced shutdown: from here on nothing is an outcome. False: it was frozen before."""
        if self.frozen:
            return False
        self.frozen = True
        self.start.freeze()
        self._dispatcher.take_all_back()
        return True
