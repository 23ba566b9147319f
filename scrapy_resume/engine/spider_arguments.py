"""The arguments that a spider is constructed with."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final

from scrapy_resume.errors import ScrapyChangedError

if TYPE_CHECKING:
    from scrapy.crawler import Crawler

_CRAWL_METHODS: Final = ("crawl", "crawl_async")


def spider_arguments(crawler: Crawler) -> dict[str, Any]:
    """The spider arguments of the crawl that is being set up, by name. Positional arguments have
    their position from 0 as name.

    Scrapy does not store them: they are read from the frame of ``Crawler.crawl`` or
    ``crawl_async``, which is on the stack while extensions are built. If it is not there, as when
    a program sets the engine of a crawler up itself, there are none if RESUME_JOB names the job;
    otherwise the job's name depends on them, and ``ScrapyChangedError`` is raised.
    """
    frame = sys._getframe()
    while frame is not None:
        if frame.f_code.co_name in _CRAWL_METHODS and frame.f_locals.get("self") is crawler:
            values = frame.f_locals
            positional = {
                str(position): value for position, value in enumerate(values.get("args", ()))
            }
            return {**positional, **values.get("kwargs", {})}
        frame = frame.f_back  # type: ignore[assignment]
    if crawler.settings.get("RESUME_JOB") is not None:
        return {}
    raise ScrapyChangedError(
        "This version of Scrapy does not set a crawl up in Crawler.crawl or crawl_async, where "
        "the spider arguments are read. Set RESUME_JOB, or use a newer scrapy-resume."
    )
