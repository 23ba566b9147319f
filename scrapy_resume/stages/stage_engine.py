"""What the parts of a run ask of the engine, answered by the task groups of a stage."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from scrapy import Request

    from scrapy_resume.stages.groups import TaskGroups


class GroupRoom:
    """How many more tasks would begin at once; see ``ports.engine.Room``. A slot is a group."""

    def __init__(self, groups: TaskGroups) -> None:
        self._groups = groups

    @property
    def total(self) -> int:
        """Of all groups that are open."""
        return sum(group.room for group in set(self._groups.open.values()))

    def of(self, slot: str) -> int:
        """Of one group; 0: it is not open."""
        group = self._groups.open.get(slot)
        return 0 if group is None else group.room

    def delay_seconds(self, slot: str) -> float:
        """0: tasks have no politeness."""
        return 0.0

    @property
    def active(self) -> Collection[str]:
        """The groups that are open."""
        return self._groups.open.keys()


class StageEngine:
    """See ``ports.engine.Engine``."""

    def __init__(self, groups: TaskGroups, stop: Callable[[str], None]) -> None:
        self._groups = groups
        self._stop = stop
        self.closing = False

    def wake(self) -> None:
        """Have the groups take their next tasks."""
        self._groups.wake()

    def close_spider(self, reason: str) -> None:
        """Stop gracefully."""
        self._stop(reason)

    def is_idle(self) -> bool:
        """False: no group waits for the store before it takes what is there."""
        return False

    def active_downloads(self, slot: str) -> int:
        """The number of running tasks of a group."""
        group = self._groups.open.get(slot)
        return 0 if group is None else group.running

    def is_resting(self, slot: str) -> bool:
        """False: tasks have no delay between them."""
        return False

    def room(self) -> GroupRoom:
        """How many more tasks would begin at once."""
        return GroupRoom(self._groups)

    def slot_key(self, request: Request) -> str:
        """A task's group."""
        group: str = request.group  # type: ignore[attr-defined]
        return group

    def hold_back(self, is_meant: Callable[[Any], bool]) -> None:
        """Nothing waits here."""

    def send_queued(self) -> None:
        """Nothing waits here."""

    def drop_queued(self) -> None:
        """Nothing waits here."""
