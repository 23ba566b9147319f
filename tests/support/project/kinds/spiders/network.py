"""What happens between the spider and the site."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

from scrapy.http import Response
from twisted.python.failure import Failure

from kinds.base import KindSpider, page_item, path_of


class FollowingSpider(KindSpider):
    """Follows all links; the base of spiders that differ in their settings."""

    first = "/page/0"

    async def start(self) -> AsyncIterator[Any]:
        yield self.ask(self.first)

    def parse(self, response: Response, **kwargs: Any) -> Iterator[Any]:
        yield page_item(response)
        for link in self.links(response):
            yield response.follow(link)


class RedirectSpider(FollowingSpider):
    """Redirects of one hop and of three, to pages known and unknown."""

    name = "redirects"

    def parse(self, response: Response, **kwargs: Any) -> Iterator[Any]:
        yield from super().parse(response)
        number = int(response.url.rpartition("/")[2])
        if number % 2 and number < 100:
            yield response.follow(f"/redirect/{number + 1}")
        if number % 5 == 0 and number < 100:
            yield response.follow(f"/redirect/{number + 100}?hops=3")
        if number < 4:
            again: dict[str, Any] = {"callback": self.parse_again, "dont_filter": True}
            yield response.follow(f"/redirect/{number}?always=1", **again)

    def parse_again(self, response: Response) -> Iterator[Any]:
        yield {"again": path_of(response.url)}


class MetaRefreshSpider(FollowingSpider):
    name = "meta_refresh"

    def parse(self, response: Response, **kwargs: Any) -> Iterator[Any]:
        yield from super().parse(response)
        number = int(response.url.rpartition("/")[2])
        if number < 100:
            yield response.follow(f"/metarefresh/{number + (number % 2) * 100}")


class RetrySpider(KindSpider):
    """Pages that answer 503 twice, or drop the connection, before they answer."""

    name = "retries"

    async def start(self) -> AsyncIterator[Any]:
        for number in range(15):
            yield self.ask(f"/flaky/{number}")

    def parse(self, response: Response, **kwargs: Any) -> Iterator[Any]:
        number = response.url.rpartition("/")[2]
        yield page_item(response)
        yield self.ask(f"/drop/{number}?times=1", callback=self.parse_leaf)
        if number in {"3", "9"}:
            yield self.ask(f"/error/{number}", callback=self.parse_leaf, errback=self.failed)

    def parse_leaf(self, response: Response) -> Iterator[Any]:
        yield page_item(response)

    def failed(self, failure: Failure) -> Iterator[Any]:
        yield {"failed": path_of(failure.request.url)}  # type: ignore[attr-defined]


class ThrottleSpider(FollowingSpider):
    name = "autothrottle"
    custom_settings = {
        "AUTOTHROTTLE_ENABLED": True,
        "AUTOTHROTTLE_START_DELAY": 0.02,
        "AUTOTHROTTLE_MAX_DELAY": 0.03,
        "AUTOTHROTTLE_TARGET_CONCURRENCY": 4.0,
    }


class DelaySpider(FollowingSpider):
    name = "download_delay"
    custom_settings = {"DOWNLOAD_DELAY": 0.01, "CONCURRENT_REQUESTS_PER_DOMAIN": 2}


class CacheSpider(FollowingSpider):
    """The HTTP cache; pages asked for twice come out of it."""

    name = "http_cache"
    custom_settings = {"HTTPCACHE_ENABLED": True}

    def parse(self, response: Response, **kwargs: Any) -> Iterator[Any]:
        yield from super().parse(response)
        yield response.follow(response.url, callback=self.parse_again, dont_filter=True)

    def parse_again(self, response: Response) -> Iterator[Any]:
        yield {"again": path_of(response.url)}


class RobotsSpider(FollowingSpider):
    """``ROBOTSTXT_OBEY``: what is forbidden reaches the errback."""

    name = "robots"
    custom_settings = {"ROBOTSTXT_OBEY": True}

    def parse(self, response: Response, **kwargs: Any) -> Iterator[Any]:
        yield from super().parse(response)
        number = response.url.rpartition("/")[2]
        yield response.follow(f"/secret/{number}", errback=self.forbidden)

    def forbidden(self, failure: Failure) -> Iterator[Any]:
        yield {"forbidden": path_of(failure.request.url)}  # type: ignore[attr-defined]


class OffsiteSpider(FollowingSpider):
    """``allowed_domains``: links that lead away are not followed."""

    name = "offsite"
    allowed_domains = ["127.0.0.1"]

    def parse(self, response: Response, **kwargs: Any) -> Iterator[Any]:
        yield from super().parse(response)
        number = response.url.rpartition("/")[2]
        yield response.follow(f"http://elsewhere.invalid/page/{number}")


class HostsSpider(FollowingSpider):
    """Two names of the site: two download slots."""

    name = "two_hosts"

    def parse(self, response: Response, **kwargs: Any) -> Iterator[Any]:
        yield {**page_item(response), "host": response.url.split("/")[2].partition(":")[0]}
        for link in self.links(response):
            yield response.follow(link)
            yield response.follow(link.replace("127.0.0.1", "localhost"))


class IgnoredStatusSpider(KindSpider):
    """``handle_httpstatus_list`` and ``HTTPERROR_ALLOWED_CODES`` let errors through."""

    name = "statuses"
    handle_httpstatus_list = [404]
    custom_settings = {"RETRY_TIMES": 1, "HTTPERROR_ALLOWED_CODES": [410]}

    async def start(self) -> AsyncIterator[Any]:
        for number in range(8):
            for kind in ("missing", "gone", "error", "leaf"):
                yield self.ask(f"/{kind}/{number}")
            meta = {"handle_httpstatus_all": True}
            yield self.ask(f"/error/{number}?all=1", meta=meta)

    def parse(self, response: Response, **kwargs: Any) -> Iterator[Any]:
        yield page_item(response)
