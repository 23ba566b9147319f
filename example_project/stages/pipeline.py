"""Discovery, validation, enrichment: one program that may be killed at any time.

    cd example_project
    python shop_site.py --port 8765                # in another terminal
    python stages/pipeline.py http://127.0.0.1:8765 books-with-stock.jsonl

Discovery is the spider `books`. Validation is plain code. Enrichment asks an API that fails now and
then. Started again after anything, the program goes on: stages that are completed are left alone,
and the last one takes up its open keys. Look at it meanwhile: `scrapy resume report`.
"""

from __future__ import annotations

import asyncio
import os
import random
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from scrapy.crawler import CrawlerProcess
from scrapy.utils.project import get_project_settings

from scrapy_resume import Fail, Retry, Skip, Stage, open_store
from scrapy_resume.errors import JobNotFoundError

os.environ.setdefault("SCRAPY_SETTINGS_MODULE", "shop.settings")

BUSY, REFUSED = 0.02, 0.08
"""How often the API is busy, and how often it does not answer."""


def discover(site: str) -> None:
    """Crawl the shop, unless that is done. Exits if the crawl was stopped."""
    settings = get_project_settings()
    # The mode of a job that others build on: a completed one is not begun anew.
    settings.setdict({"RESUME_MODE": "once", "RESUME_JOB": "books", "RESUME_STEPS": {}})
    process = CrawlerProcess(settings)
    process.crawl("books", site=site)
    process.start()
    try:
        status = open_store().job("books")["status"]
    except JobNotFoundError:
        status = "not begun"
    if status != "completed":
        sys.exit(f"the crawl is {status}: start the program again")


def validate(book: Any) -> dict[str, Any]:
    """Plain code, called in a thread."""
    if len(book.isbn) != 13 or not book.isbn.isdigit():
        raise Skip(f"{book.isbn} is no ISBN")
    if not 0 <= book.rating <= 5:
        raise Fail(f"a rating of {book.rating}")
    return {"isbn": book.isbn, "title": book.title.strip(), "price": book.price}


async def enrich(book: dict[str, Any]) -> dict[str, Any]:
    """Ask the API of a warehouse."""
    await asyncio.sleep(random.uniform(0.005, 0.03))
    chance = random.random()
    if chance < BUSY:
        raise Retry("the API is busy", after=0.2)
    if chance < BUSY + REFUSED:
        raise ConnectionError("the API does not answer")
    return {**book, "in_stock": int(book["isbn"][-2:]) % 7}


async def stages(feed: str) -> None:
    """Validate and enrich what the spider has found."""
    async with Stage("validate") as stage:
        await stage.map(validate, open_store().items("books"), key="url")
    async with Stage("enrich", feeds={feed: {"format": "jsonlines"}}) as stage:
        counts = await stage.map(
            enrich,
            open_store().items("validate"),
            key="isbn",
            concurrency=10,
            max_attempts=20,
            retry_delay=0.05,
            timeout=5,
        )
        print(f"enriched: {counts}", flush=True)


if __name__ == "__main__":
    discover(sys.argv[1])
    asyncio.run(stages(sys.argv[2]))
