"""The spiders that are measured."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator
from typing import Any
from urllib.parse import urljoin

from scrapy import Request, Spider
from scrapy.exceptions import CloseSpider
from scrapy.http import Response
from scrapy.linkextractors import LinkExtractor
from scrapy.spiders import CrawlSpider, Rule

from benchmarks.support.site import host_of, twin_host

HREF = re.compile(r'href="([^"]+)"')
TITLE = re.compile(r"<title>([^<]*)")


class LinkedSpider(Spider):
    """Takes all pages of the site, one item each. ``-a reading=cheap``: by regular expressions
    on the text; ``usual``: by XPath. ``-a units=N``: begins with so many pages, a unit each.
    ``-a carrying=text``: each request has ``cb_kwargs`` of text and numbers; ``own``: a dict of its
    own in them; ``shared``: one dict for all links of a page."""

    name = "linked"
    reading = "usual"
    units = "0"
    carrying = "nothing"

    async def start(self) -> AsyncIterator[Any]:
        parse = self.parse_cheaply if self.reading == "cheap" else self.parse
        for unit in range(int(self.units)):
            meta = {"resume_unit": f"unit {unit}"}
            yield Request(f"{self.settings['SITE']}/page/{unit}", parse, meta=meta)
        yield Request(f"{self.settings['SITE']}/page/0", parse)

    def parse(self, response: Response, **kwargs: Any) -> Iterator[Any]:
        yield {"url": response.url, "title": response.xpath("//title/text()").get()}
        shared = {"category": "books", "page": response.url}
        for place, href in enumerate(response.xpath("//a/@href").getall()):
            if self.carrying == "nothing":
                yield response.follow(href)
                continue
            carried: dict[str, Any] = {"category": "books", "place": place}
            if self.carrying != "text":
                carried["item"] = shared if self.carrying == "shared" else {"page": response.url}
            yield response.follow(href, cb_kwargs=carried)

    def parse_cheaply(self, response: Response) -> Iterator[Any]:
        title = TITLE.search(response.text)
        yield {"url": response.url, "title": title and title[1]}
        for href in HREF.findall(response.text):
            yield Request(urljoin(response.url, href), self.parse_cheaply)


class TwinsSpider(LinkedSpider):
    """Takes a site with twins on ``-a hosts=N`` hosts and one more. Begins with ``-a starts=N``
    pages and their twins, in turn; all others come from links."""

    name = "twins"
    hosts = "99"
    starts = "100"

    async def start(self) -> AsyncIterator[Any]:
        port = self.settings["SITE"].rpartition(":")[2]
        hosts = int(self.hosts)
        for page in range(int(self.starts)):
            for host in (host_of(page, hosts), twin_host(hosts)):
                yield Request(f"http://{host}:{port}/page/{page}")


class LeavesSpider(Spider):
    """Fetches ``-a urls=N`` pages without links: what a resumed crawl of a large job does."""

    name = "leaves"
    urls = "1000"

    async def start(self) -> AsyncIterator[Any]:
        for number in range(1, int(self.urls) + 1):
            yield Request(f"{self.settings['SITE']}/leaf/{number}")

    def parse(self, response: Response, **kwargs: Any) -> Iterator[Any]:
        yield {"url": response.url, "title": response.xpath("//title/text()").get()}
        for href in response.xpath("//a/@href").getall():
            yield response.follow(href)


ITEMS_A_PAGE = 1_000


class ItemsSpider(Spider):
    """Yields ``-a pages=N`` times a thousand items of 200 bytes."""

    name = "items"
    pages = "10"

    async def start(self) -> AsyncIterator[Any]:
        for number in range(int(self.pages)):
            site = self.settings["SITE"]
            yield Request(f"{site}/page/{number}", cb_kwargs={"page": number})

    def parse(self, response: Response, **kwargs: Any) -> Iterator[Any]:
        page = kwargs["page"]
        for place in range(ITEMS_A_PAGE):
            yield {
                "page": page,
                "place": place,
                "name": f"item {place} of page {page}",
                "price": place * 1.25,
                "tags": ["new", "cheap"],
                "text": "x" * 90,
            }


class SeenSpider(Spider):
    """Sees ``-a urls=N`` different URLs, five thousand a page, and fetches hardly any of them."""

    name = "seen"
    urls = "20000"
    urls_a_page = 5_000

    async def start(self) -> AsyncIterator[Any]:
        yield Request(f"{self.settings['SITE']}/page/0")

    def parse(self, response: Response, **kwargs: Any) -> Iterator[Any]:
        first = kwargs.get("first", 0)
        if first >= int(self.urls):
            raise CloseSpider("enough")
        site = self.settings["SITE"]
        number = first // self.urls_a_page
        for leaf in range(first, first + self.urls_a_page):
            yield Request(f"{site}/leaf/{leaf}", self.parse_leaf, priority=-1)
        following = {"first": first + self.urls_a_page}
        yield Request(f"{site}/page/{number + 1}", cb_kwargs=following)

    def parse_leaf(self, response: Response) -> None:
        """Nothing is wanted of it."""


class DocumentationSpider(CrawlSpider):
    """All pages of a site of static files, from its index: an item for each, and for each of its
    headings."""

    name = "documentation"
    rules = (Rule(LinkExtractor(allow=r"\.html$"), callback="parse_page", follow=True),)

    async def start(self) -> AsyncIterator[Any]:
        yield Request(f"{self.settings['SITE']}/index.html")

    def parse_start_url(self, response: Response, **kwargs: Any) -> Any:
        return self.parse_page(response)

    def parse_page(self, response: Response) -> Iterator[Any]:
        yield {
            "url": response.url,
            "title": response.css("title::text").get(),
            "links": len(response.css("a::attr(href)").getall()),
        }
        for heading in response.css("h1, h2, h3, h4"):
            text = "".join(heading.css("::text").getall())
            yield {"url": response.url, "heading": text, "id": heading.attrib.get("id")}
