"""Steps of the items of ``fleet_spider``, for RESUME_STEPS: each downloads another page."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from scrapy_resume import step
from tests.support.hosts_graph import HostGraph


def another_page(item: Any, spider: Any, first: int) -> str:
    """The page that the step fetches: each item has its own, mostly on another host."""
    port = urlsplit(item["url"]).port
    assert port is not None
    return HostGraph.parse(spider.graph).url(first + item["n"], port)


@step(needs="n", max_attempts=1)
async def details(item, fetch, spider):
    answer = await fetch(another_page(item, spider, int(spider.starts) + 1))
    return {"details": answer.url, "status": answer.status}


@step(needs="n", max_attempts=1, rate_limit=(10, 1.0))
async def quota(item, fetch, spider):
    answer = await fetch(another_page(item, spider, int(spider.starts)))
    return {"quota": answer.status}


@step(needs="n", max_attempts=1, rate_limit=(100, 10))
async def hundred(item, fetch, spider):
    answer = await fetch(another_page(item, spider, int(spider.starts)))
    return {"hundred": answer.status}
