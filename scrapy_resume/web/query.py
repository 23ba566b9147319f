"""The filters of the commands in the query of a URL, and in the body of a POST."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlencode

from starlette.datastructures import QueryParams

TEXTS: Final = ("state", "host", "error", "callback", "url", "unit", "missing")
NUMBERS: Final = ("status",)
FLAGS: Final = ("partial", "skipped", "dead")
COUNTS: Final = ("limit", "max_attempts")
LISTS: Final = ("urls", "units", "ids")
FILTERS_OF_ROWS: Final = (*TEXTS, *NUMBERS, *FLAGS)
FILTERS: Final = (*FILTERS_OF_ROWS, *COUNTS, *LISTS)
"""By the names that ``reporting.filters.selection`` has for them."""

STEP_FILTERS: Final = ("step", "state", "items", "missing", "outdated", "limit")
"""By the names that ``reporting.step_documents.step_selection`` has for them; ``outdated``: not
done by the version that the step has in RESUME_STEPS."""

ROWS_AT_MOST: Final = 500
"""Of one page, and of one document of the API that has no end of its own."""
LARGEST_ID: Final = 2**63 - 1
TRUE: Final = frozenset({"1", "true", "yes", "on"})


class QueryError(ValueError):
    """What was asked for is not understood; the message is for people."""


def filters_of_query(query: QueryParams, names: Iterable[str] = FILTERS_OF_ROWS) -> dict[str, Any]:
    """The filters in a query; what is empty is not given. Raises ``QueryError``."""
    found: dict[str, Any] = {}
    for name in names:
        values = [value for value in query.getlist(name) if value]
        if not values:
            continue
        if name == "state":
            values = [one for value in values for one in value.split(",") if one]
        if name in NUMBERS:
            found[name] = [_number(name, value) for value in values]
        elif name in FLAGS:
            if values[-1].lower() in TRUE:
                found[name] = True
        elif name in COUNTS:
            found[name] = _number(name, values[-1])
        else:
            found[name] = values
    return found


def refuse_unknown(query: QueryParams, names: Collection[str]) -> None:
    """Raises ``QueryError`` if something is asked for that is not looked at: a filter that is
    misspelt would show all rows as if they matched."""
    for name in query:
        if name not in names:
            there_are = f"there are {', '.join(names)}" if names else "there are none here"
            raise QueryError(f"there is no parameter {name[:100]!r}; {there_are}")


def filters_of_body(body: Mapping[str, Any]) -> dict[str, Any]:
    """The filters in the body of a POST, a JSON object. Raises ``QueryError``."""
    found: dict[str, Any] = {}
    for name, value in body.items():
        if name not in FILTERS:
            raise QueryError(f"there is no filter {name!r}; there are {', '.join(FILTERS)}")
        if value is None or value is False:
            continue
        if name in FLAGS:
            if value is not True:
                raise QueryError(f"{name} is true or false")
            found[name] = True
        elif name in COUNTS:
            found[name] = _whole(name, value)
        else:
            kind: type[int] | type[str] = int if name in (*NUMBERS, "ids") else str
            found[name] = _values(name, value, kind)
    return found


def step_filters_of_body(body: Mapping[str, Any]) -> dict[str, Any]:
    """The filters of steps in the body of a POST: ``step``, and those that the commands have beside
    ``--step``. Raises ``QueryError``."""
    found: dict[str, Any] = {}
    for name, value in body.items():
        if name not in STEP_FILTERS:
            raise QueryError(f"steps have no filter {name!r}; they have {', '.join(STEP_FILTERS)}")
        if value is None or (value is False and name == "outdated"):
            continue
        if name == "step":
            if not isinstance(value, str) or not value:
                raise QueryError("step is the name of a step")
            found[name] = value
        elif name == "outdated":
            if value is not True:
                raise QueryError("outdated is true or false")
            found[name] = True
        elif name == "limit":
            found[name] = _whole(name, value)
        else:
            found[name] = _values(name, value, str)
    if "step" not in found:
        raise QueryError("step is the name of a step")
    return found


def count_of(query: QueryParams, name: str, usual: int, at_most: int = ROWS_AT_MOST) -> int:
    """A number in a query, from 1 to ``at_most``. Raises ``QueryError``."""
    given = query.get(name)
    if not given:
        return usual
    number = _number(name, given)
    if not number:
        raise QueryError(f"{name} is 0: nothing would be shown. Give 1 or more")
    return min(number, at_most)


def row_of(query: QueryParams, name: str) -> int | None:
    """The id of a row in a query; ``None``: none is given. Raises ``QueryError``."""
    given = query.get(name)
    return row_id(given) if given else None


def row_id(text: str) -> int:
    """The id of a row. Raises ``QueryError``."""
    number = _number("id", text)
    if number > LARGEST_ID:
        raise QueryError(f"{text!r} is no id")
    return number


def query_text(values: Mapping[str, Any]) -> str:
    """A query with its question mark, from names and values; empty without any."""
    pairs: list[tuple[str, str]] = []
    for name, value in values.items():
        if value is None or value is False or value == "":
            continue
        several = value if isinstance(value, (list, tuple)) else [value]
        pairs += [(name, "1" if one is True else str(one)) for one in several]
    text = urlencode(pairs, errors="replace")
    return f"?{text}" if text else ""


def object_of(body: bytes) -> dict[str, Any]:
    """A JSON object; an empty body is an empty one. Raises ``QueryError``."""
    if not body.strip():
        return {}
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        raise QueryError("the body is no JSON") from None
    if not isinstance(found, dict):
        raise QueryError("the body is no JSON object")
    return found


def _values(name: str, value: Any, kind: type[int] | type[str]) -> list[Any]:
    values = value if isinstance(value, list) else [value]
    for one in values:
        if not isinstance(one, kind) or isinstance(one, bool):
            raise QueryError(f"{name} is a list of {'numbers' if kind is int else 'texts'}")
        if isinstance(one, int) and not 0 <= one <= LARGEST_ID:
            raise QueryError(f"{one} is no {name.removesuffix('s')}")
    if name == "state":
        values = [one for text in values for one in text.split(",")]
    return values


def _whole(name: str, value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise QueryError(f"{name} is a whole number of 0 or more")
    return value


def _number(name: str, text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= 19):
        raise QueryError(f"{name} is a whole number of 0 or more, not {text[:40]!r}")
    return int(text)


def shown_filters(filters: Mapping[str, Any]) -> Sequence[tuple[str, str]]:
    """(name, what it is) of filters, for people."""
    shown = []
    for name, value in filters.items():
        several = value if isinstance(value, (list, tuple)) else [value]
        shown.append((name, "yes" if value is True else " or ".join(map(str, several))))
    return shown
