"""From items to the fields of rows, as Scrapy's exporters do it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from itemadapter import ItemAdapter
from scrapy.exporters import BaseItemExporter

from scrapy_resume.databases.writes import Put, Write
from scrapy_resume.errors import ResumeError, message_of
from scrapy_resume.store.contract import Change


class _Serializer(BaseItemExporter):
    """Calls the serializers of fields, as Scrapy's exporters do."""

    def export_item(self, item: Any) -> None:
        """Rows are written elsewhere."""


class RowMaker:
    """Makes rows of the changes of a job, for one feed.

    ``accepts``: Scrapy's filter of the feed. ``decode``: from the text that the codec has written.
    """

    def __init__(
        self,
        options: Mapping[str, Any],
        accepts: Callable[[Any], bool],
        decode: Callable[[str], Any],
    ) -> None:
        fields = options.get("fields")
        self._names: dict[str, str] | None = None
        """Field → column; ``None``: all fields, under their own names."""
        if isinstance(fields, Mapping):
            self._names = {str(field): str(column) for field, column in fields.items()}
        elif fields:
            self._names = {str(field): str(field) for field in fields}
        self._serialize = _Serializer(dont_fail=True).serialize_field
        self._accepts = accepts
        self._decode = decode

    def write_of(self, change: Change) -> Write:
        """What a change means for the table; never raises: an item that the user's filter or
        serializer fails on has the error."""
        if change.payload is None:
            return Write(change.item, change.id, None)
        try:
            item = self._decode(change.payload)
            if not self._accepts(item):
                return Write(change.item, change.id, None, replaced=True, quiet=True)
            if type(item) is dict and self._names is None and all(map(_is_text, item)):
                return Write(change.item, change.id, Put(item))
            return Write(change.item, change.id, Put(dict(self._fields(item))))
        except Exception as error:  # of the user's code, or a class that is not there any more
            known = isinstance(error, ResumeError)
            message = message_of(error) if known else f"{type(error).__name__}: {message_of(error)}"
            return Write(change.item, change.id, Put({}, message))

    def _fields(self, item: Any) -> Iterator[tuple[str, Any]]:
        adapter = ItemAdapter(item)
        names = self._names
        for field in adapter.field_names() if names is None else names:
            if field in adapter:
                value, meta = adapter[field], adapter.get_field_meta(field)
                if meta:
                    value = self._serialize(meta, field, value)
                yield (str(field) if names is None else names[field]), value


def _is_text(name: Any) -> bool:
    """Other names of fields are written as their texts, as Scrapy's exporters do."""
    return type(name) is str
