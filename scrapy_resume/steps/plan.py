"""The steps of a crawl, in their order: what RESUME_STEPS names, checked as a whole."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from scrapy.exceptions import NotConfigured
from scrapy.utils.misc import build_from_crawler, load_object

from scrapy_resume.errors import ConfigurationError, describe
from scrapy_resume.model import OPEN_STEPS
from scrapy_resume.steps.definition import StepDefinition, definition_of, name_of
from scrapy_resume.steps.item_fields import has_field, without_fields
from scrapy_resume.steps.rules import first_states

if TYPE_CHECKING:
    from scrapy.crawler import Crawler

    from scrapy_resume.codec import Codec
    from scrapy_resume.store.contract import NewStep


@dataclass(frozen=True)
class StepPlan:
    """The steps of a crawl."""

    steps: Sequence[StepDefinition] = ()
    """In the order in which they are decided upon: that of RESUME_STEPS, but each behind all that
    it is ``after``."""
    off: frozenset[str] = frozenset()
    """The names of those that are switched off."""
    by_name: Mapping[str, StepDefinition] = field(init=False)
    consumed: frozenset[str] = field(init=False)
    """Fields that steps consume."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "by_name", {step.name: step for step in self.steps})
        consumed = frozenset(name for step in self.steps for name in step.consumes)
        object.__setattr__(self, "consumed", consumed)

    def media_pipelines(self) -> list[Any]:
        """The media pipelines that steps use."""
        components = [step.component for step in self.steps]
        return [one.pipeline for one in components if hasattr(one, "pipeline")]

    def knows(self, name: str) -> bool:
        """Whether RESUME_STEPS has a step of that name, switched on or off."""
        return name in self.by_name or name in self.off


def load_plan(
    given: Mapping[Any, float | None], crawler: Crawler, item_key_fields: Iterable[str] = ()
) -> StepPlan:
    """The plan that RESUME_STEPS describes: import path, function or class → order, or ``None``.

    Components are built. ``item_key_fields``: those of RESUME_ITEM_KEY, as far as they are known.
    Raises ``ConfigurationError``.
    """
    on, off = [], []
    for target, (path, order) in _merged(given).items():
        if order is None:
            off.append(name_of(target, path))
        else:
            on.append(definition_of(_built(target, path, crawler), order, path))
    for path, order in given.items():
        if order is None and isinstance(path, str) and _loaded_or_none(path) is None:
            off.append(path.rpartition(".")[2])
    check(on, frozenset(item_key_fields))
    switched_off = frozenset(off) - {step.name for step in on}
    _check_after(on, switched_off)
    return StepPlan(_in_order(on), switched_off)


def _merged(given: Mapping[Any, float | None]) -> dict[Any, tuple[str, float | None]]:
    """Object → (its path, order): the same object, named in two ways, is one, as in Scrapy's
    settings of components; the later entry counts."""
    merged: dict[Any, tuple[str, float | None]] = {}
    for path, order in given.items():
        target = _loaded(path, order)
        if target is not None:
            merged.pop(target, None)
            merged[target] = (_path_of(path), order)
    return merged


def _loaded(path: Any, order: float | None) -> Any:
    """``None``: it cannot be loaded, and is switched off."""
    if not isinstance(path, str):
        return path
    try:
        return load_object(path)
    except (ImportError, NameError, ValueError, AttributeError) as error:
        if order is None:
            return None
        raise ConfigurationError(
            f"RESUME_STEPS names {path!r}, which cannot be loaded ({error}). Correct the path, or "
            f'switch the step off: "{path}": None.'
        ) from error


def _loaded_or_none(path: str) -> Any:
    try:
        return load_object(path)
    except (ImportError, NameError, ValueError, AttributeError):
        return None


def _path_of(target: Any) -> str:
    if isinstance(target, str):
        return target
    named = target if hasattr(target, "__qualname__") else type(target)
    return f"{named.__module__}.{named.__qualname__}"


