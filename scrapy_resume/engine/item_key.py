"""A stable key for the item in a pipeline, which makes the pipeline's side effects idempotent."""

from __future__ import annotations

from typing import Any

from scrapy_resume.engine.current import current_item


def item_key(item: Any) -> str | None:
    """The key of the item that is in the pipelines: 40 hex digits.

    It stays the same when the item's request is fetched again after a crash. Use it, for example,
    as the primary key of a row in a database, so that a repetition updates the row.

    ``None`` outside of a pipeline, or in a crawl that opens no job. A thread that a pipeline starts
    is outside of it, unless it runs in a copy of the pipeline's context (as ``asyncio.to_thread``
    does, and ``deferToThread`` does not): get the key first, and hand it over.

    ``item`` may be any object: the key is that of the item whose pipelines are running, also after
    a pipeline has replaced it. Equal items that ``start()`` itself yields have the same key; all
    others have one each.
    """
    current = current_item()
    if current is None:
        return None
    return current.items.key_of(current.row, current.occurrence)
