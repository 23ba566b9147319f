"""Notices a list of ``start()`` that comes back, because a value differs in each run.

Its URLs are known, but its requests (``dont_filter``, with a time in ``cb_kwargs``, say) are new
each time, so a resumed run fetches the whole list again. When ``start()`` has ended, some of its
new requests are compared with those that earlier runs had of it and this run has not met.
"""

from __future__ import annotations

import logging
from collections import Counter
from typing import TYPE_CHECKING, Final

from scrapy_resume.errors import StoreDamagedError
from scrapy_resume.wording import counted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from scrapy.statscollectors import StatsCollector

    from scrapy_resume.tracking.start_history import StartHistory

logger = logging.getLogger("scrapy_resume")

SAMPLES: Final = 50
"""New requests that are compared."""

MANY: Final = 3
"""Requests with a counterpart that make a list. Fewer do if no request of ``start()`` is known."""

LONG_LIST: Final = 1_000
"""New requests at which they are compared before ``start()`` has ended, if none is known."""

NAMED: Final = 3
"""Keys that the warning names at most."""


class StartList:
    """The ``dont_filter`` requests of ``start()`` in a resumed run that are told apart by more than
    their fingerprint."""

    def __init__(
        self,
        history: StartHistory,
        stats: StatsCollector,
        differing: Callable[[str, str], list[str]],
        *,
        began: bool,
    ) -> None:
        """``differing``: the names of what tells two payloads apart. ``began``: this run has begun
        the job, so that nothing can come back."""
        self._history = history
        self._stats = stats
        self._differing = differing
        self._decided = began
        self.expected: dict[int, tuple[str, str]] = {}
        """By id: (URL, payload) of requests that the store has not answered yet."""
        self._samples: list[tuple[str, str]] = []
        self._new = 0
        self._known = 0
        self._ended = False

    def expect(self, row_id: int, url: str, payload: str) -> None:
        """Such a request is on its way to the store."""
        if not self._decided:
            self.expected[row_id] = url, payload

    def settle(self, row_id: int, *, known: bool) -> None:
        """The store has answered whether an earlier run admitted a request. No error for others."""
        sample = self.expected.pop(row_id, None)
        if sample is None:
            return
        if known:
            self._known += 1
        else:
            self._new += 1
            if len(self._samples) < SAMPLES:
                self._samples.append(sample)
        self._decide()

    def start_ended(self) -> None:
        """``start()`` has ended."""
        self._ended = True
        self._decide()

    def _decide(self) -> None:
        """Compare, once all that ``start()`` yielded is answered."""
        over = self._ended and not self.expected
        endless = self._new >= LONG_LIST and not self._known
        if not self._decided and (over or endless):
            self._decided = True
            self.expected.clear()
            if self._samples:
                self._history.not_met(self._compare)

    def _compare(self, not_met: Iterable[tuple[str, str]]) -> None:
        """Warn if new requests have counterparts among those that were ``not_met``."""
        earlier: dict[str, list[str]] = {}
        for url, payload in not_met:
            earlier.setdefault(url, []).append(payload)
        pairs = [
            min((self._fields(payload, other) for other in earlier[url]), key=len)
            for url, payload in self._samples
            if url in earlier
        ]
        self._samples.clear()
        names = Counter(name for pair in pairs for name in pair)
        many = len(pairs) >= MANY and self._new > self._known
        if not names or not (many or not self._known):
            return
        self._stats.set_value("resume/start/told_apart", self._new)
        logger.warning(
            "start() has yielded %s that no earlier run had. %s known, and "
            "what differs is %s. They are fetched as new ones. If that value differs in each run "
            '(a time, a random choice), give each request a meta["resume_key"] that is the same in '
            "each run, and it is known again; if a callback was renamed, put the old name back.",
            counted(self._new, "request"),
            "The URL is" if self._new == 1 else "Their URLs are",
            " and ".join(name for name, _ in names.most_common(NAMED)),
        )

    def _fields(self, payload: str, other: str) -> list[str]:
        try:
            return self._differing(payload, other)
        except StoreDamagedError:
            return []
