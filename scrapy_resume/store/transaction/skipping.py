"""Which arrivals of a batch are skipped for good."""

from __future__ import annotations

from collections.abc import Sequence

from scrapy_resume.model import Kind
from scrapy_resume.store.contract import Admission, Continuation
from scrapy_resume.store.transaction.skips import ALLOWED, DENIED, Rules, SkipTables


class Skipping:
    """Tells which arrivals of one batch are skipped. Requests of every run never are."""

    def __init__(
        self, rules: Rules, tables: SkipTables, arrivals: Sequence[Admission | Continuation]
    ) -> None:
        self._rules = rules
        keys = {_key_of(arrival) for arrival in arrivals} if rules.has_keys else set()
        keys.discard(b"")
        self._verdicts = tables.keys(keys) if keys else {}
        self._roots: dict[int, str] = {}
        if rules.needs_units:
            own = {arrival.id: arrival.url for arrival in arrivals}
            units = {one.unit for one in arrivals if isinstance(one, Admission)}
            roots = {unit for unit in units if isinstance(unit, int)}
            self._roots = {**tables.roots(roots - own.keys()), **own}

    def skips(self, arrival: Admission) -> bool:
        """Whether a new arrival is skipped."""
        if arrival.every_run or arrival.kind is not Kind.request:
            return False
        verdict = self._verdicts.get(_key_of(arrival))
        if verdict is not None:
            return verdict == DENIED
        unit = arrival.unit if isinstance(arrival.unit, str) else self._roots.get(arrival.unit)
        return self._rules.match(arrival.url, unit)

    def leads_to_skipped(self, change: Continuation) -> bool:
        """Whether a row continues, by a redirect, as a request that is skipped.

        One that is tried again is not asked: its first attempt was not skipped either.
        """
        if change.failed or change.again:
            return False
        verdict = self._verdicts.get(_key_of(change))
        if verdict == ALLOWED:
            return False
        return verdict == DENIED or self._rules.match(change.url, None)


def _key_of(arrival: Admission | Continuation) -> bytes:
    if isinstance(arrival, Admission):
        return arrival.given_key or arrival.identity
    return arrival.identity or b""
