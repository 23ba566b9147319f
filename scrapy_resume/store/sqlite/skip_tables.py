"""The statements about what is skipped for good, in a job's file."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Final

from scrapy_resume.model import SkipRule
from scrapy_resume.store.sqlite.statements import IDENTITY, Statements
from scrapy_resume.store.transaction.queries import load_queries
from scrapy_resume.store.transaction.skips import COMMAND, SETTINGS
from scrapy_resume.store.transaction.storable_text import storable

SKIPS: Final = load_queries("sqlite", "skips.sql")


class SqliteSkips(Statements):
    """See ``SkipTables``."""

    def rules(self, origin: int | None = None) -> list[SkipRule]:
        """The rules of that origin; ``None``: of both."""
        least, most = (COMMAND, SETTINGS) if origin is None else (origin, origin)
        rows = self._run(SKIPS["rules"], {"least": least, "most": most})
        return [SkipRule(*row) for row in rows]

    def add_rules(self, origin: int, rules: Iterable[SkipRule]) -> None:
        """Add rules that may be there."""
        self._run_many(SKIPS["add_rule"], _columns(origin, rules))

    def delete_rules(self, origin: int, rules: Iterable[SkipRule]) -> None:
        """Delete rules."""
        self._run_many(SKIPS["delete_rule"], _columns(origin, rules))

    def has_keys(self) -> bool:
        """Whether anything is said of a key."""
        return bool(self._number(SKIPS["has_keys"]))

    def keys(self, keys: Iterable[bytes]) -> dict[bytes, int]:
        """What is said of these keys. (Keys that share their first 8 bytes with one of them may be
        among the answer.)"""
        heads = json.dumps([IDENTITY.unpack(key)[0] for key in keys])
        rows = self._run(SKIPS["keys"], (heads,))
        return {IDENTITY.pack(head, tail): verdict for head, tail, verdict in rows}

    def put_keys(self, keys: Iterable[bytes], verdict: int) -> None:
        """Say it of keys."""
        self._run_many(SKIPS["put_key"], [(*IDENTITY.unpack(key), verdict) for key in keys])

    def put_row_keys(self, rows: Sequence[int], verdict: int) -> None:
        """Say it of the keys of rows."""
        self._run(SKIPS["put_row_keys"], {"ids": json.dumps(rows), "allowed": verdict})

    def delete_row_keys(self, rows: Sequence[int]) -> None:
        """Say nothing of the keys of rows."""
        self._run(SKIPS["delete_row_keys"], {"ids": json.dumps(rows)})

    def delete_keys(self) -> None:
        """Say nothing of any key."""
        self._run(SKIPS["delete_keys"])

    def roots(self, rows: Iterable[int]) -> dict[int, str]:
        """The URLs of rows that are the roots of units."""
        return dict(self._run(SKIPS["roots"], (json.dumps(list(rows)),)).fetchall())

    def changed(self) -> None:
        """What is skipped has changed."""
        self._run(SKIPS["changed"])

    def version(self) -> int:
        """How often what is skipped has changed."""
        return self._number(SKIPS["version"])

    def count(self) -> int:
        """How many requests are skipped."""
        return self._number(SKIPS["count"])


def _columns(origin: int, rules: Iterable[SkipRule]) -> list[tuple[object, ...]]:
    return [
        (origin, storable(rule.host), storable(rule.url), storable(rule.unit), rule.exact)
        for rule in rules
    ]
