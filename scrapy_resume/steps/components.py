"""Opens and closes the components among the steps, as Scrapy does with item pipelines."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from scrapy_resume.errors import describe

if TYPE_CHECKING:
    from scrapy import Spider

    from scrapy_resume.steps.definition import StepDefinition

logger = logging.getLogger("scrapy_resume")


async def open_components(steps: Sequence[StepDefinition], spider: Spider) -> None:
    """Call ``open_spider`` of those that have it, in order. Raises what they raise."""
    for step in steps:
        await _call(step, "open_spider", spider)


async def close_components(steps: Sequence[StepDefinition], spider: Spider) -> None:
    """Call ``close_spider`` of those that have it, in order. An error is logged, and does not keep
    the others from closing."""
    for step in steps:
        try:
            await _call(step, "close_spider", spider)
        except Exception as error:  # of the user's component
            logger.error(
                "close_spider of the step %s has failed: %s",
                step.path,
                describe(error),
                exc_info=error,
            )


async def _call(step: StepDefinition, name: str, spider: Spider) -> None:
    method: Any = getattr(step.component, name, None)
    if method is None:
        return
    takes_spider = "spider" in inspect.signature(method).parameters
    result = method(spider) if takes_spider else method()
    if inspect.isawaitable(result):
        await result
