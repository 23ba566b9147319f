"""A crawl proper opens a job; Scrapy's other commands, and a crawl that says so, do not."""

from __future__ import annotations

from typing import Any

import pytest
from scrapy import Spider
from scrapy.crawler import Crawler

from scrapy_resume.run.activation import opens_job


class Books(Spider):
    name = "books"


async def start_of_a_command(spider: Spider) -> Any:
    return
    yield


start_of_a_command.__module__ = "scrapy.commands.parse"


class Parsed(Spider):
    name = "parsed"
    start = start_of_a_command  # type: ignore[assignment]


def crawler(spider: type[Spider] = Books, *, crawling: bool = True, **settings: Any) -> Crawler:
    made = Crawler(spider, settings)
    made.crawling = crawling
    return made


def test_a_crawl_opens_a_job() -> None:
    assert opens_job(crawler())


def test_a_crawler_that_does_not_crawl_yet_opens_one_only_if_it_is_named() -> None:
    assert not opens_job(crawler(crawling=False))
    assert opens_job(crawler(crawling=False, RESUME_JOB="mine"))


def test_what_was_decided_stays() -> None:
    made = crawler(crawling=False)
    assert not opens_job(made)
    made.crawling = True
    assert not opens_job(made)


def test_a_command_with_a_start_of_its_own_opens_no_job() -> None:
    assert not opens_job(crawler(Parsed, RESUME_JOB="mine"))


@pytest.mark.parametrize(("value", "opens"), [(False, False), ("0", False), (True, True)])
def test_resume_enabled_decides(value: object, opens: bool) -> None:
    assert opens_job(crawler(RESUME_ENABLED=value)) is opens
