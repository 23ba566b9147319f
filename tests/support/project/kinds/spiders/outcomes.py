"""What becomes of items: dropped, failed in a pipeline, very many, with media."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

from scrapy.http import Response

from kinds.base import KindSpider, page_item, path_of


class DroppingSpider(KindSpider):
    """Pipelines drop some items, change some, and raise for some."""

    name = "dropping"
    custom_settings = {
        "ITEM_PIPELINES": {
            "kinds.pipelines.DropThirds": 100,
            "kinds.pipelines.RaiseForFifths": 200,
            "kinds.pipelines.Shout": 300,
        }
    }

    async def start(self) -> AsyncIterator[Any]:
        yield self.ask("/page/0")

    def parse(self, response: Response, **kwargs: Any) -> Iterator[Any]:
        number = int(response.url.rpartition("/")[2])
        yield {**page_item(response), "number": number}
        yield {"twin": path_of(response.url), "number": number + 1}
        for link in self.links(response):
            yield response.follow(link)


class ManyItemsSpider(KindSpider):
    """1,500 items in one callback, more than are kept in memory."""

    name = "many_items"

    async def start(self) -> AsyncIterator[Any]:
        for number in range(4):
            yield self.ask(f"/leaf/{number}")

    def parse(self, response: Response, **kwargs: Any) -> Iterator[Any]:
        for number in range(1500):
            yield {"path": path_of(response.url), "number": number % 1490}
        yield response.follow("/leaf/after", callback=self.parse_after)

    async def parse_after(self, response: Response) -> AsyncIterator[Any]:
        for number in range(1500):
            yield {"path": path_of(response.url), "number": number}


class FileSpider(KindSpider):
    """``FilesPipeline``; several items share a file."""

    name = "files"
    custom_settings = {
        "ITEM_PIPELINES": {
            "scrapy.pipelines.files.FilesPipeline": 100,
            "kinds.pipelines.WithoutMediaStatus": 200,
        }
    }

    async def start(self) -> AsyncIterator[Any]:
        for number in range(24):
            yield self.ask(f"/leaf/{number}")

    def parse(self, response: Response, **kwargs: Any) -> Iterator[Any]:
        number = int(response.url.rpartition("/")[2])
        names = (str(number), str(number // 2), "shared")
        urls = [self.url(f"/file/{name}.bin") for name in names]
        yield {**page_item(response), "file_urls": urls}


class ImageSpider(KindSpider):
    """``ImagesPipeline``, with thumbnails."""

    name = "images"
    custom_settings = {
        "ITEM_PIPELINES": {
            "scrapy.pipelines.images.ImagesPipeline": 100,
            "kinds.pipelines.WithoutMediaStatus": 200,
        },
        "IMAGES_THUMBS": {"small": (20, 20)},
    }

    async def start(self) -> AsyncIterator[Any]:
        for number in range(16):
            yield self.ask(f"/page/{number}")

    def parse(self, response: Response, **kwargs: Any) -> Iterator[Any]:
        sources = response.css("img::attr(src)").getall()
        yield {**page_item(response), "image_urls": [response.urljoin(src) for src in sources]}
