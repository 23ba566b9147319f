"""Enum members and named tuples, with the import path of their class."""

from __future__ import annotations

from enum import Enum, EnumMeta
from typing import TYPE_CHECKING, Any

from scrapy_resume.codec.containers import read_entries, write_fields
from scrapy_resume.codec.unserializable import UnserializableError, type_name
from scrapy_resume.errors import CallbackMissingError

if TYPE_CHECKING:
    from scrapy_resume.codec.writer_reader import Reader, Write, Writer


def enum_or_namedtuple_writer(writer: Writer, kind: type) -> Write | None:
    """The function for an enum or a named tuple; ``None`` for any other class.

    Raises UnserializableError if the class's import path does not lead back to it.
    """
    if _is_enum(kind):
        return _enum_writer(writer.type_path(kind))
    if _is_namedtuple(kind):
        return _namedtuple_writer(writer.type_path(kind))
    return None


def read_enum(reader: Reader, tree: dict[str, Any]) -> Any:
    """The member of the stored name or, if there is none, of the stored value.

    Raises CallbackMissingError if there is neither.
    """
    kind: Any = reader.trust.resolve_type(tree["$enum"], _is_enum, "an enum")
    if tree["name"] in kind.__members__:
        return kind.__members__[tree["name"]]
    try:
        value = reader.read(tree["value"])
        if not reader.trust.defines(kind) and not _finds_members_as_usual(kind):
            return next(member for member in kind if member.value == value)
        return kind(value)
    except (KeyError, ValueError, StopIteration) as error:
        raise CallbackMissingError(
            f"a stored record names {type_name(kind)}.{tree['name']}, which does not exist any "
            "more; put it back, or begin a new job"
        ) from error


def read_namedtuple(reader: Reader, tree: dict[str, Any]) -> Any:
    """The named tuple. Fields that were added to the class since have their defaults.

    Raises CallbackMissingError if the class has other fields now.
    """
    kind: Any = reader.trust.resolve_type(tree["$namedtuple"], _is_namedtuple, "a named tuple")
    fields = {**kind._field_defaults, **read_entries(reader, tree["fields"])}
    if fields.keys() != set(kind._fields):
        raise CallbackMissingError(
            f"a stored {type_name(kind)} has the fields {', '.join(fields)}, the class has others "
            "now; put them back, or begin a new job"
        )
    return tuple.__new__(kind, [fields[name] for name in kind._fields])


def _enum_writer(path: str) -> Write:
    def write(writer: Writer, member: Any, depth: int) -> Any:
        named = type(member).__members__.get(member.name) is member
        tree: dict[str, Any] = {"$enum": path, "name": member.name if named else None}
        try:
            tree["value"] = writer.write(member.value, depth - 1)
        except UnserializableError as error:
            if not named:
                error.within(".value")
                raise
        return tree

    return write


def _namedtuple_writer(path: str) -> Write:
    def write(writer: Writer, value: Any, depth: int) -> Any:
        if len(value._fields) != len(value) or getattr(value, "__dict__", None):
            raise UnserializableError(
                f"is a {type_name(type(value))}, which is more than its fields"
            )
        fields = dict(zip(value._fields, tuple.__iter__(value), strict=True))
        return {"$namedtuple": path, "fields": write_fields(writer, fields, depth)}

    return write


def _is_namedtuple(kind: type) -> bool:
    return issubclass(kind, tuple) and hasattr(kind, "_fields") and hasattr(kind, "_field_defaults")


def _is_enum(kind: type) -> bool:
    return issubclass(kind, Enum)


def _finds_members_as_usual(kind: Any) -> bool:
    """Whether looking up a member by its value runs no code but that of ``enum``."""
    own = (base for base in kind.__mro__ if base.__module__ != "enum")
    return type(kind) is EnumMeta and not any("_missing_" in vars(base) for base in own)
