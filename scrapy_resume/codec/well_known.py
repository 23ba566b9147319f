"""Values of packages that many spiders use, looked up by name: none of them has to be installed.

======================  ==========================================================================
``$known``              ``PageMethod`` of scrapy-playwright and scrapy-camoufox: what is to be done
                        with a page. Its ``result``, which the page gave, is not kept
``$condition``          an expected condition of Selenium (``wait_until`` of scrapy-selenium), by
                        its name and arguments
``$loader``             an item loader that holds no response: its item and what it has collected
======================  ==========================================================================

Reading one may import its package, as no other name in a store does: which packages these are is
said here, not there.
"""

from __future__ import annotations

import inspect
import sys
from importlib import import_module
from types import FunctionType
from typing import TYPE_CHECKING, Any, Final

from scrapy_resume.codec.containers import write_fields
from scrapy_resume.codec.instance_state import blank, set_state, state_of
from scrapy_resume.codec.unserializable import UnserializableError, type_name
from scrapy_resume.errors import CallbackMissingError

if TYPE_CHECKING:
    from scrapy_resume.codec.writer_reader import Reader, Write, Writer

_PAGE_METHOD: Final = ("method", "args", "kwargs")
_FIELDS: Final = {
    "scrapy_playwright.page:PageMethod": _PAGE_METHOD,
    "scrapy_camoufox.page:PageMethod": _PAGE_METHOD,
}
"""Path of a class → the attributes that are kept; others begin as the class sets them."""

_CONDITIONS: Final = "selenium.webdriver.support.expected_conditions"
_INNER: Final = ".<locals>."
_LOADER: Final = "itemloaders.ItemLoader"
_LOADERS: Final = ("itemloaders:ItemLoader", "scrapy.loader:ItemLoader")
"""Scrapy has them; loaders of the project are trusted as its items are."""


def well_known_writer(writer: Writer, kind: type) -> Write | None:
    """The function for such a class; ``None`` for any other one. Raises UnserializableError if a
    later run may not know the class."""
    path = f"{kind.__module__}:{kind.__qualname__}"
    if path in _FIELDS:
        return _write_known
    if _is_loader(kind):
        if path not in _LOADERS:
            writer.type_path(kind)
        return _write_loader
    return None


def _write_known(writer: Writer, value: Any, depth: int) -> Any:
    kind = type(value)
    path = f"{kind.__module__}:{kind.__qualname__}"
    fields = {name: getattr(value, name) for name in _FIELDS[path]}
    return {"$known": path, "fields": write_fields(writer, fields, depth - 1)}


def read_known(reader: Reader, tree: dict[str, Any]) -> Any:
    """Raises CallbackMissingError if the package is not installed, or is another one now."""
    path = tree["$known"]
    names = _FIELDS[path]
    module, _, name = path.partition(":")
    kind = getattr(_imported(module), name, None)
    if not isinstance(kind, type):
        raise CallbackMissingError(f"a stored record names {path}, which is no class now")
    instance = blank(kind)
    fields = tree["fields"]
    values = {name: reader.read(fields[name]) for name in names}
    set_state(instance, {**values, "result": None})
    return instance


def write_condition(writer: Writer, function: Any, depth: int) -> Any | None:
    """The tree of one of Selenium's conditions; ``None``: it is none of them. Raises
    UnserializableError for an argument that cannot be serialized (an element of a page, say)."""
    if type(function) is not FunctionType or function.__module__ != _CONDITIONS:
        return None
    name, inner, _ = function.__qualname__.partition(_INNER)
    factory = getattr(sys.modules.get(_CONDITIONS), name, None)
    if not inner or not isinstance(factory, FunctionType):
        return None
    held = inspect.getclosurevars(function).nonlocals
    parameters = list(inspect.signature(factory).parameters)
    if not held.keys() >= set(parameters):
        return None
    arguments = {parameter: held[parameter] for parameter in parameters}
    return {"$condition": name, "arguments": write_fields(writer, arguments, depth - 1)}


def read_condition(reader: Reader, tree: dict[str, Any]) -> Any:
    """Raises CallbackMissingError if Selenium is not installed, or has no such condition."""
    name = tree["$condition"]
    factory = vars(_imported(_CONDITIONS)).get(name)
    if not isinstance(factory, FunctionType) or factory.__module__ != _CONDITIONS:
        raise CallbackMissingError(f"a stored record names {_CONDITIONS}:{name}, which is gone")
    given = {key: reader.read(value) for key, value in tree["arguments"].items()}
    call = inspect.Signature(list(inspect.signature(factory).parameters.values())).bind_partial()
    call.arguments.update(given)
    return factory(*call.args, **call.kwargs)


def _write_loader(writer: Writer, loader: Any, depth: int) -> Any:
    state = state_of(loader)
    context = dict(state.get("context", ()))
    held = (
        state.get("selector"),
        state.get("parent"),
        state.get("stats"),
        context.get("selector"),
        context.get("response"),
    )
    if any(one is not None for one in held):
        raise UnserializableError(
            f"is a {type_name(type(loader))} that holds a response or another loader; keep the "
            "item that load_item() gives, or a loader that is made with an item alone, instead"
        )
    context.pop("item", None)
    state["context"] = context
    return {"$loader": writer.path_of(type(loader)), "state": writer.write(state, depth - 1)}


def read_loader(reader: Reader, tree: dict[str, Any]) -> Any:
    """Raises CallbackMissingError if the class is gone."""
    path = tree["$loader"]
    if path in _LOADERS:
        kind = _imported(path.partition(":")[0]).ItemLoader
    else:
        kind = reader.trust.resolve_type(path, _is_loader, "an item loader")
    state = reader.read(tree["state"])
    state["context"]["item"] = state["_local_item"]
    loader = blank(kind)
    set_state(loader, state)
    return loader


def _is_loader(kind: type) -> bool:
    return any(type_name(base) == _LOADER for base in kind.__mro__)


def _imported(module: str) -> Any:
    try:
        return sys.modules.get(module) or import_module(module)
    except Exception as error:
        raise CallbackMissingError(
            f"a stored record needs {module}, which cannot be imported ({error!r}). Install its "
            "package again, or park those requests",
            name=module,
        ) from error
