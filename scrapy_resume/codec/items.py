"""Items: instances of ``scrapy.Item``, dataclasses, attrs classes and pydantic models.

The tree has the class's import path, the fields and any further attributes. An instance is
restored with the state that it had; neither ``__init__`` nor validators run.
"""

from __future__ import annotations

import dataclasses
import sys
from functools import partial
from typing import TYPE_CHECKING, Any

from scrapy import Item

from scrapy_resume.codec.containers import read_entries, write_entries, write_fields
from scrapy_resume.codec.instance_state import blank, set_state, slots_of, state_of
from scrapy_resume.codec.unserializable import type_name
from scrapy_resume.errors import CallbackMissingError, UntrustedNameError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from scrapy_resume.codec.writer_reader import Reader, Write, Writer

_MODEL_SLOTS = ("__pydantic_fields_set__", "__fields_set__")
_ITEM_VALUES = "_values"
_PLAIN_FACTORIES = (list, dict, set, tuple, frozenset)


def item_writer(writer: Writer, kind: type) -> Write | None:
    """The function for a class with fields; ``None`` for any other class.

    Raises UnserializableError if the class's import path does not lead back to it.
    """
    if not is_item_type(kind):
        return None
    write = _item_writer if issubclass(kind, Item) else _instance_writer
    return write(writer.class_path(kind))


def read_item(reader: Reader, tree: dict[str, Any]) -> Any:
    """The instance. Fields that were added to its class since it was stored have their defaults."""
    kind = reader.trust.resolve_type(tree["$item"], is_item_type, "a class with fields")
    fields = read_entries(reader, tree["fields"])
    attributes = read_entries(reader, tree.get("attributes", {}))
    instance = blank(kind)
    if isinstance(instance, Item):
        _check_declared(instance, fields)
        attributes[_ITEM_VALUES] = fields
        set_state(instance, attributes)
        return instance
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


def _check_declared(item: Item, fields: dict[str, Any]) -> None:
    unknown = [name for name in fields if name not in item.fields]
    if unknown:
        raise CallbackMissingError(
            f"a stored {type_name(type(item))} has the fields {', '.join(unknown)}, which the "
            "class does not declare any more; put them back, or begin a new job"
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
