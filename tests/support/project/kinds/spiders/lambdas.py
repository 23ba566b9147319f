"""Requests that cannot be serialized: lambdas, closures, live objects in ``meta``."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

from scrapy.http import Response

from kinds.base import KindSpider, page_item, path_of


class AllLambdaSpider(KindSpider):
    """No request of this spider can be serialized."""

    name = "all_lambdas"

    async def start(self) -> AsyncIterator[Any]:
        for number in range(6):
            yield self.ask(f"/page/{number}", callback=lambda response: self.take(response))

    def take(self, response: Response) -> Iterator[Any]:
        yield page_item(response)
        for link in self.links(response):
            yield self.ask(link, callback=lambda inner: self.take(inner))


class LambdaParentSpider(KindSpider):
    """Lambdas and recordable requests take turns, each the other's parent."""

    name = "lambda_parents"

    async def start(self) -> AsyncIterator[Any]:
        for number in range(8):
            yield self.ask(f"/leaf/{number}", callback=lambda response: self.first(response))
        yield self.ask("/leaf/plain", callback=self.second)

    def first(self, response: Response) -> Iterator[Any]:
        yield page_item(response)
        for turn in "ab":
            yield response.follow(f"{response.url}-{turn}", callback=self.second)

    def second(self, response: Response) -> Iterator[Any]:
        yield page_item(response)
        name = path_of(response.url)[6:]
        yield self.ask(f"{response.url}-l", callback=lambda inner: self.third(inner))
        yield response.follow(
            f"/missing/{name}", callback=self.third, errback=lambda failure: [{"missed": name}]
        )

    def third(self, response: Response) -> Iterator[Any]:
        yield page_item(response)
        yield response.follow(f"{response.url}-end", callback=self.last)

    def last(self, response: Response) -> Iterator[Any]:
        yield page_item(response)


class ClosureSpider(KindSpider):
    """Closures over values, and objects in ``meta`` that nobody can write down."""

    name = "closures"

    async def start(self) -> AsyncIterator[Any]:
        for number in range(15):
            meta = {"lock": threading.Lock(), "number": number}
            yield self.ask(f"/leaf/{number}", callback=self.with_lock, meta=meta)

    def with_lock(self, response: Response) -> Iterator[Any]:
        number = response.meta["number"]
        with response.meta["lock"]:
            yield page_item(response)

        def remember(inner: Response) -> Iterator[Any]:
            yield {**page_item(inner), "from": number}

        yield response.follow(f"/leaf/{number}-closure", callback=remember)
        yield response.follow(f"/leaf/{number}-plain", callback=self.plain)

    def plain(self, response: Response) -> Iterator[Any]:
        yield page_item(response)
