"""What a run offers its steps. In a crawl: Scrapy's event loop and engine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

from msgspec import Struct

if TYPE_CHECKING:
    from scrapy_resume.commits.committer import Committer
    from scrapy_resume.dispatch.dispatcher import Dispatcher
    from scrapy_resume.dispatch.lease_guard import LeaseGuard
    from scrapy_resume.ports.clock import Clock
    from scrapy_resume.ports.engine import Engine
    from scrapy_resume.steps.attempts import Calls, Threads
    from scrapy_resume.store.contract import JobStore


class Hold(Protocol):
    """Keeps the engine open."""

    def enter(self) -> None:
        """A step begins."""

    def leave(self) -> None:
        """A step has ended, or is given up."""


class StepPorts(Struct, frozen=True, kw_only=True):
    """The parts of a run that its steps use."""

    job: JobStore
    committer: Committer
    dispatcher: Dispatcher
    guard: LeaseGuard
    engine: Engine
    clock: Clock
    hold: Hold
    calls: Calls
    threads: Threads
    takes: Mapping[str, Any]
    """What steps take beside the item, by name."""


class StepLimits(Struct, frozen=True, kw_only=True):
    """The settings of a crawl that concern all steps."""

    places: int
    """RESUME_STEP_CONCURRENCY."""
    retry_delay_seconds: float
    retry_delay_max_seconds: float
