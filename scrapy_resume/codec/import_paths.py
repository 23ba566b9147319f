"""Import paths of classes and functions, such as ``pkg.mod:Outer.name``."""

from __future__ import annotations

import sys
from importlib import import_module
from types import MethodType
from typing import TYPE_CHECKING, Any

from scrapy_resume.codec.unserializable import UnserializableError, type_name
from scrapy_resume.errors import CallbackMissingError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection


def path_of(target: Any, unnameable: Collection[str] = ()) -> str:
    """The path that leads back to the same object in the modules that are loaded now.

    Raises UnserializableError if there is none, or if its module is in ``unnameable``.
    """
    if isinstance(target, MethodType) and isinstance(target.__self__, type):
        path = f"{path_of(target.__self__, unnameable)}.{target.__name__}"
    else:
        path = _own_path(target, unnameable)
    module_name, _, qualname = path.partition(":")
    try:
        found = _walk(sys.modules[module_name], qualname)
    except (KeyError, AttributeError):
        raise UnserializableError(f"is {path}, which cannot be found under that name") from None
    if found is not target and not (isinstance(target, MethodType) and found == target):
        raise UnserializableError(f"is {path}, but that name leads to another object")
    return path


def resolve(path: str) -> Any:
    """The object at the path. Loaded modules are searched first, so that the file that ``scrapy
    runspider`` has imported is found under its stem.

    Raises CallbackMissingError if the module cannot be imported or lacks the name.
    """
    module_name, _, qualname = path.partition(":")
    try:
        module = sys.modules.get(module_name) or import_module(module_name)
        return _walk(module, qualname)
    except Exception as error:
        raise CallbackMissingError(
            f"a stored record names {path}, which cannot be loaded ({error!r}); put it back "
            "under that name, or begin a new job"
        ) from error


def resolve_class(path: str, fits: Callable[[type], bool], what: str) -> type[Any]:
    """The class at the path. Raises CallbackMissingError if there is none, or if it does not fit.

    So a store that somebody else has written cannot instantiate any class it likes. ``what``
    describes the expected class in the error.
    """
    found = resolve(path)
    if not isinstance(found, type) or not fits(found):
        raise CallbackMissingError(f"a stored record names {path}, which is not {what} now")
    return found


def _own_path(target: Any, unnameable: Collection[str]) -> str:
    module_name = getattr(target, "__module__", None)
    qualname = getattr(target, "__qualname__", None)
    if type(module_name) is not str or type(qualname) is not str:
        raise UnserializableError(f"is a {type_name(type(target))} without an import path")
    if "<lambda>" in qualname:
        raise UnserializableError(
            "is a lambda, which has no name to find it by; use a method of the spider"
        )
    if "<" in qualname:
        raise UnserializableError(
            f"is {qualname} of {module_name}, which is defined inside a function; "
            "move it to the top of the module, or into the class"
        )
    if module_name in unnameable:
        raise UnserializableError(
            f"is {qualname} of {module_name}, which other processes cannot import; "
            "move it to a module of its own"
        )
    return f"{module_name}:{qualname}"


def _walk(target: Any, qualname: str) -> Any:
    for name in qualname.split("."):
        target = getattr(target, name)
    return target
