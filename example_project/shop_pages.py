"""The shop's pages: every path of the site with its response."""

from __future__ import annotations

import colorsys
import json
import struct
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from html import escape
from itertools import pairwise

from shop_catalogue import (
    BOOKS_PER_PAGE,
    CATEGORY_SIZES,
    CatalogueBook,
    all_books,
    books_of,
    discontinued_paths,
    related_books,
    slug,
    staff_book_of,
)

HTML = "text/html; charset=utf-8"
XML = "application/xml; charset=utf-8"
TEXT = "text/plain; charset=utf-8"
JSON = "application/json"
FLAKY_FAILURES = 2
"""How often a flaky page answers 503 before it answers 200."""


@dataclass(frozen=True)
class Answer:
    """The response of a path, after it has answered `failures` times with 503."""

    body: bytes
    content_type: str = HTML
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    failures: int = 0


def _html(title: str, main: str) -> bytes:
    links = "".join(
        f'<li><a href="/category/{slug(name)}/">{escape(name)}</a></li>' for name in CATEGORY_SIZES
    )
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}'
        f'</title></head><body><header><a href="/">The Second Page</a></header>'
        f'<nav class="categories"><ul>{links}</ul></nav><main>{main}</main>'
        f'<footer><a href="/staff/">Staff only</a></footer></body></html>'
    ).encode()


def gone(path: str, status: int = 404) -> Answer:
    """The response for a path that does not exist or is gone."""
    body = f"<h1>Not here</h1><p>There is nothing at {escape(path)}.</p>"
    return Answer(_html("Not here", body), status=status)


def moved(target: str) -> Answer:
    """A permanent redirect."""
    body = _html("Moved", f'<p>Now at <a href="{target}">{target}</a>.</p>')
    return Answer(body, status=301, headers={"Location": target})


def unavailable() -> Answer:
    """The response of a flaky page that fails."""
    body = _html("Busy", "<h1>Please come back in a moment</h1>")
    return Answer(body, status=503, headers={"Retry-After": "1"})


def out_of_order() -> Answer:
    """The response of the warehouse when it fails."""
    return Answer(b'{"error": "out of order"}', JSON, status=500)


def _stock(book: CatalogueBook) -> Answer:
    body = json.dumps({"isbn": book.isbn, "copies": book.stock}).encode()
    return Answer(body, JSON, failures=1 if book.is_stock_flaky else 0)


def cover(book: CatalogueBook) -> bytes:
    """A PNG of 16 by 24 pixels, in the book's own colour."""
    colour = colorsys.hsv_to_rgb(book.number * 0.618 % 1, 0.5, 0.8)
    row = b"\0" + bytes(round(255 * part) for part in colour) * 16
    chunks = (
        (b"IHDR", struct.pack(">IIBBBBB", 16, 24, 8, 2, 0, 0, 0)),
        (b"IDAT", zlib.compress(row * 24)),
        (b"IEND", b""),
    )
    packed = (
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(packed)


def _book_page(book: CatalogueBook) -> Answer:
    price = "Not for sale yet" if book.price is None else f"£{book.price}"
    related = "".join(
        f'<li><a href="{other.path}">{escape(other.title)}</a></li>'
        for other in related_books(book)
    )
    opening, _, rest = book.description.partition(" ")
    main = (
        f'<div class="breadcrumb"><a href="/">Home</a> / <a class="category" '
        f'href="/category/{slug(book.category)}/">{escape(book.category)}</a></div>'
        f'<article><img class="cover" src="{book.cover_path}" alt="">'
        f"<h1>{escape(book.title)}</h1>"
        f'<p>by <span id="author">{escape(book.author)}</span></p>'
        f'<p id="price">{price}</p>'
        f'<p id="rating" data-stars="{book.rating}">{"★" * book.rating}</p>'
        f'<p id="description"><em>{escape(opening)}</em> {escape(rest)}</p>'
        f'<table><tr><th>ISBN</th><td id="isbn">{book.isbn}</td></tr></table></article>'
        f'<aside class="related"><h2>Readers also liked</h2><ul>{related}</ul></aside>'
    )
    failures = FLAKY_FAILURES if book.is_flaky else 0
    return Answer(_html(book.title, main), failures=failures)


def _category_pages(category: str) -> Iterator[tuple[str, Answer]]:
    entries = [(book.linked_path, book.title) for book in books_of(category)]
    entries[5:5] = [(path, "A book that was") for path in discontinued_paths(category)]
    entries.insert(10, (staff_book_of(category).path, staff_book_of(category).title))
    base = f"/category/{slug(category)}/"
    starts = range(0, len(entries), BOOKS_PER_PAGE)
    for page, start in enumerate(starts, 1):
        articles = "".join(
            f'<article class="book"><h3><a href="{path}">{escape(title)}</a></h3></article>'
            for path, title in entries[start : start + BOOKS_PER_PAGE]
        )
        following = f'<li class="next"><a href="{base}page-{page + 1}.html">next</a></li>'
        pager = following if page < len(starts) else ""
        main = f"<h1>{escape(category)}</h1>{articles}<ul>{pager}</ul>"
        path = base if page == 1 else f"{base}page-{page}.html"
        flaky = page == 2 and len(starts) > 3
        yield path, Answer(_html(category, main), failures=FLAKY_FAILURES if flaky else 0)


def _sitemaps(site: str) -> Iterator[tuple[str, Answer]]:
    head = '<?xml version="1.0" encoding="UTF-8"?>'
    space = 'xmlns="http://www.sitemaps.org/schemas/sitemap/0.9"'
    parts = []
    for category in CATEGORY_SIZES:
        path = f"/sitemap-{slug(category)}.xml"
        parts.append(f"<sitemap><loc>{site}{path}</loc></sitemap>")
        paths = [book.path for book in books_of(category)] + list(discontinued_paths(category))
        urls = "".join(f"<url><loc>{site}{path}</loc></url>" for path in paths)
        yield path, Answer(f"{head}<urlset {space}>{urls}</urlset>".encode(), XML)
    index = f"{head}<sitemapindex {space}>{''.join(parts)}</sitemapindex>"
    yield "/sitemap.xml", Answer(index.encode(), XML)


def build_pages(site: str) -> dict[str, Answer]:
    """Path → response, for every path of the shop at `site`; others answer 404."""
    robots = f"User-agent: *\nDisallow: /staff/\n\nSitemap: {site}/sitemap.xml\n"
    pages = {
        "/": Answer(_html("The Second Page", "<h1>The Second Page</h1><p>Books, mostly.</p>")),
        "/robots.txt": Answer(robots.encode(), TEXT),
        "/staff/": Answer(_html("Staff", "<h1>Staff only</h1>")),
    }
    pages.update(_sitemaps(site))
    for category in CATEGORY_SIZES:
        pages.update(_category_pages(category))
        pages.update(
            (path, gone(path, status)) for path, status in discontinued_paths(category).items()
        )
        pages[staff_book_of(category).path] = _book_page(staff_book_of(category))
    for book in [*all_books(), *map(staff_book_of, CATEGORY_SIZES)]:
        pages[book.path] = _book_page(book)
        pages[book.cover_path] = Answer(cover(book), "image/png")
        pages[book.stock_path] = _stock(book)
        hops = [*book.old_paths, book.path]
        pages.update((old, moved(new)) for old, new in pairwise(hops))
    return pages


def crawl_page_count() -> int:
    """The number of pages that a complete crawl by links fetches with status 200."""
    categories = sum(1 for name in CATEGORY_SIZES for _ in _category_pages(name))
    return 1 + categories + sum(CATEGORY_SIZES.values())
