"""A spider whose pages have files, some of which cannot be had."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

from scrapy import Request, Spider
from scrapy.exceptions import DropItem
from scrapy.http import Response
from scrapy.pipelines.files import FilesPipeline
from scrapy.pipelines.images import ImagesPipeline


class Fussy(FilesPipeline):
    """Drops an item of which no file was had, and raises for one whose title says so."""

    def item_completed(self, results: Any, item: Any, info: Any) -> Any:
        if not any(ok for ok, _ in results):
            raise DropItem("no file")
        if item.get("raises"):
            raise ValueError("no sense")
        return super().item_completed(results, item, info)


class Nameless(FilesPipeline):
    """Has no name for some files."""

    def file_path(self, request: Request, *args: Any, **kwargs: Any) -> str:
        if "nameless" in request.url:
            raise LookupError("no name for it")
        return super().file_path(request, *args, **kwargs)


class Pictures(ImagesPipeline):
    """``ImagesPipeline`` under another name."""


class DropsWithoutFiles:
    """Comes after the media pipelines."""

    def process_item(self, item: Any) -> Any:
        if not item.get("files"):
            raise DropItem("no file")
        return item


class MediaSpider(Spider):
    """``-a plan=JSON``: path of a page → what its files are; ``pictures`` are images.

    While the file ``die`` is there, the process ends by SIGKILL when the page ``/leaf/9`` is there.
    """

    name = "wandering"
    site: str
    plan: str

    async def start(self) -> AsyncIterator[Any]:
        for path in json.loads(self.plan):
            yield Request(f"{self.site}{path}")

    def parse(self, response: Response) -> Iterator[Any]:
        path = response.url.removeprefix(self.site)
        if path == "/leaf/9" and Path("die").exists():
            os.kill(os.getpid(), signal.SIGKILL)
        files = [
            file if ":" in file else f"{self.site}{file}" for file in json.loads(self.plan)[path]
        ]
        pictures = [file for file in files if "picture" in file]
        item: dict[str, Any] = {"title": path, "file_urls": [f for f in files if f not in pictures]}
        if pictures:
            item["image_urls"] = pictures
        if "raises" in path:
            item["raises"] = True
        yield item
