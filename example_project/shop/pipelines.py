"""The pipeline that each item passes before it is stored."""

from __future__ import annotations

import re

from scrapy.exceptions import DropItem

from shop.items import Book

_PRICE = re.compile(r"£\s*(\d+\.\d\d)")


class PricePipeline:
    """Turns "£12.34" into a price and a currency; drops books that have no price yet."""

    def process_item(self, item: Book) -> Book:
        """Raises DropItem for a book that is announced but not for sale yet."""
        price = _PRICE.search(item.price)
        if price is None:
            raise DropItem(f"no price yet: {item.title}", log_level="DEBUG")
        item.price, item.currency = price[1], "GBP"
        return item
