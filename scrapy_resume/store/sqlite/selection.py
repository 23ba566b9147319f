"""A selection of requests as a condition in SQLite's words."""

from __future__ import annotations

import json
import re
import sqlite3
from typing import Any, Final, NamedTuple

from scrapy_resume.model import Selection, State
from scrapy_resume.store.sqlite.statements import IDENTITY
from scrapy_resume.store.transaction.selection import EMPTY_VALUES, TROUBLED, Dialect, condition

_HOST: Final = re.compile(r"[^:]+://(?:[^/@]*@)?(\[[^]]*\]|[^/:?#]*)")

_EMPTY: Final = ", ".join(f"'{value}'" for value in EMPTY_VALUES)

SQLITE: Final = Dialect(
    value=lambda name: f":{name}",
    host="url_host(v.url)",
    among=lambda what, place: f"{what} IN (SELECT value FROM json_each({place}))",
    like=lambda what, place: (
        f"EXISTS (SELECT 1 FROM json_each({place}) AS glob WHERE {what} GLOB glob.value)"
    ),
    pattern=lambda glob: glob.replace("[", "[[]"),
    values=json.dumps,
    address="substr(v.url, 1, instr(v.url || '#', '#') - 1)",
    identified=(
        "v.id IN (SELECT r.id FROM json_each(:identities) AS j CROSS JOIN request AS r"
        " WHERE r.identity_head = identity_head(j.value)"
        " AND r.identity_tail = identity_tail(j.value)"
        " UNION ALL SELECT a.request FROM json_each(:identities) AS j CROSS JOIN alias AS a"
        " WHERE a.identity_head = identity_head(j.value)"
        " AND a.identity_tail = identity_tail(j.value))"
    ),
    # What has neither quotes nor brackets is a number or a truth value, and not empty.
    lacks=(
        "EXISTS (SELECT 1 FROM json_each(:missing) AS m WHERE NOT EXISTS (SELECT 1 FROM json_each("
        "i.payload, iif(json_type(i.payload, '$.\"$item\"') IS NULL, '$', '$.fields')) AS f"
        " WHERE f.key = m.value AND f.type <> 'null'"
        f" AND iif(f.type = 'text', json_quote(f.value), f.value) NOT IN ({_EMPTY})))"
    ),
    items="item AS i WHERE i.request = v.id",
    key_is=lambda verdict: (
        "EXISTS (SELECT 1 FROM request AS own CROSS JOIN skip_key AS k WHERE own.id = v.id"
        " AND k.head = coalesce(own.given_head, own.identity_head)"
        " AND k.tail = coalesce(own.given_tail, own.identity_tail)"
        f" AND k.allowed = {verdict})"
    ),
    rounds="coalesce((SELECT c.rounds FROM retry_count AS c WHERE c.request = own.id), 0)",
    own="request AS own WHERE own.id = v.id",
)


class Selected(NamedTuple):
    """The parts of a statement that finds selected requests."""

    source: str
    """What follows FROM, with the view ``requests`` as ``v``."""
    where: str
    values: dict[str, Any]


def selected(selection: Selection) -> Selected:
    """How the requests are found; the statement needs ``add_functions``."""
    where, values = condition(selection, SQLITE)
    if selection.ids is not None:
        named = f"v.id = j.value AND {where}"
        return Selected("json_each(:ids) AS j CROSS JOIN requests AS v", named, values)
    if selection.skipped:
        narrowed = f"r.state = 5 AND r.error = 'skipped' AND v.id = r.id AND {where}"
        return Selected("request AS r CROSS JOIN requests AS v", narrowed, values)
    if not selection.states:
        return Selected("requests AS v", where, values)
    # CROSS JOIN makes the narrow index on the state, where there is one, the outer loop.
    numbers = ", ".join(str(int(state)) for state in sorted(set(selection.states)))
    narrowed = f"r.state IN ({numbers}) AND v.id = r.id AND {where}"
    # SQLite uses a partial index only where its condition stands in the query, word for word.
    if set(selection.states) == {State.leased}:
        narrowed = f"r.state = 1 AND {narrowed}"
    elif TROUBLED.issuperset(selection.states):
        narrowed = f"r.state IN (3, 4) AND {narrowed}"
    return Selected("request AS r CROSS JOIN requests AS v", narrowed, values)


def add_functions(connection: sqlite3.Connection) -> None:
    """Define the functions that conditions on requests need and SQLite lacks."""
    connection.create_function("url_host", 1, url_host, deterministic=True)
    connection.create_function("identity_head", 1, _identity_head, deterministic=True)
    connection.create_function("identity_tail", 1, _identity_tail, deterministic=True)


def _identity_head(text: str) -> int:
    return int(IDENTITY.unpack(bytes.fromhex(text))[0])


def _identity_tail(text: str) -> bytes:
    return bytes(IDENTITY.unpack(bytes.fromhex(text))[1])


def url_host(url: str) -> str:
    """The host of a URL, without user and port; empty if it has none."""
    found = _HOST.match(url)
    return found[1] if found else ""
