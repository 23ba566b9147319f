"""The private parts of Scrapy that this package uses, and the check that they are there."""

from __future__ import annotations

from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final

from scrapy import Request

from scrapy_resume.errors import ScrapyChangedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from scrapy.core.engine import ExecutionEngine

DOWNLOAD_SLOT: Final = "engine.downloader.slots[…]"

NEEDED: Final = {
    "engine": (
        "_slot",
        "_start",
        "_download",
        "downloader",
        "scraper",
        "crawler",
        "spider",
        "crawl",
        "running",
        "close_spider_async",
        "download_async",
        "_spider_idle",
        "spider_is_idle",
    ),
    # The engine calls remove_request, which removes a request from inprogress.
    "engine._slot": ("inprogress", "nextcall", "closing", "remove_request"),
    "engine._slot.nextcall": ("schedule",),
    "engine.downloader": (
        "fetch",
        "active",
        "slots",
        "get_slot_key",
        "middleware",
        "total_concurrency",
        "domain_concurrency",
        "per_slot_settings",
        "_process_queue",
        "_wait_for_download",
    ),
    "engine.downloader.middleware": ("middlewares",),
    # A slot exists from its first request on: a test verifies these parts, ``verify`` cannot.
    DOWNLOAD_SLOT: ("active", "queue", "transferring", "latercall", "concurrency", "delay"),
    "engine.scraper": (
        "_scrape",
        "_wait_for_processing",
        "call_spider_async",
        "handle_spider_error",
        "handle_spider_output_async",
        "start_itemproc_async",
        "concurrent_items",
        "itemproc",
        "spidermw",
    ),
    "engine.scraper.spidermw": ("methods",),
    "engine.scraper.itemproc": ("middlewares",),
    "CookiesMiddleware": ("jars",),
    "FilesystemCacheStorage": ("_get_request_path", "store_response"),
    "FSFilesStore": ("_get_filesystem_path", "persist_file", "basedir"),
    "FeedExporter": (
        "_exporter_supported",
        "_get_uri_params",
        "_load_filter",
        "_start_new_batch",
        "_storage_supported",
    ),
    "CrawlSpider": ("_rules",),
    "CoreStats": ("_start_time_mono",),
}
"""Place → names of its attributes. The places without ``engine`` are classes that not every crawl
uses; the code that uses one calls ``require``."""

USED_IF_THERE: Final = {"TextResponse": ("_cached_selector",)}
"""The same of what may be missing: nothing but memory depends on it."""

_REMEDY: Final = (
    "Use a version of Scrapy that scrapy-resume is tested with, or a newer scrapy-resume."
)


class InProgress(set[Request]):
    """The engine's set of requests in progress, which reports each request that leaves it."""

    def __init__(self, requests: Iterable[Request], removed: Callable[[Request], None]) -> None:
        """``removed`` is called with a request after it has left the set."""
        super().__init__(requests)
        self._removed = removed

    def remove(self, request: Request) -> None:
        """The engine is done with the request."""
        super().remove(request)
        self._removed(request)


def require(place: str, part: Any) -> None:
    """Verify that ``part`` has the attributes that ``NEEDED`` lists for ``place``.

    Raises ``ScrapyChangedError``, which names the first missing one.
    """
    for name in NEEDED[place]:
        if not hasattr(part, name):
            raise ScrapyChangedError(
                f"This version of Scrapy has no {place}.{name}, which scrapy-resume uses. {_REMEDY}"
            )


def verify(engine: ExecutionEngine) -> None:
    """Verify the parts of an engine that has opened its spider. Raises ``ScrapyChangedError``."""
    for place in NEEDED:
        if place == "engine":
            require(place, engine)
        elif place.startswith("engine.") and place != DOWNLOAD_SLOT:
            require(place, attrgetter(place.removeprefix("engine."))(engine))
    slot: Any = engine._slot
    if not isinstance(slot.inprogress, set):
        raise ScrapyChangedError(
            f"engine._slot.inprogress of this version of Scrapy is not a set any more. {_REMEDY}"
        )
