"""What the spiders of this project share."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import urljoin, urlsplit

from scrapy import Request, Spider
from scrapy.http import Response


def path_of(url: str) -> str:
    """Path and query: items hold these, so that they don't depend on the site's port."""
    parts = urlsplit(url)
    return f"{parts.path}?{parts.query}" if parts.query else parts.path


def page_item(response: Response) -> dict[str, Any]:
    return {
        "path": path_of(response.url),
        "status": response.status,
        "title": response.css("title::text").get(),
    }


class KindSpider(Spider):
    """A spider of the local site."""

    def url(self, path: str) -> str:
        """A path of the site; a whole URL stays as it is."""
        return urljoin(str(self.settings["SITE"]), path)

    def ask(self, path: str, **options: Any) -> Request:
        return Request(self.url(path), **options)

    def links(self, response: Response) -> Iterator[str]:
        for href in response.css("li a::attr(href)").getall():
            yield response.urljoin(href)


class LocalSpider(KindSpider):
    """Begins at the path ``first``, for the generic spiders that want ``start_urls``."""

    first: str

    @classmethod
    def from_crawler(cls, crawler: Any, *args: Any, **kwargs: Any) -> Any:
        spider = super().from_crawler(crawler, *args, **kwargs)
        spider.start_urls = [spider.url(cls.first)]
        return spider
