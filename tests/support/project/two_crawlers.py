"""Two crawlers in one process: ``python two_crawlers.py SPIDER SPIDER NAME=VALUE...``."""

from __future__ import annotations

import sys

from scrapy.crawler import CrawlerProcess
from scrapy.utils.project import get_project_settings


def main(words: list[str]) -> None:
    settings = get_project_settings()
    for word in words:
        name, equals, value = word.partition("=")
        if equals:
            settings.set(name, value, priority="cmdline")
    process = CrawlerProcess(settings)
    for word in words:
        if "=" not in word:
            process.crawl(word)
    process.start()


if __name__ == "__main__":
    main(sys.argv[1:])
