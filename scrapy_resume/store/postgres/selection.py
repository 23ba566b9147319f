"""A selection of requests as a condition in PostgreSQL's words."""

from __future__ import annotations

from typing import Any, Final

from scrapy_resume.model import Selection, State
from scrapy_resume.store.transaction.selection import TROUBLED, Condition, Dialect, condition

_OPEN: Final = frozenset({State.pending, State.leased})


def _like_pattern(glob: str) -> str:
    escaped = glob.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return escaped.replace("*", "%").replace("?", "_")


POSTGRES: Final = Dialect(
    value=lambda name: f"%({name})s",
    host="substring(v.url from '^[^:]+://(?:[^/@]*@)?(\\[[^]]*\\]|[^/:?#]*)')",
    like=lambda place: f"v.url LIKE {place}",
    pattern=_like_pattern,
)


def selected(selection: Selection) -> Condition:
    """The condition on the view ``requests`` as ``v``, through the narrowest table.

    The statement needs the value ``job`` beside those of the condition.
    """
    where, values = condition(selection, POSTGRES)
    where = f"v.job_id = %(job)s AND {where}"
    states = set(selection.states)
    more: dict[str, Any] = {}
    if states and states <= _OPEN:
        where += " AND v.id IN (SELECT f.id FROM scrapy_resume.frontier AS f WHERE f.job = %(job)s)"
    elif states and states <= TROUBLED:
        more["troubles"] = sorted(int(state) for state in states)
        where += (
            " AND v.id IN (SELECT t.id FROM scrapy_resume.trouble AS t"
            " WHERE t.job = %(job)s AND t.state = ANY(%(troubles)s))"
        )
    return Condition(where, {**values, **more})
