"""The steps of a run whose items have none: a stage's, whose code does all that there is to do."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from scrapy_resume.model import StepCounts
    from scrapy_resume.store.contract import Batch, Committed


class NoSteps:
    """Implements ``tracking.tracker.OpenSteps`` and ``run.batch_sync.BatchSteps``."""

    has_pending: Final = False
    keeps_pages_waiting: Final = False
    only_waits: Final = True
    waiting_count: Final = 0
    next_due: Final = 0.0
    holds_any: Final = False
    counts: Mapping[str, StepCounts] = MappingProxyType({})
    wanting: Final = ()

    def freeze(self) -> None:
        """Nothing runs."""

    def complete(self, batch: Batch) -> None:
        """Nothing has ended, and nothing is wanted."""

    def answered(self, batch: Batch, answer: Committed) -> None:
        """Nothing was leased."""
