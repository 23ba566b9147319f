"""Requests that this run does not restore, because they name code that is not trusted."""

from __future__ import annotations

import logging
from collections import Counter
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from scrapy.statscollectors import StatsCollector

    from scrapy_resume.errors import UntrustedNameError

logger = logging.getLogger("scrapy_resume")

REASON: Final = "callback_missing"
"""The close reason of a run that has nothing left but such requests."""

NAMES: Final = 1_000
"""Names that are counted apart at most: a forged store may have as many as requests."""


class HeldRequests:
    """Counts them by name. Each stays leased to this run, unsent, and is pending when it ends.

    Only counts are kept, since there may be very many.
    """

    def __init__(self, stats: StatsCollector) -> None:
        self._stats = stats
        self._counts: Counter[str] = Counter()
        self._messages: dict[str, str] = {}

    def __len__(self) -> int:
        return self._counts.total()

    def add(self, url: str, error: UntrustedNameError) -> None:
        """Hold a request. The first one of each name is logged."""
        name = error.path if error.path in self._counts or len(self._counts) < NAMES else "others"
        self._stats.inc_value("resume/held")
        self._counts[name] += 1
        if name not in self._messages:
            self._messages[name] = str(error)
            logger.error("%s is held: %s", url, error)

    def log(self) -> None:
        """Log each name, with the number of requests that want it, and what to do."""
        for name, count in self._counts.items():
            logger.error(
                "%d requests were held, and are pending: %s. `scrapy resume verify` lists them by "
                "name",
                count,
                self._messages[name],
            )
