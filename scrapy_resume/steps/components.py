"""Opens and closes the components among the steps, as Scrapy does with item pipelines."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from scrapy.utils.defer import maybe_deferred_to_future
from twisted.internet.defer import Deferred

from scrapy_resume.errors import describe

if TYPE_CHECKING:
    from scrapy import Spider

    from scrapy_resume.steps.definition import StepDefinition

logger = logging.getLogger("scrapy_resume")


async def open_components(steps: Sequence[StepDefinition], spider: Spider) -> None:
    """Call ``open_spider`` of those that have it, in order. Raises what they raise."""
    for step in steps:
        await call_with_spider(step.component, "open_spider", spider)


async def close_components(steps: Sequence[StepDefinition], spider: Spider) -> None:
    """Call ``close_spider`` of those that have it, in order. An error is logged, and does not keep
    the others from closing."""
    for step in steps:
        try:
            await call_with_spider(step.component, "close_spider", spider)
        except Exception as error:  # of the user's component
            what = describe(error)
            logger.error("close_spider of %s has failed: %s", step.path, what, exc_info=error)


async def call_with_spider(component: object, name: str, spider: Spider) -> None:
    """Call a method of a component, if it has it, with the spider if it asks for it, and wait until
    it has ended."""
    method: Any = getattr(component, name, None)
    if method is None:
        return
    parameter = inspect.signature(method).parameters.get("spider")
    is_asked = parameter is not None and parameter.default is parameter.empty
    result = method(spider) if is_asked else method()
    if isinstance(result, Deferred):
        await maybe_deferred_to_future(result)
    elif inspect.isawaitable(result):
        await result
