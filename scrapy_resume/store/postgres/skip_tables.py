"""The statements about what is skipped for good, of a job in a database."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from scrapy_resume.model import SkipRule
from scrapy_resume.store.postgres.statements import Statements
from scrapy_resume.store.transaction.queries import load_queries
from scrapy_resume.store.transaction.skips import COMMAND, SETTINGS
from scrapy_resume.store.transaction.storable_text import storable

SKIPS: Final = load_queries("postgres", "skips.sql")


class PostgresSkips:
    """See ``SkipTables``."""

    def __init__(self, statements: Statements) -> None:
        self._execute = statements.execute

    def rules(self, origin: int | None = None) -> list[SkipRule]:
        """The rules of that origin; ``None``: of both."""
        least, most = (COMMAND, SETTINGS) if origin is None else (origin, origin)
        return [SkipRule(*row) for row in self._execute(SKIPS["rules"], least=least, most=most)]

    def add_rules(self, origin: int, rules: Iterable[SkipRule]) -> None:
        """Add rules that may be there."""
        self._each("add_rule", origin, rules)

    def delete_rules(self, origin: int, rules: Iterable[SkipRule]) -> None:
        """Delete rules."""
        self._each("delete_rule", origin, rules)

    def _each(self, name: str, origin: int, rules: Iterable[SkipRule]) -> None:
        for rule in rules:
            texts = {key: storable(getattr(rule, key)) for key in ("host", "url", "unit")}
            self._execute(SKIPS[name], origin=origin, exact=rule.exact, **texts)

    def has_keys(self) -> bool:
        """Whether anything is said of a key."""
        return bool(self._execute(SKIPS["has_keys"]).fetchall()[0][0])

    def keys(self, keys: Iterable[bytes]) -> dict[bytes, int]:
        """What is said of these keys."""
        return dict(self._execute(SKIPS["keys"], keys=list(keys)).fetchall())

    def put_keys(self, keys: Iterable[bytes], verdict: int) -> None:
        """Say it of keys."""
        self._execute(SKIPS["put_keys"], keys=list(dict.fromkeys(keys)), allowed=verdict)

    def put_row_keys(self, rows: Sequence[int], verdict: int) -> None:
        """Say it of the keys of rows."""
        self._execute(SKIPS["put_row_keys"], ids=list(rows), allowed=verdict)

    def delete_row_keys(self, rows: Sequence[int]) -> None:
        """Say nothing of the keys of rows."""
        self._execute(SKIPS["delete_row_keys"], ids=list(rows))

    def delete_keys(self) -> None:
        """Say nothing of any key."""
        self._execute(SKIPS["delete_keys"])

    def roots(self, rows: Iterable[int]) -> dict[int, str]:
        """The URLs of rows that are the roots of units."""
        return dict(self._execute(SKIPS["roots"], ids=list(rows)).fetchall())

    def changed(self) -> None:
        """What is skipped has changed."""
        self._execute(SKIPS["changed"])

    def version(self) -> int:
        """How often what is skipped has changed."""
        return int(self._execute(SKIPS["version"]).fetchall()[0][0])

    def count(self) -> int:
        """How many requests are skipped."""
        return int(self._execute(SKIPS["count"]).fetchall()[0][0])

    def carry(self, earlier: int) -> None:
        """Take over what commands have said to an earlier number."""
        for name in ("carry_rules", "carry_keys", "carried"):
            self._execute(SKIPS[name], earlier=earlier)
