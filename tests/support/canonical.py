"""Items in a form in which they can be compared: one JSON text for each item.

Types that JSON does not have keep their name, so that an item whose date came back as
a text, or whose tuple came back as a list, is a different item.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from itemadapter import ItemAdapter

PLAIN = (str, int, float, bool, type(None))


def canonical(item: Any) -> str:
    """One line; equal for two items exactly when fields, values and types are equal."""
    return json.dumps(_value(ItemAdapter(item).asdict()), sort_keys=True, ensure_ascii=False)


def _value(value: Any) -> Any:
    if type(value) in PLAIN:
        return value
    if isinstance(value, dict):
        return {_key(key): _value(inner) for key, inner in value.items()}
    if type(value) is list:
        return [_value(inner) for inner in value]
    if isinstance(value, str):
        return str(value)  # such as lxml's texts, which remember their element
    name = type(value).__name__
    if isinstance(value, bytes):
        return {name: value.hex()}
    if isinstance(value, (set, frozenset)):
        return {name: sorted(_texts(value))}
    if isinstance(value, (tuple, list)):
        return {name: [_value(inner) for inner in value]}
    return {name: str(value)}


def _key(key: Any) -> str:
    return key if type(key) is str else f"{type(key).__name__} {key!r}"


def _texts(values: Iterable[Any]) -> list[str]:
    return [json.dumps(_value(value), sort_keys=True) for value in values]
