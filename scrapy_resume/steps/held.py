"""Steps that this run does not run, because the code that they need is not there."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Collection, Mapping
from difflib import get_close_matches
from typing import TYPE_CHECKING, Final

from scrapy_resume.wording import counted_are

if TYPE_CHECKING:
    from scrapy_resume.errors import CallbackMissingError
    from scrapy_resume.store.contract import LeasedStep

logger = logging.getLogger("scrapy_resume")

STEP_MISSING: Final = "step_missing"
"""The close reason of a run that has nothing left but steps that RESUME_STEPS does not have."""


class HeldSteps:
    """Steps whose items this run cannot restore. They stay leased to it, and are pending when it
    ends."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._errors: dict[str, tuple[CallbackMissingError, int]] = {}

    def __getitem__(self, name: str) -> int:
        """How many of one name are held."""
        return self._counts[name]

    def __len__(self) -> int:
        return self._counts.total()

    def add(self, leased: LeasedStep, error: CallbackMissingError | None = None) -> None:
        """Hold a step. ``error``: what its item names and the code lacks; ``None``: it is the step
        itself that is missing. The first one of each name is logged."""
        self._counts[leased.name] += 1
        if error is None:
            return
        known = self._errors.get(error.name)
        if known is None:
            logger.warning("A step of item %s of %s is held: %s", leased.key, leased.url, error)
        self._errors[error.name] = (error.with_traceback(None), (known[1] if known else 0) + 1)

    @property
    def by_missing_code(self) -> bool:
        """Whether items of held steps name code that is missing."""
        return bool(self._errors)

    def error(self, missing: Mapping[str, int]) -> tuple[str, str] | None:
        """Class and message of what keeps the job from being completed; ``None``: nothing.
        ``missing``: steps that RESUME_STEPS does not have → open ones of them."""
        if missing:
            names = ", ".join(f"{name} ({count})" for name, count in missing.items())
            return "StepMissingError", f"steps that RESUME_STEPS does not have are open: {names}"
        if self._errors:
            names = ", ".join(f"{name} ({count})" for name, (_, count) in self._errors.items())
            return "CallbackMissingError", f"steps held, by what the code lacks: {names}"
        return None

    def log(self, missing: Mapping[str, int], known: Collection[str]) -> None:
        """Log an error for each name that is missing: how many steps want it, what is near it, and
        what to do. ``known``: the names of the steps that RESUME_STEPS has."""
        for name, count in missing.items():
            near = get_close_matches(name, known, n=3)
            like = f" (near it: {', '.join(map(repr, near))})" if near else ""
            logger.error(
                "%s open of which RESUME_STEPS has none: %r%s. Put it back, or give up what is "
                'open of it: RESUME_STEPS = {"path.of.%s": None}',
                counted_are(count, "step"),
                name,
                like,
                name,
            )
        for error, count in self._errors.values():
            logger.error("%s held, and pending: %s", counted_are(count, "step"), error)
