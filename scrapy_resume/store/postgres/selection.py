"""A selection of requests as a condition in PostgreSQL's words."""

from __future__ import annotations

from typing import Any, Final

from scrapy_resume.model import Selection, State
from scrapy_resume.store.transaction.selection import (
    EMPTY_VALUES,
    TROUBLED,
    Condition,
    Dialect,
    condition,
)

_OPEN: Final = frozenset({State.pending, State.leased})


def _like_pattern(glob: str) -> str:
    escaped = glob.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return escaped.replace("*", "%").replace("?", "_")


_EMPTY: Final = ", ".join(f"'{value}'" for value in EMPTY_VALUES)

POSTGRES: Final = Dialect(
    value=lambda name: f"%({name})s",
    host="substring(v.url from '^[^:]+://(?:[^/@]*@)?(\\[[^]]*\\]|[^/:?#]*)')",
    among=lambda what, place: f"{what} = ANY({place})",
    like=lambda what, place: f"{what} LIKE ANY({place})",
    pattern=_like_pattern,
    values=list,
    address="split_part(v.url, '#', 1)",
    identified=(
        "v.id IN (SELECT s.request FROM scrapy_resume.seen AS s WHERE s.job = %(job)s"
        " AND s.identity IN (SELECT decode(h, 'hex') FROM unnest(%(identities)s::text[]) AS h))"
    ),
    lacks=(
        "EXISTS (SELECT 1 FROM unnest(%(missing)s::text[]) AS m (field) WHERE coalesce((CASE"
        " WHEN i.payload::json -> '$item' IS NULL THEN i.payload::json -> m.field"
        " ELSE i.payload::json -> 'fields' -> m.field END)::text, 'null')"
        f" IN ({_EMPTY}))"
    ),
    items="scrapy_resume.item AS i WHERE i.job = %(job)s AND i.request = v.id",
    key_is=lambda verdict: (
        "EXISTS (SELECT FROM scrapy_resume.request AS own"
        " JOIN scrapy_resume.skip_key AS k"
        " ON k.job = own.job AND k.key = coalesce(own.given_key, own.identity)"
        f" WHERE own.job = %(job)s AND own.id = v.id AND k.allowed = {verdict})"
    ),
    rounds="own.retry_rounds",
    own="scrapy_resume.request AS own WHERE own.job = %(job)s AND own.id = v.id",
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
    elif selection.skipped:
        where += (
            " AND v.id IN (SELECT t.id FROM scrapy_resume.trouble AS t"
            " WHERE t.job = %(job)s AND t.state = 5)"
        )
    elif states and states <= TROUBLED:
        more["troubles"] = sorted(int(state) for state in states)
        where += (
            " AND v.id IN (SELECT t.id FROM scrapy_resume.trouble AS t"
            " WHERE t.job = %(job)s AND t.state = ANY(%(troubles)s))"
        )
    return Condition(where, {**values, **more})
