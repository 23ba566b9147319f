"""Items: instances of ``scrapy.Item``, dataclasses, attrs classes and pydantic models.

The tree has the class's import path, the fields and any further attributes. An instance is
restored with the state that it had; neither ``__init__`` nor validators run.

Fields that were added to a ``scrapy.Item`` class at runtime are not there in the class of another
process: the item is restored as an instance of a subclass that has them. Exporters ask the class.
"""

from __future__ import annotations

import dataclasses
import sys
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any

from scrapy import Field, Item

from scrapy_resume.codec.containers import read_entries, write_entries, write_fields
from scrapy_resume.codec.instance_state import blank, set_state, slots_of, state_of
from scrapy_resume.errors import UntrustedNameError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from scrapy_resume.codec.writer_reader import Reader, Write, Writer

_MODEL_SLOTS = ("__pydantic_fields_set__", "__fields_set__")
_ITEM_VALUES = "_values"
_MADE_OF = "_scrapy_resume_made_of"
"""In a class that ``_with_fields`` has made: the class that was found."""
_PLAIN_FACTORIES = (list, dict, set, tuple, frozenset)


def item_writer(writer: Writer, kind: type) -> Write | None:
    """The function for a class with fields; ``None`` for any other class.

    Raises UnserializableError if the class's import path does not lead back to it.
    """
    if not is_item_type(kind):
        return None
    write = _item_writer if issubclass(kind, Item) else _instance_writer
    return write(writer.class_path(made_of(kind)))


def read_item(reader: Reader, tree: dict[str, Any]) -> Any:
    """The instance. Fields that were added to its class since it was stored have their defaults."""
    kind = reader.trust.resolve_type(tree["$item"], is_item_type, "a class with fields")
    fields = read_entries(reader, tree["fields"])
    attributes = read_entries(reader, tree.get("attributes", {}))
    if issubclass(kind, Item):
        return restore_item(kind, fields, attributes, tree.get("declared"))
    instance = blank(kind)
    if _is_model(kind):
        attributes = {**_model_defaults(kind, fields), **attributes}
    set_state(instance, {**fields, **attributes})
    _fill_new_fields(reader, instance, fields)
    return instance


def _item_writer(path: str) -> Write:
    def write(writer: Writer, item: Item, depth: int) -> Any:
        attributes = state_of(item)
        fields = write_entries(writer, attributes.pop(_ITEM_VALUES), depth)
        return _tree(writer, path, fields, attributes, depth)

    return write


def _instance_writer(path: str) -> Write:
    def write(writer: Writer, instance: Any, depth: int) -> Any:
        state = state_of(instance)
        attributes = {name: state.pop(name) for name in list(state) if _is_dunder(name)}
        if attributes and _is_model(type(instance)):
            usual = _model_defaults(type(instance), state)
            attributes = {
                name: value
                for name, value in attributes.items()
                if name not in usual or value != usual[name]
            }
        fields = write_fields(writer, state, depth)
        return _tree(writer, path, fields, attributes, depth)

    return write


def _tree(
    writer: Writer, path: str, fields: Any, attributes: dict[str, Any], depth: int
) -> dict[str, Any]:
    tree = {"$item": path, "fields": fields}
    if attributes:
        tree["attributes"] = write_fields(writer, attributes, depth)
    return tree


def restore_item(
    kind: type[Item], values: dict[str, Any], attributes: dict[str, Any], declared: Any = None
) -> Item:
    """A ``scrapy.Item`` with the state.

    ``declared``: the names of all fields of its class, in order, if ``kind`` is only a base of it;
    ``None``: those of ``kind``, and those of ``values`` that ``kind`` does not declare (any more).
    """
    if declared is not None:
        kind = _with_fields(kind, (), tuple(declared))
    elif added := tuple(name for name in values if name not in kind.fields):
        kind = _with_fields(kind, tuple(kind.fields), added)
    item: Item = blank(kind)
    set_state(item, {**attributes, _ITEM_VALUES: values})
    return item


class _WithFields:
    """Base of the subclasses that are made here: no hook of the user's class runs for them."""

    __slots__ = ()

    def __init_subclass__(cls, **_: Any) -> None:
        """Call no other class's hook."""


@lru_cache(maxsize=256)
def _with_fields(kind: type[Item], kept: tuple[str, ...], added: tuple[str, ...]) -> type[Item]:
    """A subclass with these fields: those of ``kind``, and new ones."""
    fields = {name: kind.fields[name] for name in kept}
    fields.update((name, Field()) for name in added)
    names = {"__module__": kind.__module__, "__qualname__": kind.__qualname__}
    return type.__new__(
        type(kind), kind.__name__, (_WithFields, kind), {**names, "fields": fields, _MADE_OF: kind}
    )


def _fill_new_fields(reader: Reader, instance: Any, known: dict[str, Any]) -> None:
    """Set fields that were added to the class since the record was written to their defaults.

    Raises UntrustedNameError if that takes a call of code that is not trusted.
    """
    kind = type(instance)
    trusted = reader.trust.defines(kind)
    for name, make_default, called in _field_defaults(instance):
        if name in known or hasattr(instance, name):
            continue
        if not (trusted or called is None or called in _PLAIN_FACTORIES):
            raise UntrustedNameError(f"{kind.__module__}:{kind.__qualname__}.{name}")
        set_state(instance, {name: make_default()})


def _field_defaults(instance: Any) -> Iterator[tuple[str, Callable[[], Any], Any]]:
    """Field name → function that makes the default, and the function of the class that it calls
    (``None``: it calls none). Of a ``scrapy.Item`` nothing: it may lack any field.
    """
    kind = type(instance)
    if dataclasses.is_dataclass(kind):
        for field in dataclasses.fields(kind):
            if field.default is not dataclasses.MISSING:
                yield field.name, partial(_same, field.default), None
            elif field.default_factory is not dataclasses.MISSING:
                yield field.name, field.default_factory, field.default_factory
    for attribute in getattr(kind, "__attrs_attrs__", ()):
        default = attribute.default
        if hasattr(default, "takes_self"):
            arguments = (instance,) if default.takes_self else ()
            yield attribute.name, partial(default.factory, *arguments), default.factory
        elif default is not sys.modules["attr"].NOTHING:
            yield attribute.name, partial(_same, default), None
    for name, field in getattr(kind, "model_fields", {}).items():
        if not field.is_required():
            default = partial(field.get_default, call_default_factory=True)
            yield name, default, field.default_factory


def _same(value: Any) -> Any:
    return value


def made_of(kind: type) -> type:
    """The class whose name leads to it: of a class that was made here, the one that was found."""
    found: type = vars(kind).get(_MADE_OF, kind)
    return found


def is_item_type(kind: type) -> bool:
    """Whether a class is a ``scrapy.Item``, a dataclass, an attrs class or a pydantic model."""
    return (
        issubclass(kind, Item)
        or dataclasses.is_dataclass(kind)
        or hasattr(kind, "__attrs_attrs__")
        or _is_model(kind)
    )


def _is_model(kind: type) -> bool:
    return any(name in slots_of(kind) for name in _MODEL_SLOTS)


def _model_defaults(kind: type, fields: dict[str, Any]) -> dict[str, Any]:
    """The attributes that pydantic gives a model beside its fields, in their usual values."""
    defaults = {
        "__pydantic_extra__": None,
        "__pydantic_private__": None,
        "__pydantic_fields_set__": set(fields),
        "__fields_set__": set(fields),
    }
    return {name: value for name, value in defaults.items() if name in slots_of(kind)}


def _is_dunder(name: str) -> bool:
    return name.startswith("__") and name.endswith("__")
