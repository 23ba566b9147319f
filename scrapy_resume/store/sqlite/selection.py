"""A selection of requests as a condition in SQLite's words."""

from __future__ import annotations

import re
import sqlite3
from typing import Any, Final, NamedTuple

from scrapy_resume.model import Selection, State
from scrapy_resume.store.transaction.selection import TROUBLED, Dialect, condition

_HOST: Final = re.compile(r"[^:]+://(?:[^/@]*@)?(\[[^]]*\]|[^/:?#]*)")

SQLITE: Final = Dialect(
    value=lambda name: f":{name}",
    host="url_host(v.url)",
    like=lambda place: f"v.url GLOB {place}",
    pattern=lambda glob: glob.replace("[", "[[]"),
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


def url_host(url: str) -> str:
    """The host of a URL, without user and port; empty if it has none."""
    found = _HOST.match(url)
    return found[1] if found else ""
