"""The private parts of Scrapy's engine that ``hooks`` and ``port`` use: whether they are there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from scrapy import Request

from scrapy_resume.errors import ScrapyChangedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from scrapy.core.engine import ExecutionEngine

NEEDED: Final = {
    "engine": ("_slot", "_download", "downloader", "scraper", "crawl", "close_spider_async"),
    "engine._slot": ("inprogress", "nextcall", "closing", "remove_request"),
    "engine.downloader": ("fetch", "active", "slots", "get_slot_key", "middleware"),
    "engine.scraper": (
        "call_spider_async",
        "handle_spider_error",
        "handle_spider_output_async",
        "start_itemproc_async",
    ),
}


class InProgress(set[Request]):
    """The engine's set of requests in progress; tells when one leaves it."""

    def __init__(self, requests: Iterable[Request], let_go: Callable[[Request], None]) -> None:
        super().__init__(requests)
        self._let_go = let_go

    def remove(self, request: Request) -> None:
        """The engine is done with the request."""
        super().remove(request)
        self._let_go(request)


def verify(engine: ExecutionEngine) -> None:
    """All that is needed is there. Raises ``ScrapyChangedError``."""
    places = {
        "engine": engine,
        "engine._slot": getattr(engine, "_slot", None),
        "engine.downloader": getattr(engine, "downloader", None),
        "engine.scraper": getattr(engine, "scraper", None),
    }
    for place, names in NEEDED.items():
        for name in names:
            if not hasattr(places[place], name):
                raise ScrapyChangedError(
                    f"This version of Scrapy has no {place}.{name}, which tells when a request "
                    "is finished. Use a version of Scrapy that scrapy-resume is tested with, "
                    "or a newer scrapy-resume."
                )
    if not isinstance(places["engine._slot"].inprogress, set):  # type: ignore[union-attr]
        raise ScrapyChangedError(
            "engine._slot.inprogress of this version of Scrapy is not a set any more. Use a "
            "version of Scrapy that scrapy-resume is tested with, or a newer scrapy-resume."
        )
