"""A request that this process works on, and its state. No I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeAlias

from scrapy_resume.errors import message_of
from scrapy_resume.model import NO_PARENT, START, Kind, State, child_identity, digest
from scrapy_resume.store.contract import Admission
from scrapy_resume.store.transaction.selection import UNRECORDED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from scrapy import Request

    from scrapy_resume.settings.queue_order import QueueOrder
    from scrapy_resume.store.contract import ItemRecord, LeasedRow

Rank = tuple[int, int, int]
"""(-priority, start, seq): the lowest is dispatched first."""

SharedObject: TypeAlias = Any
"""``tracking.sharing.SharedObject``, of which nothing is known here."""

_ROW: Final = b"row"

_FIRST: Final = 1 << 80
"""Added to the priority of requests that come first in every run."""

_HIGHEST: Final = 1 << 62
"""Priorities are stored within plus and minus this."""

UNIT_KEY: Final = "resume_unit"
"""The key of ``meta`` for the unit's name."""

LONGEST_MESSAGE: Final = 2_000
"""Characters of an error message that are kept."""


class Row:
    """A recorded request, one that runs from memory, an item of ``start()``, or ``start()``
    itself."""

    __slots__ = (
        "anchor",
        "attempts",
        "awaits_continuation",
        "continued",
        "depth",
        "ended",
        "error",
        "error_message",
        "every_run",
        "given_key",
        "held",
        "http_status",
        "id",
        "identity",
        "in_engine",
        "item_bytes",
        "items",
        "items_begun",
        "items_dropped",
        "items_failed",
        "kind",
        "lasting_key",
        "may_be_skipped",
        "memory_identities",
        "not_before",
        "occurrences",
        "open_below",
        "page_identity",
        "parent",
        "payload",
        "priority",
        "rank",
        "recorded",
        "repeat",
        "request",
        "retry_after",
        "retry_times",
        "shared",
        "slot",
        "spilled",
        "state",
        "supersedes",
        "unit",
        "url",
        "withheld",
    )

    def __init__(
        self, row_id: int, identity: bytes, *, recorded: bool, parent: int = NO_PARENT
    ) -> None:
        self.id = row_id
        self.identity = identity
        self.recorded = recorded
        """It is in the store; otherwise it exists only in this process."""
        self.parent = parent
        self.kind = Kind.request
        self.lasting_key: bytes | None = None
        """Of a request that is fetched in every run: the key that is the same in each run."""
        self.anchor: Row | None = None
        """Of an unrecorded row: the row that stays open until this one is finished."""
        self.open_below = 0
        """Number of unrecorded rows whose anchor this is, and which are not finished."""
        self.in_engine = False
        self.awaits_continuation = False
        """The downloader has returned a request that continues this row. It has not reached the
        scheduler yet."""
        self.continued = False
        """That request has been admitted; the engine is not yet done with the one before it."""
        self.ended = False
        self.every_run = False
        self.given_key: bytes | None = None
        """Of an unrecorded row: see ``Admission``. The next attribute too."""
        self.may_be_skipped = False
        self.supersedes = False
        """An earlier execution gave items, which are replaced when this one finishes."""
        self.request: Request | None = None
        """``None``: to be deserialized from ``url`` and ``payload``."""
        self.page_identity: Callable[[], bytes | None] | None = None
        """Computes the identity of an ordinary request for the page that was dispatched last. The
        function returns ``None`` if the request was not ordinary; see ``DupeFilter``."""
        self.repeat: Request | None = None
        """The request that repeats an attempt which does not count; see ``repeat_attempt``."""
        self.url = ""
        self.payload = ""
        self.slot = ""
        self.priority = 0
        self.depth = 0
        self.rank: Rank = (0, 0, 0)
        self.unit: int | str = row_id
        self.attempts = 0
        self.retry_times = 0
        """Of the request that was dispatched last, as counted by Scrapy's retry middleware."""
        self.retry_after = 0.0
        """When the site wants to be asked again, in seconds since the epoch; 0: it did not say."""
        self.not_before = 0.0
        """Of a row that waits in memory: not to be dispatched before that time, in seconds since
        the epoch. 0: at any time."""
        self.memory_identities: list[bytes] = []
        """Identities that the row has reserved in ``DupeFilter``, until its finish is committed."""
        self.occurrences: dict[bytes, int] | None = None
        """How many equal ``dont_filter`` requests this row has yielded, by base identity."""
        self.state = State.done
        self.http_status: int | None = None
        self.error: str | None = None
        self.error_message: str | None = None
        self.shared: tuple[SharedObject, ...] = ()
        """What it carries that other requests share, until it has ended; see ``Sharing``."""
        self.held = False
        """It has ended, but is finished together with others that share something with it."""
        self.withheld: list[Any] = []
        """What it has yielded and what is not admitted before its callback has ended."""
        self.items: list[ItemRecord] = []
        self.item_bytes = 0
        self.items_begun = 0
        """Number of items that have entered the pipelines."""
        self.spilled = False
        """Some of its items are in the store already."""
        self.items_dropped = 0
        self.items_failed = 0

    @property
    def key(self) -> bytes:
        """What the identities of the row's children are derived from. It is the same in a replay
        after a crash.

        In a replay, a page may be found through another request, which is recorded or not: so the
        key of an ordinary request is the identity of the page. A recorded request with
        ``dont_filter`` is always the same row, so its key is derived from its id.
        """
        if self.lasting_key is not None:
            return self.lasting_key
        page = self.page_identity() if self.page_identity is not None else None
        if page is not None:
            return page
        if self.recorded and self.id != START:
            return digest(_ROW, self.id.to_bytes(8, "big"))
        return self.identity

    def next_occurrence(self, distinction: bytes, namespace: bytes = b"") -> tuple[bytes, int]:
        """(base identity, n): the row's n-th ``dont_filter`` child with that distinction."""
        base = child_identity(namespace + self.key, distinction)
        if self.occurrences is None:
            self.occurrences = {}
        occurrence = self.occurrences.get(base, 0)
        self.occurrences[base] = occurrence + 1
        return base, occurrence

    def set_outcome(
        self,
        state: State,
        error: str | None = None,
        message: str | None = None,
        http_status: int | None = None,
    ) -> None:
        """Set the outcome. The first one other than ``done`` stays: an errback that handles a
        failure does not make it a success."""
        if http_status is not None:
            self.http_status = http_status
        if self.state is State.done and state is not State.done:
            self.state = state
            self.error = error
            self.error_message = message[:LONGEST_MESSAGE] if message else message

    def item_failed(self, occurrence: int, error: BaseException | None) -> None:
        """A pipeline has raised an error for item number ``occurrence`` (from 0). The first such
        error is kept."""
        self._lose(occurrence, type(error).__name__, message_of(error))

    def files_lost(self, occurrence: int, errors: Iterable[tuple[str, str]]) -> None:
        """Media pipelines could not get these files of item number ``occurrence``, which is stored
        without them. Each counts as a failed item. ``errors``: class names and messages."""
        for name, message in errors:
            self._lose(occurrence, name, message)

    def _lose(self, occurrence: int, name: str, message: str) -> None:
        self.items_failed += 1
        if self.error is None:
            self.error = name
            self.error_message = f"item {occurrence + 1}: {message}"[:LONGEST_MESSAGE]

    def repeat_attempt(self, request: Request) -> Request:
        """The request to schedule after an attempt that does not count: an unchanged copy.

        Unlike in Scrapy's retries, ``dont_filter`` is not set. A redirect of the copy would inherit
        it, and a page that was also found through another redirect would be fetched twice.
        """
        self.repeat = request.copy()
        return self.repeat

    def reset_outcome(self) -> None:
        """Another attempt begins: discard the outcome of the last one."""
        self.state = State.done
        self.error = self.error_message = self.http_status = None


