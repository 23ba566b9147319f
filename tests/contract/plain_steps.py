"""What the contract says of steps of items, in plain Python: a part of ``plain_model``."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from scrapy_resume.model import OPEN_STEPS, StepCounts, StepState
from scrapy_resume.store.contract import ItemChange, ItemRecord, StepRelease

TROUBLED = (StepState.failed, StepState.parked)


@dataclass
class PlainStep:
    state: StepState
    attempts: int = 0
    crashes: int = 0
    suspect: bool = False
    later: bool = False
    """Delayed for ever."""
    mark: int = 0
    """Of its last lease."""
    condemned: bool = False

    @property
    def can_be_leased(self) -> bool:
        return self.state is StepState.pending and not self.suspect and not self.later

    @property
    def is_suspect(self) -> bool:
        return self.state is StepState.pending and self.suspect and not self.later


@dataclass
class SteppedItem:
    """An item with steps. It is found by its key, or by its request and place in it."""

    request: int
    occurrence: int
    key: str
    updates: bool
    version: int
    shown: bool
    payload: str | None
    """``None``: that of the visible item."""
    steps: dict[str, PlainStep]
    id: int = 0
    """As the store calls it; 0: no step of it was leased yet."""

    @property
    def open(self) -> int:
        return sum(step.state in OPEN_STEPS for step in self.steps.values())

    @property
    def failed(self) -> tuple[str, ...]:
        return tuple(name for name, step in self.steps.items() if step.state in TROUBLED)

    @property
    def visible_key(self) -> str | None:
        return self.key if self.updates else None


@dataclass
class StepsAnswer:
    leased: list[tuple[SteppedItem, str]] = field(default_factory=list)
    refused: set[int] = field(default_factory=set)
    ended: dict[int, tuple[str, ...]] = field(default_factory=dict)
    shown: list[tuple[SteppedItem, str, bool]] = field(default_factory=list)
    """Items that become visible, with what is, and whether a version before was."""


class PlainSteps:
    """All items with steps of a job, in the order in which they came."""

    def __init__(self) -> None:
        self.items: list[SteppedItem] = []

    def of(self, number: int) -> SteppedItem | None:
        return next((item for item in self.items if item.id == number), None)

    def of_request(self, request: int) -> list[SteppedItem]:
        return [item for item in self.items if item.request == request]

    def of_key(self, key: str) -> SteppedItem | None:
        return next((item for item in self.items if item.updates and item.key == key), None)

    def give(self, request: int, record: ItemRecord, before: SteppedItem | None) -> SteppedItem:
        """A request has given an item, perhaps a new version."""
        steps = {step.name: PlainStep(step.state) for step in record.steps}
        item = SteppedItem(
            request,
            record.occurrence,
            record.key or record.stable_key,
            record.key is not None,
            1 if before is None else before.version + 1,
            shown=not record.waits or (before is not None and before.shown),
            payload=record.payload if record.waits else None,
            steps=steps,
        )
        if before is None:
            self.items.append(item)
        else:
            item.id = before.id
            self.items = [item if other is before else other for other in self.items]
        return item

    def has(self, item: SteppedItem) -> bool:
        """Whether it is there, in that version."""
        return any(other is item for other in self.items)

    def drop(self, item: SteppedItem) -> None:
        self.items = [other for other in self.items if other is not item]

    # What attempts bring

    def change(self, changes: Iterable[ItemChange], answer: StepsAnswer) -> None:
        changed: dict[int, str] = {}
        for change in changes:
            item = self.of(change.item)
            if item is None or not self._is_current(change, item):
                answer.refused.add(change.item)
                continue
            for attempt in change.attempts:
                step = item.steps[attempt.name]
                step.state, step.attempts = attempt.state, attempt.attempts
                step.later = attempt.not_before > 0
                step.crashes, step.suspect, step.condemned = 0, False, False
            for other in change.others:
                step = item.steps[other.name]
                if step.state not in (other.state, StepState.running):
                    step.state, step.attempts = other.state, 0
                    step.later = step.suspect = step.condemned = False
                    step.crashes = 0
            if change.payload is not None:
                changed[item.id] = item.payload = change.payload
            if not item.open:
                self._end(item, change, changed.get(item.id), answer)

    def _is_current(self, change: ItemChange, item: SteppedItem) -> bool:
        names = [attempt.name for attempt in change.attempts]
        running = [
            name in item.steps and item.steps[name].state is StepState.running for name in names
        ]
        return item.version == change.version and all(running)

    def _end(
        self, item: SteppedItem, change: ItemChange, changed: str | None, answer: StepsAnswer
    ) -> None:
        visible = change.visible or changed or item.payload
        if not change.kept:
            item.payload = None
        answer.ended[item.id] = item.failed
        if visible is not None:
            answer.shown.append((item, visible, item.shown))
            item.shown = True

    def release(self, releases: Iterable[StepRelease]) -> None:
        for release in releases:
            item = self.of(release.item)
            step = None if item is None else item.steps.get(release.name)
            if step is not None and step.state is StepState.running:
                step.state, step.attempts = StepState.pending, release.attempts
                step.later = release.not_before > 0

    # Leases

    def lease(self, name: str, count: int) -> list[tuple[SteppedItem, str]]:
        ready = [
            (item, name)
            for item in self.items
            if name in item.steps and item.steps[name].can_be_leased
        ]
        for item, _ in ready[:count]:
            item.steps[name].state = StepState.running
        return ready[:count]

    def suspects(self) -> list[tuple[SteppedItem, str]]:
        return [
            (item, name)
            for item in self.items
            for name, step in item.steps.items()
            if step.is_suspect
        ]

    def running(self) -> list[tuple[SteppedItem, str]]:
        return [
            (item, name)
            for item in self.items
            for name, step in item.steps.items()
            if step.state is StepState.running
        ]

    def take_back(
        self, marks: Collection[int], blames: bool, crash_limit: int, alone: int | None
    ) -> None:
        """The run has ended."""
        for item, name in self.running():
            step = item.steps[name]
            step.state, step.later = StepState.pending, False
            if step.mark not in marks:
                continue
            step.attempts += 1
            step.crashes += blames
            step.suspect |= step.crashes >= crash_limit
            step.condemned |= blames and step.mark == alone

    # What there is

    @property
    def open(self) -> int:
        return sum(item.open for item in self.items)

    def counts(self) -> dict[str, StepCounts]:
        found: dict[str, StepCounts] = {}
        for item in self.items:
            for name, step in item.steps.items():
                counts = found.setdefault(name, StepCounts())
                kind = "pending" if step.state is StepState.waiting else step.state.name
                setattr(counts, kind, getattr(counts, kind) + 1)
        return found

    @property
    def delayed(self) -> int:
        return sum(
            step.later and step.state is StepState.pending
            for item in self.items
            for step in item.steps.values()
        )
