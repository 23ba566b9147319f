"""The state machine of the requests that this process works on: what is stored of them, and when.

A row is finished when the engine is done with it (it is downloaded, its callback or errback is
exhausted, all requests that it yielded are admitted, all items have passed the pipelines) and all
unrecorded rows below it are finished. Its finish and its items are then one entry in one batch:
they become visible together or not at all.

A forced shutdown freezes the tracker: Scrapy cancels what runs, errbacks get ``CancelledError``
and requests leave the engine, but none of that is an outcome.
"""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Protocol

from scrapy_resume.errors import CallbackMissingError, ResumeError, message_of
from scrapy_resume.frontier.row import Row, admission_of
from scrapy_resume.frontier.slot_queue import may_leave
from scrapy_resume.model import START, State
from scrapy_resume.store.contract import Finish

if TYPE_CHECKING:
    from collections.abc import Iterable

    from scrapy import Request

    from scrapy_resume.commits.committer import Committer
    from scrapy_resume.dispatch.dispatcher import Dispatcher
    from scrapy_resume.dispatch.workers import Workers
    from scrapy_resume.model import Counts, Outcome
    from scrapy_resume.tracking.admission import Admissions
    from scrapy_resume.tracking.held import HeldRequests
    from scrapy_resume.tracking.items import OpenItems
    from scrapy_resume.tracking.start import Start

logger = logging.getLogger("scrapy_resume")

FINISHES_AT_RISK: Final = 8
"""Finished requests at which a batch is sent before the commit interval has passed. A crash before
the commit has them fetched again."""


class OpenSteps(Protocol):
    """The steps of items that this run works on."""

    @property
    def has_pending(self) -> bool:
        """Whether a step is open that this run can run, or may still come."""

    @property
    def keeps_pages_waiting(self) -> bool:
        """Whether no request may be dispatched now."""

    @property
    def only_waits(self) -> bool:
        """Whether all open steps wait for a time."""

    @property
    def waiting_count(self) -> int:
        """The number of those that do."""

    @property
    def next_due(self) -> float:
        """When the first of them is due, in seconds since the epoch; 0: none waits."""

    @property
    def holds_any(self) -> bool:
        """Whether steps are open that this run has no code for, or no place."""

    def freeze(self) -> None:
        """From now on nothing is an outcome."""


