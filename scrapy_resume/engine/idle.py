"""Whether the engine would have closed by itself, had nobody closed the spider.

Scrapy asks the handlers of ``spider_idle`` when nothing is left to do, and closes the spider unless
one of them raises ``DontCloseSpider``. What they answer is seen from outside only:
``engine._spider_idle`` asks them, and calls ``engine.close_spider_async`` or does not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pydispatch import dispatcher  # type: ignore[import-untyped]
from scrapy import signals

if TYPE_CHECKING:
    from scrapy.core.engine import ExecutionEngine

_INDIFFERENT: Final = ("scrapy.", "scrapy_resume.")
"""Packages none of whose handlers of ``spider_idle`` keeps a spider open."""


class IdleWatch:
    """Watches what the handlers of ``spider_idle`` do, for one crawl."""

    def __init__(self, engine: ExecutionEngine) -> None:
        self._engine = engine
        self._is_kept_open: bool | None = None
        """What the last ``spider_idle`` has shown; ``None``: none was sent."""
        self._asked_to_close = False
        engine_parts: Any = engine
        self._ask_handlers = engine_parts._spider_idle
        self._close_spider = engine_parts.close_spider_async
        engine_parts._spider_idle = self._spider_idle
        engine_parts.close_spider_async = self._close_spider_async

    def _spider_idle(self) -> None:
        self._asked_to_close = False
        self._ask_handlers()
        # A handler may have scheduled requests; then nobody was asked whether to close.
        if self._asked_to_close or self._engine.spider_is_idle():
            self._is_kept_open = not self._asked_to_close

    def _close_spider_async(self, **how: Any) -> Any:
        self._asked_to_close = True
        return self._close_spider(**how)

    @property
    def closes_by_itself(self) -> bool:
        """Whether the spider would be closed when nothing is left to do.

        True if it was when that was last so. If that has not been so yet: if nobody is there who
        could object.
        """
        if self._is_kept_open is not None:
            return not self._is_kept_open
        crawler = self._engine.crawler
        receivers = dispatcher.getAllReceivers(crawler, signals.spider_idle)
        return all(
            (getattr(receiver, "__module__", None) or "").startswith(_INDIFFERENT)
            for receiver in dispatcher.liveReceivers(receivers)
        )
