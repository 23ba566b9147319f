"""A spider middleware that closes the spider before it has started."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, Final

from scrapy.exceptions import CloseSpider

REASON: Final = "not_today"

PATH: Final = "tests.support.refusing_start.RefusesStart"


class RefusesStart:
    """Raises when ``start()`` is about to be iterated: the scheduler is never opened."""

    def process_start(self, start: AsyncIterator[Any]) -> AsyncIterator[Any]:
        raise CloseSpider(REASON)
