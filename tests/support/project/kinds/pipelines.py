"""Item pipelines of the project."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

from scrapy import Request
from scrapy.crawler import Crawler
from scrapy.exceptions import DropItem


class DropThirds:
    def process_item(self, item: Any) -> Any:
        if item["number"] % 3 == 0:
            raise DropItem(f"a third: {item['number']}")
        return item


class RaiseForFifths:
    async def process_item(self, item: Any) -> Any:
        if item["number"] % 5 == 0:
            raise ValueError(f"a fifth: {item['number']}")
        return item


class Shout:
    def process_item(self, item: Any) -> Any:
        return {**item, "shout": f"{item['number']}!"}


class WithoutMediaStatus:
    """Drops ``status`` of media results: it says whether the file was there already."""

    def process_item(self, item: Any) -> Any:
        for field in ("files", "images"):
            for result in item.get(field, []):
                result.pop("status", None)
        return item


class DetailRequests:
    """Asks for a detail page of every page item."""

    def __init__(self, crawler: Crawler) -> None:
        self.crawler = crawler

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> DetailRequests:
        return cls(crawler)

    def process_item(self, item: Any) -> Any:
        if "path" in item:
            spider: Any = self.crawler.spider
            assert self.crawler.engine is not None
            name = item["path"].rpartition("/")[2]
            url = spider.url(f"/leaf/detail-{name}")
            self.crawler.engine.crawl(Request(url, callback=spider.parse_detail))
        return item


class Lengthen:
    """Makes items long, so that a few of them fill a block of a disk, and hard to compress."""

    def process_item(self, item: Any) -> Any:
        known = repr(sorted(item.items()))
        digests = (sha256(f"{known} {n}".encode()).hexdigest() for n in range(20))
        return {**item, "text": '<é&,"\n' + "".join(digests)}
