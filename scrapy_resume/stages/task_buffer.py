"""The lease buffers of a stage: groups of which nobody waits for a task are passed over."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from scrapy_resume.frontier.lease_buffer import LeaseBuffer
from scrapy_resume.frontier.shared_lease_buffer import SharedLeaseBuffer

if TYPE_CHECKING:
    from collections.abc import Callable

    from scrapy_resume.frontier.lease_quota import LeaseQuota
    from scrapy_resume.frontier.row import Row
    from scrapy_resume.stages.groups import TaskGroups


class TaskBuffer(LeaseBuffer):
    """Of a job that one process has to itself."""

    def __init__(self, groups: TaskGroups, **options: Any) -> None:
        self._groups = groups
        super().__init__(**options)

    def _passes_over(self) -> Callable[[str], bool]:
        full = self._groups.full()
        return self.blocked.union(full).__contains__ if full else self.blocked.__contains__

    def first_of(self, group: str) -> Row | None:
        """Take the first row of a group, if it is recorded nowhere; ``None``: the usual way is to
        be gone."""
        queue = self.queues.get(group)
        if queue is None or not queue.rows or queue.rows[0][1].recorded:
            return None
        return self.take_first(group)


class SharedTaskBuffer(SharedLeaseBuffer):
    """Of a job that several processes work on."""

    def __init__(self, groups: TaskGroups, quota: LeaseQuota, **options: Any) -> None:
        self._groups = groups
        super().__init__(quota, **options)

    def _passes_over(self) -> Callable[[str], bool]:
        passes_over, full = super()._passes_over(), {*self.blocked, *self._groups.full()}
        return lambda slot: slot in full or passes_over(slot)
