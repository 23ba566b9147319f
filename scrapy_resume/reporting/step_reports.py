"""Read-only questions about the steps of items."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Final

from scrapy_resume.reporting.step_documents import step_documents, step_selection

if TYPE_CHECKING:
    from scrapy_resume.model import JobKey, StepCounts
    from scrapy_resume.store.contract import Reader

STEPS_COUNTED_AT_MOST: Final = 100_000
"""How many failed steps of a name are grouped by error: those of the items that were found last."""

KEYS_COMPARED: Final = 10_000
"""How many keys of items are looked at for those that are like an unknown one."""


class StepReports:
    """The questions to a store that are about steps; see ``Reports``."""

    _reader: Reader

    def find(self, job: str | JobKey | None = None) -> JobKey:
        """The key of the job that is meant."""
        raise NotImplementedError

    def steps(self, job: str | JobKey | None = None, examples: int = 3) -> list[dict[str, Any]]:
        """The steps of a job's items, as ``scrapy resume steps --json`` prints them.

        For each step, in the order in which the job got them: how many are in each state,
        ``success_rate`` (done / (done + failed + parked), ``None`` before the first), and its
        ``errors`` by class, the most frequent first, with at most so many ``examples``. The counts
        are counters. Raises ``JobNotFoundError`` and ``StoreError``.
        """
        with self._reader.together():
            key = self.find(job)
            counts = self._reader.step_counts(key)
            troubled = any(count.failed or count.parked for count in counts.values())
            failures = self.step_failures(key, examples) if troubled else []
        return step_documents(counts, failures)

    def step_failures(
        self, job: str | JobKey | None = None, examples: int = 3
    ) -> list[dict[str, Any]]:
        """The failed and parked steps by name and error, the most frequent first.

        Of each step those of the ``STEPS_COUNTED_AT_MOST`` items that were found last. Keys:
        ``step``, ``error``, ``count``, ``parked``, ``error_message``, ``first_at``, ``last_at``,
        and ``examples``, the ``key`` and ``url`` of items.
        """
        return self._reader.step_failures(self.find(job), examples, STEPS_COUNTED_AT_MOST)

    def step_days(self, job: str | JobKey | None = None) -> list[dict[str, Any]]:
        """Attempts by day (UTC) and step, in order: ``day``, ``step``, ``attempts``, ``retries``
        (those that were not the first), ``done``, ``failed`` and ``skipped`` (how they ended),
        ``success_rate``."""
        return self._reader.step_days(self.find(job))

    def count_steps(self, job: str | JobKey | None = None, **filters: Any) -> int:
        """How many steps match the ``filters`` of ``step_selection``, whatever its ``limit``."""
        return self._reader.count_steps(self.find(job), step_selection(**filters))

    def hidden_items(self, job: str | JobKey | None = None) -> int:
        """How many items are not visible yet, since a step of theirs has not ended."""
        return self._reader.hidden_items(self.find(job))

    def step_counts(self, job: str | JobKey | None = None) -> dict[str, StepCounts]:
        """The steps by name and state, from counters."""
        return self._reader.step_counts(self.find(job))

    def step_names(self, job: str | JobKey | None = None) -> list[str]:
        """The names of the steps that the job has had."""
        return list(self._reader.step_counts(self.find(job)))

    def unknown_step(self, job: str | JobKey | None, name: str) -> list[str] | None:
        """``None`` if the job has a step of that name; otherwise the names of its steps, the one
        that is most like it first."""
        names = self.step_names(job)
        if name in names:
            return None
        near = get_close_matches(name, names, n=1)
        return [*near, *(one for one in names if one not in near)]

    def unknown_item_keys(
        self, job: str | JobKey | None, keys: Iterable[str]
    ) -> dict[str, str | None]:
        """Those of these keys that no item with steps has → a key that is like it, or ``None``.

        Only the last ``KEYS_COMPARED`` items are looked at for keys that are alike."""
        key, wanted = self.find(job), list(dict.fromkeys(keys))
        known = self._reader.known_item_keys(key, wanted)
        unknown = [one for one in wanted if one not in known]
        if not unknown:
            return {}
        others = self._reader.item_keys(key, KEYS_COMPARED)
        return {
            one: next(iter(get_close_matches(one, others, n=1, cutoff=0.8)), None)
            if place < _COMPARED
            else None
            for place, one in enumerate(unknown)
        }


_COMPARED: Final = 5
"""Unknown keys for which others that are alike are searched."""
