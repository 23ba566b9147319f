"""The arguments that a spider is made with."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final

from scrapy_resume.errors import ScrapyChangedError

if TYPE_CHECKING:
    from scrapy.crawler import Crawler

_CRAWL_METHODS: Final = ("crawl", "crawl_async")


def spider_arguments(crawler: Crawler) -> dict[str, Any]:
    """The spider arguments of the crawl that is being set up, by name.

    Scrapy keeps them nowhere: they are read from the frame of ``Crawler.crawl`` (or
    ``crawl_async``), which is on the stack while extensions are built. Positional arguments
    are named by their place.
    """
    frame = sys._getframe()
    while frame is not None:
        if frame.f_code.co_name in _CRAWL_METHODS and frame.f_locals.get("self") is crawler:
            values = frame.f_locals
            positional = {str(place): value for place, value in enumerate(values.get("args", ()))}
            return {**positional, **values.get("kwargs", {})}
        frame = frame.f_back  # type: ignore[assignment]
    raise ScrapyChangedError(
        "This version of Scrapy does not set a crawl up in Crawler.crawl or crawl_async, where "
        "the spider arguments are read. Set RESUME_JOB, or use a newer scrapy-resume."
    )
