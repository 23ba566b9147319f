"""Requests that this run does not restore, because they name code that is missing, or that is not
trusted."""

from __future__ import annotations

import logging
from collections import Counter
from typing import TYPE_CHECKING, Final

from scrapy_resume.wording import counted

if TYPE_CHECKING:
    from scrapy.statscollectors import StatsCollector

    from scrapy_resume.errors import CallbackMissingError

logger = logging.getLogger("scrapy_resume")

REASON: Final = "callback_missing"
"""The close reason of a run that has nothing left but such requests."""

STAT: Final = "resume/held"
"""The stat that counts them. Below it there is one for each name."""

NAMES: Final = 1_000
"""Names that are counted apart at most: a forged store may have as many as requests."""

SHOWN: Final = 8
"""Names in the error of the job."""

_OTHERS: Final = "others"


MOST_REFUSED: Final = 10_000
"""Requests that are refused at most; each is named in the statements of this run that lease."""


class HeldRequests:
    """Counts them by name. Each stays leased to this run, unsent, and is pending when it ends.
    Where other workers may have the code, it is refused: pending at once, not leased here again.

    Only counts are kept, since there may be very many.
    """

    def __init__(self, stats: StatsCollector) -> None:
        self._stats = stats
        self._counts: Counter[str] = Counter()
        self._errors: dict[str, CallbackMissingError] = {}
        self.refused = 0
        """Number of those that were refused."""

    def __len__(self) -> int:
        return self._counts.total()

    @property
    def refuses_more(self) -> bool:
        """Whether one more may be refused. Others stay leased to this run until it ends."""
        return self.refused < MOST_REFUSED

    def by_name(self) -> list[tuple[str, int]]:
        """(name, how many requests want it), the most frequent first; few of very many names."""
        return self._counts.most_common(SHOWN)

    def add(self, url: str, error: CallbackMissingError) -> None:
        """Hold a request. The first one of each name is logged."""
        name = error.name if error.name in self._counts or len(self._counts) < NAMES else _OTHERS
        self._stats.inc_value(STAT)
        self._stats.inc_value(f"resume/held/{name}")
        self._counts[name] += 1
        if name not in self._errors:
            self._errors[name] = error.with_traceback(None)
            logger.warning("%s is held: %s", url, error)

    def log(self, job: str) -> None:
        """Log an error for each name: how many requests want it, what is near it, and what to do.
        ``job``: as commands name it."""
        for name, count in self._counts.items():
            error = self._errors[name]
            park = ""
            if error.park and name != _OTHERS:
                park = f". To give them up: scrapy resume park {job} --callback {name}"
            held = (
                "1 request was held, and is"
                if count == 1
                else f"{counted(count, 'request')} were held, and are"
            )
            logger.error("%s pending: %s%s", held, error, park)
