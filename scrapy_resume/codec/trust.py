"""Which classes and functions a stored name may lead to.

A job's file is data. It may have been written by somebody else: a backup that was sent around, a
directory that others can write. So a name in it is looked up only where the crawl itself could
have put it:

- **trusted modules**: those of the spider's class and of its base classes, the packages of the
  project, and the packages that the setting ``RESUME_TRUSTED`` names. They are imported if
  necessary; every function and class that is *defined* there may be named.
- **data types** of any other module (items, enums, named tuples, classes of requests), if the
  module is loaded already. They are restored without a call of their code.

Nothing else is looked up, and no other module is imported: importing one runs its code.
"""

from __future__ import annotations

import inspect
import sys
from importlib import import_module
from types import FunctionType, MethodType, ModuleType
from typing import TYPE_CHECKING, Any, Final

from scrapy_resume.codec.import_paths import own_path
from scrapy_resume.codec.renames import dotted, near_names, remedy
from scrapy_resume.codec.unserializable import UnserializableError
from scrapy_resume.errors import CallbackMissingError, UntrustedNameError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

SETTING: Final = "RESUME_TRUSTED"

_REMEDIES: Final = 1_000
"""Missing names for which a remedy is kept: a forged store may have very many."""


class Trust:
    """The trusted modules of one crawl."""

    def __init__(self, modules: Iterable[str] = (), packages: Iterable[str] = ()) -> None:
        """``modules``: the names of single modules. ``packages``: prefixes, in whole components:
        ``shop`` covers ``shop`` and ``shop.items``, not ``shopping``.
        """
        self._covered = dict.fromkeys(modules, True)
        self._packages = tuple(packages)
        # What is loaded now is loaded in the next process of the same crawl too, at this point.
        self._loaded_at_opening = frozenset(sys.modules)
        self._judged: dict[str, Any] = {}
        """By path, what was found there and may be named."""
        self.renames: dict[str, str] = {}
        """See ``renames``: by name with dots, what has another name now."""
        self._remedies: dict[str, str] = {}

    @classmethod
    def in_spider(cls, spider: object | None, packages: Iterable[str] = ()) -> Trust:
        """Trust the modules of the spider's class and its base classes, and ``packages``."""
        return cls((), packages) if spider is None else cls.in_class(type(spider), packages)

    @classmethod
    def in_class(cls, kind: type, packages: Iterable[str] = ()) -> Trust:
        """The same for a spider's class."""
        own, *bases = kind.__mro__
        modules = [base.__module__ for base in bases if not _is_standard(base.__module__)]
        return cls([own.__module__, *modules], packages)

    def covers(self, module: object) -> bool:
        """Whether everything that is defined in the module may be named."""
        if type(module) is not str:
            return False
        covered = self._covered.get(module)
        if covered is None:
            covered = any(
                module == package or module.startswith(f"{package}.") for package in self._packages
            )
            self._covered[module] = covered
        return covered

    def is_loaded(self, path: str) -> bool:
        """Whether the module of a path is loaded."""
        return path.partition(":")[0] in sys.modules

    def defines(self, target: Any) -> bool:
        """Whether a function or a class is defined in a trusted module; for a class method, both
        the function and the class that it is bound to."""
        parts: tuple[Any, ...] = (target,)
        if isinstance(target, MethodType):
            parts = (target.__func__, target.__self__)
        return all(self.covers(getattr(part, "__module__", None)) for part in parts)

    def refuse_to_name(self, target: Any, path: str) -> None:
        """Raise UnserializableError for a function or class that no later run would restore."""
        if not self.defines(target):
            raise UnserializableError(_unnamed(path))

    def refuse_to_name_type(self, kind: type, path: str) -> None:
        """Raise UnserializableError for a data type that a later run may not know: it belongs to
        a module that is neither trusted nor loaded when the crawl begins."""
        module = kind.__module__
        if not self.covers(module) and module not in self._loaded_at_opening:
            raise UnserializableError(_unnamed(path))

    def resolve(self, path: str) -> Any:
        """The function or class of a trusted module. Loaded modules are searched first, so that
        the file that ``scrapy runspider`` has imported is found under its stem.

        Raises UntrustedNameError, without importing anything, for any other path, and
        CallbackMissingError if the module cannot be imported or lacks the name.
        """
        path = self._present(path)
        module = path.partition(":")[0]
        if not self.covers(module):
            raise UntrustedNameError(path)
        found = self._looked_up(path, _first_attribute)
        if found is not self._judged.get(path):
            if not _is_path_of(path, found) or not self.defines(found):
                # A name that the module has imported from elsewhere.
                raise UntrustedNameError(path)
            self._judged[path] = found
        return found

    def resolve_type(self, path: str, fits: Callable[[type], bool], what: str) -> type[Any]:
        """A data type, of any module that is loaded.

        Raises UntrustedNameError for a module that is neither trusted nor loaded, and
        CallbackMissingError if there is no such class, or one that does not fit. ``what``
        describes the expected class in the error.
        """
        path = self._present(path)
        module = path.partition(":")[0]
        if self.covers(module):
            found = self.resolve(path)
        elif module in sys.modules:
            found = self._looked_up(path, _first_own_attribute)
            if found is not self._judged.get(path):
                if not _is_path_of(path, found) or hasattr(found, "__del__"):
                    raise UntrustedNameError(path)
                self._judged[path] = found
        else:
            raise UntrustedNameError(path)
        if not isinstance(found, type) or not fits(found):
            raise CallbackMissingError(
                f"a stored record names {path}, which is not {what} now", name=path
            )
        return found

    def _present(self, path: str) -> str:
        """The path under which something is found now."""
        return self.renames.get(dotted(path), path) if self.renames else path

    def _looked_up(self, path: str, first_attribute: Callable[[str, str], Any]) -> Any:
        try:
            return _looked_up(path, first_attribute)
        except UntrustedNameError:
            raise
        except Exception as error:
            raise CallbackMissingError(
                f"a stored record names {path}, which cannot be loaded ({error!r}). "
                f"{self._remedy(path)}",
                name=path,
            ) from error

    def _remedy(self, path: str) -> str:
        if path not in self._remedies:
            if len(self._remedies) >= _REMEDIES:
                return remedy(dotted(path), [])
            self._remedies[path] = remedy(dotted(path), self._near(path))
        return self._remedies[path]

    def _near(self, path: str) -> list[str]:
        """Names, with dots, of what a missing path may mean: the same name in other trusted
        modules that are loaded, and similar ones in its own."""
        module, _, qualname = path.partition(":")
        name = qualname.rpartition(".")[2]
        loaded = [(other, found) for other, found in sys.modules.items() if self.covers(other)]
        moved = [
            f"{other}.{place}"
            for other, found in loaded
            for place in dict.fromkeys((qualname, name))
            if self._is_own_of(other, _static_member(found, place))
        ]
        own = vars(sys.modules[module]) if module in sys.modules else {}
        similar = near_names(name, [n for n, v in own.items() if self._is_own_of(module, v)])
        return [*sorted(moved), *(f"{module}.{n}" for n in similar)]

    def _is_own_of(self, module: str, found: Any) -> bool:
        return isinstance(found, type | FunctionType) and found.__module__ == module


