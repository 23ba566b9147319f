"""Decides whether a crawl opens a job at all."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final
from weakref import WeakKeyDictionary

from scrapy.commands import crawl, runspider

from scrapy_resume.engine import launched_by

if TYPE_CHECKING:
    from scrapy.commands import ScrapyCommand
    from scrapy.crawler import Crawler
    from scrapy.settings import BaseSettings

logger = logging.getLogger("scrapy_resume")

_SCRAPYS: Final = "scrapy.commands."

_decided: Final[WeakKeyDictionary[Crawler, bool]] = WeakKeyDictionary()


def opens_job(crawler: Crawler) -> bool:
    """Whether the crawl opens a job, unless RESUME_ENABLED is false.

    ``scrapy crawl``, ``runspider``, the commands of the user's project and crawls that a program
    starts do. What another package crawls with does not, unless RESUME_JOB is set: its commands, a
    web service that answers requests by crawls (scrapyrt), and crawlers that are given their
    settings before they crawl (``get_crawler`` of test suites). Neither do ``fetch``, ``parse``
    and ``check``, which crawl with a ``start()`` of their own, and ``shell``, which does not crawl.

    It is decided when it is first asked, for as long as the crawler lives.
    """
    if crawler not in _decided:
        _decided[crawler] = _decide(crawler)
    return _decided[crawler]


def _decide(crawler: Crawler) -> bool:
    settings = crawler.settings
    if not settings.getbool("RESUME_ENABLED", True):
        return False
    command = launched_by.command()
    start: str = getattr(crawler.spidercls.start, "__module__", "")
    if start.startswith(_SCRAPYS) or (command is not None and _is_tool(command)):
        return False
    other = _what_else_crawls(crawler, command)
    if other is None or settings.get("RESUME_JOB") is not None:
        return True
    logger.info("No job is opened for %s; RESUME_JOB names one, if it is to be one", other)
    return False


def _is_tool(command: ScrapyCommand) -> bool:
    """Whether it is one of Scrapy's commands that look at a page, or at the machine."""
    return type(command).__module__.startswith(_SCRAPYS) and not _crawls(command)


def _crawls(command: ScrapyCommand) -> bool:
    return isinstance(command, crawl.Command | runspider.Command)


def _what_else_crawls(crawler: Crawler, command: ScrapyCommand | None) -> str | None:
    """What the crawl is made for, if that is no crawl of the user's own."""
    if not crawler.crawling:
        return "a crawler that was given its settings before it crawls"
    if command is not None and not (_crawls(command) or _is_own(command, crawler.settings)):
        return f"a command of {type(command).__module__}"
    if launched_by.answers_a_request():
        return "a crawl that answers a request to a web server"
    return None


def _is_own(command: ScrapyCommand, settings: BaseSettings) -> bool:
    """Whether it is a command of the user's project (COMMANDS_MODULE)."""
    own: str = settings.get("COMMANDS_MODULE") or ""
    return bool(own) and f"{type(command).__module__}.".startswith(f"{own}.")
