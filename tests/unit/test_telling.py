from __future__ import annotations

from typing import Any

import pytest
from pydispatch import dispatcher
from scrapy.crawler import Crawler
from scrapy.utils.test import get_crawler

from scrapy_resume import signals
from scrapy_resume.model import JobKey
from scrapy_resume.telling import Teller


@pytest.fixture
def crawler() -> Crawler:
    return get_crawler()


@pytest.fixture
def teller(crawler: Crawler) -> Teller:
    return Teller(crawler, JobKey("books", 1))


class Handler:
    def heard(self) -> None:
        pass


def test_what_nobody_listens_to_is_not_wanted(teller: Teller) -> None:
    assert teller.wanted() == frozenset()


def test_a_handler_is_noticed_when_it_comes_and_when_it_goes(
    crawler: Crawler, teller: Teller
) -> None:
    handler = Handler()
    crawler.signals.connect(handler.heard, signals.job_closed)
    assert teller.wanted() == {"job_closed"}
    crawler.signals.disconnect(handler.heard, signals.job_closed)
    assert teller.wanted() == frozenset()


def test_a_handler_that_was_forgotten_wants_nothing(crawler: Crawler, teller: Teller) -> None:
    handler = Handler()
    crawler.signals.connect(handler.heard, signals.request_failed)
    del handler
    assert teller.wanted() == frozenset()


def test_a_handler_of_any_crawler_is_noticed(teller: Teller) -> None:
    handler = Handler()
    dispatcher.connect(handler.heard, signals.commit_done, sender=dispatcher.Any)
    try:
        assert teller.wanted() == {"commit_done"}
    finally:
        dispatcher.disconnect(handler.heard, signals.commit_done, sender=dispatcher.Any)


def test_another_crawler_s_handler_is_not(teller: Teller) -> None:
    handler: Any = Handler()
    get_crawler().signals.connect(handler.heard, signals.commit_done)
    assert teller.wanted() == frozenset()
