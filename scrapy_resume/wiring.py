"""Where the components stand in Scrapy's settings: put there by the add-on, or by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from scrapy.utils.misc import load_object

from scrapy_resume.errors import ConfigurationError

if TYPE_CHECKING:
    from scrapy.settings import BaseSettings

SCHEDULER: Final = "scrapy_resume.scheduler.ResumeScheduler"
SCRAPY_SCHEDULER: Final = "scrapy.core.scheduler.Scheduler"

COMPONENTS: Final = {
    # The job is opened, or refused, before any other extension does anything.
    "EXTENSIONS": ("scrapy_resume.extensions.ResumeExtension", -1000),
    # The innermost: what reaches it is past robots.txt and all others.
    "DOWNLOADER_MIDDLEWARES": (
        "scrapy_resume.downloadermiddlewares.ResumeDownloaderMiddleware",
        1000,
    ),
    # The outermost: the engine takes its output as it is.
    "SPIDER_MIDDLEWARES": ("scrapy_resume.spidermiddlewares.ResumeSpiderMiddleware", -1000),
}
"""Setting → (component, order)."""


def _same(path: object, known: str) -> bool:
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
    """Raises ``ConfigurationError`` if a component is missing, and says how to set it."""
    refuse_other_scheduler(settings)
    if not _same(settings.get("SCHEDULER"), SCHEDULER):
        raise ConfigurationError(
            "SCHEDULER is Scrapy's own, so nothing would be recorded. Set "
            f'SCHEDULER = "{SCHEDULER}", or use ADDONS = {{"scrapy_resume.Addon": 500}} alone.'
        )
    for setting, (path, order) in COMPONENTS.items():
        components = settings.getwithbase(setting)
        if not any(
            value is not None and _same(component, path) for component, value in components.items()
        ):
            raise ConfigurationError(
                f"{setting} lacks scrapy-resume's part. Add {{'{path}': {order}}} to it, or use "
                'ADDONS = {"scrapy_resume.Addon": 500} alone.'
            )


def install(settings: BaseSettings) -> None:
    """Put all components into the settings; those that the user placed stay where they are."""
    settings.set("SCHEDULER", SCHEDULER, priority="addon")
    for setting, (path, order) in COMPONENTS.items():
        cls = load_object(path)
        if not any(_same(component, path) for component in settings.getwithbase(setting)):
            settings[setting].set(cls, order, priority="addon")