def admitted_row(admission: Admission, request: Request) -> Row:
    """The row of a request that the store has accepted and this run keeps leased."""
    row = Row(admission.id, admission.identity, recorded=True, parent=admission.parent)
    row.request = request
    row.url = admission.url
    row.slot = admission.slot
    row.priority = admission.priority
    row.rank = rank_of(
        admission.priority, admission.start, admission.seq, every_run=admission.every_run
    )
    row.unit = admission.unit
    row.every_run = admission.every_run
    return row


def admission_of(row: Row, row_id: int, identity: bytes, *, record: bool) -> Admission:
    """An admission of a row that runs from memory: to ask the store whether it is known
    (``record`` is False), or as its tombstone."""
    _, start, seq = row.rank
    return Admission(
        id=row_id,
        identity=identity,
        parent=row.parent,
        url=row.url,
        payload=row.payload or UNRECORDED,
        slot=row.slot,
        priority=row.priority,
        start=start,
        seq=seq,
        unit=row.unit,
        depth=row.depth,
        lease=True,
        counted=row.kind is Kind.start_item,
        record=record,
        every_run=False,
        kind=row.kind,
        given_key=row.given_key,
        may_be_skipped=row.may_be_skipped and not record,
    )


def leased_row(leased: LeasedRow) -> Row:
    """A row that this run has leased from the store."""
    row = Row(leased.id, leased.identity, recorded=True, parent=leased.parent)
    row.url = leased.url
    row.payload = leased.payload
    row.slot = leased.slot
    row.priority = leased.priority
    row.rank = rank_of(leased.priority, leased.start, leased.seq, every_run=leased.every_run)
    row.unit = leased.unit
    row.attempts = leased.attempts
    row.supersedes = leased.items > 0
    row.every_run = leased.every_run
    return row


def rank_of(priority: int, start: int, seq: int, *, every_run: bool) -> Rank:
    """The rank. Requests that come first in every run rank before all others."""
    return -priority - (_FIRST if every_run else 0), start, seq


def storable_priority(request: Request) -> int:
    """The request's priority, limited to what a database's integers hold."""
    return max(-_HIGHEST, min(request.priority, _HIGHEST))


def place_of(order: QueueOrder, request: Request, row_id: int) -> Rank:
    """The rank that gives the order of plain Scrapy's queues. ``row_id`` gives the order of
    arrival."""
    if order.start is not None and request.meta.get("is_start_request", False):
        return -storable_priority(request), 1, row_id if order.start == "fifo" else -row_id
    return -storable_priority(request), 0, -row_id if order.lifo else row_id


def unit_of(request: Request, parent: Row | None, row_id: int) -> int | str:
    """The unit's name, or the id of the row that is the unit's root (``row_id`` for a root)."""
    name = request.meta.get(UNIT_KEY)
    if name is not None:
        return str(name)
    if parent is None or parent.id == START or parent.kind is Kind.start_item:
        return row_id
    return parent.unit
