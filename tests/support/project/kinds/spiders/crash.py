"""Spiders for the crash tests."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from hashlib import sha256
from typing import Any

from scrapy.http import Response
from scrapy.linkextractors import LinkExtractor
from scrapy.spiders import CrawlSpider, Rule
from twisted.python.failure import Failure

from kinds.base import KindSpider, LocalSpider, page_item, path_of

POISON_EXIT_CODE = 66


class SoakSpider(KindSpider):
    """Something of everything: flaky pages, redirects, 404s, every style of callback."""

    name = "soak"

    async def start(self) -> AsyncIterator[Any]:
        yield {"seed": "start"}
        for number in (0, 1, 2):
            yield self.ask(f"/page/{number}", callback=self.parse_generator)

    def takes(self, response: Response) -> Iterator[Any]:
        number = int(response.url.rpartition("/")[2])
        yield page_item(response)
        styles = [self.parse_generator, self.parse_list, self.parse_coroutine, self.parse_async]
        for link in self.links(response):
            style = styles[int(link.rpartition("/")[2]) % 4]
            yield response.follow(link, callback=style)
        if number % 6 == 0:
            yield response.follow(f"/flaky/{number}", callback=self.parse_leaf)
        if number % 7 == 0:
            redirect = f"/redirect/{number + 1}"
            yield response.follow(redirect, callback=self.parse_list, priority=5)
        if number % 5 == 0:
            path = f"/missing/{number}"
            yield response.follow(path, callback=self.parse_leaf, errback=self.missed)
        if number % 9 == 0:
            yield response.follow("/leaf/shared", callback=self.parse_leaf, dont_filter=True)

    def parse_generator(self, response: Response) -> Iterator[Any]:
        yield from self.takes(response)

    def parse_list(self, response: Response) -> list[Any]:
        return list(self.takes(response))

    async def parse_coroutine(self, response: Response) -> list[Any]:
        return list(self.takes(response))

    async def parse_async(self, response: Response) -> AsyncIterator[Any]:
        for result in self.takes(response):
            yield result

    def parse_leaf(self, response: Response) -> Iterator[Any]:
        yield page_item(response)

    def missed(self, failure: Failure) -> Iterator[Any]:
        path = path_of(failure.request.url)  # type: ignore[attr-defined]
        yield {"missed": path}
        yield self.ask(f"/leaf/{path.rpartition('/')[2]}-missed", callback=self.parse_leaf)


class PowerSpider(SoakSpider):
    """As the soak spider; with ``KINDS_BROKEN=1`` in the environment callbacks of some pages fail
    after they have yielded their items."""

    name = "power"

    def parse_leaf(self, response: Response) -> Iterator[Any]:
        yield page_item(response)
        yield {**page_item(response), "second": True}
        if os.environ.get("KINDS_BROKEN") == "1":
            raise ValueError("broken, as the test wants it")


class PoisonSpider(KindSpider):
    """One page ends the process, unless ``-a harmless=1``."""

    name = "poison"
    harmless = ""

    async def start(self) -> AsyncIterator[Any]:
        yield self.ask("/page/0")

    def parse(self, response: Response, **kwargs: Any) -> Iterator[Any]:
        yield page_item(response)
        for link in self.links(response):
            yield response.follow(link)
        if response.url.endswith("/page/3"):
            yield response.follow("/leaf/poison", callback=self.parse_poison, priority=1)

    def parse_poison(self, response: Response) -> Iterator[Any]:
        if not self.harmless:
            os._exit(POISON_EXIT_CODE)
        yield page_item(response)


class SlowSpider(KindSpider):
    """One slow page beside many fast ones."""

    name = "slow"

    async def start(self) -> AsyncIterator[Any]:
        yield self.ask("/slow/1?seconds=2", priority=10)
        yield self.ask("/page/0")

    def parse(self, response: Response, **kwargs: Any) -> Iterator[Any]:
        yield page_item(response)
        for link in self.links(response):
            yield response.follow(link)


class SmallSpider(KindSpider):
    """A few pages with something of everything: for a kill at every write."""

    name = "small"

    async def start(self) -> AsyncIterator[Any]:
        yield {"seed": 1}
        yield self.ask("/leaf/a")

    def parse(self, response: Response, **kwargs: Any) -> Iterator[Any]:
        yield page_item(response)
        yield response.follow("/flaky/1?times=1", callback=self.parse_leaf)
        yield response.follow("/redirect/4", callback=self.parse_leaf)
        yield response.follow("/missing/1", callback=self.parse_leaf, errback=self.missed)
        yield response.follow("/leaf/b", callback=self.parse_lambdas)
        for _ in range(2):
            yield response.follow("/leaf/c", callback=self.parse_leaf, dont_filter=True)

    def parse_leaf(self, response: Response) -> Iterator[Any]:
        yield page_item(response)
        yield page_item(response)

    def parse_lambdas(self, response: Response) -> Iterator[Any]:
        yield self.ask("/leaf/d", callback=lambda inner: self.parse_leaf(inner))
        yield page_item(response)

    def missed(self, failure: Failure) -> Iterator[Any]:
        yield {"missed": path_of(failure.request.url)}  # type: ignore[attr-defined]


class DocumentationSpider(LocalSpider, CrawlSpider):
    """Every page of a static site, from its index."""

    name = "documentation"
    first = "/index.html"
    rules = (Rule(LinkExtractor(allow=r"\.html?$"), callback="parse_page", follow=True),)

    def parse_start_url(self, response: Response, **kwargs: Any) -> Any:
        return self.parse_page(response)

    def parse_page(self, response: Response) -> Iterator[Any]:
        links = response.css("a::attr(href)").getall()
        digest = sha256(response.body).hexdigest()
        yield {**page_item(response), "links": len(links), "sha256": digest}
        for heading in response.css("h1, h2, h3"):
            yield {
                "path": path_of(response.url),
                "heading": "".join(heading.css("::text").getall()),
            }
