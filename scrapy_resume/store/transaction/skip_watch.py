"""Notices, in a run's commits, that what is skipped for good has changed."""

from __future__ import annotations

from collections.abc import Callable

from scrapy_resume.store.contract import Batch, Committed
from scrapy_resume.store.transaction.selection import SKIPPED
from scrapy_resume.store.transaction.skips import Rules, SkipTables


class SkipWatch:
    """The rules of the job as of the last commit, and how many requests are skipped.

    Another process may have changed them since: the job's row counts the changes. Then what this
    run has admitted by the old ones is looked at again.
    """

    def __init__(self) -> None:
        self._version = 0
        self._rules: Rules | None = None
        self._count = 0
        self._seen: tuple[int, Rules | None] | None = None
        self.leased: set[int] = set()
        """Rows that this run has leased and that are skipped, if the rules have changed."""

    def begin(
        self, version: int, tables: SkipTables, sweep: Callable[[], set[int]]
    ) -> Rules | None:
        """A commit begins. ``sweep`` skips what is pending; it returns the leased rows that are
        skipped as well. It is called if the rules have changed."""
        self.leased = set()
        self._seen = None
        if version == self._version:
            return self._rules
        self.leased = sweep()
        rules, has_keys = tables.rules(), tables.has_keys()
        compiled = Rules(rules, has_keys=has_keys) if rules or has_keys else None
        self._seen = version, compiled
        return compiled

    def end(self, batch: Batch, committed: Committed, tables: SkipTables) -> None:
        """The batch was applied."""
        ended = any(finish.error == SKIPPED for finish in batch.finishes)
        if self._seen is not None or committed.skipped_for_good or ended:
            self._count = tables.count()
        committed.leased_skipped = self.leased
        committed.skipped_count = self._count

    def committed(self) -> None:
        """The transaction was committed."""
        if self._seen is not None:
            self._version, self._rules = self._seen
