"""Values and items of every type that requests and items carry."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any
from uuid import UUID

from scrapy.http import Response

from kinds.base import KindSpider, page_item, path_of
from kinds.values import Book, Note, Price, Seller, item_of


def common_values(number: int) -> dict[str, Any]:
    """One value of each type that items and requests carry; all depend on the number."""
    day = date(2024, 1, 1) + timedelta(days=number)
    return {
        "day": day,
        "moment": datetime(2024, 1, 1, 12, number % 60, tzinfo=timezone.utc),
        "naive": datetime(2024, 1, 1, 12, number % 60, 1, 999),
        "raw": bytes([number % 256, 0, 255]),
        "names": {"a", "b", str(number)},
        "pair": (number, ("deep", None)),
        "price": Decimal(number) / 8,
        "text": f"ümlaut \u2028 {number}",
        "dataclass": Price(Decimal("1.10")),
        "attrs": Seller("Ann", day, ["x"]),
        "item": Book(path=f"/b/{number}", price=Decimal("2.00")),
        "pydantic": Note(text="good", stars=number),
        "nested": [{"a": [{"b": (day, {number})}]}],
    }


def values(number: int) -> dict[str, Any]:
    """The common values, and rarer ones that a request may carry."""
    return {
        **common_values(number),
        "clock": time(1, 2, number % 60),
        "span": timedelta(seconds=number, microseconds=5),
        "frozen": frozenset({number}),
        "id": UUID(int=number),
        "by_number": {number: "int key", (1, 2): "tuple key"},
        "big": 2**70 + number,
        "infinite": float("inf"),
    }


def told(given: dict[str, Any]) -> dict[str, str]:
    """What was given, as texts in which type and content show."""
    return {key: shown(value) for key, value in given.items()}


def shown(value: Any) -> str:
    if isinstance(value, (set, frozenset)):
        return f"{type(value).__name__}{sorted(value, key=repr)}"
    if isinstance(value, dict):
        return repr(sorted((repr(key), shown(inner)) for key, inner in value.items()))
    if isinstance(value, (list, tuple)):
        return f"{type(value).__name__}{[shown(inner) for inner in value]}"
    return f"{type(value).__name__} {value!r}"


class ValueSpider(KindSpider):
    """``cb_kwargs`` and ``meta`` arrive as they were sent, through two generations."""

    name = "values"

    async def start(self) -> AsyncIterator[Any]:
        for number in range(25):
            options = {"cb_kwargs": values(number), "meta": {"number": number}}
            yield self.ask(f"/leaf/{number}", callback=self.parse_first, **options)

    def parse_first(self, response: Response, **given: Any) -> Iterator[Any]:
        yield {**page_item(response), "given": told(given)}
        number = response.meta["number"]
        meta = {"number": number, "kept": values(number), "passed": given}
        yield response.follow(f"/leaf/second-{number}", callback=self.parse_second, meta=meta)

    def parse_second(self, response: Response) -> Iterator[Any]:
        kept, passed = response.meta["kept"], response.meta["passed"]
        assert kept == passed, "the two generations differ"
        yield {**page_item(response), "kept": told(kept), "passed": told(passed)}


class ItemSpider(KindSpider):
    """Items of every type that Scrapy takes, with values of every type in them."""

    name = "items"

    async def start(self) -> AsyncIterator[Any]:
        yield self.ask("/page/0")

    def parse(self, response: Response, **kwargs: Any) -> Iterator[Any]:
        number = int(response.url.rpartition("/")[2])
        yield item_of(number, path_of(response.url), date(2000, 1, 1 + number % 28))
        yield {"path": path_of(response.url), **common_values(number)}
        for link in self.links(response):
            yield response.follow(link)
