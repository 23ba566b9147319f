"""A selection of requests as a condition on the view ``requests``, in a database's dialect."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Any, Final, NamedTuple

from scrapy_resume.model import Selection, State
from scrapy_resume.store.transaction.storable_text import storable

UNRECORDED: Final = '{"unrecorded":true}'
"""The payload of a row that lived in memory and was written when it had ended: it cannot be fetched
again without the page that led to it."""


LISTED: Final = (
    "v.url, v.method, v.state, v.priority, v.depth, v.callback, v.attempts, v.crashes,"
    " v.http_status, v.error, v.error_message, v.not_before, v.updated_at,"
    " v.first_failed_at, v.items, v.items_failed, v.unit, v.worker, v.leased_at"
)
"""The columns of ``scrapy resume requests --json``."""


def in_hand(rows: Iterable[dict[str, Any]], marks: Collection[int]) -> Iterator[dict[str, Any]]:
    """Requests that were selected with their ``id``, which is left out.

    ``worker`` and ``leased_at`` are those of requests that an engine holds (``marks``): one that
    is only leased into a worker's buffer is in nobody's hand.
    """
    for row in rows:
        if row.pop("id") not in marks:
            row["worker"] = row["leased_at"] = None
        yield row


EVERYTHING: Final = Selection()
TROUBLED: Final = frozenset({State.failed, State.parked})
"""States that both backends can find without reading all requests."""


class Condition(NamedTuple):
    """What follows WHERE, and its values by name."""

    sql: str
    values: dict[str, Any]


class Dialect(NamedTuple):
    """The words of a database."""

    value: Callable[[str], str]
    """The place of a value, by its name."""
    host: str
    """The host of ``v.url``."""
    like: Callable[[str], str]
    """The condition that ``v.url`` fits the pattern whose place is given."""
    pattern: Callable[[str], str]
    """A glob as such a pattern."""


def condition(selection: Selection, dialect: Dialect) -> Condition:
    """On ``v``, a row of the view ``requests``."""
    parts: list[str] = []
    values: dict[str, Any] = {}

    def equal(column: str, name: str, value: Any) -> None:
        if value is not None:
            parts.append(f"{column} = {dialect.value(name)}")
            values[name] = storable(value) if isinstance(value, str) else value

    if selection.states:
        names = sorted({f"'{State(state).name}'" for state in selection.states})
        parts.append(f"v.state IN ({', '.join(names)})")
    host = selection.host
    equal(f"lower({dialect.host})", "host", None if host is None else host.lower())
    equal("v.http_status", "status", selection.status)
    equal("v.error", "error", selection.error)
    equal("v.callback", "callback", selection.callback)
    equal("v.unit", "unit", selection.unit)
    if selection.url is not None:
        parts.append(dialect.like(dialect.value("url")))
        values["url"] = dialect.pattern(storable(selection.url))
    if selection.partial:
        parts.append("v.state = 'done' AND v.items_failed > 0")
    if selection.max_attempts is not None:
        parts.append(f"v.attempts <= {dialect.value('max_attempts')}")
        values["max_attempts"] = selection.max_attempts
    return Condition(" AND ".join(parts) or "true", values)
