"""What a step is: the ``step`` decorator, and the definition that is read of a function or a class.

A step has the same attributes whether it is a function (the decorator sets them) or a component.
"""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, TypeVar, overload

from msgspec import Struct

from scrapy_resume.errors import ConfigurationError

F = TypeVar("F", bound=Callable[..., Any])

ARGUMENTS: Final = ("item", "fetch", "crawler", "spider")
"""What a step may take, by name."""

MAX_ATTEMPTS: Final = 3
TIMEOUT_SECONDS: Final = 60.0

_OPTIONS: Final = (
    *("name", "needs", "after", "consumes", "max_attempts", "timeout"),
    *("retry_delay", "concurrency", "rate_limit", "version"),
)


@overload
def step(function: F, /) -> F: ...


@overload
def step(
    *,
    name: str | None = None,
    needs: str | Iterable[str] = (),
    after: str | Iterable[str] = (),
    consumes: str | Iterable[str] = (),
    max_attempts: int = MAX_ATTEMPTS,
    timeout: float = TIMEOUT_SECONDS,
    retry_delay: float | None = None,
    concurrency: int | None = None,
    rate_limit: tuple[int, float] | None = None,
    version: str = "",
) -> Callable[[F], F]: ...


def step(function: Callable[..., Any] | None = None, /, **options: Any) -> Any:
    """Declare a function as a step of items.

    It takes what it names of ``item`` (a copy), ``fetch``, ``crawler`` and ``spider``, and returns
    a dict of fields that are merged into the item, or ``None``. A plain function runs in a thread.

    - ``name``: of the step; ``None``: the function's.
    - ``needs``: fields that must be there and not empty.
    - ``after``: names of steps that must have ended, well or not.
    - ``consumes``: fields that are kept for it, and are in no feed and no export.
    - ``max_attempts``: the first included.
    - ``timeout``: seconds of one attempt.
    - ``retry_delay``: seconds before the second attempt, doubling with each; ``None``: as
      RESUME_RETRY_DELAY.
    - ``concurrency``: attempts at a time, over all workers; ``None``: as many as there are places.
    - ``rate_limit``: ``(count, seconds)``, over all workers; ``None``: none.
    - ``version``: a text; when it changes, ``scrapy resume retry --outdated`` finds the items that
      an older version has worked on.

    Raises ``TypeError`` for an option that there is not. Wrong values are reported when the crawl
    opens its job.
    """
    unknown = [name for name in options if name not in _OPTIONS]
    if unknown:
        raise TypeError(f"step() has no option {unknown[0]!r}; it has {', '.join(_OPTIONS)}")

    def declare(target: F) -> F:
        for name, value in options.items():
            if value is not None:
                setattr(target, name, value)
        return target

    return declare if function is None else declare(function)


class StepDefinition(Struct, frozen=True, kw_only=True):
    """A step that can be run."""

    name: str
    path: str
    """Where it was found, for messages."""
    order: float
    needs: tuple[str, ...]
    after: tuple[str, ...]
    consumes: tuple[str, ...]
    max_attempts: int
    timeout_seconds: float
    retry_delay_seconds: float | None
    """``None``: RESUME_RETRY_DELAY."""
    concurrency: int | None
    """``None``: no limit of its own."""
    rate_limit: tuple[int, float] | None
    version: str
    call: Callable[..., Any]
    takes: tuple[str, ...]
    """The names of its arguments."""
    is_coroutine: bool
    component: object = None
    """What has ``open_spider`` and ``close_spider``; ``None``: it is a function."""

    @property
    def is_limited(self) -> bool:
        """Whether its attempts are limited over all workers."""
        return self.concurrency is not None or self.rate_limit is not None


def name_of(target: Any, path: str) -> str:
    """The name of the step that ``target`` is. Raises ``ConfigurationError``."""
    name = getattr(target, "name", None)
    if name is None:
        name = getattr(target, "__name__", None) or type(target).__name__
        if not inspect.isroutine(target):
            name = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
    if not isinstance(name, str) or not name.strip() or not name.isprintable():
        raise _wrong(path, "name", name, "a text that is not empty, of printable characters")
    return name


