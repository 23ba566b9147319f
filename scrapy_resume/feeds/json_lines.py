"""Lines of Scrapy's exporter for JSON Lines, of items for which it does more than it needs to.

Of a plain dict the exporter lists the names of the fields, looks for metadata that a dict has not,
and builds the same dict again before it encodes it. Here the dict is encoded as it is, by the same
encoder: the bytes are the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from scrapy.exporters import BaseItemExporter, JsonLinesItemExporter
from scrapy.utils.python import to_bytes

if TYPE_CHECKING:
    from collections.abc import Callable

_METHODS: Final = {
    name: getattr(JsonLinesItemExporter, name)
    for name in (
        "export_item",
        "serialize_field",
        "get_serialized_fields",
        "_get_serialized_fields",
    )
    if hasattr(JsonLinesItemExporter, name)
}
"""As Scrapy has them: somebody may put others in their place."""


def quick_export(exporter: BaseItemExporter | None) -> Callable[[dict[str, Any]], None] | None:
    """What exports a dict with names of fields as this exporter would; ``None``: only the exporter
    itself can say what it writes."""
    if type(exporter) is not JsonLinesItemExporter or exporter.fields_to_export is not None:
        return None
    kind, own = JsonLinesItemExporter, vars(exporter)
    if any(name in own or getattr(kind, name) is not method for name, method in _METHODS.items()):
        return None
    encode, write, encoding = exporter.encoder.encode, exporter.file.write, exporter.encoding

    def export(item: dict[str, Any]) -> None:
        write(to_bytes(encode(item) + "\n", encoding))

    return export


def is_plain(item: Any) -> bool:
    """Whether an item is a dict whose keys are names."""
    return type(item) is dict and all(type(name) is str for name in item)
