"""Takes a site that is a file: pages that change, fail in their callback, and are gone."""

import asyncio
import json
from pathlib import Path
from typing import ClassVar

from scrapy import Request, Spider
from scrapy.http import TextResponse


class FileOfPages:
    """Answers from ``-a site=FILE``: JSON, by path, of status, items, and whether its callback
    fails."""

    @classmethod
    def from_crawler(cls, crawler):
        made = cls()
        made.crawler = crawler
        return made

    async def process_request(self, request):
        await asyncio.sleep(0.02)
        page = json.loads(Path(self.crawler.spider.site).read_text())[request.url[-2:]]
        return TextResponse(
            request.url, status=page["status"], body=json.dumps(page).encode(), request=request
        )


class ShelfSpider(Spider):
    name = "shelf"
    pages = 40
    custom_settings: ClassVar = {
        "DOWNLOADER_MIDDLEWARES": {FileOfPages: 550},
        "RETRY_ENABLED": False,
    }

    async def start(self):
        for number in range(int(self.pages)):
            yield Request(f"http://shelf.invalid/{number:02}")

    def parse(self, response):
        page = json.loads(response.text)
        yield from page["items"]
        if page["fails"]:
            raise ValueError("as the test wants it")
