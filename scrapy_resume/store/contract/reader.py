"""The read side of the contract."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Any, Protocol

from msgspec import Struct, field

from scrapy_resume.model import JobKey, JobSummary, Selection, UnitSelection, UnitState
from scrapy_resume.store.contract.changes import ChangeLog
from scrapy_resume.store.contract.step_reader import StepReader


class Worker(Struct, frozen=True, kw_only=True):
    """A run that has not ended. Times are seconds since the epoch."""

    run: int
    name: str
    """``host:pid``."""
    alive: bool
    """Whether its process is known to be at work."""
    started_at: float
    beat_at: float
    """Its last heartbeat: every commit is one."""
    silent_seconds: float
    """For how long it has not beaten, by the clock of the store."""
    silent_after: float
    """For how long a worker that is well may not beat."""
    pages: int
    items: int
    in_hand: list[str] = field(default_factory=list)
    """The URLs that its engine has taken up and that have not ended."""


class Reader(StepReader, Protocol):
    """Read-only questions about the jobs of a store. Times are seconds since the epoch."""

    def together(self) -> AbstractContextManager[None]:
        """A context in which all questions share one connection, where one is needed."""

    def keys(self) -> list[JobKey]:
        """All jobs, damaged ones too. Empty if there is no store yet."""

    def half_deleted(self) -> list[JobKey]:
        """Jobs whose deletion was interrupted: ``Store.remove_leftovers`` completes it."""

    def summary(self, key: JobKey) -> JobSummary:
        """The job without its requests. Raises ``JobNotFoundError`` and ``StoreError``."""

    def runs(self, key: JobKey) -> list[dict[str, Any]]:
        """The job's runs, in order."""

    def in_flight_urls(self, key: JobKey) -> list[str]:
        """The URLs that the engine holds now, or held when the process died."""

    def requests(
        self, key: JobKey, selection: Selection = ..., limit: int | None = None
    ) -> Iterator[dict[str, Any]]:
        """The selected requests of the job, in the order in which they were admitted."""

    def failures(
        self, key: JobKey, examples: int, bound: int, lost_bound: int = 0
    ) -> list[dict[str, Any]]:
        """The failed requests by error and HTTP status, the most frequent first; of very many,
        the ``bound`` that were found last. Then those of the ``lost_bound`` requests that were
        found last which are done and lost items, by error."""

    def statuses(self, key: JobKey, bound: int) -> list[dict[str, Any]]:
        """Of the ``bound`` requests that were found last, how many ended with which status."""

    def hosts(self, key: JobKey, count: int, bound: int) -> list[dict[str, Any]]:
        """Of the ``bound`` requests that were found last, how many are at which host."""

    def minutes(self, key: JobKey, since: float) -> list[dict[str, Any]]:
        """The counts of each minute from that time on."""

    def count_by_state(self, key: JobKey, selection: Selection) -> dict[str, int]:
        """How many requests are selected, by state; those that are skipped as ``skipped``."""

    def skipped_count(self, key: JobKey) -> int:
        """How many requests are skipped for good."""

    def history(self, key: JobKey) -> list[dict[str, Any]]:
        """Attempts, rounds of retry and ends by day, in order; see ``Reports.history``."""

    def known_urls(self, key: JobKey, selection: Selection) -> tuple[set[str], set[str]]:
        """Which of the selection's ``urls``, and of its ``identities``, the job has requests of."""

    def item_records(self, key: JobKey, selection: Selection = ...) -> Iterator[dict[str, Any]]:
        """The visible items of the selected requests, in the order in which they became visible:
        ``payload``, ``url``, ``unit``, ``key`` (of RESUME_ITEM_KEY; of an item with steps without
        that, its stable key), ``stored_at`` (``None``: it is not visible yet), ``open`` (how many
        of its steps have not ended) and ``steps``, a list of ``step``, ``state``, ``attempts``,
        ``error``, ``error_message``, ``not_before``, ``first_at``, ``last_at``, ``version``.
        ``missing`` and ``limit`` are of the items. Items of ``start()`` have no request: they are
        there if nothing but these two is asked for."""

    def units(
        self,
        key: JobKey,
        selection: UnitSelection | UnitState | None = None,
        limit: int | None = None,
    ) -> Iterator[dict[str, Any]]:
        """The job's units, or those selected or in a state, by state, then in the order in which
        they were found."""

    def unit_tally(self, key: JobKey) -> dict[UnitState, int]:
        """How many units are in each state."""

    def named_unit_tally(self, key: JobKey) -> dict[UnitState, int]:
        """How many of them ``meta["resume_unit"]`` has named."""

    def place(self, key: JobKey, request: int) -> dict[str, Any] | None:
        """Where a run stood that finished this request last: its ``url`` and ``unit``, and when
        it was done (``at``, ISO 8601). ``None``: there is no such request."""

    def workers(self, key: JobKey) -> list[Worker]:
        """The workers that have not ended, those that died among them, by run."""

    def items(self, key: JobKey) -> Iterator[tuple[str | None, str]]:
        """The job's visible items, encoded, each after its key (``None``: it has none), in the
        order in which they became visible."""

    def feed_notes(self, key: JobKey) -> list[tuple[str, str]]:
        """(name, record) of the feeds that a run may go on with."""

    def change_log(self, key: JobKey) -> AbstractContextManager[ChangeLog]:
        """The job's change log, while the context lasts: a snapshot of one moment."""

    def recorded_texts(self, key: JobKey) -> Iterator[tuple[str, str]]:
        """What the codec has written: ``request`` (those that are open, failed or parked),
        ``item``, ``state`` or ``cookies``, and the text. Memory does not grow with their number."""
