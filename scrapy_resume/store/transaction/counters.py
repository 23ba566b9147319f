"""The job's counters within a transaction, and the cache of ids by name."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

from scrapy_resume.model import Counts, Kind, State

CACHED_NAMES: Final = 10_000


class Tally:
    """The counters as the transaction leaves them. Rows of ``start()``'s items are not counted."""

    def __init__(self, counts: Counts, alone_id: int, superseded: int) -> None:
        self.states = [
            counts.pending,
            counts.leased,
            counts.done,
            counts.failed,
            counts.parked,
            counts.ignored,
        ]
        """Rows by ``State``."""
        self.delayed = counts.delayed
        self.items_stored = counts.items_stored
        self.items_dropped = counts.items_dropped
        self.items_failed = counts.items_failed
        self.alone_id = alone_id
        self.superseded = superseded
        self.steps_open = counts.steps_open
        self.has_steps = counts.steps_open > 0
        """The job has items with steps; a backend that knows more sets it."""
        self.slots: dict[int, int] = {}
        """Slot → change of its leasable rows; 0 if the run only asked about it."""

    def enter(self, state: int, kind: int, slot: int, suspect: int, not_before: float) -> None:
        """A row is in ``state`` from now on."""
        self._move(1, state, kind, slot, suspect, not_before)

    def leave(self, state: int, kind: int, slot: int, suspect: int, not_before: float) -> None:
        """A row is not in ``state`` any more."""
        self._move(-1, state, kind, slot, suspect, not_before)

    def _move(
        self, step: int, state: int, kind: int, slot: int, suspect: int, not_before: float
    ) -> None:
        if kind != Kind.request:
            return
        self.states[state] += step
        if state != State.pending:
            return
        if not_before > 0:
            self.delayed += step
        elif not suspect:
            self.slots[slot] = self.slots.get(slot, 0) + step

    def counts(self) -> Counts:
        """The counters as they are now."""
        pending, leased, done, failed, parked, ignored = self.states
        return Counts(
            pending=pending,
            leased=leased,
            done=done,
            failed=failed,
            parked=parked,
            ignored=ignored,
            delayed=self.delayed,
            items_stored=self.items_stored,
            items_dropped=self.items_dropped,
            items_failed=self.items_failed,
            steps_open=self.steps_open,
        )


class Names:
    """Ids of download slots or of units, by name; the most recent ones are cached.

    What a transaction found or added is cached once it is committed: an id that was rolled back
    may be assigned to another name later.
    """

    def __init__(
        self,
        find: Callable[[Sequence[str]], dict[str, int]],
        add: Callable[[Sequence[str]], dict[str, int]],
    ) -> None:
        self._find = find
        self._add = add
        self._cached: dict[str, int] = {}
        self._fresh: dict[str, int] = {}

    def ids(self, names: Iterable[str]) -> Mapping[str, int]:
        """The ids of these names; unknown names are added."""
        found = self.known(names)
        if missing := sorted(set(names) - found.keys()):
            added = self._add(missing)
            self._fresh.update(added)
            found.update(added)
        return found

    def id_of(self, name: str) -> int:
        """The id of one name; an unknown one is added."""
        return self._cached.get(name) or self._fresh.get(name) or self.ids((name,))[name]

    def known(self, names: Iterable[str]) -> dict[str, int]:
        """The ids of those of these names that exist."""
        cached, fresh = self._cached, self._fresh
        found = {}
        missing = []
        for name in set(names):
            number = cached.get(name) or fresh.get(name)
            if number is None:
                missing.append(name)
            else:
                found[name] = number
        if missing:
            rows = self._find(missing)
            fresh.update(rows)
            found.update(rows)
        return found

    def committed(self) -> None:
        """The transaction was committed."""
        if len(self._cached) + len(self._fresh) > CACHED_NAMES:
            self._cached.clear()
        self._cached.update(self._fresh)
        self._fresh.clear()

    def rolled_back(self) -> None:
        """The transaction was rolled back."""
        self._fresh.clear()
