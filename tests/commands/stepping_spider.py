"""A project's spider whose own settings name its steps."""

from __future__ import annotations

from typing import Any

import scrapy

from scrapy_resume import step


@step(version="2")
def vin(item: Any) -> None: ...


class BooksSpider(scrapy.Spider):
    name = "books"
    custom_settings = {"RESUME_STEPS": {vin: 100}}  # noqa: RUF012
