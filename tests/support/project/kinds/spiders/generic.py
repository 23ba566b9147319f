"""Scrapy's generic spiders."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from scrapy import Request
from scrapy.http import Response
from scrapy.linkextractors import LinkExtractor
from scrapy.spiders import CrawlSpider, CSVFeedSpider, Rule, SitemapSpider, XMLFeedSpider

from kinds.base import KindSpider, LocalSpider, page_item, path_of


class CrawlKindSpider(LocalSpider, CrawlSpider):
    """Rules with callback, ``cb_kwargs``, ``process_request`` and the link's text."""

    name = "crawl_spider"
    first = "/page/0"
    rules = (
        Rule(
            LinkExtractor(allow=r"/page/\d*[02468]$"),
            callback="parse_even",
            cb_kwargs={"rule": "even"},
            follow=True,
            process_request="mark",
        ),
        Rule(LinkExtractor(allow=r"/page/"), callback="parse_odd", follow=True),
    )

    def mark(self, request: Request, response: Response) -> Request:
        return request.replace(meta={**request.meta, "marked": path_of(request.url)})

    def parse_start_url(self, response: Response, **kwargs: Any) -> dict[str, Any]:
        return {**page_item(response), "start": True}

    def parse_even(self, response: Response, rule: str) -> Iterator[Any]:
        marked, text = response.meta["marked"], response.meta["link_text"]
        yield {**page_item(response), "rule": rule, "marked": marked, "text": text}

    def parse_odd(self, response: Response) -> Iterator[Any]:
        yield {**page_item(response), "text": response.meta["link_text"]}


class SitemapKindSpider(SitemapSpider, KindSpider):
    """Robots.txt names the sitemap, which names two more, one of them gzipped."""

    name = "sitemap"
    sitemap_rules = [(r"/page/\d*[05]$", "parse_fifth"), ("/page/", "parse")]

    @classmethod
    def from_crawler(cls, crawler: Any, *args: Any, **kwargs: Any) -> Any:
        spider = super().from_crawler(crawler, *args, **kwargs)
        spider.sitemap_urls = [spider.url("/robots.txt")]
        return spider

    def parse_fifth(self, response: Response) -> Iterator[Any]:
        yield {**page_item(response), "fifth": True}

    def parse(self, response: Response, **kwargs: Any) -> Iterator[Any]:
        yield page_item(response)


class XmlKindSpider(LocalSpider, XMLFeedSpider):
    name = "xml_feed"
    first = "/feed.xml"
    itertag = "row"

    def parse_node(self, response: Response, selector: Any) -> Any:
        yield {"id": selector.attrib["id"], "name": selector.css("name::text").get()}
        yield response.follow(selector.css("link::text").get(), callback=self.parse_page)

    def parse_page(self, response: Response) -> Iterator[Any]:
        yield page_item(response)


class CsvKindSpider(LocalSpider, CSVFeedSpider):
    name = "csv_feed"
    first = "/feed.csv"

    def parse_row(self, response: Response, row: dict[str, str]) -> Any:
        yield dict(row)
        yield response.follow(row["link"], callback=self.parse_page)

    def parse_page(self, response: Response) -> Iterator[Any]:
        yield page_item(response)
