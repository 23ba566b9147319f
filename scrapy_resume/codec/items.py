"""Instances of the user's classes: items, models, named tuples, enums; and classes themselves."""

from __future__ import annotations

import dataclasses
import sys
from enum import Enum
from functools import partial
from typing import TYPE_CHECKING, Any

from scrapy import Item

from scrapy_resume.codec.containers import read_entries, write_entries
from scrapy_resume.codec.paths import resolve_class
from scrapy_resume.codec.refusal import Refusal, type_name
from scrapy_resume.codec.state import blank, set_state, slots_of, state_of
from scrapy_resume.errors import CallbackMissingError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from scrapy_resume.codec.values import Reader, Write, Writer

_MODEL_SLOTS = ("__pydantic_fields_set__", "__fields_set__")
_ITEM_VALUES = "_values"


def object_writer(writer: Writer, kind: type) -> Write | None:
    """The writer for a class, None if the class is of no kind known here.

    Raises Refusal if its import path does not lead back to it.
    """
    if issubclass(kind, type):
        return _write_class
    if _is_enum(kind):
        return _enum_writer(writer.path_of(kind))
    if _is_namedtuple(kind):
        return _namedtuple_writer(writer.path_of(kind))
    if not _has_fields(kind):
        return None
    write = _item_writer if issubclass(kind, Item) else _instance_writer
    return write(writer.class_path(kind))


def read_item(reader: Reader, tree: dict[str, Any]) -> Any:
    """An instance with the stored state; fields that its class got since have their defaults."""
    kind = resolve_class(tree["$item"], _has_fields, "a class with fields")
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
    _fill_new_fields(instance, fields)
    return instance


def read_namedtuple(reader: Reader, tree: dict[str, Any]) -> Any:
    """Raises CallbackMissingError if the class has other fields now, without defaults."""
    kind: Any = resolve_class(tree["$namedtuple"], _is_namedtuple, "a named tuple")
    fields = {**kind._field_defaults, **read_entries(reader, tree["fields"])}
    if fields.keys() != set(kind._fields):
        raise CallbackMissingError(
            f"a stored {type_name(kind)} has the fields {', '.join(fields)}, the class has others "
            "now; put them back, or begin a new job"
        )
    return tuple.__new__(kind, [fields[name] for name in kind._fields])


def read_enum(reader: Reader, tree: dict[str, Any]) -> Any:
    """The member of that name, else the one of that value."""
    kind: Any = resolve_class(tree["$enum"], _is_enum, "an enum")
    if tree["name"] in kind.__members__:
        return kind.__members__[tree["name"]]
    try:
        return kind(reader.read(tree["value"]))
    except (KeyError, ValueError) as error:
        raise CallbackMissingError(
            f"a stored record names {type_name(kind)}.{tree['name']}, which does not exist any "
            "more; put it back, or begin a new job"
        ) from error


def read_class(reader: Reader, tree: dict[str, Any]) -> Any:
    """Imports the class's module if need be."""
    return resolve_class(tree["$class"], _is_any, "a class")


def _write_class(writer: Writer, value: type, depth: int) -> Any:
    return {"$class": writer.path_of(value)}


def _enum_writer(path: str) -> Write:
    def write(writer: Writer, member: Any, depth: int) -> Any:
        named = type(member).__members__.get(member.name) is member
        tree: dict[str, Any] = {"$enum": path, "name": member.name if named else None}
        try:
            tree["value"] = writer.write(member.value, depth - 1)
        except Refusal as refusal:
            if not named:
                refusal.within(".value")
                raise
        return tree

    return write


def _namedtuple_writer(path: str) -> Write:
    def write(writer: Writer, value: Any, depth: int) -> Any:
        if len(value._fields) != len(value) or getattr(value, "__dict__", None):
            raise Refusal(f"is a {type_name(type(value))}, which is more than its fields")
        fields = dict(zip(value._fields, tuple.__iter__(value), strict=True))
        return {"$namedtuple": path, "fields": write_fields(writer, fields, depth)}

    return write


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


def write_fields(writer: Writer, fields: dict[str, Any], depth: int) -> dict[str, Any]:
    """Attribute name → tree."""
    trees: dict[str, Any] = {}
    for name, value in fields.items():
        try:
            trees[name] = writer.write(value, depth - 1)
        except Refusal as refusal:
            refusal.within(f".{name}")
            raise
    return trees


def _check_declared(item: Item, fields: dict[str, Any]) -> None:
    unknown = [name for name in fields if name not in item.fields]
    if unknown:
        raise CallbackMissingError(
            f"a stored {type_name(type(item))} has the fields {', '.join(unknown)}, which the "
            "class does not declare any more; put them back, or begin a new job"
        )


def _fill_new_fields(instance: Any, known: dict[str, Any]) -> None:
    """Give fields that the class got since the record was written their defaults."""
    for name, make_default in _field_defaults(instance):
        if name not in known and not hasattr(instance, name):
            set_state(instance, {name: make_default()})


def _field_defaults(instance: Any) -> Iterator[tuple[str, Callable[[], Any]]]:
    """The declared fields that have a default, of the kinds of class that hold none themselves."""
    kind = type(instance)
    if dataclasses.is_dataclass(kind):
        for field in dataclasses.fields(kind):
            if field.default is not dataclasses.MISSING:
                yield field.name, partial(_same, field.default)
            elif field.default_factory is not dataclasses.MISSING:
                yield field.name, field.default_factory
    for attribute in getattr(kind, "__attrs_attrs__", ()):
        default = attribute.default
        if hasattr(default, "takes_self"):
            arguments = (instance,) if default.takes_self else ()
            yield attribute.name, partial(default.factory, *arguments)
        elif default is not sys.modules["attr"].NOTHING:
            yield attribute.name, partial(_same, default)
    for name, info in getattr(kind, "model_fields", {}).items():
        if not info.is_required():
            yield name, partial(info.get_default, call_default_factory=True)


def _same(value: Any) -> Any:
    return value


def _has_fields(kind: type) -> bool:
    return (
        issubclass(kind, Item)
        or dataclasses.is_dataclass(kind)
        or hasattr(kind, "__attrs_attrs__")
        or _is_model(kind)
    )


def _is_namedtuple(kind: type) -> bool:
    return issubclass(kind, tuple) and hasattr(kind, "_fields") and hasattr(kind, "_field_defaults")


def _is_enum(kind: type) -> bool:
    return issubclass(kind, Enum)


def _is_any(kind: type) -> bool:
    return True


def _is_model(kind: type) -> bool:
    return any(name in slots_of(kind) for name in _MODEL_SLOTS)


def _model_defaults(kind: type, fields: dict[str, Any]) -> dict[str, Any]:
    """What a pydantic model has beside its fields if nothing special was done to it."""
    defaults = {
        "__pydantic_extra__": None,
        "__pydantic_private__": None,
        "__pydantic_fields_set__": set(fields),
        "__fields_set__": set(fields),
    }
    return {name: value for name, value in defaults.items() if name in slots_of(kind)}


def _is_dunder(name: str) -> bool:
    return name.startswith("__") and name.endswith("__")
