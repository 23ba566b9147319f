"""Calls that go on past their timeout: each keeps its place, until none is left.

A thread cannot be stopped. A run whose places are all held by such calls begins no step any more;
it says so, and ends when nothing else is left to do, since only the end of the process ends them.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from scrapy_resume.wording import counted

if TYPE_CHECKING:
    from scrapy_resume.ports.clock import Clock
    from scrapy_resume.steps.attempts import Attempt
    from scrapy_resume.steps.definition import StepDefinition

logger = logging.getLogger("scrapy_resume")

STEPS_HANG: Final = "steps_hang"
"""The close reason of a run that has nothing left but steps for which there is no place."""

PATIENCE_SECONDS: Final = 60.0
"""How long a call may go on after its timeout, at least, before it is taken for one that never
ends; longer timeouts count as they are."""


class HungCalls:
    """The attempts whose outcome is known, by their timeout, and whose code has not ended."""

    def __init__(self, places: int, clock: Clock) -> None:
        self._places = places
        self._clock = clock
        self._given_up_at: dict[Attempt, float] = {}
        self._is_logged = False

    def add(self, attempt: Attempt) -> None:
        """The time of an attempt is up, and its code has not ended."""
        patience = max(PATIENCE_SECONDS, attempt.step.timeout_seconds)
        self._given_up_at[attempt] = self._clock.monotonic() + patience
        if len(self._given_up_at) >= self._places and not self._is_logged:
            self._is_logged = True
            logger.error("%s. %s", self._what(), _REMEDY)

    def remove(self, attempt: Attempt) -> None:
        """The code of an attempt has ended."""
        if self._given_up_at.pop(attempt, None) is not None:
            self._is_logged = False

    def keep_out(self, wanted: Iterable[StepDefinition], free_places: int) -> bool:
        """Whether no step will begin any more, of those that could: hung calls have all places, or
        as many of each as may run at a time."""
        if not self._given_up_at or self._clock.monotonic() < max(self._given_up_at.values()):
            return False
        if free_places <= 0:
            return True
        steps = list(wanted)
        hung = Counter(attempt.step.name for attempt in self._given_up_at)
        return bool(steps) and all(
            step.concurrency is not None and hung[step.name] >= step.concurrency for step in steps
        )

    @property
    def error(self) -> tuple[str, str]:
        """Class and message of what keeps the job from being completed."""
        return "StepsHangError", self._what()

    def _what(self) -> str:
        names = Counter(attempt.step.name for attempt in self._given_up_at)
        which = ", ".join(f"{name} ({count})" for name, count in names.items())
        calls = counted(len(self._given_up_at), "call")
        return f"no step can begin: {calls} of steps go on past their timeout: {which}"

    def log(self) -> None:
        """Log an error that says why the run ends, and what to do."""
        logger.error("This run ends, since %s. %s", self._what(), _REMEDY)


_REMEDY: Final = (
    "Have them end by themselves: give what they wait for (a request, a connection, a lock) a "
    "timeout of its own"
)
