"""What kind a value is, which kind of column holds it, and what is bound for it. No database
here."""

from __future__ import annotations

import json
import math
from datetime import date, datetime, time, timezone
from decimal import Decimal
from enum import Enum
from typing import Any, Final
from uuid import UUID

from scrapy.utils.serialize import ScrapyJSONEncoder

LONGEST_INTEGER: Final = 2**63
"""Integers from here on don't fit in a column of integers."""

EXACT_FLOAT: Final = 2**53
"""Integers beyond it lose digits as floats."""


class Kind(Enum):
    """Kinds of values and columns."""

    any = "any"
    """A column of which no value is known yet, or of a type that is not known: takes all values."""
    boolean = "boolean"
    integer = "integer"
    real = "real"
    decimal = "decimal"
    text = "text"
    date = "date"
    moment = "moment"
    """Date and time without a zone."""
    instant = "instant"
    """Date and time with a zone."""
    binary = "binary"
    uuid = "uuid"
    json = "json"


_AS_TEXT_IN_SQLITE: Final = frozenset(
    {Kind.decimal, Kind.date, Kind.moment, Kind.instant, Kind.uuid}
)

_JSON: Final = ScrapyJSONEncoder(ensure_ascii=False)

_WIDER: Final = {
    frozenset({Kind.boolean, Kind.integer}): Kind.integer,
    frozenset({Kind.boolean, Kind.real}): Kind.real,
    frozenset({Kind.integer, Kind.real}): Kind.real,
    frozenset({Kind.boolean, Kind.decimal}): Kind.decimal,
    frozenset({Kind.integer, Kind.decimal}): Kind.decimal,
}
"""Kinds that are not equal → the narrowest that holds the values of both, if it is not text."""


class ValueRefusedError(ValueError):
    """A value that no column of that database can hold."""


_OF_TYPE: Final = {str: Kind.text, float: Kind.real, bool: Kind.boolean}
"""Types of which all values are of one kind: most values, looked up first."""

AS_IT_IS: Final = frozenset(
    {(str, Kind.text), (float, Kind.real), (int, Kind.integer), (bool, Kind.boolean)}
)
"""Types and kinds of columns for which the value itself is bound."""


def kind_of(value: object, dialect: str) -> Kind:
    """The kind of a value that is not ``None``."""
    known = _OF_TYPE.get(type(value))
    if known is not None:
        return known
    kind = _kind_of(value)
    return Kind.text if dialect == "sqlite" and kind in _AS_TEXT_IN_SQLITE else kind


def _kind_of(value: object) -> Kind:
    if isinstance(value, Enum):
        value = value.value
    if isinstance(value, bool):
        return Kind.boolean
    if isinstance(value, str):
        return Kind.text
    if isinstance(value, int):
        fits = -LONGEST_INTEGER <= value < LONGEST_INTEGER
        return Kind.integer if fits else Kind.decimal
    if isinstance(value, float):
        return Kind.real
    if isinstance(value, datetime):
        return Kind.moment if value.tzinfo is None else Kind.instant
    for known, kind in (
        (Decimal, Kind.decimal),
        (date, Kind.date),
        (time, Kind.text),
        (UUID, Kind.uuid),
        ((bytes, bytearray, memoryview), Kind.binary),
    ):
        if isinstance(value, known):
            return kind
    return Kind.json


def widened(column: Kind, value: Kind) -> Kind | None:
    """The kind that a column has to have to hold the values that it has and one of another kind.
    ``None``: there is none."""
    if column in (value, Kind.any):
        return value
    if Kind.binary in (column, value):
        return None
    if column in (Kind.text, Kind.json):
        return column
    return _WIDER.get(frozenset({column, value}), Kind.text)


def bound(value: Any, kind: Kind, dialect: str) -> Any:
    """What is bound for a value in a column of that kind. Raises ``ValueRefusedError``."""
    if value is None or (type(value), kind) in AS_IT_IS:
        return value
    if isinstance(value, Enum):
        value = value.value
    if kind is Kind.any:
        kind = kind_of(value, dialect)
    if kind is Kind.text:
        return as_text(value)
    if kind is Kind.json:
        return _as_json(value)
    if kind is Kind.real:
        return _as_float(value)
    if kind is Kind.integer:
        return int(value)
    if kind is Kind.decimal:
        return value if isinstance(value, Decimal) else Decimal(value)
    if kind is Kind.binary:
        return bytes(value)
    return value


def _as_float(value: Any) -> float:
    if isinstance(value, int) and abs(value) > EXACT_FLOAT:
        raise ValueRefusedError("it is an integer that loses digits in a column of floats")
    return float(value)


def as_text(value: Any) -> str:
    """A value in a column of texts."""
    if isinstance(value, Enum):
        value = value.value
    if isinstance(value, str):
        return value if type(value) is str else str.__str__(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, int | Decimal | UUID):
        return str(value)
    if isinstance(value, bytes | bytearray | memoryview):
        raise ValueRefusedError("bytes in a column of texts")
    return _as_json(value)


def _as_json(value: Any) -> str:
    try:
        return _JSON.encode(value)
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueRefusedError(f"it cannot be written as JSON ({error})") from error


def key_text(values: list[Any]) -> str:
    """The values of a primary key, as they are kept with the item: equal keys give equal texts."""
    return json.dumps([_key_part(value) for value in values], ensure_ascii=True)


def _key_part(value: Any) -> Any:
    if isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return int(value) if value.is_integer() else value
    if isinstance(value, Decimal):
        return {"decimal": str(value.normalize())}
    if isinstance(value, bytes):
        return {"hex": value.hex()}
    if isinstance(value, datetime) and value.tzinfo is not None:
        return {"seconds": value.timestamp()}
    return {"text": as_text(value)}


def fault_of(value: Any, dialect: str) -> str | None:
    """What is wrong with a bound value, if anything that is known."""
    if isinstance(value, str):
        if dialect == "postgresql" and "\x00" in value:
            return "PostgreSQL stores no NUL characters"
        try:
            value.encode()
        except UnicodeEncodeError:
            return "it has half of a surrogate pair, which is no text"
    if isinstance(value, float) and math.isnan(value) and dialect == "sqlite":
        return "SQLite has no NaN"
    return None


def key_values(text: str, kinds: list[Kind]) -> list[Any]:
    """The values of a primary key, to be bound, from ``key_text``."""
    return [_key_value(part, kind) for part, kind in zip(json.loads(text), kinds, strict=True)]


def _key_value(part: Any, kind: Kind) -> Any:
    if not isinstance(part, dict):
        return part
    ((shape, value),) = part.items()
    if shape == "decimal":
        return Decimal(value)
    if shape == "hex":
        return bytes.fromhex(value)
    if shape == "seconds":
        return datetime.fromtimestamp(value, timezone.utc)
    if kind is Kind.date:
        return date.fromisoformat(value)
    if kind is Kind.moment:
        return datetime.fromisoformat(value)
    return UUID(value) if kind is Kind.uuid else value
