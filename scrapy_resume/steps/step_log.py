"""What the log and the stats say of steps."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Final

from scrapy_resume.model import OPEN_STEPS, StepState
from scrapy_resume.wording import counted

if TYPE_CHECKING:
    from scrapy.statscollectors import StatsCollector

    from scrapy_resume.ports.clock import Clock
    from scrapy_resume.steps.attempts import Attempt
    from scrapy_resume.steps.items import HeldItem
    from scrapy_resume.steps.outcomes import Outcome
    from scrapy_resume.store.contract import ItemChange

logger = logging.getLogger("scrapy_resume")

LOGGED: Final = 5
"""Failures of one step with one error that are logged each; of further ones, one a minute."""

PAUSE_SECONDS: Final = 60.0


class StepLog:
    """Warns of steps that fail, one line each, and counts."""

    def __init__(self, stats: StatsCollector, clock: Clock) -> None:
        self._stats = stats
        self._clock = clock
        self._attempts: Counter[str] = Counter()
        """Since the last commit."""
        self._seen: Counter[tuple[str, str]] = Counter()
        self._silent: Counter[tuple[str, str]] = Counter()
        self._logged_at: dict[tuple[str, str], float] = {}

    def ended(self, item: HeldItem, attempt: Attempt, outcome: Outcome, state: StepState) -> None:
        """An attempt has ended, and its step is ``state``."""
        if outcome.counts:
            self._attempts[attempt.step.name] += 1
        if outcome.state is StepState.failed:
            self._warn(item, attempt, outcome, state)

    def committed(self, changes: Sequence[ItemChange], refused: Collection[int]) -> None:
        """Changes were committed, but for those of items that the store has refused."""
        ended: Counter[tuple[str, StepState]] = Counter()
        for change in changes:
            if change.item not in refused:
                ended.update((attempt.name, attempt.state) for attempt in change.attempts)
                ended.update((other.name, other.state) for other in change.others)
        for (name, state), count in ended.items():
            if state not in OPEN_STEPS:
                self._stats.inc_value(f"resume/steps/{name}/{state.name}", count)
        for name, count in self._attempts.items():
            self._stats.inc_value(f"resume/steps/{name}/attempts", count)
        self._attempts.clear()

    def _warn(self, item: HeldItem, attempt: Attempt, outcome: Outcome, state: StepState) -> None:
        kind = (attempt.step.name, outcome.error or "")
        now = self._clock.monotonic()
        self._seen[kind] += 1
        if self._seen[kind] > LOGGED and now - self._logged_at[kind] < PAUSE_SECONDS:
            self._silent[kind] += 1
            return
        self._logged_at[kind] = now
        silent = self._silent.pop(kind, 0)
        what = "has failed" if state is StepState.failed else "is tried again"
        more = f" ({counted(silent, 'more such failure')} since the last line)" if silent else ""
        logger.warning(
            "Step %s of item %s (%s) %s, attempt %d of %d: %s: %s%s",
            attempt.step.name,
            item.key,
            item.url or "start()",
            what,
            attempt.leased.attempts + outcome.counts,
            attempt.step.max_attempts,
            outcome.error,
            outcome.message,
            more,
        )
