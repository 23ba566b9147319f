"""Callbacks and other callables, serialized by name.

======================  =====================================================
``parse_book``          the spider's attribute, inherited or mangled names too
``method:m:Base.parse``  a function that is bound to the spider, but hidden
                        there by another of its name (``super().parse``)
``function:m:name``     any other function of a trusted module (see ``trust``)
======================  =====================================================
"""

from __future__ import annotations

import inspect
from contextlib import suppress
from functools import partial
from types import FunctionType, MethodType
from typing import TYPE_CHECKING, Any, Final

from scrapy import Spider
from scrapy.http.request import NO_CALLBACK

from scrapy_resume.codec.import_paths import path_of
from scrapy_resume.codec.name_history import present_names
from scrapy_resume.codec.renames import checked_renames, dotted, near_names, remedy
from scrapy_resume.codec.unserializable import UnserializableError, type_name
from scrapy_resume.errors import CallbackMissingError, ConfigurationError, UntrustedNameError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping

    from scrapy_resume.codec.trust import Trust

_NO_CALLBACK: Final = f"function:{path_of(NO_CALLBACK)}"
"""Scrapy's own mark, which only raises: known everywhere."""

_REMEDIES: Final = 1_000
"""Missing names for which a remedy is kept: a forged store may have very many."""


class Callables:
    """Gives names to callables, and finds the callable of a name, for one spider."""

    def __init__(
        self, spider: Spider | None, trust: Trust, unnameable: Collection[str] = ()
    ) -> None:
        """``unnameable``: modules whose functions are refused."""
        self._spider = spider
        self._trust = trust
        # Attributes that were set on the instance may be missing in the next process.
        self._unsteady: Collection[str] = () if spider is None else vars(spider)
        self._absent = "parse" if spider is not None and self._is_default("parse") else None
        """Not the name of Scrapy's own ``parse``, which is there whatever a spider has."""
        self.default: str | None = None
        """The name of what answers a request without a callback, if that is Scrapy's ``parse``."""
        if self._absent and _is_scrapys(spider, "_parse"):
            self.default = f"method:{path_of(Spider.parse)}"
        self._unnameable = unnameable
        self._aliases: dict[Any, str] | None = None
        self._references: dict[Callable[..., Any], str] = {}
        """Of functions that are not the spider's: finding and judging their names is dear."""
        self._near: dict[str, str] = {}

    def rename(self, names: Mapping[str, str]) -> None:
        """Find stored names under the names that they have now: the setting RESUME_RENAMED.

        Raises ConfigurationError. Without a spider, what cannot be found keeps its stored name.
        """
        if self._spider is not None:
            self._trust.renames = checked_renames(names, self._own_method, self._resolve)
            return
        for old, new in names.items():
            with suppress(ConfigurationError):
                found = checked_renames({old: new}, lambda name: name, self._resolve)
                self._trust.renames |= found

    def _own_method(self, name: str) -> Callable[..., Any] | None:
        found = getattr(self._spider, name, None)
        return found if callable(found) and not self._is_default(name) else None

    def _is_default(self, name: str) -> bool:
        """Whether a name is that of Scrapy's own ``parse``, which only raises."""
        return name == "parse" and _is_scrapys(self._spider, name)

    def _resolve(self, path: str) -> Any:
        try:
            return self._trust.resolve(path)
        except UntrustedNameError:
            return self._trust.resolve_type(path, is_type, "a class")

    def name(self, function: Callable[..., Any], role: str = "") -> str:
        """The name, which leads back to an equal callable in this process.

        Raises UnserializableError if there is none; ``role`` is what the error calls the function.
        """
        name = getattr(function, "__name__", None)
        if (
            name is not None
            and name != self._absent
            and name not in self._unsteady
            and getattr(self._spider, name, None) == function
            and (
                (type(function) is MethodType and function.__self__ is self._spider)
                or self._is_own(function)
            )
        ):
            return name  # type: ignore[no-any-return]
        try:
            return self._alias(function) or self._known_reference(function)
        except UnserializableError as error:
            error.within(role)
            raise

    def find(self, name: str, role: str = "method") -> Callable[..., Any]:
        """The callable. Raises CallbackMissingError if nothing callable has the name any more, and
        UntrustedNameError if its code is not trusted. ``role`` is what the error calls it."""
        if self._trust.renames:
            name = self.present_name(name)
        if ":" not in name:
            return self._find_attribute(name, role)
        form, _, path = name.partition(":")
        found = NO_CALLBACK if name == _NO_CALLBACK else self._trust.resolve(path)
        if not callable(found):
            raise CallbackMissingError(
                f"a stored record names {path}, which is not callable now", name=path
            )
        if form == "method":
            return MethodType(found, self._need_spider(name))
        return found  # type: ignore[no-any-return]

    def present_name(self, name: str) -> str:
        """The name that a callable has now, by RESUME_RENAMED."""
        form, _, path = name.partition(":") if ":" in name else ("function", "", name)
        present = self._trust.renames.get(dotted(path))
        if present is None:
            return name
        return f"{form}:{present}" if ":" in present else present

    def present_names(self) -> Collection[str]:
        """The names that the code has now, as far as they are recorded."""
        if self._spider is None:
            return ()
        return present_names(self._spider, _methods(self._spider), self._trust)

    def _alias(self, function: Callable[..., Any]) -> str | None:
        if self._spider is None:
            return None
        if self._aliases is None:
            self._aliases = _aliases(self._spider)
        bare = getattr(function, "__func__", function)
        name = self._aliases.get(bare) if isinstance(bare, FunctionType) else None
        if (
            name in (None, self._absent)
            or name in self._unsteady
            or getattr(self._spider, name) != function
        ):
            return None
        return name if self._is_own(function) else None

    def _is_own(self, attribute: Any) -> bool:
        """Whether an attribute of the spider is code of the spider: a method, wherever its function
        was decorated, or anything that is defined in a trusted module."""
        if type(attribute) is MethodType:
            bound_to = attribute.__self__
            if bound_to is self._spider or bound_to in type(self._spider).__mro__:
                return True
        return self._trust.defines(attribute)

    def _known_reference(self, function: Callable[..., Any]) -> str:
        if type(function) is not FunctionType:
            return self._reference(function)
        known = self._references.get(function)
        if known is None:
            known = self._references[function] = self._reference(function)
        return known

    def _reference(self, function: Callable[..., Any]) -> str:
        if isinstance(function, partial):
            raise UnserializableError(
                "is a functools.partial; pass its arguments in cb_kwargs instead"
            )
        if not isinstance(function, MethodType) or isinstance(function.__self__, type):
            path = path_of(function, self._unnameable)
            if function is not NO_CALLBACK:
                self._trust.refuse_to_name(function, path)
            return f"function:{path}"
        if function.__self__ is self._spider:
            path = path_of(function.__func__, self._unnameable)
            self._trust.refuse_to_name(function.__func__, path)
            return f"method:{path}"
        raise UnserializableError(
            f"is a method of a {type_name(type(function.__self__))} which is not the running "
            "spider; only the spider's own methods can be found again"
        )

    def _find_attribute(self, name: str, role: str) -> Callable[..., Any]:
        spider = self._need_spider(name)
        found = getattr(spider, name, None)
        if not callable(found) or self._is_default(name):
            raise CallbackMissingError(
                f"a stored request names the {role} {name!r}, which the spider {spider.name!r} "
                f"({type_name(type(spider))}) does not have any more. {self._remedy(name)}",
                name=name,
                park=role == "callback",
            )
        if not self._is_own(found):
            raise UntrustedNameError(_described(found))
        return found  # type: ignore[no-any-return]

    def _remedy(self, name: str) -> str:
        if name not in self._near:
            if len(self._near) >= _REMEDIES:
                return remedy(name, [])
            self._near[name] = remedy(name, near_names(name, _methods(self._spider)))
        return self._near[name]

    def _need_spider(self, name: str) -> Spider:
        if self._spider is None:
            raise CallbackMissingError(f"{name!r} is a method of a spider, and none is loaded")
        return self._spider


