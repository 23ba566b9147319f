"""The steps that this run has leased and not begun, and how many more it wants.

Steps without a limit are leased ahead of their places, so that the commit interval does not bound
their rate: as many as it takes, which is found by doubling whenever none was left. Steps with a
limit are leased only for places that are free, since a lease counts for the limit.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

from scrapy_resume.store.contract import StepWish

if TYPE_CHECKING:
    from scrapy_resume.steps.definition import StepDefinition
    from scrapy_resume.steps.plan import StepPlan
    from scrapy_resume.store.contract import LeasedStep

MOST_AHEAD: Final = 1_000
"""Steps of one name that are leased ahead at most."""

MOST_BYTES: Final = 16 << 20
"""Characters of the payloads of leased steps beyond which only free places are filled."""

ENDED_AT_ONCE: Final = 500
"""Steps without code (switched off) that are ended with one batch."""


class LeaseQueue:
    """Queues of leased steps, by name."""

    def __init__(self, plan: StepPlan, places: int, ready: Mapping[str, int]) -> None:
        """``ready``: how many the store has, by step."""
        self._plan = plan
        self._places = places
        self._queues: dict[str, deque[LeasedStep]] = {step.name: deque() for step in plan.steps}
        self._ahead = dict.fromkeys(self._queues, 2 * places)
        self._asked: dict[str, int] = {}
        """What the batch on its way asks for."""
        self._ready = self._known(ready)
        self._bytes = 0
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def push(self, leased: LeasedStep) -> None:
        """A step was leased."""
        self._queues[leased.name].append(leased)
        self._bytes += len(leased.payload)
        self._size += 1

    def pop(self, busy: Mapping[str, int]) -> LeasedStep | None:
        """The next step to begin: of the name of which the fewest run, and of these the last in
        order, so that items end; ``None``: none is queued."""
        if not self._size:
            return None
        best: str | None = None
        for step in self._plan.steps:
            name = step.name
            if self._queues[name] and (best is None or busy.get(name, 0) <= busy.get(best, 0)):
                best = name
        if best is None:
            return None
        return self._popped(best)

    def _popped(self, name: str) -> LeasedStep:
        leased = self._queues[name].popleft()
        self._bytes -= len(leased.payload)
        self._size -= 1
        return leased

    def take_all(self) -> list[LeasedStep]:
        """Remove all of them."""
        return [
            self._popped(name) for name, queue in self._queues.items() for _ in range(len(queue))
        ]

    # ---- wishes

    def wishes(self, free: int, busy: Mapping[str, int]) -> list[StepWish]:
        """What to ask the store for, with ``free`` places. ``busy``: calls by name that have not
        ended."""
        self._asked = {}
        wishes = []
        for step in self._plan.steps:
            count = self._wanted(step, free, busy)
            if count <= 0:
                continue
            if step.is_limited:
                free -= count
            self._asked[step.name] = count
            rate_count, rate_seconds = step.rate_limit or (0, 0.0)
            wishes.append(StepWish(step.name, count, step.concurrency, rate_count, rate_seconds))
        wishes += [StepWish(name, ENDED_AT_ONCE) for name in self._plan.off]
        return wishes

    def _wanted(self, step: StepDefinition, free: int, busy: Mapping[str, int]) -> int:
        queued = len(self._queues[step.name])
        if step.is_limited:
            allowed = free - queued
            if step.concurrency is not None:
                allowed = min(allowed, step.concurrency - busy.get(step.name, 0) - queued)
            return allowed
        if self._bytes >= MOST_BYTES:
            return min(free, self._places) - queued
        ahead = self._ahead[step.name]
        return ahead - queued if 2 * queued <= ahead else 0

    def answered(self, leased: Sequence[LeasedStep], ready: Mapping[str, int]) -> None:
        """The store has answered the wishes, with so many more that are ready. Called before the
        leased steps are queued."""
        self._ready = self._known(ready)
        granted: dict[str, int] = {}
        for one in leased:
            granted[one.name] = granted.get(one.name, 0) + 1
        for name, count in self._asked.items():
            given = granted.get(name, 0)
            if not given:
                # Another worker has them, or a limit allows none: asked for again later.
                self._ready[name] = 0
            elif given == count and not self._queues[name] and ready.get(name, 0):
                self._ahead[name] = min(2 * self._ahead[name], MOST_AHEAD)
        self._asked = {}

    def _known(self, ready: Mapping[str, int]) -> dict[str, int]:
        return {name: count for name, count in ready.items() if self._plan.knows(name)}

    def wants_more(self, free: int, busy: Mapping[str, int]) -> bool:
        """Whether the store has steps that would be leased if a batch was sent now."""
        if self._asked:
            return False
        return any(
            self._ready.get(step.name, 0) and self._wanted(step, free, busy) > 0
            for step in self._plan.steps
        ) or any(self._ready.get(name, 0) for name in self._plan.off)

    @property
    def wanted_steps(self) -> list[StepDefinition]:
        """The steps of which some are leased, or ready to be."""
        steps, ready = self._plan.steps, self._ready
        return [step for step in steps if self._queues[step.name] or ready.get(step.name)]

    @property
    def ready(self) -> int:
        """How many the store had ready, and would have given, when it last answered."""
        return sum(self._ready.values())
