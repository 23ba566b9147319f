"""Runs attempts of steps: coroutines in the event loop, plain functions in threads, with timeouts.

An attempt that does not end when its time is up counts as failed. A coroutine is cancelled; a
function in a thread cannot be. Either keeps its place until it really ends, so that calls that hang
cannot pile up.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Protocol

from twisted.internet.defer import CancelledError as DeferredCancelledError

from scrapy_resume.steps.deadlines import Deadlines
from scrapy_resume.steps.outcomes import Outcome, failure, outcome_of, outcome_of_error

if TYPE_CHECKING:
    from scrapy_resume.ports.clock import Clock
    from scrapy_resume.steps.definition import StepDefinition
    from scrapy_resume.store.contract import LeasedStep

GRACE_SECONDS: Final = 1.0
"""How long a cancelled coroutine may take to end before its attempt is recorded all the same."""

_CANCELLED: Final = (asyncio.CancelledError, DeferredCancelledError)

Ended = Callable[[Any, "BaseException | None"], None]


class Calls(Protocol):
    """Runs coroutines in the event loop."""

    def run(self, coroutine: Coroutine[Any, Any, Any], ended: Ended) -> Callable[[], object]:
        """Run a coroutine; ``ended`` gets what it returned or raised. Returns what cancels it."""


class Threads(Protocol):
    """Runs functions in threads."""

    def run(self, call: Callable[[], Any], ended: Ended) -> None:
        """Call a function in a thread; ``ended`` gets, in the event loop, what it returned or
        raised."""


class Attempt:
    """One attempt of a step that this run has leased."""

    __slots__ = ("cancel", "inputs", "is_cancelled", "is_over", "is_recorded", "leased", "step")

    def __init__(self, step: StepDefinition, leased: LeasedStep) -> None:
        self.step = step
        self.leased = leased
        self.inputs = ""
        """A digest of the fields that the step needs."""
        self.cancel: Callable[[], object] | None = None
        """``None``: it runs in a thread, or has not begun."""
        self.is_cancelled = False
        self.is_recorded = False
        """Its outcome is known."""
        self.is_over = False
        """Its code has ended."""


class Attempts:
    """Runs attempts, and says what each comes to."""

    def __init__(
        self,
        calls: Calls,
        threads: Threads,
        takes: Mapping[str, Any],
        clock: Clock,
        ended: Callable[[Attempt, Outcome], None],
        left: Callable[[Attempt], None],
    ) -> None:
        """``takes``: what steps take beside the item, by name; ``blocking_fetch`` is ``fetch`` in
        threads. ``ended`` is called when the outcome of an attempt is known, ``left`` when its
        place is free."""
        self._calls = calls
        self._threads = threads
        self._takes = takes
        self._clock = clock
        self._ended = ended
        self._left = left
        self._deadlines: Deadlines[Attempt] = Deadlines(clock, self._late)

    def start(self, attempt: Attempt, item: Any) -> None:
        """Run an attempt with its copy of the item. It may have ended when this returns."""
        step = attempt.step
        given = {name: self._given(name, step, item) for name in step.takes}
        returned = partial(self._returned, attempt)
        try:
            if step.is_coroutine:
                called = step.call(**given)
                coroutine = _exits_alone(called) if asyncio.iscoroutine(called) else called
                attempt.cancel = self._calls.run(coroutine, returned)
            else:
                self._threads.run(partial(step.call, **given), returned)
        except Exception as error:  # of a decorator of the function, or no thread can be started
            returned(None, error)
        if not attempt.is_over:
            self._deadlines.add(attempt, step.timeout_seconds)

    def _given(self, name: str, step: StepDefinition, item: Any) -> Any:
        if name == "item":
            return item
        if name == "fetch" and not step.is_coroutine:
            return self._takes["blocking_fetch"]
        return self._takes[name]

    def _returned(self, attempt: Attempt, result: Any, error: BaseException | None) -> None:
        if isinstance(error, _CANCELLED) and not attempt.is_cancelled:
            # Either its own code has cancelled something, or the event loop is being torn down by
            # force, and then this is never called back.
            self._clock.call_later(0, self._over, attempt, outcome_of_error(error))
            return
        if isinstance(result, _Exit):
            self._over(attempt, outcome_of_error(result.error))
        elif error is None:
            self._over(attempt, outcome_of(result))
        elif step_leaves_loop(attempt, error):
            attempt.is_over = True
        else:
            self._over(attempt, outcome_of_error(error))

    def _over(self, attempt: Attempt, outcome: Outcome) -> None:
        attempt.is_over = True
        self._deadlines.remove(attempt)
        if not attempt.is_recorded:
            attempt.is_recorded = True
            self._ended(attempt, _timeout(attempt) if attempt.is_cancelled else outcome)
        self._left(attempt)

    def _late(self, attempt: Attempt) -> None:
        if attempt.cancel is not None and not attempt.is_cancelled:
            attempt.is_cancelled = True
            self._deadlines.add(attempt, GRACE_SECONDS)
            attempt.cancel()
        elif not attempt.is_recorded:
            attempt.is_recorded = True
            self._ended(attempt, _timeout(attempt))

    def end(self) -> None:
        """No attempt ends by its timeout any more."""
        self._deadlines.end()


def step_leaves_loop(attempt: Attempt, error: BaseException) -> bool:
    """Whether the error of a coroutine ends the process, and so is no outcome."""
    return attempt.step.is_coroutine and isinstance(error, KeyboardInterrupt)


class _Exit:
    """A coroutine has raised ``SystemExit``."""

    def __init__(self, error: SystemExit) -> None:
        self.error = error


async def _exits_alone(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Keep the event loop from being ended by ``sys.exit()`` in a step: it is an error of the
    attempt, as it is in a thread. ``KeyboardInterrupt`` is a person's, and passes."""
    try:
        return await coroutine
    except SystemExit as error:
        return _Exit(error)


def _timeout(attempt: Attempt) -> Outcome:
    seconds = attempt.step.timeout_seconds
    return failure("TimeoutError", f"did not end within its timeout of {seconds:g} s")
