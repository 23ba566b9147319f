"""The feeds of a stage: Scrapy's exporters and storages, written as those of a crawl.

Imported only if a stage has feeds: Scrapy's feed exporter imports its engine, which is not used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from scrapy import Spider
from scrapy.exceptions import NotConfigured
from scrapy.settings import Settings
from scrapy.signalmanager import SignalManager
from scrapy.utils.asyncio import is_asyncio_available

from scrapy_resume.errors import ConfigurationError
from scrapy_resume.feedexport import ResumeFeedExporter
from scrapy_resume.stages.stage_stats import StageStats

if TYPE_CHECKING:
    from collections.abc import Mapping

    from scrapy.crawler import Crawler
    from scrapy.settings import BaseSettings

    from scrapy_resume.run.crawl_run import CrawlRun


class StageCrawler:
    """What Scrapy's feed exporter uses of a crawler."""

    def __init__(self, name: str, settings: Settings) -> None:
        self.settings = settings
        self.stats = StageStats()
        self.signals = SignalManager(self)
        self.spider = Spider(name)


def make_feeds(name: str, feeds: Mapping[str, Any], project: BaseSettings) -> ResumeFeedExporter:
    """The exporter of these feeds, before anything is opened. Raises ``ConfigurationError``."""
    settings = Settings()
    settings.setdict(project.copy_to_dict(), priority="project")
    settings.set("FEEDS", {str(uri): options for uri, options in feeds.items()}, priority="cmdline")
    crawler = cast("Crawler", StageCrawler(name, settings))
    try:
        return ResumeFeedExporter(crawler)
    except NotConfigured as error:
        raise ConfigurationError(
            f"the feeds of stage {name!r} cannot be written: {error or 'the log says why'}. They"
            " are given as in Scrapy's FEEDS"
        ) from error
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ConfigurationError(
            f"the feeds of stage {name!r} are {dict(feeds)!r}, which is not as in Scrapy's FEEDS:"
            f" {{'enriched.jsonl': {{'format': 'jsonlines'}}}} ({error!r})"
        ) from error


def begin_feeds(exporter: ResumeFeedExporter, run: object) -> None:
    """Go on with the feeds where earlier runs have left them. ``run``: that of the stage.
    Called in the event loop. Raises ``ConfigurationError`` with a version of Scrapy whose feeds
    need a reactor."""
    try:
        is_asyncio_available()
    except RuntimeError as error:
        raise ConfigurationError(
            "the feeds of a stage need Scrapy 2.15 or newer. Upgrade it, or leave the feeds out and"
            " export the items: scrapy resume export JOB -o FILE"
        ) from error
    spider = exporter.crawler.spider
    assert spider is not None
    exporter.begin(cast("CrawlRun", run), spider)
