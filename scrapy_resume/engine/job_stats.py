"""``RESUME_STATS = "job"``: Scrapy's own stats go on from where the job's last run has left them.

Monitors, and whoever ships stats elsewhere, then see the whole job in each run. Counters are added
up. What is of a moment (rates, memory, times) stays the run's, but for ``start_time``: it is moved
back by what earlier runs took, so that elapsed time and rates are those of all runs together.
"""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any, Final

from scrapy.extensions.corestats import CoreStats
from scrapy.extensions.logstats import LogStats

if TYPE_CHECKING:
    from collections.abc import Mapping

    from scrapy.crawler import Crawler

_ELAPSED: Final = "elapsed_time_seconds"
_START: Final = "start_time"
_OF_THE_RUN: Final = (
    _START,
    "finish_time",
    "finish_reason",
    "responses_per_minute",
    "items_per_minute",
    "memusage/",
    "resume/",
    "custom/",
)
"""Names, or how names begin. Those under ``custom/`` are summed by the package in any case."""

Value = int | float | str


class JobStats:
    """Scrapy's stats of one job, over its runs."""

    def __init__(self, crawler: Crawler, *, enabled: bool) -> None:
        self._crawler = crawler
        self._restored = False
        self.enabled = enabled

    def restore(self, stored: Mapping[str, Value], exact: Mapping[str, int]) -> None:
        """Add what earlier runs have counted, when the spider is open and has fetched nothing.

        ``exact``: counters that the store knows better, because what was in flight when a process
        died was counted, and is done again.
        """
        self._restored = True
        known = {name: value for name, value in stored.items() if name != _ELAPSED}
        known.update({name: count for name, count in exact.items() if stored})
        stats = self._stats
        for name, before in known.items():
            stats.set_value(name, _joined(name, before, stats.get_value(name)))
        self._begin_earlier(float(stored.get(_ELAPSED, 0)))
        # It shows what was added since its last line: not what earlier runs have.
        log = self._crawler.get_extension(LogStats)
        if log is not None:
            log.pagesprev = stats.get_value("response_received_count", 0)
            log.itemsprev = stats.get_value("item_scraped_count", 0)

    def _begin_earlier(self, seconds: float) -> None:
        core = self._crawler.get_extension(CoreStats)
        if core is None or core.start_time is None:
            return
        core.start_time -= timedelta(seconds=seconds)
        self._stats.set_value(_START, core.start_time)
        core_stats: Any = core
        if hasattr(core, "_start_time_mono"):  # not before Scrapy 2.15
            core_stats._start_time_mono -= seconds

    def values(self) -> dict[str, Value]:
        """What is to be persisted now. Nothing before ``restore``."""
        if not (self.enabled and self._restored):
            return {}
        stats = self._stats.get_stats()
        values = {
            name: value
            for name, value in stats.items()
            if isinstance(value, (int, float, str)) and not name.startswith(_OF_THE_RUN)
        }
        began = stats.get(_START)
        if isinstance(began, datetime):
            values[_ELAPSED] = (datetime.now(tz=timezone.utc) - began).total_seconds()
        return values

    @property
    def _stats(self) -> Any:
        assert self._crawler.stats is not None
        return self._crawler.stats


def _joined(name: str, before: Value, now: Any) -> Any:
    """A stat of earlier runs together with what this run has set already; ``None``: nothing."""
    if now is None:
        return before
    if isinstance(before, (bool, str)) or not isinstance(now, (int, float)):
        return now
    return max(before, now) if name.endswith("max") else before + now
