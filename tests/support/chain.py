"""One long chain of pages, for ``scrapy runspider``."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from scrapy import Request, Spider
from scrapy.http import Response


class ChainSpider(Spider):
    """Each page leads to the next."""

    name = "chain"
    site: str

    async def start(self) -> AsyncIterator[Any]:
        yield Request(f"{self.site}/leaf/1", meta={"resume_unit": "chain"})

    def parse(self, response: Response, **kwargs: Any) -> Any:
        page = int(response.url.rpartition("/")[2])
        return {"page": page}, response.follow(f"/leaf/{page + 1}")
