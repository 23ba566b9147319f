"""What RESUME_STEPS says about a step, read without a crawl: for commands.

Classes are not instantiated: what they declare is read of the class itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from scrapy.utils.misc import load_object

from scrapy_resume.errors import ConfigurationError, describe
from scrapy_resume.steps.definition import name_of


@dataclass(frozen=True)
class DeclaredStep:
    """A step, as its code declares it."""

    name: str
    version: str
    needs: tuple[str, ...]
    after: tuple[str, ...]
    is_on: bool
    """RESUME_STEPS does not switch it off."""
    is_consumed: bool
    """A field that it needs is consumed: by itself, or by another step."""


def declared_steps(given: Mapping[Any, float | None]) -> dict[str, DeclaredStep]:
    """The steps of RESUME_STEPS by name; those that are switched off and cannot be loaded are left
    out.

    Raises ``ConfigurationError`` for one that cannot be loaded, or whose declarations are known
    only while a crawl runs.
    """
    loaded = {}
    for path, order in given.items():
        target = _loaded(path, order)
        if target is not None:
            loaded[name_of(target, str(path))] = (target, str(path), order is not None)
    consumed = {
        field
        for target, path, is_on in loaded.values()
        if is_on
        for field in _texts(target, path, "consumes")
    }
    return {
        name: DeclaredStep(
            name=name,
            version=_version(target, path),
            needs=_texts(target, path, "needs"),
            after=_texts(target, path, "after"),
            is_on=is_on,
            is_consumed=not consumed.isdisjoint(_texts(target, path, "needs")),
        )
        for name, (target, path, is_on) in loaded.items()
    }


def _loaded(path: Any, order: float | None) -> Any:
    if not isinstance(path, str):
        return path
    try:
        return load_object(path)
    except (ImportError, NameError, ValueError, AttributeError) as error:
        if order is None:
            return None
        raise ConfigurationError(
            f"RESUME_STEPS names {path!r}, which cannot be loaded ({describe(error)}). Correct the "
            f'path, or switch the step off: "{path}": None.'
        ) from error


def _texts(target: Any, path: str, name: str) -> tuple[str, ...]:
    given = getattr(target, name, None) or ()
    if isinstance(given, str):
        return (given,)
    if isinstance(given, Mapping) or not isinstance(given, Iterable):
        raise _unknown(path, name)
    return tuple(map(str, given))


def _version(target: Any, path: str) -> str:
    given = getattr(target, "version", "")
    if not isinstance(given, str):
        raise _unknown(path, "version")
    return given


def _unknown(path: str, name: str) -> ConfigurationError:
    return ConfigurationError(
        f"The {name} of the step {path} is not known without a crawl: give its class an attribute "
        f"{name!r}."
    )
