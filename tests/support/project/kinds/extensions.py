"""Extensions of the project."""

from __future__ import annotations

import json
import os
from typing import Any

from scrapy import Request, signals
from scrapy.crawler import Crawler
from scrapy.exceptions import NotConfigured
from tests.support.canonical import canonical


class ItemRecorder:
    """Appends each scraped item, in its canonical form, to the file ``RECORD_ITEMS``."""

    def __init__(self, path: str) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        self.descriptor = os.open(path, flags, 0o644)

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> ItemRecorder:
        path = crawler.settings["RECORD_ITEMS"]
        if not path:
            raise NotConfigured
        recorder = cls(path)
        crawler.signals.connect(recorder.item_scraped, signals.item_scraped)
        return recorder

    def item_scraped(self, item: Any) -> None:
        os.write(self.descriptor, canonical(item).encode() + b"\n")


class SignalRequests:
    """Asks for one more page after each item of a page."""

    def __init__(self, crawler: Crawler) -> None:
        self.crawler = crawler
        crawler.signals.connect(self.item_scraped, signals.item_scraped)

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> SignalRequests:
        return cls(crawler)

    def item_scraped(self, item: Any, spider: Any) -> None:
        if "path" in item:
            assert self.crawler.engine is not None
            url = spider.url(f"/leaf/signalled-{item['path'].rpartition('/')[2]}")
            self.crawler.engine.crawl(Request(url, callback=spider.parse_signalled))


class Answers:
    """Appends to the file ``ANSWERS`` how much of the job is kept, each time that a commit is."""

    def __init__(self, path: str) -> None:
        self.path = path

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> Answers:
        from scrapy_resume.signals import commit_done

        answers = cls(crawler.settings["ANSWERS"])
        crawler.signals.connect(answers.committed, commit_done)
        return answers

    def committed(self, requests: Any, items: Any) -> None:
        with open(self.path, "ab", buffering=0) as file:
            file.write(json.dumps({**requests, **items}).encode() + b"\n")
