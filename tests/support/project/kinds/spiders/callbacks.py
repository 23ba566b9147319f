"""Every form that a callback and an errback can have."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

from scrapy.http import Response
from twisted.python.failure import Failure

from kinds.base import KindSpider, page_item, path_of


def failure_item(failure: Failure, **more: Any) -> dict[str, Any]:
    request = failure.request  # type: ignore[attr-defined]
    return {"path": path_of(request.url), "error": type(failure.value).__name__, **more}


class GeneratorSpider(KindSpider):
    name = "generators"

    async def start(self) -> AsyncIterator[Any]:
        yield self.ask("/page/0")

    def parse(self, response: Response, **kwargs: Any) -> Iterator[Any]:
        yield page_item(response)
        for link in self.links(response):
            yield response.follow(link)


class ListSpider(KindSpider):
    """Callbacks that return a list, a single item, a single request or nothing."""

    name = "lists"

    async def start(self) -> AsyncIterator[Any]:
        yield self.ask("/page/0")

    def parse(self, response: Response, **kwargs: Any) -> list[Any]:
        number = int(response.url.rpartition("/")[2])
        callbacks = [self.parse_one, self.parse_chain, self.parse_nothing]
        leaf = self.ask(f"/leaf/{number}", callback=callbacks[number % 3])
        return [page_item(response), leaf, *map(response.follow, self.links(response))]

    def parse_one(self, response: Response) -> dict[str, Any]:
        return page_item(response)

    def parse_chain(self, response: Response) -> Any:
        return response.follow(f"{response.url}?chained", callback=self.parse_one)

    def parse_nothing(self, response: Response) -> None:
        self.logger.debug("nothing to take from %s", response.url)


class CoroutineSpider(KindSpider):
    name = "coroutines"

    async def start(self) -> AsyncIterator[Any]:
        yield self.ask("/page/0")

    async def parse(self, response: Response, **kwargs: Any) -> list[Any]:
        follow = [response.follow(link, callback=self.parse) for link in self.links(response)]
        return [page_item(response), *follow]


class AsyncGeneratorSpider(KindSpider):
    name = "async_generators"

    async def start(self) -> AsyncIterator[Any]:
        yield self.ask("/page/0")

    async def parse(self, response: Response, **kwargs: Any) -> AsyncIterator[Any]:
        for link in self.links(response):
            yield response.follow(link)
        yield page_item(response)


class ErrbackSpider(KindSpider):
    """Errbacks of every form, for every way to fail; what they yield counts."""

    name = "errbacks"
    custom_settings = {"RETRY_TIMES": 1}
    kinds_of_failure = ("missing", "gone", "error", "drop", "secret")

    async def start(self) -> AsyncIterator[Any]:
        for number in range(15):
            failing = self.kinds_of_failure[number % 5]
            path = f"/{failing}/{number}?times=99"
            errbacks = [self.failed, self.failed_async, self.failed_list]
            options = {"cb_kwargs": {"number": number}, "errback": errbacks[number % 3]}
            yield self.ask(path, callback=self.parse_fine, **options)

    def parse_fine(self, response: Response, number: int) -> Iterator[Any]:
        yield page_item(response)

    def failed(self, failure: Failure) -> Iterator[Any]:
        number = failure.request.cb_kwargs["number"]  # type: ignore[attr-defined]
        yield failure_item(failure, number=number)
        yield self.ask(f"/leaf/{number}", callback=self.parse_leaf, cb_kwargs={"number": number})

    async def failed_async(self, failure: Failure) -> AsyncIterator[Any]:
        for row in self.failed(failure):
            yield row

    def failed_list(self, failure: Failure) -> list[Any]:
        return list(self.failed(failure))

    def parse_leaf(self, response: Response, number: int) -> Iterator[Any]:
        yield {**page_item(response), "after": number}
        yield self.ask(f"/missing/again-{number}", callback=self.parse_leaf, errback=self.ended)

    def ended(self, failure: Failure) -> dict[str, Any]:
        return failure_item(failure)


class RaisingSpider(KindSpider):
    """Callbacks that raise midway keep what they had yielded, as errbacks do."""

    name = "raising"

    async def start(self) -> AsyncIterator[Any]:
        yield self.ask("/page/0")

    def parse(self, response: Response, **kwargs: Any) -> Iterator[Any]:
        number = int(response.url.rpartition("/")[2])
        yield page_item(response)
        for link in self.links(response):
            yield response.follow(link)
        if number % 6 == 1:
            yield self.ask(f"/missing/{number}", callback=self.parse, errback=self.failed)
        if number % 4 == 0:
            raise ValueError(f"page {number} is odd in an even way")
        yield {"path": path_of(response.url), "whole": True}

    def failed(self, failure: Failure) -> Iterator[Any]:
        yield failure_item(failure)
        raise KeyError("the errback had enough")


class InlineSpider(KindSpider):
    """Callbacks that fetch more pages themselves and wait for them."""

    name = "inline"

    async def start(self) -> AsyncIterator[Any]:
        for number in range(20):
            yield self.ask(f"/leaf/{number}")

    async def parse(self, response: Response, **kwargs: Any) -> AsyncIterator[Any]:
        number = int(response.url.rpartition("/")[2])
        assert self.crawler.engine is not None
        inner = await self.crawler.engine.download_async(self.ask(f"/leaf/inner-{number}"))
        yield {**page_item(response), "inner": page_item(inner)}
        yield response.follow(f"/leaf/after-{number}", callback=self.parse_after)

    def parse_after(self, response: Response) -> Iterator[Any]:
        yield page_item(response)
