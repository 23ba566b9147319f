"""A spider whose items have shapes that are made at runtime."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

from scrapy import Field, Item, Request, Spider
from scrapy.http import Response


class Page(Item):
    title = Field()


class Saving(Item):
    """As a Django item after ``save()``: it carries what no feed shows."""

    title = Field()
    number = Field()

    def save(self) -> None:
        self._instance = object()


class Pipeline:
    """Raises for ``-a raises=yes``."""

    @classmethod
    def from_crawler(cls, crawler: Any) -> Pipeline:
        made = cls()
        made.raises = bool(getattr(crawler.spider, "raises", ""))
        return made

    raises = False

    def process_item(self, item: Any) -> Any:
        if self.raises and "Page 3" in item["title"]:
            raise ValueError("no price")
        if isinstance(item, Saving):
            item.save()
        return item


class ShapesSpider(Spider):
    """Takes the page graph of the site at ``-a site=URL``."""

    name = "wandering"
    site: str
    custom_settings = {"ITEM_PIPELINES": {Pipeline: 100}}  # noqa: RUF012

    async def start(self) -> AsyncIterator[Any]:
        yield Request(f"{self.site}/page/0")

    def parse(self, response: Response) -> Iterator[Any]:
        title = response.css("title::text").get()
        yield self.item(str(title))
        for href in response.css("li a::attr(href)").getall():
            yield response.follow(href)

    def item(self, title: str) -> Any:
        number = int(title.split()[-1])
        if number % 3 == 0:
            name = f"extra{number % 2}"
            Page.fields.setdefault(name, Field())
            page = Page(title=title)
            page[name] = number
            return page
        if number % 3 == 1:
            kind = type("Made", (Item,), {"number": Field(serializer="n{}".format)})
            kind.fields["title"] = Field()
            return kind(number=number, title=title)
        if getattr(self, "unstorable", ""):
            return {"title": title, "number": object()}
        return Saving(title=title, number=number)
