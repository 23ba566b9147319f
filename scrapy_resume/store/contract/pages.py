"""Questions that are answered in pages: part by part, each at the same cost in a job of any size.

A page begins where the one before ended, by a key, never by how many rows are before it. Where no
index finds what is asked for, so many rows are looked at and no more: the page then says how many.
"""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

from msgspec import Struct

from scrapy_resume.model import JobKey, Selection, UnitState
from scrapy_resume.store.contract.reader import Reader
from scrapy_resume.store.contract.step_selection import StepSelection


class Span(Struct, frozen=True, kw_only=True):
    """Which part is asked for."""

    before: int | None = None
    """Only rows with lower ids; ``None``: from the newest one on."""
    limit: int = 50
    """Rows of a page, at most."""
    bound: int = 10_000
    """Rows that are looked at, at most."""


class Page(Struct, frozen=True, kw_only=True):
    """A part of an answer, the newest row first; each row has its ``id``."""

    rows: list[dict[str, Any]]
    before: int | None = None
    """``Span.before`` of what follows; ``None``: nothing does."""
    looked_at: int | None = None
    """The page is not full, because so many rows were looked at, and there are more; ``None``:
    it is full, or the last one."""


class UnitPlace(NamedTuple):
    """Where a page of units begins: after this one."""

    state: UnitState
    unit: int
    """Its ``id`` without the sign."""


class UnitPage(Struct, frozen=True, kw_only=True):
    """A part of the units: by state, then in the order in which they were found."""

    rows: list[dict[str, Any]]
    after: UnitPlace | None = None
    """Where the following page begins; ``None``: nothing follows."""


class Stamp(NamedTuple):
    """Whether a job may have changed: it has not while its stamp is the same and nobody owns it."""

    changed_at: float
    """About when it has changed last, in seconds since the epoch."""
    mark: object


class PageReader(Reader, Protocol):
    """The read side, with answers in pages. Times in rows are ISO 8601 in UTC."""

    def stamps(self) -> dict[JobKey, Stamp]:
        """All jobs, damaged ones too. Opens none of them."""

    def request_page(self, key: JobKey, selection: Selection, span: Span) -> Page:
        """Selected requests in the keys of ``requests --json``, the one that was found last first;
        each with its ``id``."""

    def request(self, key: JobKey, row: int) -> dict[str, Any] | None:
        """One request, with its ``id``, ``parent`` (0: ``start()``, ``None``: unknown) and
        ``slot``; ``None``: there is none."""

    def item_page(
        self, key: JobKey, selection: Selection, span: Span, text: str | None = None
    ) -> Page:
        """Visible items of selected requests, as ``item_records`` gives them, the newest first;
        each with its ``id`` and ``request`` (its id; 0: ``start()``). ``text``: their JSON has it;
        upper and lower case are the same for ASCII."""

    def items_of(self, key: JobKey, request: int, limit: int) -> list[dict[str, Any]]:
        """The first visible items of a request, as ``item_page`` gives them."""

    def item(self, key: JobKey, item: int) -> dict[str, Any] | None:
        """One visible item, as ``item_page`` gives it; ``None``: there is none."""

    def stepped_page(self, key: JobKey, steps: StepSelection, span: Span) -> Page:
        """Items that have one of the selected steps, visible or not, the one that was found last
        first: as ``stepped_items`` gives them, each with its ``id`` (of an item with steps),
        ``request`` (its id) and ``visible``, the id of the visible item (``None``: there is none).
        ``steps.limit`` does not count."""

    def stepped_item(self, key: JobKey, item: int) -> dict[str, Any] | None:
        """One item with steps, as ``stepped_page`` gives it; ``None``: there is none."""

    def stepped_of(self, key: JobKey, request: int, limit: int) -> list[dict[str, Any]]:
        """The first items with steps of a request, as ``stepped_page`` gives them."""

    def unit_page(
        self, key: JobKey, states: tuple[UnitState, ...], after: UnitPlace | None, limit: int
    ) -> UnitPage:
        """The units in these states (none: in all), in the keys of ``units --json``, each with its
        ``id``."""

    def host_notes(self, key: JobKey) -> list[dict[str, Any]]:
        """The hosts that do not answer, or that have asked for a pause: ``host``, and ``record``,
        the JSON of ``HostNote``."""

    def answered(self, key: JobKey, bound: int) -> list[dict[str, Any]]:
        """Of the ``bound`` requests that were found last, how many (``count``) ended in which
        minute (``at``, its first second since the epoch) with which ``http_status``."""
