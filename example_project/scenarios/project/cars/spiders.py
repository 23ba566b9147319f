"""`cars` reads makes.txt and fetches the pages of each make; `dealers` fetches the dealers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

from scrapy import Request, Spider
from scrapy.http import Response


class CarsSpider(Spider):
    """Each make of makes.txt is a unit: its first page, and those that it leads to."""

    name = "cars"
    resume_input_files = ("makes.txt",)

    async def start(self) -> AsyncIterator[Request]:
        """Requests the first page of each make."""
        site = self.settings["CARS_SITE"]
        for make in Path("makes.txt").read_text().split():
            yield Request(f"{site}/{make}/1", meta={"resume_unit": make})

    def parse(self, response: Response) -> Iterator[dict[str, Any] | Request]:
        """Yields the cars of a page and a request for the next one; counts their photos."""
        for car in response.css("li"):
            self.crawler.stats.inc_value("custom/photos", int(car.attrib["data-photos"]))
            yield {"make": car.attrib["data-make"], "model": car.css("::text").get()}
        yield from response.follow_all(css="a.next")


class DealersSpider(Spider):
    """One list of a few pages."""

    name = "dealers"

    async def start(self) -> AsyncIterator[Request]:
        """Requests the first page."""
        yield Request(f"{self.settings['CARS_SITE']}/dealers/1")

    def parse(self, response: Response) -> Iterator[dict[str, Any] | Request]:
        """Yields the dealers of a page and a request for the next one."""
        for dealer in response.css("li::text").getall():
            yield {"dealer": dealer}
        yield from response.follow_all(css="a.next")
