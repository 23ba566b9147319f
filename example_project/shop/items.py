"""The item that the spiders yield."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass
class Book:
    """A book as its page shows it; the pipeline turns `price` into text such as "12.34".

    What steps fill in is `None` or empty until then.
    """

    url: str
    isbn: str
    title: str
    author: str
    category: str
    price: str
    currency: str
    rating: int
    blurb: str = ""
    """HTML, for the step `description` alone: it is empty in feeds."""
    photo_urls: list[str] = field(default_factory=list)
    stock: int | None = None
    """By the step `stock`."""
    description: str | None = None
    """By the step `description`."""
    photos: list[dict[str, Any]] = field(default_factory=list)
    """By the step `photos`."""
