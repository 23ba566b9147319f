"""Import paths of classes and functions, such as ``pkg.mod:Outer.name``."""

from __future__ import annotations

import sys
from importlib import import_module
from types import MethodType
from typing import TYPE_CHECKING, Any

from scrapy_resume.codec.unserializable import UnserializableError, type_name
from scrapy_resume.errors import CallbackMissingError

if TYPE_CHECKING:
    from collections.abc import Collection


def path_of(target: Any, unnameable: Collection[str] = ()) -> str:
    """The path that leads back to the same object in the modules that are loaded now.

    Raises UnserializableError if there is none, or if its module is in ``unnameable``.
    """
    path = own_path(target, unnameable)
    module_name, _, qualname = path.partition(":")
    try:
        found = _walk(sys.modules[module_name], qualname)
    except (KeyError, AttributeError):
        raise UnserializableError(f"is {path}, which cannot be found under that name") from None
    if found is not target and not (isinstance(target, MethodType) and found == target):
        raise UnserializableError(f"is {path}, but that name leads to another object")
    return path


def resolve(path: str) -> Any:
    """The object at a path that a setting names, not the store (see ``trust``). Loaded modules are
    searched first. Raises CallbackMissingError if the module cannot be imported or lacks the name.
    """
    module_name, _, qualname = path.partition(":")
    try:
        module = sys.modules.get(module_name) or import_module(module_name)
        return _walk(module, qualname)
    except Exception as error:
        raise CallbackMissingError(f"{path} cannot be loaded ({error!r})") from error


def own_path(target: Any, unnameable: Collection[str] = ()) -> str:
    """The path that an object itself says is its own; nothing is looked up there.

    Raises UnserializableError if it has none, or if its module is in ``unnameable``.
    """
    if isinstance(target, MethodType) and isinstance(target.__self__, type):
        return f"{own_path(target.__self__, unnameable)}.{target.__name__}"
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
