"""Spiders, pipelines and exporters as people write them in public bug reports.

A copy of this file is the module ``shop`` of a project of its own, for ``scrapy crawl``.
"""

from __future__ import annotations

import asyncio
import csv
import os
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

from itemadapter import ItemAdapter
from scrapy import Field, Item, Request, Spider
from scrapy.exceptions import DropItem
from scrapy.exporters import JsonLinesItemExporter
from scrapy.http import Response
from scrapy.pipelines.files import FileException, FilesPipeline

LEAVES = 10


class LeafSpider(Spider):
    """Asks for leaves; what it gives for each is up to the spider."""

    site = os.environ.get("KINDS_SITE", "")

    def leaf(self, number: int, **given: Any) -> Request:
        return Request(f"{self.site}/leaf/{number}", **given)

    async def start(self) -> AsyncIterator[Any]:
        for number in range(LEAVES):
            yield self.leaf(number)

    def parse(self, response: Response, **kwargs: Any) -> Iterator[Any]:
        yield {"title": title_of(response)}


def title_of(response: Response) -> str:
    return str(response.css("title::text").get())


class TitlesSpider(LeafSpider):
    name = "titles"


# ---- shared objects


class Inner:
    def __init__(self) -> None:
        self.name = "old"


class Outer:
    def __init__(self) -> None:
        self.inner = Inner()


class AttributeSpider(LeafSpider):
    """What the requests carry hangs from the spider too."""

    name = "attribute"

    async def start(self) -> AsyncIterator[Any]:
        self.outer = Outer()
        for number in range(LEAVES):
            yield self.leaf(number, cb_kwargs={"inner": self.outer.inner})

    def parse(self, response: Response, **kwargs: Any) -> Iterator[Any]:
        kwargs["inner"].name = "new"
        yield {"title": title_of(response), "name": self.outer.inner.name}


class CollectingSpider(LeafSpider):
    """Callbacks fill a list; a request that comes after all others only reads it."""

    name = "collecting"

    async def start(self) -> AsyncIterator[Any]:
        for group in range(2):
            yield self.leaf(100 + group, callback=self.parse_group, cb_kwargs={"group": group})

    def parse_group(self, response: Response, group: int) -> Iterator[Any]:
        found: list[str] = []
        for number in range(group * 10, group * 10 + 6):
            yield self.leaf(number, callback=self.parse_part, cb_kwargs={"found": found})
        yield self.leaf(200 + group, callback=self.sum_up, cb_kwargs={"found": found}, priority=-10)

    def parse_part(self, response: Response, found: list[str]) -> None:
        found.append(title_of(response))

    def sum_up(self, response: Response, found: list[str]) -> Iterator[Any]:
        yield {"title": title_of(response), "found": sorted(found)}


# ---- the end


class HangsAtTheEnd:
    """A pipeline that does not close in the first process."""

    def process_item(self, item: Any) -> Any:
        return item

    async def close_spider(self) -> None:
        if not Path("hung").exists():
            Path("hung").touch()
            await asyncio.Event().wait()


# ---- names


