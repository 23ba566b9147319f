"""A stable key for an item inside a pipeline, so that what it does outside can be idempotent."""

from __future__ import annotations

from typing import Any

from scrapy_resume.engine.hooks import current_item


def item_key(item: Any) -> str | None:
    """The key of an item that is going through the pipelines: 40 hex digits.

    It is the same however often the item's request is fetched again after a crash. Use it
    as the primary key of a row in a database, say, so that a repetition updates the row.

    ``None`` outside of a pipeline, or where no job is open. ``item`` may be any object: the
    key is that of the item whose pipelines are running, also after a pipeline replaced it.
    Equal items that ``start()`` itself yields have the same key; all others have one each.
    """
    current = current_item()
    if current is None:
        return None
    return current.items.key_of(current.row, current.occurrence)