def definition_of(target: Any, order: float, path: str) -> StepDefinition:
    """The definition of the step that a function, or an instance of a component, is.

    Raises ``ConfigurationError``, which says what is wrong with it.
    """
    process = getattr(target, "process_item", None)
    call = target if process is None else process
    if not callable(call) or inspect.isclass(call):
        raise ConfigurationError(
            f"RESUME_STEPS names {path}, which is no step: a step is a function, or a class with a "
            "method process_item."
        )
    if inspect.isgeneratorfunction(call) or inspect.isasyncgenfunction(call):
        raise ConfigurationError(
            f"The step {path} yields. A step returns a dict of fields, or None."
        )
    return StepDefinition(
        name=name_of(target, path),
        path=path,
        order=order,
        needs=_texts(target, path, "needs"),
        after=_texts(target, path, "after"),
        consumes=_texts(target, path, "consumes"),
        max_attempts=_whole(target, path, "max_attempts", MAX_ATTEMPTS),
        timeout_seconds=_seconds(target, path, "timeout", TIMEOUT_SECONDS, above_zero=True),
        retry_delay_seconds=_seconds(target, path, "retry_delay", None),
        concurrency=_whole(target, path, "concurrency", None),
        rate_limit=_rate_limit(target, path),
        version=_version(target, path),
        call=call,
        takes=_arguments_of(call, path),
        is_coroutine=any(map(inspect.iscoroutinefunction, (call, inspect.unwrap(call)))),
        component=None if process is None else target,
    )


def _arguments_of(call: Callable[..., Any], path: str) -> tuple[str, ...]:
    try:
        parameters = inspect.signature(call).parameters.values()
    except (TypeError, ValueError) as error:
        raise ConfigurationError(
            f"The arguments of the step {path} are not known: {error}"
        ) from error
    taken = []
    for parameter in parameters:
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue
        if parameter.name in ARGUMENTS and parameter.kind is not parameter.POSITIONAL_ONLY:
            taken.append(parameter.name)
        elif parameter.default is parameter.empty:
            raise ConfigurationError(
                f"The step {path} takes {parameter.name!r}, but a step is given "
                f"{_listed(ARGUMENTS)} by name, and nothing else. Give the argument a default, or "
                "remove it."
            )
    return tuple(taken)


def _texts(target: Any, path: str, name: str) -> tuple[str, ...]:
    given = getattr(target, name, ())
    if isinstance(given, str):
        given = (given,)
    elif given is None:
        given = ()
    allowed = "a text or a list of texts"
    if isinstance(given, Mapping) or not isinstance(given, Iterable):
        raise _wrong(path, name, given, allowed)
    texts = tuple(given)
    if not all(isinstance(text, str) and text.strip() for text in texts):
        raise _wrong(path, name, given, allowed)
    return tuple(dict.fromkeys(texts))


def _whole(target: Any, path: str, name: str, default: Any) -> Any:
    given = getattr(target, name, default)
    if given is None and default is None:
        return None
    if isinstance(given, bool) or not isinstance(given, int) or given < 1:
        raise _wrong(path, name, given, "a whole number of 1 or more")
    return given


def _seconds(target: Any, path: str, name: str, default: Any, *, above_zero: bool = False) -> Any:
    given = getattr(target, name, default)
    if given is None and default is None:
        return None
    if not _is_number(given) or given < 0 or (above_zero and not given):
        least = "above 0" if above_zero else "of 0 or more"
        raise _wrong(path, name, given, f"a number of seconds {least}")
    return float(given)


def _rate_limit(target: Any, path: str) -> tuple[int, float] | None:
    given = getattr(target, "rate_limit", None)
    if given is None:
        return None
    allowed = "(count, seconds), such as (100, 60) for 100 in 60 s"
    if not isinstance(given, (tuple, list)) or len(given) != 2:
        raise _wrong(path, "rate_limit", given, allowed)
    count, seconds = given
    if isinstance(count, bool) or not isinstance(count, int) or count < 1:
        raise _wrong(path, "rate_limit", given, allowed)
    if not _is_number(seconds) or seconds <= 0:
        raise _wrong(path, "rate_limit", given, allowed)
    return count, float(seconds)


def _version(target: Any, path: str) -> str:
    given = getattr(target, "version", "")
    if not isinstance(given, str):
        raise _wrong(path, "version", given, "a text")
    return given


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _wrong(path: str, name: str, given: object, allowed: str) -> ConfigurationError:
    return ConfigurationError(f"{name} of the step {path} is {given!r}, but it must be {allowed}.")


def _listed(names: Iterable[str]) -> str:
    *first, last = names
    return f"{', '.join(first)} and {last}"
