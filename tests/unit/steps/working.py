"""A runner of steps with a store, an engine and threads that the test moves by hand."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

from scrapy.statscollectors import MemoryStatsCollector
from scrapy.utils.test import get_crawler
from twisted.internet.defer import Deferred

from scrapy_resume import step
from scrapy_resume.codec import Codec
from scrapy_resume.model import Phase, StepCounts, StepState
from scrapy_resume.steps.items import HeldItems
from scrapy_resume.steps.plan import StepPlan, load_plan
from scrapy_resume.steps.ports import StepLimits, StepPorts
from scrapy_resume.steps.runner import StepRunner
from scrapy_resume.steps.step_log import StepLog
from scrapy_resume.store.contract import (
    Batch,
    Committed,
    EarlierResult,
    LeasedStep,
    StepAnswer,
    StepReport,
)
from tests.support.clock import ManualClock, StubEngine

CODEC = Codec()
PENDING, RUNNING, DONE = StepState.pending, StepState.running, StepState.done


class Board:
    """The store's marks."""

    def __init__(self) -> None:
        self.marked: list[int] = []
        self.session = SimpleNamespace(
            steps=StepAnswer(), sharing=SimpleNamespace(shared=False), job="shop#1"
        )

    def mark(self, row: int, phase: Phase) -> None:
        self.marked.append(row)

    def unmark(self, row: int) -> None:
        self.marked.remove(row)


@dataclass
class StubCommitter:
    entries: int = 0
    sent_soon: int = 0
    idle: bool = True
    full: bool = False
    sealed: bool = False

    def begin_entry(self) -> None:
        self.entries += 1

    def send_soon(self) -> None:
        self.sent_soon += 1


@dataclass
class StubDispatcher:
    dispatched: dict[Any, Any] = field(default_factory=dict)
    alone: Any = None
    waits: bool = True

    def only_waits(self) -> bool:
        return self.waits


class Hold:
    count = 0

    def enter(self) -> None:
        self.count += 1

    def leave(self) -> None:
        self.count -= 1


class Calls:
    """Runs coroutines as Twisted does."""

    def run(self, coroutine: Any, ended: Callable[[Any, Any], None]) -> Callable[[], object]:
        deferred = Deferred.fromCoroutine(coroutine)
        deferred.addCallbacks(lambda value: ended(value, None), lambda f: ended(None, f.value))
        return deferred.cancel


class Threads:
    """Calls that have not been made yet."""

    def __init__(self) -> None:
        self.waiting: list[tuple[Callable[[], Any], Callable[[Any, Any], None]]] = []

    def run(self, call: Callable[[], Any], ended: Callable[[Any, Any], None]) -> None:
        self.waiting.append((call, ended))

    def work(self) -> None:
        """Make the first call."""
        call, ended = self.waiting.pop(0)
        try:
            result = call()
        except Exception as error:
            ended(None, error)
        else:
            ended(result, None)


def plan_of(*steps: Any) -> StepPlan:
    return load_plan({one: place for place, one in enumerate(steps)}, get_crawler())


def coroutine_step(give: Any = None, **options: Any) -> Any:
    """A step that returns, or raises, ``give``; a Deferred is waited for."""

    async def run(item: Any) -> Any:
        result = await give if isinstance(give, Deferred) else give
        if isinstance(result, Exception):
            raise result
        return result

    return step(**options)(run)


class Work:
    """A runner, and what it works with."""

    def __init__(self, plan: StepPlan, *, places: int = 8, item_key: Any = None) -> None:
        self.job = Board()
        self.committer = StubCommitter()
        self.dispatcher = StubDispatcher()
        self.engine = StubEngine()
        self.clock = ManualClock()
        self.hold = Hold()
        self.threads = Threads()
        self.stats = MemoryStatsCollector(get_crawler())
        self.items = HeldItems(plan, CODEC, item_key)
        self.runner = StepRunner(
            plan,
            StepLimits(places=places, retry_delay_seconds=1.0, retry_delay_max_seconds=600.0),
            self.items,
            StepLog(self.stats, self.clock),
            StepPorts(
                job=cast(Any, self.job),
                committer=cast(Any, self.committer),
                dispatcher=cast(Any, self.dispatcher),
                guard=cast(Any, SimpleNamespace(may_send=lambda: True)),
                engine=self.engine,
                clock=self.clock,
                hold=self.hold,
                calls=Calls(),
                threads=self.threads,
                takes={"fetch": None, "blocking_fetch": None, "crawler": None, "spider": None},
            ),
        )

    def send(self, **answer: Any) -> StepReport:
        """Send a batch and answer it; what the batch says of steps."""
        batch = Batch(next_id=1)
        self.runner.complete(batch)
        self.runner.answered(batch, cast(Committed, SimpleNamespace(steps=StepAnswer(**answer))))
        return batch.steps

    def lease(self, *leased: LeasedStep, **answer: Any) -> StepReport:
        return self.send(leased=list(leased), **answer)


def leased(
    name: str,
    item: int = 1,
    content: Any = None,
    states: dict[str, StepState] | None = None,
    **more: Any,
) -> LeasedStep:
    given: dict[str, Any] = {
        "version": 1,
        "mark": -item * 64 - len(name),
        "attempts": 0,
        "crashes": 0,
        "key": f"key {item}",
        "url": "http://shop.example/",
        **more,
    }
    payload = CODEC.encode_item({"n": item} if content is None else content)
    known = {**(states or {}), name: RUNNING}
    return LeasedStep(item=item, name=name, payload=payload, states=known, **given)


def counts(**steps: int) -> dict[str, StepCounts]:
    return {name: StepCounts(pending=count) for name, count in steps.items()}


def earlier(content: Any, gave: Sequence[str], inputs: str, version: str = "") -> EarlierResult:
    return EarlierResult(version, inputs, tuple(gave), CODEC.encode_item(content))
