"""What a step raises to say how its attempt ends, and what an attempt comes to."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final, NamedTuple, TypeGuard

from scrapy_resume.errors import message_of
from scrapy_resume.model import StepState

LONGEST_MESSAGE: Final = 2_000
"""Characters of an error message that are kept."""


LONGEST_AFTER_SECONDS: Final = 10 * 365 * 86_400.0
"""Ten years: later moments are of no use, and few programs can show them."""


class StepEnd(Exception):
    """The base of the exceptions by which a step ends its attempt on purpose."""


class SkipStep(StepEnd):
    """The item does not need the step: it is ``skipped``, with the reason."""


class FailStep(StepEnd):
    """The step is ``failed`` at once, with the reason: another attempt would be no better."""


class RetryStep(StepEnd):
    """The step is to be tried again. The attempt does not count."""

    def __init__(self, after: float | None = None, reason: str = "") -> None:
        """``after``: seconds until then; ``None``: the step's ``retry_delay``."""
        super().__init__(reason or "tried again later, as the step has asked for")
        self.after = after


class StepIncomplete(Exception):
    """A failed attempt that has a part of the result: these fields are kept with the item."""

    def __init__(self, reason: str, fields: Mapping[str, Any]) -> None:
        super().__init__(reason)
        self.fields = fields


class Outcome(NamedTuple):
    """What an attempt has come to."""

    state: StepState
    """``done``, ``failed``, ``skipped``, or ``pending``: it is tried again."""
    counts: bool = True
    """It counts as an attempt."""
    fields: Mapping[str, Any] | None = None
    """What is merged into the item; ``None``: nothing."""
    error: str | None = None
    message: str | None = None
    after: float | None = None
    """If it is tried again: the seconds until then; ``None``: as the number of attempts says."""
    may_retry: bool = True
    """If it has failed: another attempt may succeed."""


def outcome_of(returned: object) -> Outcome:
    """What it means that a step has returned this."""
    if returned is None:
        return Outcome(StepState.done)
    if _are_fields(returned):
        return Outcome(StepState.done, fields=returned)
    if isinstance(returned, Mapping):
        return failure("TypeError", "a step returns a dict whose keys are names of fields")
    kind = type(returned).__name__
    hint = "; declare the step with `async def`" if hasattr(returned, "__await__") else ""
    return failure("TypeError", f"a step returns a dict of fields or None, not a {kind}{hint}")


def outcome_of_error(error: BaseException) -> Outcome:
    """What it means that a step has raised this."""
    name, message = type(error).__name__, message_of(error)[:LONGEST_MESSAGE]
    if isinstance(error, SkipStep):
        return Outcome(StepState.skipped, error=name, message=message)
    if isinstance(error, FailStep):
        return Outcome(StepState.failed, error=name, message=message, may_retry=False)
    if isinstance(error, RetryStep):
        after = error.after
        if after is not None and not _is_number(after):
            return failure("TypeError", f"{name}(after=…) takes seconds, but was given {after!r}")
        if after is not None:
            after = min(after, LONGEST_AFTER_SECONDS)
        return Outcome(StepState.pending, counts=False, error=name, message=message, after=after)
    if isinstance(error, StepIncomplete) and _are_fields(error.fields):
        return failure(name, message)._replace(fields=error.fields)
    return failure(name, message)


def _are_fields(given: object) -> TypeGuard[Mapping[str, Any]]:
    return isinstance(given, Mapping) and all(isinstance(name, str) for name in given)


def _is_number(given: object) -> bool:
    if isinstance(given, bool) or not isinstance(given, (int, float)):
        return False
    return math.isfinite(given)


def failure(error: str, message: str) -> Outcome:
    """An attempt that has failed."""
    return Outcome(StepState.failed, error=error, message=message)
