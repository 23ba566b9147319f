"""What a feed shows of an item that cannot be restored as it is.

Plain Scrapy exports the fields of an item as ``ItemAdapter`` gives them, whatever its class is and
whatever else the item carries. So an item is never refused for its class: attributes that cannot
be serialized are left out, and of a class that no later process would find under its name the
fields are kept, as an item of the nearest base class that has a name, else as a dict.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from itemadapter import ItemAdapter
from scrapy import Item

from scrapy_resume.codec.containers import read_entries, write_entries, write_fields
from scrapy_resume.codec.items import item_writer, made_of, restore_item
from scrapy_resume.codec.json_text import MAX_DEPTH
from scrapy_resume.codec.unserializable import UnserializableError

if TYPE_CHECKING:
    from scrapy_resume.codec.writer_reader import Reader, Write, Writer


class UnnamedItem(Item):
    """Stands in for an item whose class has no name, where a feed has to know its fields."""


def lenient_item_writer(writer: Writer, kind: type) -> Write | None:
    """The function for a class with fields that can be found under its name. Attributes beside the
    fields are kept if all of them can be serialized. ``None`` for any other class."""
    exact = item_writer(writer, kind)
    if exact is None:
        return None
    tag = {"$item": writer.class_path(made_of(kind))}

    def write(writer: Writer, item: Any, depth: int) -> Any:
        try:
            return exact(writer, item, depth)
        except UnserializableError:
            fields = dict(ItemAdapter(item))
            write_them = write_entries if issubclass(kind, Item) else write_fields
            return {**tag, "fields": write_them(writer, fields, depth)}

    return write


class ViewWriter:
    """For a class that cannot be found under its name, or whose instances are more than their
    attributes. Serializers of fields are applied: nobody knows them later."""

    def __init__(self, writer: Writer, kind: type) -> None:
        self._base = _named_base(writer, kind)

    def __call__(self, writer: Writer, item: Any, depth: int) -> Any:
        """The tree. Raises UnserializableError for a field whose value cannot be serialized."""
        adapter = ItemAdapter(item)
        if depth < MAX_DEPTH:
            # Within another item: exporters do not apply the serializers of its fields.
            return writer.write(dict(adapter), depth)
        declared = list(adapter.field_names())
        set_names = [name for name in declared if name in adapter]
        names = dict.fromkeys([*set_names, *adapter])
        values = {name: _serialized(adapter, name) for name in names}
        if self._base is not None:
            fields = write_entries(writer, values, depth)
            return {"$item": self._base, "fields": fields, "declared": declared}
        if len(set_names) == len(declared):
            return writer.write(values, depth)
        return {"$unnamed": write_entries(writer, values, depth), "declared": declared}


def read_unnamed(reader: Reader, tree: dict[str, Any]) -> Item:
    """For feeds, whose columns are the declared fields, set or not."""
    values = read_entries(reader, tree["$unnamed"])
    return restore_item(UnnamedItem, values, {}, tree["declared"])


def read_unnamed_as_dict(reader: Reader, tree: dict[str, Any]) -> dict[str, Any]:
    """For readers without the user's code."""
    return read_entries(reader, tree["$unnamed"])


def _serialized(adapter: ItemAdapter, name: str) -> Any:
    serialize = adapter.get_field_meta(name).get("serializer")
    value = adapter[name]
    return value if serialize is None else serialize(value)


def _named_base(writer: Writer, kind: type) -> str | None:
    """The path of the nearest base class that can be found; ``None``: there is none. Filters of
    feeds by class know an item by it."""
    if not issubclass(kind, Item):
        return None
    for base in kind.__mro__[1:]:
        if base is Item:
            return None
        try:
            return writer.class_path(base)
        except UnserializableError:
            continue
    return None
