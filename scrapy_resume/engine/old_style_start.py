"""The output of ``start()`` where an old-style spider middleware keeps it from the package's own.

Scrapy 2.14 and 2.15 still take spider middlewares that have ``process_start_requests()`` alone.
With one of them they call that method of every middleware, and ``process_start()`` of none; a
middleware that has ``process_start()`` alone is refused.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from scrapy.core.engine import ExecutionEngine


def pass_start_through(
    engine: ExecutionEngine, process_start: Callable[[AsyncIterator[Any]], AsyncIterator[Any]]
) -> None:
    """Have the start requests pass ``process_start``, if they pass no middleware's."""
    engine_parts: Any = engine
    scraper: Any = engine.scraper
    if scraper.spidermw.methods.get("process_start_requests"):
        engine_parts._start = process_start(engine_parts._start)
