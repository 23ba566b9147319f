"""The item that the spiders yield."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass
class Book:
    """A book as its page shows it; the pipeline turns `price` into text such as "12.34"."""

    url: str
    isbn: str
    title: str
    author: str
    category: str
    price: str
    currency: str
    stock: int
    rating: int
    description: str
    image_urls: list[str] = field(default_factory=list)
    images: list[dict[str, Any]] = field(default_factory=list)
    """Filled by the images pipeline, where Pillow is installed."""