def _is_scrapys(spider: Spider | None, name: str) -> bool:
    """Whether a method is that of ``scrapy.Spider``."""
    own = getattr(type(spider), name, None)
    return own is getattr(Spider, name, None) and name not in vars(spider)


def is_type(kind: object) -> bool:
    """Whether it is a class."""
    return isinstance(kind, type)


_NO_CALLBACKS: Final = frozenset(
    {"start", "start_requests", "from_crawler", "closed", "close", "update_settings"}
)
"""Methods that Scrapy calls otherwise."""


def _methods(spider: Spider | None) -> Iterator[str]:
    """The names of the methods that the spider's own classes define, and that may be callbacks."""
    for kind in type(spider).__mro__:
        if not kind.__module__.startswith("scrapy.") and kind is not object:
            for name, member in vars(kind).items():
                if name in _NO_CALLBACKS or name.startswith("__"):
                    continue
                if callable(member) or isinstance(member, staticmethod | classmethod):
                    yield name


def _described(found: Any) -> str:
    """The path of a callable for an error, as far as it has one."""
    module = getattr(found, "__module__", None) or "?"
    return f"{module}:{getattr(found, '__qualname__', type(found).__qualname__)}"


def _aliases(spider: Spider) -> dict[FunctionType, str]:
    """Function → the name under which the spider's class has it, which may differ from its own:
    mangled names, decorators without ``functools.wraps``, assignments.
    """
    found: dict[FunctionType, str] = {}
    for name in dir(type(spider)):
        raw = inspect.getattr_static(type(spider), name)
        if isinstance(raw, staticmethod | classmethod):
            raw = raw.__func__
        if isinstance(raw, FunctionType):
            found.setdefault(raw, name)
    return found
