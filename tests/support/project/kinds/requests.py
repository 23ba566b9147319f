"""A Request class of the user's own."""

from __future__ import annotations

from typing import Any

from scrapy import Request


class LabelledRequest(Request):
    """Carries a label, declared in ``attributes`` as Scrapy asks for."""

    attributes: tuple[str, ...] = (*Request.attributes, "label")

    def __init__(self, *args: Any, label: str = "", **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.label = label