class Tracker:
    """Tracks rows from their arrival to their finish. For the engine's hooks and the scheduler."""

    def __init__(
        self,
        counts: Counts,
        dispatcher: Dispatcher,
        admissions: Admissions,
        items: OpenItems,
        start: Start,
        workers: Workers,
        committer: Committer,
        held: HeldRequests,
        steps: OpenSteps,
        *,
        delayed: int = 0,
    ) -> None:
        # Nine: what a request passes on its way, in this order, and the steps of its items.
        self._dispatcher = dispatcher
        self._dispatched = dispatcher.dispatched
        self.admissions = admissions
        self.items = items
        self.start = start
        self._workers = workers
        self._committer = committer
        self.held = held
        self._steps = steps
        self._continuations: dict[Request, Row] = {}
        self.frozen = False
        """Nothing that happens from now on is an outcome."""
        self._holds: set[str] = set()
        """Reasons why no requests are dispatched now."""
        self.counts = counts
        """Of the whole job, as of the last commit."""
        self.skipped_count = 0
        """Requests of the job that were skipped for good, as of the last commit."""
        self.delayed = delayed
        """Number of delayed rows in the store that this run may fetch."""
        self.pages = 0
        """Number of responses that this run has received."""

    def wake(self) -> None:
        """Have the engine ask for the next request."""
        self._dispatcher.wake()

    # ---- arrivals

    def admit(self, request: Request, parent: Row | None) -> bool:
        """A request reaches the scheduler: a new one that ``parent`` yielded (``None``: unknown),
        or one that continues a row. Returns False if it is a duplicate."""
        if self.frozen:
            return True
        row = self._continuations.pop(request, None)
        if row is None:
            return self.admissions.admit(request, parent)
        row.awaits_continuation = False
        try:
            row.continued = self.admissions.continue_row(row, request)
        except BaseException as error:
            self.callback_failed(row, error)
            raise
        self.wake()
        return row.continued

    # ---- dispatch

    def next_request(self) -> Request | None:
        """Dispatch the next request; ``None``: there is none now. Wakes the engine when there
        is."""
        if (
            self.frozen
            or self._holds
            or self._steps.keeps_pages_waiting
            or (self._dispatched and self.items.applies_backpressure(self.wake))
        ):
            return None
        while (row := self._dispatcher.next_row()) is not None:
            if (error := self._dispatcher.error_for(row)) is not None:
                self._fail(row, error)
                continue
            request = self._request_of(row)
            if request is not None:
                self._dispatcher.dispatch(row, request)
                row.page_identity = partial(
                    self.admissions.dupefilter.page_identity, row.identity, request
                )
                return request
        self._dispatcher.request_more()
        self._workers.poll_if_needed()
        return None

    def _request_of(self, row: Row) -> Request | None:
        """The request of a row; ``None``: it cannot be restored. The row has failed, or is held
        if it names code that is missing or not trusted."""
        if row.request is not None:
            request, row.request = row.request, None
            return self._distinct(request)
        try:
            return self.admissions.restore(row)
        except CallbackMissingError as error:
            self._dispatcher.not_sent(row)
            self._dispatcher.stop_waiting_for(row)
            self.held.add(row.url, error)
            if self._workers.shared and may_leave(row) and self.held.refuses_more:
                self.held.refused += 1
                self._workers.refuse(row)
            return None
        except (ResumeError, ValueError, TypeError) as error:
            logger.error("%s cannot be restored: %s", row.url, error)
            self._fail(row, error)
            return None

    def _fail(self, row: Row, error: Exception) -> None:
        """A row fails without being sent."""
        self._dispatcher.not_sent(row)
        row.set_outcome(State.failed, type(error).__name__, message_of(error))
        self.finish(row)

    def _distinct(self, request: Request) -> Request:
        """A copy if the engine already holds this object: a spider may yield the same object twice,
        and a middleware may return it for several requests."""
        return request.copy() if request in self._dispatched else request

    @property
    def lacks_code(self) -> bool:
        """Whether requests are held. Those that were refused may have been fetched by others."""
        return bool(self.held) and not self.counts.nothing_open

    def has_pending(self) -> bool:
        """Whether requests are left to dispatch, or others may still come."""
        if self.frozen:
            return False
        if self._is_pending():
            return True
        if not self._dispatched and not self.held:
            # No member of a group is left, except ones that ended in an earlier run.
            self.finish_together(self.admissions.sharing.release_all())
        return False

    def _is_pending(self) -> bool:
        return bool(
            self._holds
            or self._dispatcher.has_pending()
            or self.start.items_in_hand
            or self.delayed
            or self._steps.has_pending
            or (self._workers.others_at_work and not (self.held or self._steps.holds_any))
        )

    def close_if_only_delayed(self) -> None:
        """Close the spider if only delayed requests have been left for too long. To be called about
        once a second."""
        dispatcher = self._dispatcher
        only_delayed = (
            self.start.over
            and not self.frozen
            and not self._holds
            and not self.start.items_in_hand
            and bool(
                self.delayed
                or dispatcher.delayed
                or dispatcher.blocked_rows
                or self._steps.waiting_count
            )
            and dispatcher.only_waits()
            and self._steps.only_waits
            and self._workers.only_waits
        )
        if only_delayed:
            dispatcher.delayed.close_if_too_long(
                self.delayed + dispatcher.blocked_rows,
                self._steps.waiting_count,
                self._steps.next_due,
            )
        else:
            dispatcher.delayed.restart_patience()

    def hold_dispatch(self, reason: str) -> None:
        """Dispatch no requests, and do not end, until dispatch is resumed for the same reason."""
        self._holds.add(reason)

    @property
    def dispatch_is_held(self) -> bool:
        """Whether no requests are dispatched, for any reason."""
        return bool(self._holds)

    def resume_dispatch(self, reason: str) -> None:
        """Undo ``hold_dispatch``. Other reasons may remain."""
        if reason in self._holds:
            self._holds.remove(reason)
            self.wake()

    def __len__(self) -> int:
        """Number of requests that are known to wait, in this process or in the store."""
        return self._dispatcher.waiting_count

    @property
    def leased(self) -> int:
        """Number of those that are in memory: leased, and not handed out."""
        return self._dispatcher.leased_count

    # ---- what the engine does with a request

    def row_of(self, request: Request) -> Row | None:
        """The row of a request that the engine holds; ``None``: it did not come from the
        scheduler."""
        return self._dispatched.get(request)

    def continue_as(self, row: Row, request: Request) -> None:
        """The downloader has returned a request instead of a response: a retry, a redirect. The row
        continues as that request, which is about to be scheduled."""
        row.awaits_continuation = True
        self._continuations[request] = row

    def response_received(self, row: Row, http_status: int) -> None:
        """The downloader has returned a response."""
        self.pages += 1
        row.http_status = http_status

    def download_failed(self, row: Row, outcome: Outcome) -> None:
        """A failure is passed to the errback. It is the outcome, whatever the errback does."""
        row.set_outcome(outcome.state, outcome.error, outcome.message, outcome.http_status)

    def callback_failed(self, row: Row, error: BaseException) -> None:
        """User code that belongs to the row has raised an error: a callback, an errback, a
        middleware, a signal handler."""
        row.set_outcome(State.failed, type(error).__name__, message_of(error))

    def not_scheduled(self, request: Request, error: BaseException) -> None:
        """A request could not be scheduled: a handler of ``request_scheduled`` has raised an error
        that Scrapy does not catch. If it continues a row, that is the row's outcome."""
        row = self._continuations.get(request)
        if row is not None:
            self.callback_failed(row, error)

    def engine_done(self, request: Request) -> None:
        """The engine is done with the request."""
        row = self._dispatcher.take_back(request) if not self.frozen else None
        if row is None:
            return
        with self._committer.one_batch():
            self._engine_done(row)

    def _engine_done(self, row: Row) -> None:
        if row.withheld:
            self.admissions.withheld.admit(row, ended=not row.continued)
        if row.continued:
            row.continued = False
            return
        if row.awaits_continuation:
            self._continuation_rejected(row)
        self.finish(row)

    def _continuation_rejected(self, row: Row) -> None:
        """A handler of ``request_scheduled`` has rejected the request that continues the row."""
        row.awaits_continuation = False
        self._continuations = {
            k: other for k, other in self._continuations.items() if other is not row
        }
        row.set_outcome(State.ignored, "IgnoreRequest", "refused by a request_scheduled handler")

    # ---- items

    def item_scraped(self, row: Row, occurrence: int, item: Any) -> None:
        """An item has passed the pipelines. ``occurrence``: its number among the row's, from 0."""
        if not self.frozen:
            self.items.add(row, occurrence, item)

    # ---- start()

    def end_start_item(self, row: Row) -> None:
        """An item of ``start()``, or of unknown origin, has passed the pipelines or was dropped."""
        self.start.items_in_hand -= 1
        row.in_engine = False
        if not self.frozen:
            self.finish(row)
            self.wake()

    def start_ended(self, *, exhausted: bool) -> None:
        """``start()`` has ended, or is not run at all. ``exhausted``: without an error, or in an
        earlier run."""
        self.admissions.withheld.admit(self.start.row)
        self.start.exhausted = exhausted
        self.start.over = True
        self._workers.starting = False
        self.stop_awaiting_every_run()
        self.admissions.start_list.start_ended()
        if exhausted and not self.frozen:
            self.start.finish()
        self.wake()

    def stop_awaiting_every_run(self) -> None:
        """Dispatch other requests too: those that come first in every run have arrived, or may
        never arrive."""
        if self._dispatcher.stop_awaiting_every_run():
            self.wake()

    # ---- finish

    def finish(self, row: Row) -> None:
        """Record the finish of a row, unless the engine still has it or a row below it is open."""
        if row.in_engine:
            return
        if row.open_below:
            row.ended = True
            self._dispatcher.stop_waiting_for(row)
            self.items.start_waiting(row)
            return
        if row.shared:
            self._finish_member(row)
            return
        anchor = row.anchor
        row.ended = True
        self.admissions.dupefilter.ended(row)
        self._dispatcher.stop_waiting_for(row)
        if not row.held:
            self.items.ended(row)
        finishes = self._committer.begin_entry().finishes
        finishes.append(self.finish_record(row))
        if len(finishes) >= FINISHES_AT_RISK:
            self._committer.send_soon()
        row.anchor = None
        if anchor is not None:
            self.child_finished(anchor)

    def _finish_member(self, row: Row) -> None:
        """A row that shares something with others has ended: finish it with them, if it must."""
        rows = self.admissions.sharing.finishing(row)
        if row.held:
            row.ended = True
            self._dispatcher.stop_waiting_for(row)
            self.items.ended(row)
        self.finish_together(rows)

    def finish_together(self, rows: Iterable[Row]) -> None:
        """Finish rows in one transaction."""
        with self._committer.one_batch():
            for row in rows:
                self.finish(row)

    def child_finished(self, anchor: Row) -> None:
        """A row below ``anchor`` is finished, or was a duplicate."""
        anchor.open_below -= 1
        if anchor.id == START:
            self.start.child_finished()
        if anchor.open_below:
            return
        if anchor.id == START:
            self.start.finish()
        elif anchor.ended:
            self.items.stop_waiting(anchor)
            self.finish(anchor)

    def finish_record(self, row: Row) -> Finish:
        """The finish of a row, with its items, as it is committed."""
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
            items_dropped=row.items_dropped,
            items_failed=row.items_failed,
            aliases=[identity for identity in row.memory_identities if identity != row.identity],
            origin=row,
            tombstone=tombstone,
        )

    # ---- shutdown

    def store_failed(self) -> None:
        """Nothing more can be committed, so accept nothing more."""
        self.frozen = True
        self.start.freeze()
        self._steps.freeze()

    def freeze(self) -> bool:
        """A forced shutdown: nothing that happens from now on is an outcome. Returns False if the
        tracker was frozen already."""
        if self.frozen:
            return False
        self.frozen = True
        self.start.freeze()
        self._dispatcher.unmark_all()
        self._steps.freeze()
        return True
