"""The order of requests, and whether they are deduplicated, by Scrapy's queue settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from scrapy.settings import BaseSettings
from scrapy.utils.misc import load_object

from scrapy_resume.errors import ConfigurationError
from scrapy_resume.settings.table import parse_setting

_BY_SLOT: Final = {"DownloaderAwarePriorityQueue": True, "ScrapyPriorityQueue": False}
_LIFO: Final = {"LifoMemoryQueue": True, "FifoMemoryQueue": False}
_DEDUPE: Final = {"RFPDupeFilter": True, "BaseDupeFilter": False}


@dataclass(frozen=True)
class QueueOrder:
    """The order in which requests are handed out."""

    by_slot: bool
    """The least active download slot comes first, then priority; otherwise priority alone."""
    lifo: bool
    """Among requests of equal priority, the last comes first; otherwise the first."""
    start: Literal["fifo", "lifo"] | None
    """The order among start requests, which come after other requests of their priority;
    ``None``: they are treated as any others."""
    dedupe: bool
    """Requests with a known fingerprint are dropped."""


def queue_order(settings: BaseSettings) -> QueueOrder:
    """The order that Scrapy's queue settings define; RESUME_ORDER overrides it.

    The scheduler stores requests and uses none of Scrapy's queues, but hands requests out in the
    same order. ``dfo`` is last in, first out; ``bfo`` is first in, first out, start requests
    included. Raises ``ConfigurationError`` for a custom queue or dupefilter class.
    """
    by_slot = _known(settings, "SCHEDULER_PRIORITY_QUEUE", "scrapy.pqueues", _BY_SLOT)
    dedupe = _known(settings, "DUPEFILTER_CLASS", "scrapy.dupefilters", _DEDUPE)
    lifo = _known(settings, "SCHEDULER_MEMORY_QUEUE", "scrapy.squeues", _LIFO)
    start: Literal["fifo", "lifo"] | None = None
    if settings.get("SCHEDULER_START_MEMORY_QUEUE"):
        start_lifo = _known(settings, "SCHEDULER_START_MEMORY_QUEUE", "scrapy.squeues", _LIFO)
        start = "lifo" if start_lifo else "fifo"
    order = parse_setting("RESUME_ORDER", settings)
    if order == "dfo":
        lifo = True
    elif order == "bfo":
        lifo, start = False, None
    return QueueOrder(by_slot=by_slot, lifo=lifo, start=start, dedupe=dedupe)


def _known(settings: BaseSettings, name: str, module: str, known: Mapping[str, bool]) -> bool:
    """The value in ``known`` for the class that the setting names; the first is Scrapy's default.

    Subclasses are refused, because they may behave in any way.
    """
    answers = {load_object(f"{module}.{class_name}"): known[class_name] for class_name in known}
    given = settings.get(name) or next(iter(answers))
    try:
        return answers[load_object(given)]
    except (ImportError, NameError, ValueError, KeyError, TypeError):
        choices = " or ".join(f"{module}.{class_name}" for class_name in known)
        raise ConfigurationError(
            f"{name} is {_path_of(given)}, a class whose behaviour the store cannot reproduce."
            f" Remove {name}, or set it to {choices}. Use priorities to control the order of"
            " requests, and REQUEST_FINGERPRINTER_CLASS to control which are duplicates."
        ) from None


def _path_of(given: Any) -> str:
    return f"{given.__module__}.{given.__qualname__}" if isinstance(given, type) else str(given)
