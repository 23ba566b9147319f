"""Synchronizes the tasks of a run with the store; see ``run.batch_sync``."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from scrapy_resume.model import State
from scrapy_resume.run.batch_sync import BatchSync
from scrapy_resume.store.contract import Admission
from scrapy_resume.tracking.no_steps import NoSteps

if TYPE_CHECKING:
    from collections.abc import Callable

    from scrapy_resume.commits.committer import Committer
    from scrapy_resume.dispatch.dispatcher import Dispatcher
    from scrapy_resume.dispatch.workers import Workers
    from scrapy_resume.frontier.lease_buffer import LeaseBuffer
    from scrapy_resume.frontier.row import Row
    from scrapy_resume.politeness.host_breaker import HostBreakers
    from scrapy_resume.stages.task_tracker import TaskTracker
    from scrapy_resume.store.contract import Batch, Committed, Continuation
    from scrapy_resume.tracking.row_ids import IdSequence


class TaskSync(BatchSync):
    """``BatchSync`` of tasks: nothing is shared between them, and some begin unrecorded."""

    def __init__(
        self,
        tracker: TaskTracker,
        frontier: LeaseBuffer,
        dispatcher: Dispatcher,
        workers: Workers,
        breakers: HostBreakers,
        ids: IdSequence,
        committer: Committer,
    ) -> None:
        super().__init__(
            tracker, frontier, dispatcher, workers, breakers, ids, NoSteps(), committer
        )
        self._tasks = tracker.tasks
        self._task_tracker = tracker
        self._buffer = frontier
        self._in_flight = dispatcher

    known: Callable[[str], None] = staticmethod(lambda _: None)
    """Called with the group of a task that another worker has, or that is skipped."""
    ended: Callable[[list[bytes]], None] = staticmethod(lambda _: None)
    """Called with the identities whose end was committed."""

    def complete(self, batch: Batch) -> None:
        """See ``BatchSync``."""
        self._tasks.send_unsent(batch)
        super().complete(batch)

    def answered(self, batch: Batch, answer: Committed) -> None:
        """See ``BatchSync``."""
        opened = self._tasks.open_identities
        ended = [cast("Row", finish.origin).identity for finish in batch.finishes]
        for identity in ended:
            opened.pop(identity, None)
        self.ended(ended)
        super().answered(batch, answer)

    def _settle_arrivals(self, batch: Batch, answer: Committed) -> set[str]:
        touched = set()
        for arrival in batch.arrivals:
            self._buffer.settle(arrival.slot)
            touched.add(arrival.slot)
            if self._task_tracker.frozen:
                continue
            gone = arrival.id in answer.duplicates or arrival.id in answer.skipped_for_good
            if isinstance(arrival, Admission):
                self._settle_admission(arrival, gone=gone)
            else:
                self._settle_continuation(arrival, gone=gone)
        return touched

    def _settle_admission(self, arrival: Admission, *, gone: bool) -> None:
        tasks = self._tasks
        # A row that has begun at once is in this process, and may wait for its next attempt.
        waits = arrival.id not in tasks.expected_rows
        task = tasks.expected.pop(arrival.id, None) if waits else None
        tasks.open_identities.pop(arrival.identity, None)
        if gone:
            self.known(arrival.slot)
        elif task is not None and arrival.lease:
            self._buffer.push(tasks.row_of(arrival, task))

    def _settle_continuation(self, arrival: Continuation, *, gone: bool) -> None:
        self._tasks.expected.pop(arrival.id, None)
        row = self._tasks.expected_rows.pop(arrival.id)
        if arrival.lease and not gone:
            self._in_flight.enqueue(row)
            return
        row.ended = True
        row.request = None
        self._in_flight.stop_waiting_for(row)
        if gone:
            row.set_outcome(State.ignored)
