"""What a crawl remembers beside its requests: cookies and ``spider.state``."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

from scrapy import FormRequest
from scrapy.http import Response, TextResponse

from kinds.base import KindSpider, page_item


class JarSpider(KindSpider):
    """Several cookie jars, each with a login of its own."""

    name = "cookiejars"

    async def start(self) -> AsyncIterator[Any]:
        for user in ("ann", "ben", "cem"):
            meta = {"cookiejar": user}
            yield self.ask(f"/login?user={user}", callback=self.logged_in, meta=meta)

    def logged_in(self, response: Response) -> Iterator[Any]:
        jar = response.meta["cookiejar"]
        yield page_item(response)
        for number in range(5):
            path = f"/private/{number}?for={jar}&step=0"
            yield self.ask(path, callback=self.parse_private, meta={"cookiejar": jar})

    def parse_private(self, response: Response) -> Iterator[Any]:
        yield page_item(response)
        head, _, step = response.url.rpartition("=")
        if int(step) < 3:
            meta = {"cookiejar": response.meta["cookiejar"]}
            on = f"{head}={int(step) + 1}"
            yield response.follow(on, callback=self.parse_private, meta=meta)


class LoginSpider(KindSpider):
    """A form login; every later page needs its session."""

    name = "login"

    async def start(self) -> AsyncIterator[Any]:
        yield self.ask("/login", callback=self.log_in)

    def log_in(self, response: Response) -> Iterator[Any]:
        assert isinstance(response, TextResponse)
        yield FormRequest.from_response(
            response, formdata={"user": "dora"}, callback=self.logged_in
        )

    def logged_in(self, response: Response) -> Iterator[Any]:
        yield page_item(response)
        for number in range(40):
            yield self.ask(f"/private/{number}", callback=self.parse_private)

    def parse_private(self, response: Response) -> Iterator[Any]:
        yield page_item(response)


class StateSpider(KindSpider):
    """Uses ``spider.state``: a token taken once, and a counter of pages."""

    name = "state"
    state: dict[str, Any]

    async def start(self) -> AsyncIterator[Any]:
        if not hasattr(self, "state"):
            self.state = {}
        yield self.ask("/leaf/token", callback=self.parse_token)

    def parse_token(self, response: Response) -> Iterator[Any]:
        self.state["token"] = response.css("title::text").get()
        self.state["pages"] = 0
        for number in range(30):
            yield self.ask(f"/leaf/{number}")

    def parse(self, response: Response, **kwargs: Any) -> Iterator[Any]:
        self.state["pages"] += 1
        yield {**page_item(response), "token": self.state["token"]}
        if "again" not in response.url:
            yield response.follow(f"{response.url}-again")
