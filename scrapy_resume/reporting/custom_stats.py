"""What a spider counts and expects by itself: stats under ``custom/``, ``resume_total``."""

from __future__ import annotations

import json
import logging
import math
import time
from typing import TYPE_CHECKING, Any, Final

from scrapy_resume.errors import ConfigurationError
from scrapy_resume.reporting.documents import CUSTOM

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from scrapy import Spider
    from scrapy.statscollectors import StatsCollector

    from scrapy_resume.store.contract import Batch

logger = logging.getLogger("scrapy_resume")

TOTAL: Final = "resume_total"

ASKED_SECONDS: Final = 1.0
"""A function of the spider is asked for the total no more often."""


class CustomStats:
    """Notices what has changed since it was last written."""

    def __init__(self, stats: StatsCollector, spider: Spider, expected: float | None) -> None:
        """``expected``: as the job has it."""
        self._stats = stats
        self._spider = spider
        self._custom: dict[str, Any] = {}
        self.expected_total = expected
        """Pages of the whole job; ``None``: nobody says."""
        self._asked_at = 0.0
        self._complained = False

    def complete(self, batch: Batch, job: Callable[[], Mapping[str, Any]]) -> None:
        """Add to a batch what has changed. ``job`` gives what a function of the spider is given."""
        batch.progress.custom = self.changed_custom()
        now = time.monotonic()
        if now - self._asked_at < ASKED_SECONDS:
            return
        self._asked_at = now
        expected = self._total(job)
        if expected is not None and expected != self.expected_total:
            batch.progress.expected_total = self.expected_total = expected

    def changed_custom(self) -> str | None:
        """The custom metrics as JSON; ``None``: they are as they were."""
        custom = {
            name: value
            for name, value in self._stats.get_stats().items()
            if name.startswith(CUSTOM)
        }
        if custom == self._custom:
            return None
        self._custom = custom
        return json.dumps(custom, default=str)

    def _total(self, job: Callable[[], Mapping[str, Any]]) -> float | None:
        """A spider whose total cannot be had goes on without one."""
        total = getattr(self._spider, TOTAL, None)
        try:
            return _checked(total(job()) if callable(total) else total, self._spider)
        except Exception:
            if not self._complained:
                self._complained = True
                logger.exception("%s.%s: nobody knows the total", self._spider.name, TOTAL)
            return None


def check_total(spider: Spider) -> None:
    """Raises ``ConfigurationError`` if ``resume_total`` is no total, nor a function."""
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
        f"resume_total of spider {spider.name!r} is {total!r}; it has to be a number of "
        "pages from 0 on, a function of the job that gives one, or None"
    )
