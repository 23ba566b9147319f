"""A run's figures that no counter of the store has: a spider's own stats under ``custom/``, its
``resume_total`` (the expected pages), and how long hosts take to answer."""

from __future__ import annotations

import json
import logging
import math
import time
from typing import TYPE_CHECKING, Any, Final

from scrapy_resume.errors import ConfigurationError
from scrapy_resume.ports.clock import leaves_event_loop
from scrapy_resume.reporting.documents import CUSTOM
from scrapy_resume.reporting.latencies import KEPT, Counts, Latencies

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from scrapy import Spider
    from scrapy.statscollectors import StatsCollector

    from scrapy_resume.store.contract import Batch

logger = logging.getLogger("scrapy_resume")

TOTAL: Final = "resume_total"

ASKED_SECONDS: Final = 1.0
"""``resume_total``, if it is a function, is called no more often."""

LATENCY_SECONDS: Final = 10.0
"""Latencies are stored no more often."""


class CustomStats:
    """Adds the figures that changed since the last batch to the next one."""

    def __init__(
        self,
        stats: StatsCollector,
        spider: Spider,
        expected: float | None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``expected``: the total that is stored with the job. ``clock``: in seconds."""
        self._stats = stats
        self._spider = spider
        self._custom: dict[str, Any] = {}
        self.expected_total = expected
        """Pages of the whole job; ``None``: the spider does not say."""
        self._clock = clock
        self._asked_at = -math.inf
        self._complained = False
        self.latencies = Latencies()
        self._latencies: Counts = {}
        self._latencies_at = -math.inf

    def complete(self, batch: Batch, job: Callable[[], Mapping[str, Any]]) -> None:
        """Add to a batch what has changed. ``job`` returns the argument for ``resume_total``."""
        now = self._clock()
        batch.progress.custom = self._changed(now)
        if now - self._asked_at < ASKED_SECONDS:
            return
        self._asked_at = now
        expected = self._total(job)
        if expected is not None and expected != self.expected_total:
            batch.progress.expected_total = self.expected_total = expected

    def changed_custom(self) -> str | None:
        """The custom stats as JSON, with the latencies as they are now; ``None`` if nothing of that
        has changed."""
        self._latencies_at = -math.inf
        return self._changed(self._clock())

    def _changed(self, now: float) -> str | None:
        if now - self._latencies_at >= LATENCY_SECONDS:
            self._latencies, self._latencies_at = self.latencies.counts(), now
        custom: dict[str, Any] = {
            name: value
            for name, value in self._stats.get_stats().items()
            if name.startswith(CUSTOM)
        }
        if self._latencies:
            custom[KEPT] = self._latencies
        if custom == self._custom:
            return None
        self._custom = custom
        return json.dumps(custom, default=str)

    def _total(self, job: Callable[[], Mapping[str, Any]]) -> float | None:
        """A ``resume_total`` that raises or returns no number is logged once, and ignored."""
        total = getattr(self._spider, TOTAL, None)
        try:
            return _checked(total(job()) if callable(total) else total, self._spider)
        except BaseException as error:
            if leaves_event_loop(error):
                raise
            if not self._complained:
                self._complained = True
                logger.exception(
                    "%s.%s failed; the expected total stays as it was", self._spider.name, TOTAL
                )
            return None


def check_total(spider: Spider) -> None:
    """Raises ``ConfigurationError`` if ``resume_total`` is neither a number of pages nor a
    function."""
    total = getattr(spider, TOTAL, None)
    if not callable(total):
        _checked(total, spider)


def _checked(total: Any, spider: Spider) -> float | None:
    if total is None:
        return None
    is_number = isinstance(total, (int, float)) and not isinstance(total, bool)
    if is_number and math.isfinite(total) and total >= 0:
        return float(total)
    raise ConfigurationError(
        f"resume_total of spider {spider.name!r} is {total!r}; it must be a number of pages "
        "(0 or more), a function that takes the job and returns one, or None"
    )
