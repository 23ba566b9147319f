"""Installs the components of this package in Scrapy's settings, or checks that the user has."""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING, Final

from scrapy.utils.misc import load_object

from scrapy_resume.errors import ConfigurationError

if TYPE_CHECKING:
    from scrapy.settings import BaseSettings

SCHEDULER: Final = "scrapy_resume.scheduler.ResumeScheduler"
SCRAPY_SCHEDULER: Final = "scrapy.core.scheduler.Scheduler"

FEED_EXPORTER: Final = "scrapy_resume.feedexport.ResumeFeedExporter"
SCRAPY_FEED_EXPORTER: Final = "scrapy.extensions.feedexport.FeedExporter"

COMPONENTS: Final = {
    # The first extension: the job is opened, or refused, before another extension does anything.
    "EXTENSIONS": ("scrapy_resume.extensions.ResumeExtension", -1000),
    # The innermost: a request that reaches it has passed robots.txt and all other middlewares.
    "DOWNLOADER_MIDDLEWARES": (
        "scrapy_resume.downloadermiddlewares.ResumeDownloaderMiddleware",
        1000,
    ),
    # The outermost: the engine takes its output unchanged.
    "SPIDER_MIDDLEWARES": ("scrapy_resume.spidermiddlewares.ResumeSpiderMiddleware", -1000),
}
"""Setting → (import path of the component, its order)."""


logger = logging.getLogger("scrapy_resume")

PLATFORMS: Final = {"SHUB_JOBKEY": "Scrapy Cloud"}
"""Variable of the environment → the platform that sets it, and sets JOBDIR for every crawl."""


def leave_out_jobdir_of_platform(settings: BaseSettings) -> None:
    """Remove a JOBDIR that the platform has set: nobody has asked for it, and the job takes its
    place. One that a user has set is refused when the settings are parsed."""
    for variable, platform in PLATFORMS.items():
        if variable in os.environ and settings.get("JOBDIR"):
            logger.info("JOBDIR, which %s sets for every crawl, is left out", platform)
            settings.set("JOBDIR", None, priority=settings.getpriority("JOBDIR") or 0)


def _same(path: object, known: str) -> bool:
    """Whether a component, or its import path, is the one with the path ``known``."""
    if path == known:
        return True
    try:
        return load_object(path) is load_object(known)  # type: ignore[arg-type]
    except (ImportError, NameError, ValueError, TypeError, AttributeError):
        return False


def refuse_other_scheduler(settings: BaseSettings) -> None:
    """Raises ``ConfigurationError`` if SCHEDULER is neither Scrapy's own nor the package's."""
    scheduler = settings.get("SCHEDULER")
    if not _same(scheduler, SCRAPY_SCHEDULER) and not _same(scheduler, SCHEDULER):
        raise ConfigurationError(
            f"SCHEDULER is {scheduler}, and scrapy-resume brings its own. Remove SCHEDULER from "
            "your settings, or remove scrapy-resume from ADDONS."
        )


def check_wiring(settings: BaseSettings) -> None:
    """Raises ``ConfigurationError``, which says how to set it, if a component is missing."""
    refuse_other_scheduler(settings)
    if not _same(settings.get("SCHEDULER"), SCHEDULER):
        raise ConfigurationError(
            "SCHEDULER is Scrapy's own, so nothing would be recorded. Set "
            f'SCHEDULER = "{SCHEDULER}", or use ADDONS = {{"scrapy_resume.Addon": 500}} alone.'
        )
    check_feeds(settings)
    for setting, (path, order) in COMPONENTS.items():
        components = settings.getwithbase(setting)
        if not any(
            value is not None and _same(component, path) for component, value in components.items()
        ):
            raise ConfigurationError(
                f"{setting} lacks scrapy-resume's part. Add {{'{path}': {order}}} to it, or use "
                'ADDONS = {"scrapy_resume.Addon": 500} alone.'
            )


def _order_of(components: BaseSettings, path: str) -> object:
    """The order of a component. ``None``: it is switched off, or not set."""
    values = [value for key, value in components.items() if _same(key, path)]
    return None if None in values else next(iter(values), None)


def check_feeds(settings: BaseSettings) -> None:
    """Raises ``ConfigurationError`` if feeds would be written by Scrapy's own exporter."""
    if not settings.getdict("FEEDS") and not settings.get("FEED_URI"):
        return
    if _order_of(settings.getwithbase("EXTENSIONS"), SCRAPY_FEED_EXPORTER) is not None:
        raise ConfigurationError(
            "feeds are set, and Scrapy's own exporter would write items twice into them. Put "
            f"'{SCRAPY_FEED_EXPORTER}': None and '{FEED_EXPORTER}': 0 into EXTENSIONS, or use "
            'ADDONS = {"scrapy_resume.Addon": 500} alone.'
        )


def _install_feeds(settings: BaseSettings) -> None:
    """Replace Scrapy's feed exporter, unless the user has switched it off or has set ours."""
    extensions = settings.getwithbase("EXTENSIONS")
    order = _order_of(extensions, SCRAPY_FEED_EXPORTER)
    if order is None or _order_of(extensions, FEED_EXPORTER) is not None:
        return
    settings["EXTENSIONS"].set(SCRAPY_FEED_EXPORTER, None, priority="addon")
    settings["EXTENSIONS"].set(load_object(FEED_EXPORTER), order, priority="addon")


def install(settings: BaseSettings) -> None:
    """Set all components. Those that the user has set keep their order."""
    settings.set("SCHEDULER", SCHEDULER, priority="addon")
    for setting, (path, order) in COMPONENTS.items():
        cls = load_object(path)
        if not any(_same(component, path) for component in settings.getwithbase(setting)):
            settings[setting].set(cls, order, priority="addon")
    _install_feeds(settings)
