"""The read side of the steps of items."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any, Protocol

from scrapy_resume.model import JobKey, Selection, StepCounts
from scrapy_resume.store.contract.step_selection import StepSelection


class StepReader(Protocol):
    """Read-only questions about the steps of items. A job of an older version has none."""

    def step_counts(self, key: JobKey) -> dict[str, StepCounts]:
        """The steps by name and state, in the order in which the job got them; from counters."""

    def step_failures(self, key: JobKey, examples: int, bound: int) -> list[dict[str, Any]]:
        """The failed and parked steps by name and error class, the most frequent first; of very
        many of a name, those of the ``bound`` items that were found last.

        Keys: ``step``, ``error``, ``count``, ``parked`` (a part of it), ``error_message`` (of one),
        ``first_at`` and ``last_at`` (ISO 8601), ``examples`` (``key`` and ``url`` of items).
        """

    def step_days(self, key: JobKey) -> list[dict[str, Any]]:
        """Attempts by day and step, in order: ``day``, ``step``, ``attempts``, ``retries``,
        ``done``, ``failed``, ``skipped``, ``success_rate``."""

    def stepped_items(
        self, key: JobKey, steps: StepSelection, selection: Selection = ...
    ) -> Iterator[dict[str, Any]]:
        """The items that have one of the selected steps, visible or not, in the order in which
        they were found: as ``Reader.item_records`` gives them. ``selection`` is of their requests;
        ``steps.limit`` is of the items."""

    def count_steps(self, key: JobKey, steps: StepSelection) -> int:
        """How many steps are selected; ``limit`` does not count. Reads what is asked about."""

    def hidden_items(self, key: JobKey) -> int:
        """How many items are not visible yet, since a step of theirs has not ended. Reads all items
        with steps."""

    def known_item_keys(self, key: JobKey, keys: Collection[str]) -> set[str]:
        """Those of these keys that items with steps have."""

    def item_keys(self, key: JobKey, count: int) -> list[str]:
        """The keys of the last ``count`` items with steps."""
