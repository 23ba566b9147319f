"""The groups of a stage's tasks: one for each ``map``, and one for what is done by hand.

A group is what a crawl has as a download slot: its rows are leased and dispatched while it is open.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, Final

from scrapy_resume.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable

    from scrapy_resume.ports.clock import Clock, Waiter
    from scrapy_resume.stages.task import Task

BY_HAND: Final = "-"
"""The name of the group of ``remaining``, ``done``, ``fail`` and ``skip``."""


class TaskGroup:
    """One group of tasks that is open. ``takers`` wait for a task; each gets one, or ``None`` when
    the group has come to its end."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.running = 0
        """Tasks in hand."""
        self.reading = True
        """Its inputs have not come to their end."""
        self.takers: deque[Waiter[Task | None]] = deque()
        self.backlog: deque[Task] = deque()
        """Tasks that were dispatched while nobody waited: suspects come when it is their turn."""
        self.asking = 0
        """Takers that ask without waiting."""
        self.stopped = False
        """No more tasks are taken."""
        self.taken: Callable[[], object] = lambda: None
        """Called when a task was taken, or the store has answered."""
        self.counts = dict.fromkeys(("done", "failed", "ignored", "known", "retried"), 0)
        """What became of tasks in this run, and how many inputs were known before."""

    @property
    def room(self) -> int:
        """How many tasks would begin at once."""
        return len(self.takers) + self.asking

    def end(self) -> None:
        """There are no more tasks: let all takers go on."""
        while self.takers:
            self.takers.popleft().set(None)


class TaskGroups:
    """The open groups, and who takes which task."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.open: dict[str, TaskGroup] = {}
        """By name; one that has taken over the tasks of another one is there by that name too."""
        self.met: set[str] = set()
        """The names of all groups that this run has opened."""
        self.stopped = False
        """No task is taken any more."""
        self._next: Callable[[], Any] = lambda: None
        self._over: Callable[[TaskGroup], bool] = lambda _: False
        self._unblock: Callable[[str, bool], None] = lambda *_: None
        self._pump_is_due = False

    def connect(
        self,
        next_task: Callable[[], Any],
        is_over: Callable[[TaskGroup], bool],
        let_in: Callable[[str, bool], None],
    ) -> None:
        """``next_task`` dispatches one; ``is_over``: whether a group has nothing left to do;
        ``let_in(group, True)``: its rows may be leased from now on, with ``False`` no more."""
        self._next, self._over, self._unblock = next_task, is_over, let_in

    def add(self, name: str) -> TaskGroup:
        """Open a group. Raises ``ConfigurationError`` if one of that name is open."""
        if name in self.open:
            raise ConfigurationError(
                f"two maps named {name!r} run in one stage at the same time: give each a name of"
                " its own, map(…, name='…')"
            )
        group = self.open[name] = TaskGroup(name)
        self.met.add(name)
        self._unblock(name, True)
        return group

    def remove(self, group: TaskGroup) -> None:
        """Close a group."""
        for name in self.names_of(group):
            del self.open[name]
            self._unblock(name, False)
        group.end()

    def names_of(self, group: TaskGroup) -> list[str]:
        """The names under which a group is open."""
        return [name for name, other in self.open.items() if other is group]

    def take_over(self, name: str, group: TaskGroup) -> None:
        """A group that the program has no more: another one does its tasks."""
        if name not in self.open:
            self.open[name] = group
            self.met.add(name)
            self._unblock(name, True)

    def full(self) -> list[str]:
        """The groups of which nobody waits for a task."""
        return [name for name, group in self.open.items() if not group.room]

    # ---- tasks

    def take_at_once(self, group: TaskGroup) -> Task | None:
        """The next task of a group; ``None``: there is none at this moment."""
        if self.stopped or group.stopped:
            return None
        if group.backlog:
            return group.backlog.popleft()
        group.asking += 1
        try:
            while (task := self._next()) is not None:
                if self.open.get(task.group) is group:
                    group.running += 1
                    group.taken()
                    return task  # type: ignore[no-any-return]
                self._hand_over(task)
            return None
        finally:
            group.asking -= 1

    async def take(self, group: TaskGroup) -> Task | None:
        """Wait for the next task; ``None``: the group has come to its end, or the stage stops."""
        task = self.take_at_once(group)
        if task is not None:
            return task
        if self.stopped or group.stopped or self._over(group):
            group.end()
            return None
        waiter: Waiter[Task | None] = self._clock.waiter()
        group.takers.append(waiter)
        try:
            return await waiter.wait()
        except BaseException:
            if waiter in group.takers:
                group.takers.remove(waiter)
            raise

    def _hand_over(self, task: Task) -> None:
        other = self.open[task.group]
        other.running += 1
        other.taken()
        if other.takers:
            other.takers.popleft().set(task)
        else:
            other.backlog.append(task)

    def wake(self) -> None:
        """Give tasks to those who wait, in the next turn of the event loop."""
        if not self._pump_is_due:
            self._pump_is_due = True
            self._clock.call_later(0, self._pump)

    def _pump(self) -> None:
        self._pump_is_due = False
        while not self.stopped and any(group.takers for group in self.open.values()):
            task = self._next()
            if task is None:
                break
            self._hand_over(task)
        for group in list(self.open.values()):
            group.taken()
            if group.takers and (self.stopped or self._over(group)):
                group.end()

    def ended(self, group: TaskGroup) -> None:
        """A task of the group is not in hand any more."""
        group.running -= 1

    def stop(self) -> None:
        """Give out no more tasks."""
        self.stopped = True
        for group in list(self.open.values()):
            group.taken()
            group.end()
