"""What is done with a book after its page, each part recorded and tried again on its own."""

from __future__ import annotations

from typing import Any

from scrapy import Request, Selector, Spider

from scrapy_resume import step
from scrapy_resume.steps import Files
from shop.items import Book
from shop.pages import shop_url


class Photos(Files):
    """Downloads the cover; the settings FILES_* in settings.py say from and into which field."""

    name = "photos"


@step(max_attempts=5, retry_delay=0.5)
async def stock(item: Book, fetch: Any, spider: Spider) -> dict[str, int]:
    """Asks the warehouse, whose API fails now and then. Raises ValueError for an error of it."""
    url = shop_url(spider, f"/api/stock/{item.isbn}")
    answer = await fetch(Request(url, meta={"dont_retry": True}))
    if answer.status != 200:
        raise ValueError(f"the API answers {answer.status}")
    return {"stock": answer.json()["copies"]}


@step(needs="blurb", consumes="blurb")
def description(item: Book) -> dict[str, str]:
    """Parses the text in a thread: think of a model that takes its time."""
    return {"description": "".join(Selector(text=item.blurb).css("p ::text").getall()).strip()}
