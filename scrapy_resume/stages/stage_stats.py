"""The stats of a stage's run, which are kept with the run as Scrapy's are with a crawl's."""

from __future__ import annotations

from typing import Any


class StageStats:
    """What the parts of a run use of Scrapy's ``StatsCollector``."""

    def __init__(self) -> None:
        self._stats: dict[str, Any] = {}

    def get_value(self, key: str, default: Any = None) -> Any:
        """A stat."""
        return self._stats.get(key, default)

    def get_stats(self) -> dict[str, Any]:
        """All stats."""
        return self._stats

    def set_value(self, key: str, value: Any) -> None:
        """Set a stat."""
        self._stats[key] = value

    def inc_value(self, key: str, count: int = 1, start: int = 0) -> None:
        """Add to a stat."""
        self._stats[key] = self._stats.get(key, start) + count
