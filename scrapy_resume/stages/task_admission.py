"""Admits the tasks that are read, and restores those that are stored.

A stage that has its job to itself asks the store which keys are known before it reads on. What is
not known it may begin at once: the row of such a task is recorded when the task has ended, or when
it has waited for ``UNSENT_SECONDS``, whichever comes first. So a task of a few microseconds is
written once, in its final state, and the input of a longer one is in the store soon after it was
read. After a crash (the task itself may be the cause), beside other workers, and where something is
skipped, a task begins when its row is committed.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, Final, cast

from scrapy_resume.errors import CallbackMissingError
from scrapy_resume.frontier.row import Row, admission_of
from scrapy_resume.model import START
from scrapy_resume.stages.task import Task, TaskCodec
from scrapy_resume.store.contract import Admission, Batch, Continuation
from scrapy_resume.tracking.admission import Admissions

if TYPE_CHECKING:
    from scrapy import Request

    from scrapy_resume.commits.committer import Committer
    from scrapy_resume.dispatch.dispatcher import Dispatcher
    from scrapy_resume.frontier.lease_buffer import LeaseBuffer
    from scrapy_resume.ports.clock import Clock
    from scrapy_resume.stages.groups import TaskGroups
    from scrapy_resume.stages.task_buffer import TaskBuffer
    from scrapy_resume.tracking.row_ids import IdSequence

UNSENT_SECONDS: Final = 0.1
"""How long a task that has begun, or may begin, is not in the store at most, beside the interval
of commits."""


class TaskAdmissions(Admissions):
    """``Admissions`` of tasks. Requests are ``Task`` here."""

    task_codec: TaskCodec
    groups: TaskGroups
    at_once: bool
    """Tasks may begin before their row is committed."""
    unsent: deque[tuple[float, Row]]
    """Rows that may begin and are not in the store: with the time when they were read."""
    open_identities: dict[bytes, Row | None]
    """Of tasks that were read and have not ended in the store, as far as this run has read them;
    ``None``: the store has not answered yet."""

    def begin_tasks(
        self,
        codec: TaskCodec,
        groups: TaskGroups,
        ids: IdSequence,
        dispatcher: Dispatcher,
        committer: Committer,
        frontier: LeaseBuffer,
        clock: Clock,
        *,
        at_once: bool,
    ) -> None:
        """Called once, before the first task: the parts that tasks need."""
        self._row_ids = ids
        self._in_flight = dispatcher
        self._commits = committer
        self._buffer = frontier
        self.task_codec = codec
        self.groups = groups
        self.time = clock.time
        self._monotonic = clock.monotonic
        self.at_once = at_once
        self.unsent = deque()
        self.open_identities = {}

    def new_id(self) -> int:
        """An id for a row."""
        return self._row_ids.new()

    def read(self, task: Task, identity: bytes, payload: str, unit: str) -> None:
        """A task was read whose key is not known to the store."""
        row_id = self._row_ids.new()
        if self.at_once:
            row = Row(row_id, identity, recorded=False, parent=START)
            row.url, row.payload, row.slot, row.unit = task.text, payload, task.group, unit
            row.rank = (0, 0, row_id)
            row.request = task  # type: ignore[assignment]
            self.open_identities[identity] = row
            self.unsent.append((self._monotonic(), row))
            self._buffer.push(row)
            return
        self.open_identities[identity] = None
        self._buffer.expect(task.group)
        self.expected[row_id] = task  # type: ignore[assignment]
        self._commits.begin_entry().arrivals.append(
            Admission(
                id=row_id,
                identity=identity,
                parent=START,
                url=task.text,
                payload=payload,
                slot=task.group,
                priority=0,
                start=0,
                seq=row_id,
                unit=unit,
            )
        )

    def send_unsent(self, batch: Batch, *, everything: bool = False) -> None:
        """Add to a batch that is about to be sent the rows that have waited long enough."""
        limit = self._monotonic() - UNSENT_SECONDS
        unsent = self.unsent
        while unsent and (everything or unsent[0][0] <= limit):
            _, row = unsent.popleft()
            if row.ended or row.recorded:
                continue
            admission = admission_of(row, row.id, row.identity, record=True)
            row.recorded = True
            self._buffer.expect(row.slot)
            batch.arrivals.append(admission)

    @property
    def has_unsent(self) -> bool:
        """Whether a row waits to be recorded."""
        while self.unsent and (self.unsent[0][1].ended or self.unsent[0][1].recorded):
            self.unsent.popleft()
        return bool(self.unsent)

    def let_in(self, group: str, wanted: bool) -> None:
        """Lease and dispatch the rows of a group from now on, or, if not ``wanted``, no more."""
        if wanted:
            self._buffer.unblock(group)
            self._in_flight.request_more()
        else:
            self._buffer.block(group)

    def first_of(self, group: str) -> Row | None:
        """See ``TaskBuffer.first_of``."""
        return cast("TaskBuffer", self._buffer).first_of(group)

    def waiting(self, group: str) -> int:
        """Number of a group's tasks that have not begun, here, in the store, or on their way to
        it."""
        opened = self.groups.open.get(group)
        names = [group] if opened is None else self.groups.names_of(opened)
        queues = [self._buffer.queues[name] for name in names if name in self._buffer.queues]
        return sum(len(queue.rows) + queue.pending + queue.arriving for queue in queues)

    def restore(self, row: Row) -> Request:
        """The task of a row that was leased. Raises ``CallbackMissingError`` if its group is not
        open now."""
        task = self.task_codec.decode(row.url, row.payload)
        if task.group not in self.groups.open:
            raise CallbackMissingError(
                f"no map() of this stage is named {task.group!r}", name=task.group, park=True
            )
        return task  # type: ignore[return-value]

    def row_of(self, admission: Admission, request: Request) -> Row:
        """See ``Admissions``. The payload stays with the row, for its next attempt."""
        row = super().row_of(admission, request)
        row.payload = admission.payload
        return row

    def continue_row(self, row: Row, request: Request) -> bool:
        """A task is tried again. Returns true."""
        task: Any = request
        alone = row is self._in_flight.alone
        attempt_failed = task.failures > row.retry_times
        row.reset_outcome()
        row.payload = self.task_codec.encode(task)
        if not row.recorded:
            # It becomes a row with its next attempt: what failed once may fail again.
            self.send_row(row)
        order_id = self._row_ids.new()
        self._buffer.expect(row.slot)
        row.rank = (0, 0, order_id)
        row.request = request
        self.expected[row.id] = request
        self.expected_rows[row.id] = row
        self._commits.begin_entry().arrivals.append(
            Continuation(
                id=row.id,
                url=row.url,
                payload=row.payload,
                slot=row.slot,
                priority=0,
                start=0,
                seq=order_id,
                attempts=row.attempts,
                lease=alone,
                not_before=row.not_before,
                failed=attempt_failed,
                again=not attempt_failed,
            )
        )
        return True

    def send_row(self, row: Row) -> None:
        """Record a row that is not in the store yet, with the batch that is being collected."""
        admission = admission_of(row, row.id, row.identity, record=True)
        row.recorded = True
        self._commits.begin_entry().arrivals.append(admission)
        self._buffer.expect(row.slot)
