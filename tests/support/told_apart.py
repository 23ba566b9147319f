"""A spider whose requests have one URL and are told apart by something else.

``-a how=…`` says by what. The names are read from ``names.txt`` in each run, and come in another
order in each process.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

from scrapy import Request, Spider
from scrapy.http import Response

METHODS = "abcdefghijklmnop"


class ToldApartSpider(Spider):
    """Of each name, one request for ``/leaf/1``, and one item."""

    name = "told"
    how: str
    below = ""
    site: str

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.names = Path("names.txt").read_text().split()
        random.Random(time.time_ns()).shuffle(self.names)

    async def start(self) -> AsyncIterator[Any]:
        if self.below:
            yield Request(f"{self.site}/leaf/2", callback=self.parse_list)
            return
        for name in self.names:
            yield self.request(name)

    async def parse_list(self, response: Response) -> AsyncIterator[Any]:
        for name in self.names:
            yield self.request(name)
        while not Path("go").exists():
            await asyncio.sleep(0.01)

    def request(self, name: str) -> Request:
        given: dict[str, Any] = {"callback": self.parse_name}
        if self.how == "cb_kwargs":
            given["cb_kwargs"] = {"name": name}
        elif self.how == "meta":
            given["meta"] = {"of": {"name": name, "tags": {name, "x", "y"}}, "depth": 0}
        elif self.how == "cookiejar":
            given["meta"] = {"cookiejar": name}
        elif self.how == "callback":
            given["callback"] = getattr(self, f"parse_{name}", self.parse)
        elif self.how == "lambda":
            given["callback"] = lambda response, name=name: self.items(name)
        elif self.how == "time":
            given["cb_kwargs"] = {"name": name, "at": time.time()}
        elif self.how == "key":
            given["cb_kwargs"] = {"name": name, "at": time.time()}
            given["meta"] = {"resume_key": name}
        return Request(f"{self.site}/leaf/1", dont_filter=True, **given)

    def parse_name(self, response: Response, name: str = "", at: float = 0) -> Iterator[Any]:
        of = response.meta.get("of", {"name": response.meta.get("cookiejar")})
        return self.items(name or of["name"])

    def items(self, name: str) -> Iterator[Any]:
        yield {"title": name}


def _parses(name: str) -> Any:
    def parse(self: ToldApartSpider, response: Response) -> Iterator[Any]:
        return self.items(name)

    parse.__name__ = f"parse_{name}"
    return parse


for _name in METHODS:
    setattr(ToldApartSpider, f"parse_{_name}", _parses(_name))