class ListSpider(LeafSpider):
    """``storage_key`` says which list is crawled."""

    name = "lists"

    def __init__(self, storage_key: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.storage_key = storage_key

    async def start(self) -> AsyncIterator[Any]:
        for number in range(LEAVES):
            yield Request(f"{self.site}/leaf/{self.storage_key}{number}")


# ---- what remembers


class RepeatsSpider(LeafSpider):
    """Several leaves give the same address."""

    name = "repeats"

    async def start(self) -> AsyncIterator[Any]:
        for number in range(2 * LEAVES):
            yield self.leaf(number)

    def parse(self, response: Response, **kwargs: Any) -> Iterator[Any]:
        number = int(title_of(response).split()[-1])
        yield {"ipv4": f"10.0.0.{number % 7}", "port": 80}


class AddressVerification:
    """Drops repeated addresses, and gives up after too many of them."""

    def __init__(self) -> None:
        self.seen: set[tuple[str, int]] = set()
        self.count = 0

    def process_item(self, item: Any) -> Any:
        address = (item["ipv4"], item["port"])
        if address in self.seen:
            self.count += 1
            raise DropItem("Data duplication")
        self.seen.add(address)
        return item


class NumberingExporter(JsonLinesItemExporter):
    """Numbers the items of the feed, and leaves out repeated ones."""

    def start_exporting(self) -> None:
        super().start_exporting()
        self.seen: dict[str, int] = {}

    def export_item(self, item: Any) -> None:
        address = item["ipv4"]
        if address not in self.seen:
            self.seen[address] = len(self.seen) + 1
            super().export_item({"ipv4": address, "number": self.seen[address]})


# ---- shapes


def create_item_class(name: str, fields: list[str]) -> type[Item]:
    return type(name, (Item,), {"fields": {field: Field() for field in fields}})


class Flexible(Item):
    """Takes any field."""

    def __setitem__(self, key: str, value: Any) -> None:
        self.fields.setdefault(key, Field())
        super().__setitem__(key, value)


class ShapesSpider(LeafSpider):
    name = "shapes"

    def parse(self, response: Response, **kwargs: Any) -> Iterator[Any]:
        title = title_of(response)
        number = int(title.split()[-1])
        made = create_item_class("Product", ["title", f"field{number % 3}"])()
        made["title"] = title
        made[f"field{number % 3}"] = number
        yield made
        flexible = Flexible()
        flexible["title"] = title
        flexible[f"option {number}"] = "yes"
        yield flexible


# ---- items of start()


class TableSpider(LeafSpider):
    """Items of a table's rows, and pages for others of them."""

    name = "table"

    async def start(self) -> AsyncIterator[Any]:
        with open("rows.csv", newline="") as file:
            for row in csv.DictReader(file):
                if row["number"]:
                    yield self.leaf(int(row["number"]), cb_kwargs={"row": row})
                else:
                    yield {"title": row["name"], "at": time.time()}

    def parse(self, response: Response, **kwargs: Any) -> Iterator[Any]:
        yield {"title": kwargs["row"]["name"] + " of " + title_of(response), "at": time.time()}


class LateItemSpider(LeafSpider):
    """A page and then an item, from ``start()``."""

    name = "late_item"

    async def start(self) -> AsyncIterator[Any]:
        yield self.leaf(0)
        yield {"title": "quote", "tags": ["scrapy"], "at": time.time()}
        for number in range(1, LEAVES):
            yield self.leaf(number)
        yield {"title": "quote", "tags": ["scrapy"], "at": time.time()}


# ---- media


class ReportingFiles(FilesPipeline):
    """Writes into the item how each file has fared, in place of Scrapy's own way."""

    def media_downloaded(
        self, response: Response, request: Request, info: Any, *, item: Any = None
    ) -> Any:
        if response.status != 200:
            raise FileException(f"status {response.status}")
        return super().media_downloaded(response, request, info, item=item)

    def item_completed(self, results: Any, item: Any, info: Any) -> Any:
        ItemAdapter(item)["fared"] = [
            given["url"] if ok else type(given.value).__name__ for ok, given in results
        ]
        return item


class BuggyFiles(FilesPipeline):
    """Has no path for a file of an odd number."""

    def file_path(
        self, request: Request, response: Any = None, info: Any = None, *, item: Any = None
    ) -> str:
        number = int(request.url.rpartition("/")[2])
        return f"{number // ((number + 1) % 2)}.bin"


class FilesSpider(LeafSpider):
    name = "files"

    def parse(self, response: Response, **kwargs: Any) -> Iterator[Any]:
        title = title_of(response)
        number = int(title.split()[-1])
        kind = "missing" if number % 4 == 3 and self.settings.getbool("GAPS") else "file"
        yield {
            "title": title,
            "file_urls": [f"{self.site}/{kind}/{number}", f"{self.site}/file/{100 + 2 * number}"],
        }


# ---- pages that fail later


class ChainSpider(LeafSpider):
    """Each page names the next."""

    name = "chain"

    async def start(self) -> AsyncIterator[Any]:
        yield self.leaf(0)

    def parse(self, response: Response, **kwargs: Any) -> Iterator[Any]:
        title = title_of(response)
        number = int(title.split()[-1])
        for release in range(2):
            yield {"title": f"{title}, release {release}"}
        if number + 1 < LEAVES:
            yield self.leaf(number + 1)


class SiteIsDown:
    """A downloader middleware: the site answers 500 for the leaves in ``DOWN``."""

    def __init__(self, down: list[str]) -> None:
        self.down = down

    @classmethod
    def from_crawler(cls, crawler: Any) -> SiteIsDown:
        return cls(crawler.settings.getlist("DOWN"))

    def process_request(self, request: Request, spider: Any = None) -> Response | None:
        if request.url.rpartition("/")[2] in self.down:
            return Response(request.url, status=500)
        return None


class ProductsSpider(LeafSpider):
    """The listings of a shop that changes."""

    name = "products"

    async def start(self) -> AsyncIterator[Any]:
        yield Request(f"{self.site}/listing/0")

    def parse(self, response: Response, **kwargs: Any) -> Iterator[Any]:
        for href in response.css("li a::attr(href)").getall():
            yield response.follow(href, self.parse_product if "product" in href else self.parse)

    def parse_product(self, response: Response) -> Iterator[Any]:
        yield {"title": title_of(response)}
