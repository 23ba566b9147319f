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
from functools import partial
from types import FunctionType, MethodType
from typing import TYPE_CHECKING, Any, Final

from scrapy.http.request import NO_CALLBACK

from scrapy_resume.codec.import_paths import path_of
from scrapy_resume.codec.unserializable import UnserializableError, type_name
from scrapy_resume.errors import CallbackMissingError, UntrustedNameError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from scrapy import Spider

    from scrapy_resume.codec.trust import Trust

_NO_CALLBACK: Final = f"function:{path_of(NO_CALLBACK)}"
"""Scrapy's own mark, which only raises: known everywhere."""


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
        self._unnameable = unnameable
        self._aliases: dict[Any, str] | None = None
        self._references: dict[Callable[..., Any], str] = {}
        """Of functions that are not the spider's: finding and judging their names is dear."""

    def name(self, function: Callable[..., Any], role: str = "") -> str:
        """The name, which leads back to an equal callable in this process.

        Raises UnserializableError if there is none; ``role`` is what the error calls the function.
        """
        name = getattr(function, "__name__", None)
        if (
            name is not None
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

    def find(self, name: str) -> Callable[..., Any]:
        """The callable. Raises CallbackMissingError if nothing callable has the name any more, and
        UntrustedNameError if its code is not trusted."""
        if ":" not in name:
            return self._find_attribute(name)
        form, _, path = name.partition(":")
        found = NO_CALLBACK if name == _NO_CALLBACK else self._trust.resolve(path)
        if not callable(found):
            raise CallbackMissingError(f"a stored record names {path}, which is not callable now")
        if form == "method":
            return MethodType(found, self._need_spider(name))
        return found  # type: ignore[no-any-return]

    def _alias(self, function: Callable[..., Any]) -> str | None:
        if self._spider is None:
            return None
        if self._aliases is None:
            self._aliases = _aliases(self._spider)
        bare = getattr(function, "__func__", function)
        name = self._aliases.get(bare) if isinstance(bare, FunctionType) else None
        if name is None or name in self._unsteady or getattr(self._spider, name) != function:
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

    def _find_attribute(self, name: str) -> Callable[..., Any]:
        spider = self._need_spider(name)
        found = getattr(spider, name, None)
        if not callable(found):
            raise CallbackMissingError(
                f"a stored request names the callback {name!r}, which the spider {spider.name!r} "
                f"({type_name(type(spider))}) does not have any more; put the method back under "
                "that name, or begin a new job"
            )
        if not self._is_own(found):
            raise UntrustedNameError(_described(found))
        return found  # type: ignore[no-any-return]

    def _need_spider(self, name: str) -> Spider:
        if self._spider is None:
            raise CallbackMissingError(f"{name!r} is a method of a spider, and none is loaded")
        return self._spider


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
