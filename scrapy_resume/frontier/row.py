"""A request that this process has in hand, and what is known of it so far. No I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from scrapy_resume.model import NO_PARENT, START, Kind, State, child_identity, digest
from scrapy_resume.store.contract import Admission
from scrapy_resume.store.transaction.selection import UNRECORDED

if TYPE_CHECKING:
    from collections.abc import Callable

    from scrapy import Request

    from scrapy_resume.settings.queue_order import QueueOrder
    from scrapy_resume.store.contract import ItemRecord, LeasedRow

Rank = tuple[int, int, int]
"""(-priority, start, seq): the lowest is handed out first."""

_ROW: Final = b"row"

_FIRST: Final = 1 << 80
"""Added to the priority of requests that come first in every run."""

_HIGHEST: Final = 1 << 62

UNIT_KEY: Final = "resume_unit"
"""The key of ``meta`` for the unit's name."""

LONGEST_MESSAGE: Final = 2_000
"""Characters of an error's message that are kept."""


class Row:
    """A recorded request, one that runs from memory, an item of ``start()``, or ``start()``."""

    __slots__ = (
        "again",
        "anchor",
        "attempts",
        "depth",
        "dropped",
        "ended",
        "error",
        "error_message",
        "every_run",
        "given_key",
        "going_on",
        "http_status",
        "id",
        "identity",
        "in_engine",
        "item_bytes",
        "item_errors",
        "items",
        "kind",
        "lasting_key",
        "may_be_skipped",
        "memory_identities",
        "not_before",
        "occurrences",
        "open_below",
        "page",
        "parent",
        "payload",
        "priority",
        "rank",
        "recorded",
        "request",
        "retry_after",
        "retry_times",
        "slot",
        "spilled",
        "state",
        "supersedes",
        "unit",
        "url",
        "went_on",
        "yielded",
    )

    def __init__(
        self, row_id: int, identity: bytes, *, recorded: bool, parent: int = NO_PARENT
    ) -> None:
        self.id = row_id
        self.identity = identity
        self.recorded = recorded
        """It has a row in the store; otherwise it lives in this process alone."""
        self.parent = parent
        self.kind = Kind.request
        self.lasting_key: bytes | None = None
        """Of a request that is fetched in every run: what is the same in each of them."""
        self.anchor: Row | None = None
        """For what is not recorded: the row that stays open until this one is whole."""
        self.open_below = 0
        """Unrecorded rows whose anchor this is, and which are not whole yet."""
        self.in_engine = False
        self.going_on = False
        """The downloader gave a request that continues this row; it has not arrived yet."""
        self.went_on = False
        """It has arrived, and waits for its turn."""
        self.ended = False
        self.every_run = False
        self.given_key: bytes | None = None
        """Of what is not recorded: see ``Admission``, as the next one."""
        self.may_be_skipped = False
        self.supersedes = False
        """An earlier execution gave items, which this one's finish replaces."""
        self.request: Request | None = None
        """``None``: to be decoded from ``url`` and ``payload``."""
        self.page: Callable[[], bytes | None] | None = None
        """What an ordinary request for the page that the engine has was known by, whoever had
        asked for it; ``None``: it is not ordinary."""
        self.again: Request | None = None
        """What comes in place of an attempt that does not count: the same once more."""
        self.url = ""
        self.payload = ""
        self.slot = ""
        self.priority = 0
        self.depth = 0
        self.rank: Rank = (0, 0, 0)
        self.unit: int | str = row_id
        self.attempts = 0
        self.retry_times = 0
        """Of the request that the engine was given last, as Scrapy's retry middleware counts."""
        self.retry_after = 0.0
        """When the site wants to be asked again; see ``backoff``."""
        self.not_before = 0.0
        """Not to be handed out before that time (seconds since the epoch): of rows that wait in
        memory. 0: at any time."""
        self.memory_identities: list[bytes] = []
        """DupeFilter that only this process knows, until the row's finish is committed."""
        self.occurrences: dict[bytes, int] | None = None
        """How many equal ``dont_filter`` requests this row has yielded, by base identity."""
        self.state = State.done
        self.http_status: int | None = None
        self.error: str | None = None
        self.error_message: str | None = None
        self.items: list[ItemRecord] = []
        self.item_bytes = 0
        self.yielded = 0
        """Items that went into the pipelines: the next one's occurrence."""
        self.spilled = False
        self.dropped = 0
        self.item_errors = 0

    @property
    def key(self) -> bytes:
        """What the identities of the row's children are derived from: the same after a crash.

        An ordinary request for the same page may come from elsewhere then, and be written down
        or not: the children are known by the page. One without a filter is always the same row.
        """
        if self.lasting_key is not None:
            return self.lasting_key
        page = self.page() if self.page is not None else None
        if page is not None:
            return page
        if self.recorded and self.id != START:
            return digest(_ROW, self.id.to_bytes(8, "big"))
        return self.identity

    def next_occurrence(self, fingerprint: bytes, namespace: bytes = b"") -> tuple[bytes, int]:
        """(base identity, n): the row's n-th ``dont_filter`` child with that fingerprint."""
        base = child_identity(namespace + self.key, fingerprint)
        if self.occurrences is None:
            self.occurrences = {}
        occurrence = self.occurrences.get(base, 0)
        self.occurrences[base] = occurrence + 1
        return base, occurrence

    def settle(
        self,
        state: State,
        error: str | None = None,
        message: str | None = None,
        http_status: int | None = None,
    ) -> None:
        """Note an outcome; the first trouble stays (an errback does not make it a success)."""
        if http_status is not None:
            self.http_status = http_status
        if self.state is State.done and state is not State.done:
            self.state = state
            self.error = error
            self.error_message = message[:LONGEST_MESSAGE] if message else message

    def item_failed(self, occurrence: int, error: BaseException | None) -> None:
        """An item, counted from 0, was lost in a pipeline; the first such error stays."""
        self.item_errors += 1
        if self.error is None:
            self.error = type(error).__name__
            self.error_message = f"item {occurrence + 1}: {error}"[:LONGEST_MESSAGE]

    def ask_again(self, request: Request) -> Request:
        """An attempt does not count: what to schedule in its place, as it was.

        A retry of Scrapy's has ``dont_filter`` set, and so has what that redirects to: were it
        set here, a page that was found by a redirect too would be fetched once more.
        """
        self.again = request.copy()
        return self.again

    def forget_outcome(self) -> None:
        """Another attempt begins: what the last one came to does not count."""
        self.state = State.done
        self.error = self.error_message = self.http_status = None