def _built(target: Any, path: str, crawler: Crawler) -> Any:
    if not inspect.isclass(target):
        return target
    try:
        return build_from_crawler(target, crawler)
    except NotConfigured as error:
        raise ConfigurationError(
            f"The step {path} is not configured: {error}. Set what it needs, or switch it off: "
            f'"{path}": None.'
        ) from error
    except ConfigurationError:
        raise
    except Exception as error:
        raise ConfigurationError(f"The step {path} cannot be built: {describe(error)}.") from error


def check(steps: Sequence[StepDefinition], item_key_fields: frozenset[str]) -> None:
    """Raises ``ConfigurationError`` for two steps of one name, and for a field of RESUME_ITEM_KEY
    that a step consumes."""
    known: dict[str, StepDefinition] = {}
    for step in steps:
        other = known.setdefault(step.name, step)
        if other is not step:
            raise ConfigurationError(
                f"Two steps have the name {step.name!r}: {other.path} and {step.path}. Give one of "
                "them another name."
            )
        taken = item_key_fields.intersection(step.consumes)
        if taken:
            raise ConfigurationError(
                f"The step {step.path} consumes {sorted(taken)[0]!r}, a field of RESUME_ITEM_KEY, "
                "which the item keeps. Take it out of consumes."
            )


def _check_after(steps: Sequence[StepDefinition], off: frozenset[str]) -> None:
    names = {step.name for step in steps}
    for step in steps:
        for name in step.after:
            if name == step.name:
                raise ConfigurationError(f"The step {step.path} is after itself.")
            if name in names or name in off:
                continue
            near = get_close_matches(name, names, n=1)
            remedy = f"did you mean {near[0]!r}?" if near else f"there are {sorted(names)}."
            raise ConfigurationError(
                f"The step {step.path} is after {name!r}, but RESUME_STEPS has no step of that "
                f"name; {remedy}"
            )


def _in_order(steps: Iterable[StepDefinition]) -> tuple[StepDefinition, ...]:
    """By ``order``, but each step behind all that it is after. Raises ``ConfigurationError`` if
    steps wait for one another."""
    left = sorted(steps, key=lambda step: step.order)
    ordered: list[StepDefinition] = []
    while left:
        waiting = {step.name for step in left}
        ready = next((step for step in left if waiting.isdisjoint(step.after)), None)
        if ready is None:
            circle = " → ".join(_circle(left))
            raise ConfigurationError(
                f"Steps of RESUME_STEPS wait for one another: {circle}. Take one name out of after."
            )
        left.remove(ready)
        ordered.append(ready)
    return tuple(ordered)


def _circle(steps: Sequence[StepDefinition]) -> list[str]:
    """Names of steps each of which is after the next one; the first is the last."""
    after = {step.name: step.after for step in steps}
    path = [steps[0].name]
    while path.count(path[-1]) < 2:
        path.append(next(name for name in after[path[-1]] if name in after))
    return path[path.index(path[-1]) :]


class PlannedSteps:
    """Gives each item that leaves the pipelines its steps. See ``tracking.items.ItemSteps``."""

    def __init__(self, plan: StepPlan, codec: Codec) -> None:
        self._plan = plan
        self._codec = codec
        self._always: Sequence[NewStep] | None = None
        """The steps of every item, if they don't depend on its fields; ``None``: they do."""
        if not any(step.needs or step.after for step in plan.steps):
            self._always = tuple(first_states(plan.steps, bool))

    def begin(self, item: Any, payload: str) -> tuple[Sequence[NewStep], str]:
        """The steps of an item, and its payload: without the fields that steps consume if none of
        its steps is open."""
        if self._always is not None:
            return self._always, payload
        steps = first_states(self._plan.steps, has_field(item))
        if any(step.state in OPEN_STEPS for step in steps):
            return steps, payload
        return steps, without_fields(self._codec, payload, self._plan.consumed)
