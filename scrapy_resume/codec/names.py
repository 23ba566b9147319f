"""Finds the names of code in stored text, without restoring what the text holds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from enum import Enum
from typing import TYPE_CHECKING, Any, Final

from scrapy import Request

from scrapy_resume.codec.items import is_item_type
from scrapy_resume.codec.json_text import loads
from scrapy_resume.codec.values import PLAIN_CLASSES
from scrapy_resume.errors import CallbackMissingError, StoreDamagedError, UntrustedNameError

if TYPE_CHECKING:
    from scrapy_resume.codec.trust import Trust

_FITS: Final[dict[str, Callable[[type], bool]]] = {
    "$item": is_item_type,
    "$namedtuple": lambda kind: issubclass(kind, tuple),
    "$enum": lambda kind: issubclass(kind, Enum),
    "$request": lambda kind: issubclass(kind, Request),
}
"""Tag of a data type → whether a class is one."""


class NameCheck:
    """Tells which names in stored text a crawl would refuse."""

    def __init__(self, trust: Trust, *, as_in_crawl: bool) -> None:
        """``as_in_crawl``: the spider's module is loaded, and with it what it imports. Otherwise
        nothing can be said about data types of modules that are not loaded.
        """
        self._trust = trust
        self._as_in_crawl = as_in_crawl
        self._known: dict[tuple[str, str], bool] = {}

    def refused(self, text: str, *, is_request: bool = False) -> set[str]:
        """The names in the text that would be refused. ``is_request``: it is a request's payload.

        Empty for text that cannot be read, which is another violation.
        """
        try:
            tree = loads(text)
        except StoreDamagedError:
            return set()
        names = _names(tree)
        if is_request and type(tree) is dict:
            names |= _names_of_request(tree)
        return {name for tag, name in names if self._is_refused(tag, name)}

    def _is_refused(self, tag: str, name: str) -> bool:
        key = (tag, name)
        if key not in self._known:
            self._known[key] = self._judge(tag, name)
        return self._known[key]

    def _judge(self, tag: str, name: str) -> bool:
        if tag == "$class":
            return name not in PLAIN_CLASSES and (
                self._judge("$callable", name) and self._judge("$item", name)
            )
        try:
            if tag in _FITS:
                self._trust.resolve_type(name, _FITS[tag], tag)
            else:
                self._trust.resolve(name)
        except UntrustedNameError:
            return self._as_in_crawl or tag not in _FITS or self._trust.is_loaded(name)
        except CallbackMissingError:
            return not self._trust.covers(name.partition(":")[0])
        return False


def _names(tree: Any) -> set[tuple[str, str]]:
    """(tag, import path) of all values in a tree."""
    found = set()
    waiting = [tree]
    while waiting:
        part = waiting.pop()
        if type(part) is list:
            waiting += part
        elif type(part) is dict and part:
            waiting += part.values()
            tag = next(iter(part))
            if tag == "$request":
                found |= _names_of_request(part)
            elif tag == "$callable":
                found |= set(_function(part[tag]))
            elif (tag == "$class" or tag in _FITS) and type(part[tag]) is str:
                found.add((tag, part[tag]))
    return found


def _names_of_request(fields: dict[str, Any]) -> set[tuple[str, str]]:
    found = {*_function(fields.get("callback")), *_function(fields.get("errback"))}
    if type(fields.get("class")) is str:
        found.add(("$request", fields["class"]))
    return found


def _function(name: Any) -> Iterator[tuple[str, str]]:
    """A function's path; nothing for a method that the spider has under its name."""
    if type(name) is str and ":" in name:
        yield "$callable", name.partition(":")[2]