class TrustAll(Trust):
    """For values that are written only: every name is written."""

    def covers(self, module: object) -> bool:
        """Always true."""
        return True


def _is_standard(module: str) -> bool:
    """Whether a module is one of Python's own."""
    return module.partition(".")[0] in sys.stdlib_module_names


def _unnamed(path: str) -> str:
    module = path.partition(":")[0]
    return (
        f"is {path}, which is neither the spider's nor the project's, so no later run would "
        f"restore it from the store; if you trust that code, set {SETTING} = [{module!r}]"
    )


def _looked_up(path: str, first_attribute: Callable[[str, str], Any]) -> Any:
    """The object at the path. ``first_attribute``: module and name → what has that name there."""
    module, _, qualname = path.partition(":")
    name, *nested = qualname.split(".")
    target = first_attribute(module, name)
    for part in nested:
        if not isinstance(target, type):
            # A module that was imported there is another module, and what hangs on an object
            # was not defined there.
            raise UntrustedNameError(path)
        target = _member(target, part)
    return target


def _first_attribute(module: str, name: str) -> Any:
    """An attribute of a trusted module, which is imported if necessary."""
    return getattr(sys.modules.get(module) or import_module(module), name)


def _first_own_attribute(module: str, name: str) -> Any:
    """An attribute of a loaded module, found without a call of the module's code."""
    return object.__getattribute__(sys.modules[module], "__dict__")[name]


def _static_member(module: ModuleType, qualname: str) -> Any:
    """What a module has at a path, found without a call of code; ``None``: nothing."""
    found: Any = module
    for name in qualname.split("."):
        found = vars(found).get(name) if isinstance(found, type | ModuleType) else None
    return found


def _member(kind: type, name: str) -> Any:
    """An attribute of a class, found without a call of the class's code."""
    member = inspect.getattr_static(kind, name)
    if isinstance(member, FunctionType | staticmethod | classmethod):
        return member.__get__(None, kind)
    return member


def _is_path_of(path: str, found: Any) -> bool:
    try:
        return own_path(found) == path
    except UnserializableError:
        return False
