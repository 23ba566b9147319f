"""The life of tasks in this process; see ``tracking.tracker``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast

from scrapy_resume.errors import message_of
from scrapy_resume.model import State
from scrapy_resume.stages.task import Task
from scrapy_resume.store.contract import Release
from scrapy_resume.tracking.no_steps import NoSteps
from scrapy_resume.tracking.tracker import Tracker

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scrapy import Request

    from scrapy_resume.commits.committer import Committer
    from scrapy_resume.dispatch.dispatcher import Dispatcher
    from scrapy_resume.dispatch.workers import Workers
    from scrapy_resume.frontier.row import Row
    from scrapy_resume.model import Counts
    from scrapy_resume.stages.groups import TaskGroup
    from scrapy_resume.stages.task_admission import TaskAdmissions
    from scrapy_resume.tracking.held import HeldRequests
    from scrapy_resume.tracking.items import OpenItems
    from scrapy_resume.tracking.start import Start

DONE_AT_RISK: Final = 500
"""Tasks without items at whose end a batch is sent before the commit interval has passed: so many
of them have taken a few milliseconds."""

SKIP: Final = "skip"
"""The error of a task that is ignored because its function, or ``skip``, said so."""


class TaskTracker(Tracker):
    """``Tracker`` of tasks."""

    has_foreign_suspect = False
    """A suspect waits in the store whose group is not open."""

    def __init__(
        self,
        counts: Counts,
        dispatcher: Dispatcher,
        admissions: TaskAdmissions,
        items: OpenItems,
        start: Start,
        workers: Workers,
        committer: Committer,
        held: HeldRequests,
        *,
        delayed: int = 0,
    ) -> None:
        # Eight: those of ``Tracker``.
        super().__init__(
            counts,
            dispatcher,
            admissions,
            items,
            start,
            workers,
            committer,
            held,
            NoSteps(),
            delayed=delayed,
        )
        self._in_flight = dispatcher
        self._commits = committer
        self._others = workers
        self.tasks = admissions

    def next_task(self) -> Task | None:
        """Dispatch the next task of a group that has room; ``None``: there is none now."""
        task = self._next_unrecorded()
        if task is not None:
            return task
        task = cast("Task | None", self.next_request())
        if task is not None:
            task.row = self.row_of(cast("Request", task))
        return task

    def _next_unrecorded(self) -> Task | None:
        """The next task of the only group, if it may begin before it is recorded: what is
        considered for others (hosts, suspects, other groups) does not concern it."""
        tasks, dispatcher = self.tasks, self._in_flight
        groups = tasks.groups.open
        if not tasks.at_once or len(groups) != 1 or self.frozen or self.dispatch_is_held:
            return None
        if dispatcher.alone is not None or self.items.applies_backpressure(self.wake):
            return None
        row = tasks.first_of(next(iter(groups)))
        if row is None:
            return None
        task = cast("Task", row.request)
        row.request = None
        row.in_engine = True
        row.attempts += 1
        row.retry_times = 0
        dispatcher.dispatched[cast("Request", task)] = row
        task.row = row
        return task

    def _request_of(self, row: Row) -> Request | None:
        if row.slot in self.tasks.groups.open:
            return super()._request_of(row)
        dispatcher = self._in_flight
        dispatcher.not_sent(row)
        if row is dispatcher.alone:
            self.has_foreign_suspect = True
            dispatcher.suspects = 0
        dispatcher.stop_waiting_for(row)
        self.tasks.let_in(row.slot, False)
        dispatcher.releasing += 1
        self._commits.begin_entry().releases.append(Release(row.id, row.attempts))
        return None

    def is_over(self, group: TaskGroup) -> bool:
        """Whether nothing is left of a group: here, in the store, or with other workers."""
        if self.frozen:
            return True
        dispatcher, workers = self._in_flight, self._others
        return not (
            group.reading
            or group.running
            or self.tasks.waiting(group.name)
            or self.delayed
            or dispatcher.delayed
            or dispatcher.releasing
            or dispatcher.suspects
            or dispatcher.alone is not None
            or (workers.shared and workers.others_at_work)
        )

    # ---- outcomes

    def done(self, task: Task, items: Sequence[Any]) -> State:
        """A task has ended well, with these items. Returns its state: it has failed if one of them
        cannot be serialized."""
        row = _row(task)
        if not (items or row.recorded or self.frozen or row is self._in_flight.alone):
            self._done_unrecorded(task, row)
            return State.done
        with self._commits.one_batch():
            for item in items:
                self.item_scraped(row, self.items.begin(row), item)
            state = row.state
            self.engine_done(cast("Request", task))
        return state

    def _done_unrecorded(self, task: Task, row: Row) -> None:
        """What ``engine_done`` does, of a row that has no items and is not in the store."""
        del self._in_flight.dispatched[cast("Request", task)]
        row.in_engine = False
        row.ended = True
        finishes = self._commits.begin_entry().finishes
        finishes.append(self.finish_record(row))
        if len(finishes) >= DONE_AT_RISK:
            self._commits.send_soon()

    def failed(self, task: Task, error: BaseException) -> None:
        """A task has failed for good."""
        row = _row(task)
        row.set_outcome(State.failed, type(error).__name__, message_of(error))
        self.engine_done(cast("Request", task))

    def skipped(self, task: Task, reason: str) -> None:
        """There is nothing to do for a task."""
        _row(task).set_outcome(State.ignored, SKIP, reason)
        self.engine_done(cast("Request", task))

    def tried_again(self, task: Task, seconds: float, *, failed: bool) -> None:
        """A task is tried again after so many seconds. ``failed``: an attempt counts as failed; if
        not, it counts as if it had not been made."""
        row = _row(task)
        if not failed:
            row.attempts -= 1
        row.not_before = self.tasks.time() + seconds if seconds else 0.0
        again = cast("Request", task.again(task.failures + failed))
        self.continue_as(row, again)
        self.admit(again, None)
        self.engine_done(cast("Request", task))

    def released(self, task: Task) -> None:
        """A task is given back unfinished: it is tried again by this run or a later one."""
        row = _row(task)
        row.attempts -= 1
        self._in_flight.take_back(cast("Request", task))
        row.ended = True
        if self.frozen:
            return
        if not row.recorded:
            self.tasks.send_row(row)
        self._in_flight.releasing += 1
        self._commits.begin_entry().releases.append(Release(row.id, row.attempts))


def _row(task: Task) -> Row:
    assert task.row is not None
    return task.row
