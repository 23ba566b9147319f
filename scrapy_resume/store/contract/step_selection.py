"""Which steps of items people mean, and what came of a command about them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from scrapy_resume.model import StepState


# One field for each filter: always built by keyword.
@dataclass(frozen=True)
class StepSelection:
    """Selects the steps of a job that match all of these conditions; see ``model.Selection``."""

    name: str | None = None
    """Of the step; ``None``: any. Commands that change steps need it."""
    states: tuple[StepState, ...] = ()
    """Either of them; empty: any. What is ``waiting`` is not ``pending`` here."""
    keys: tuple[str, ...] | None = None
    """Of items with one of these keys; ``None``: any."""
    missing: tuple[str, ...] = ()
    """The visible item lacks one of these fields, or has it empty."""
    version: str | None = None
    """It was not done by this version of its code, and was not skipped for want of a field;
    ``None``: no matter."""
    is_consumed: bool = False
    """A field that the step needs is consumed: items that do not have it any more are left alone
    by a retry."""
    after: tuple[str, ...] = ()
    """The steps that it is after: a retried one waits for those of them that are open."""
    limit: int | None = None
    """At most so many steps (or items, where items are asked for); ``None``: all."""


class SteeredSteps(NamedTuple):
    """What a command has done to steps."""

    steps: int
    """How many were changed, or would be."""
    consumed: int = 0
    """How many were left alone, since what they need was consumed."""
