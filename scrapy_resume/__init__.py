"""Scrapy crawls that nothing can spoil."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from scrapy_resume.addon import Addon
    from scrapy_resume.engine.item_key import item_key
    from scrapy_resume.reporting.reports import open_store
    from scrapy_resume.stages.outcomes import Fail, Retry, Skip
    from scrapy_resume.stages.stage import Stage
    from scrapy_resume.steps.definition import step
    from scrapy_resume.steps.outcomes import FailStep, RetryStep, SkipStep

__all__ = [
    "Addon",
    "Fail",
    "FailStep",
    "Retry",
    "RetryStep",
    "Skip",
    "SkipStep",
    "Stage",
    "item_key",
    "open_store",
    "step",
]

_HOME = {
    "Addon": "scrapy_resume.addon",
    "FailStep": "scrapy_resume.steps.outcomes",
    "RetryStep": "scrapy_resume.steps.outcomes",
    "SkipStep": "scrapy_resume.steps.outcomes",
    "Fail": "scrapy_resume.stages.outcomes",
    "Retry": "scrapy_resume.stages.outcomes",
    "Skip": "scrapy_resume.stages.outcomes",
    "Stage": "scrapy_resume.stages.stage",
    "item_key": "scrapy_resume.engine.item_key",
    "open_store": "scrapy_resume.reporting.reports",
    "step": "scrapy_resume.steps.definition",
}


def _masked(record: logging.LogRecord) -> bool:
    from scrapy_resume.settings.log_masking import mask_record

    return mask_record(record)


logging.getLogger("scrapy_resume").addFilter(_masked)


def __getattr__(name: str) -> Any:
    """Load a public name when it is asked for: ``scrapy`` imports the package on every call."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOME[name]), name)
