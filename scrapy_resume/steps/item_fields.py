"""The fields of items: which are there, what a step's result makes of them, what feeds see."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from itemadapter import ItemAdapter

from scrapy_resume.errors import ItemNotRecordableError, describe

if TYPE_CHECKING:
    from scrapy_resume.codec import Codec

DIGEST_BYTES = 16


class MergeError(Exception):
    """The fields that a step has returned cannot be merged into the item."""


def has_field(item: Any) -> Callable[[str], bool]:
    """A function that says whether a field of the item is there and not empty: 0 and ``False`` are
    not empty."""
    fields = item if type(item) is dict else ItemAdapter(item)

    def has(name: str) -> bool:
        return not _is_empty(fields.get(name))

    return has


def _is_empty(value: Any) -> bool:
    if value is None:
        return True
    return isinstance(value, (str, bytes, Collection)) and not len(value)


def merged(item: Any, fields: Mapping[str, Any]) -> None:
    """Set fields of an item. Raises ``MergeError`` for one that its class does not have, or that
    it does not accept."""
    adapter = ItemAdapter(item)
    for name, value in fields.items():
        try:
            adapter[name] = value
        except KeyError as error:
            raise MergeError(
                f"returned the field {name!r}, which {type(item).__name__} does not have"
            ) from error
        except Exception as error:  # of the user's class: it checks what it is given
            raise MergeError(
                f"returned a value that {type(item).__name__} does not accept for {name!r}: "
                f"{describe(error)}"
            ) from error


def merged_payload(
    codec: Codec, payload: str, fields: Mapping[str, Any], item_key: Callable[[Any], Any] | None
) -> str:
    """The payload of an item with these fields. ``item_key``: gives its RESUME_ITEM_KEY, which must
    not change; ``None``: there is none.

    Raises ``MergeError``, and what ``Codec.decode_item`` raises.
    """
    item = codec.decode_item(payload)
    try:
        key = None if item_key is None else item_key(item)
        merged(item, fields)
        text = codec.encode_item(item)
        changed = item_key is not None and item_key(item) != key
    except MergeError:
        raise
    except ItemNotRecordableError as error:
        raise MergeError(f"returned a value that cannot be serialized: {error}") from error
    except Exception as error:  # of the user's codec or RESUME_ITEM_KEY
        raise MergeError(f"its fields cannot be merged: {describe(error)}") from error
    if changed:
        raise MergeError(
            f"changed the key that RESUME_ITEM_KEY gives the item ({key!r}): a step must leave "
            "its fields alone"
        )
    return text


def without_fields(codec: Codec, payload: str, names: Collection[str]) -> str:
    """The payload of the item without these fields."""
    if not names:
        return payload
    item = codec.decode_item(payload)
    adapter = ItemAdapter(item)
    present = [name for name in names if name in adapter]
    for name in present:
        try:
            del adapter[name]
        except (KeyError, TypeError, AttributeError):
            adapter[name] = None
    return codec.encode_item(item) if present else payload


def digest_of(codec: Codec, item: Any, names: Sequence[str]) -> str:
    """A digest of fields; empty without any."""
    if not names:
        return ""
    adapter = ItemAdapter(item)
    text = codec.encode_item([adapter.get(name) for name in names])
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=DIGEST_BYTES).hexdigest()
