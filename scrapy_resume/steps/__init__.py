"""Steps of items: what is done with an item after its page, recorded and retried part by part.

Here live what steps are (``definition``, ``plan``), when they run (``rules``), and how they are run
(``runner``, ``attempts``). Which of them are open is the store's; Scrapy's private parts are in
``engine``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from scrapy_resume.steps.definition import step
    from scrapy_resume.steps.media import Files, Images
    from scrapy_resume.steps.outcomes import FailStep, RetryStep, SkipStep, StepIncomplete

__all__ = ["FailStep", "Files", "Images", "RetryStep", "SkipStep", "StepIncomplete", "step"]

_HOME = {
    "FailStep": "scrapy_resume.steps.outcomes",
    "Files": "scrapy_resume.steps.media",
    "Images": "scrapy_resume.steps.media",
    "RetryStep": "scrapy_resume.steps.outcomes",
    "SkipStep": "scrapy_resume.steps.outcomes",
    "StepIncomplete": "scrapy_resume.steps.outcomes",
    "step": "scrapy_resume.steps.definition",
}


def __getattr__(name: str) -> Any:
    """Load a public name when it is asked for."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOME[name]), name)
