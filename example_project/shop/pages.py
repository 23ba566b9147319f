"""Parses the shop's pages, for both spiders."""

from __future__ import annotations

from typing import Any

from scrapy import Spider
from scrapy.http import Response

from shop.items import Book


def shop_url(spider: Spider, path: str) -> str:
    """The URL of a path in the shop that `-a site=URL` or the setting SHOP_SITE names."""
    site: str = getattr(spider, "site", None) or spider.settings["SHOP_SITE"]
    return site.rstrip("/") + path


def links(response: Response, query: str) -> list[str]:
    """The URLs of the links that match the query, in the order of the page."""
    found: list[str] = response.css(f"{query}::attr(href)").getall()
    return found


def read_book(response: Response) -> Book:
    """The book that a book's page shows."""

    def text(query: str) -> str:
        found: Any = response.css(query).get()
        return "" if found is None else str(found).strip()

    return Book(
        url=response.url,
        isbn=text("#isbn::text"),
        title=text("h1::text"),
        author=text("#author::text"),
        category=text(".breadcrumb a.category::text"),
        price=text("#price::text"),
        currency="",
        rating=int(text("#rating::attr(data-stars)") or 0),
        blurb=text("#description"),
        photo_urls=[response.urljoin(src) for src in response.css("img.cover::attr(src)").getall()],
    )
