"""The setting ``RESUME_RENAMED``: what stored names of code are called now.

Names have dots between all parts (``shop.items.Book``), as users write them; a name without a dot
is a method of the spider. The store has ``shop.items:Book``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from difflib import get_close_matches
from typing import Any, Final

from scrapy_resume.errors import CallbackMissingError, ConfigurationError

SETTING: Final = "RESUME_RENAMED"

DEFAULT_CALLBACK: Final = "parse"
"""Scrapy's, which most requests name."""

_NEAR: Final = 3
"""Names that are suggested at most."""


def dotted(path: str) -> str:
    """The name of an import path as users write it."""
    return path.replace(":", ".", 1)


def near_names(name: str, candidates: Iterable[str]) -> list[str]:
    """The candidates that look like the last part of the name, the nearest first."""
    known = dict.fromkeys(candidates)
    return get_close_matches(name.rpartition(".")[2], known, n=_NEAR, cutoff=0.4)


def remedy(name: str, near: Iterable[str]) -> str:
    """What to do about a name, as users write it, that is not there any more. ``near``: names that
    it may have now, as users write them."""
    found = list(near)
    said = f"Near it: {', '.join(map(repr, found))}. " if found else ""
    # Whoever copies a wrong one sends these pages to a callback of others.
    likely = [other for other in found if _is_moved(name, other)] or found
    certain = len(likely) == 1 and likely[0] != DEFAULT_CALLBACK
    new = likely[0] if certain else "its new name"
    return (
        f"{said}Put it back, or, if it has another name now, set {SETTING} = {{{name!r}: {new!r}}}"
    )


def _is_moved(name: str, other: str) -> bool:
    """Whether one of two names with dots is the other one's, in another place."""
    last = name.rpartition(".")[2]
    return "." in name and other.rpartition(".")[2] == last


def import_paths(name: str) -> Iterator[str]:
    """The import paths that a dotted name may mean, that with the longest name of a module
    first."""
    parts = name.split(".")
    for count in range(len(parts) - 1, 0, -1):
        yield f"{'.'.join(parts[:count])}:{'.'.join(parts[count:])}"


def checked_renames(
    names: Mapping[str, str],
    method: Callable[[str], Any],
    resolve: Callable[[str], Any],
) -> dict[str, str]:
    """Old name → new name: a method's, or an import path.

    ``method`` returns the spider's own method of a name, ``None`` if it has none; ``resolve`` what
    is at an import path, and raises CallbackMissingError. Raises ConfigurationError for a new name
    that leads nowhere, and for an old one that the code still has for something else: stored names
    of both could not be told apart.
    """
    found = {}
    for old, new in names.items():
        path, target = _found(new, method, resolve)
        if target is None:
            raise ConfigurationError(
                f"{SETTING} says that {old!r} is {new!r} now, but {path}. Correct it; a name that "
                "only one spider has belongs into its custom_settings."
            )
        _, present = _found(old, method, resolve)
        if present is not None and present != target:
            raise ConfigurationError(
                f"{SETTING} says that {old!r} is {new!r} now, but the code has both: stored names "
                f"of the old {old!r} and of the present one could not be told apart. Give the "
                "present one another name, or remove the entry."
            )
        found[old] = path
    return found


def _found(
    name: str, method: Callable[[str], Any], resolve: Callable[[str], Any]
) -> tuple[str, Any]:
    """(path, target) of a dotted name; (what is wrong, ``None``) if it leads nowhere."""
    if "." not in name:
        target = method(name)
        return (
            (name, target) if target is not None else (f"the spider has no method {name!r}", None)
        )
    wrong = ""
    for path in import_paths(name):
        try:
            return path, resolve(path)
        except CallbackMissingError as error:
            wrong = wrong or f"{name} cannot be loaded: {error}"
    return wrong, None