def admitted_row(admission: Admission, request: Request) -> Row:
    """The row of a request that the store has taken and this run keeps."""
    row = Row(admission.id, admission.identity, recorded=True, parent=admission.parent)
    row.request = request
    row.url = admission.url
    row.slot = admission.slot
    row.priority = admission.priority
    row.rank = rank_of(admission.priority, admission.start, admission.seq, admission.every_run)
    row.unit = admission.unit
    row.every_run = admission.every_run
    return row


def admission_of(row: Row, row_id: int, identity: bytes, *, record: bool) -> Admission:
    """An admission of a row that lives in memory: to ask about it, or as its tombstone."""
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
    """A row that the store has handed to this run."""
    row = Row(leased.id, leased.identity, recorded=True, parent=leased.parent)
    row.url = leased.url
    row.payload = leased.payload
    row.slot = leased.slot
    row.priority = leased.priority
    row.rank = rank_of(leased.priority, leased.start, leased.seq, leased.every_run)
    row.unit = leased.unit
    row.attempts = leased.attempts
    row.supersedes = leased.items > 0
    row.every_run = leased.every_run
    return row


def rank_of(priority: int, start: int, seq: int, every_run: bool) -> Rank:
    """What comes first in every run ranks before all others, whatever their priority."""
    return -priority - (_FIRST if every_run else 0), start, seq


def storable_priority(request: Request) -> int:
    """The request's priority, within what a database's integers hold."""
    return max(-_HIGHEST, min(request.priority, _HIGHEST))


def place_of(order: QueueOrder, request: Request, row_id: int) -> Rank:
    """Where plain Scrapy's queues would put it: the lowest rank is handed out first."""
    if order.start is not None and request.meta.get("is_start_request", False):
        return -storable_priority(request), 1, row_id if order.start == "fifo" else -row_id
    return -storable_priority(request), 0, -row_id if order.lifo else row_id


def unit_of(request: Request, parent: Row | None, row_id: int) -> int | str:
    """The unit's name, or the id of the row that is the unit's root (its own for a root)."""
    name = request.meta.get(UNIT_KEY)
    if name is not None:
        return str(name)
    if parent is None or parent.id == START or parent.kind is Kind.start_item:
        return row_id
    return parent.unit
