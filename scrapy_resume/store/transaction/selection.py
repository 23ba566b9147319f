"""A selection of requests as a condition on the view ``requests``, in a database's dialect."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any, Final, NamedTuple

from scrapy_resume.model import Selection, State, UnitSelection, UnitState
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

ITEM_LISTED: Final = "i.payload, l.url, l.unit, {key} AS key, l.stored_at"
"""The columns of ``Reader.item_records``, but for those that are about steps."""


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


SKIPPED: Final = "skipped"
"""The error of a request that is ignored because a command, or RESUME_SKIP, says to skip it."""

EMPTY_VALUES: Final = (
    "null",
    '""',
    "[]",
    "{}",
    '{"$tuple":[]}',
    '{"$set":[]}',
    '{"$frozenset":[]}',
    '{"$bytes":""}',
)
"""How the codec writes values of an item's field that count as missing."""

GROUPED: Final = (
    f"CASE WHEN v.state = 'ignored' AND v.error = '{SKIPPED}' THEN '{SKIPPED}' ELSE v.state END,"
    " count(*)"
)
"""The columns of ``Reader.count_by_state``."""

_RECORDED: Final = f"own.payload <> '{UNRECORDED}'"
_SKIPPED_ROW: Final = f"v.state = 'ignored' AND v.error = '{SKIPPED}'"


class Dialect(NamedTuple):
    """The words of a database."""

    value: Callable[[str], str]
    """The place of a value, by its name."""
    host: str
    """The host of ``v.url``."""
    among: Callable[[str, str], str]
    """The condition that an expression is one of the values at that place."""
    like: Callable[[str, str], str]
    """The condition that an expression fits one of the patterns at that place."""
    pattern: Callable[[str], str]
    """A glob as such a pattern."""
    values: Callable[[Sequence[Any]], Any]
    """Several values as one."""
    address: str
    """``v.url`` without its fragment."""
    identified: str
    """The condition that ``v`` is known by one of the identities at the place ``identities``."""
    lacks: str
    """The condition that the stored item ``i`` lacks one of the fields at the place ``missing``."""
    items: str
    """What follows FROM, for the items ``i`` of ``v``, up to AND."""
    key_is: Callable[[str], str]
    """The condition that it is said of the key of ``v`` that it is skipped (0), or not (1)."""
    rounds: str
    """The rounds of retry of ``own``."""
    own: str
    """What follows FROM, for the row ``own`` of ``v`` in the table of requests, up to AND."""


def condition(selection: Selection, dialect: Dialect) -> Condition:
    """On ``v``, a row of the view ``requests``."""
    parts: list[str] = []
    values: dict[str, Any] = {}

    def among(expression: str, name: str, wanted: Sequence[Any] | None) -> None:
        if wanted is not None:
            parts.append(dialect.among(expression, dialect.value(name)))
            values[name] = dialect.values(_storable(wanted))

    def like(expression: str, name: str, globs: Sequence[str]) -> None:
        if globs:
            parts.append(dialect.like(expression, dialect.value(name)))
            values[name] = dialect.values([dialect.pattern(glob) for glob in _storable(globs)])

    if selection.states:
        names = sorted({f"'{State(state).name}'" for state in selection.states})
        parts.append(f"v.state IN ({', '.join(names)})")
    among(
        f"lower({dialect.host})", "host", [host.lower() for host in words(selection.host)] or None
    )
    among("v.http_status", "status", numbers(selection.status) or None)
    among("v.error", "error", words(selection.error) or None)
    among("v.callback", "callback", words(selection.callback) or None)
    like("v.url", "url", words(selection.url))
    like("v.unit", "unit", words(selection.unit))
    among("v.unit", "units", selection.units)
    among("v.id", "ids", selection.ids)
    if selection.urls is not None:
        parts.append(_addressed(selection, dialect))
        values["urls"] = dialect.values(_storable(selection.urls))
        if selection.identities:
            values["identities"] = dialect.values(selection.identities)
    if selection.missing:
        parts.append(f"EXISTS (SELECT 1 FROM {dialect.items} AND {dialect.lacks})")
        values["missing"] = dialect.values(_storable(words(selection.missing)))
    if selection.partial:
        parts.append("v.state = 'done' AND v.items_failed > 0")
    if selection.max_attempts is not None:
        parts.append(f"v.attempts <= {dialect.value('max_attempts')}")
        values["max_attempts"] = selection.max_attempts
    if selection.skipped is not None:
        parts.append(_SKIPPED_ROW if selection.skipped else f"coalesce(NOT ({_SKIPPED_ROW}), true)")
    if selection.dead is not None and (selection.dead or selection.rounds):
        rounds = f"{dialect.rounds} >= {dialect.value('rounds')}" if selection.rounds else "false"
        dead = f"(v.state = 'failed' AND EXISTS (SELECT 1 FROM {dialect.own} AND {rounds}))"
        parts.append(dead if selection.dead else f"NOT {dead}")
        values["rounds"] = selection.rounds
    if selection.denied:
        parts.append(dialect.key_is("0"))
    if selection.not_allowed:
        parts.append(f"NOT {dialect.key_is('1')}")
    if selection.changeable:
        parts.append(f"EXISTS (SELECT 1 FROM {dialect.own} AND own.every_run = 0 AND {_RECORDED})")
    return Condition(" AND ".join(parts) or "true", values)


def lacking(selection: Selection, dialect: Dialect) -> str:
    """On ``i``, a stored item: that it lacks one of the missing fields, if there are any."""
    return dialect.lacks if selection.missing else "true"


def of_requests(selection: Selection) -> Selection:
    """The conditions on the requests of items: ``missing`` and ``limit`` are of the items."""
    return replace(selection, missing=(), limit=None)


def units_statement(selection: UnitSelection | UnitState | None) -> tuple[str, UnitSelection]:
    """The name of the statement that finds the units, and what is selected."""
    if selection is None:
        selection = UnitSelection()
    elif isinstance(selection, UnitState):
        selection = UnitSelection(states=(selection,))
    if selection != UnitSelection(states=selection.states) or len(selection.states) > 1:
        return "chosen_units", selection
    return ("units_in_state" if selection.states else "units"), selection


def words(value: str | tuple[str, ...]) -> tuple[str, ...]:
    """A condition's values."""
    return (value,) if isinstance(value, str) else value


def numbers(value: int | tuple[int, ...]) -> tuple[int, ...]:
    """A condition's values."""
    return (value,) if isinstance(value, int) else value


def _addressed(selection: Selection, dialect: Dialect) -> str:
    named = dialect.among(dialect.address, dialect.value("urls"))
    return f"({named} OR {dialect.identified})" if selection.identities else named


def _storable(values: Sequence[Any]) -> list[Any]:
    return [storable(value) if isinstance(value, str) else value for value in values]
