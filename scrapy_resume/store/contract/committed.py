"""The answer of a store to a batch."""

from __future__ import annotations

from enum import Enum
from typing import Any, NamedTuple

from msgspec import Struct, field

from scrapy_resume.model import Counts, UnitState
from scrapy_resume.store.contract.notes import EndedUnit, EventNote, HostNote, ItemPosition
from scrapy_resume.store.contract.steps import StepAnswer


class StartTurn(Enum):
    """The state of ``start()`` for a run that waits for its turn."""

    taken = "taken"
    """Another run has it."""
    given = "given"
    """This run runs it from now on."""
    over = "over"
    """It has been exhausted."""


class LeasedRow(NamedTuple):
    """A row that this run may hand to the engine."""

    id: int
    identity: bytes
    parent: int
    url: str
    payload: str
    slot: str
    priority: int
    start: int
    seq: int
    unit: int | str
    attempts: int
    crashes: int
    items: int
    """Items of an earlier execution; the next finish supersedes them."""
    every_run: bool = False


class SharingAnswer(Struct, kw_only=True):
    """The answers that concern the other workers; see ``Sharing``."""

    next_id: int = 0
    """All ids below it may have been used by other workers: a run that goes on from there keeps
    the order of arrival over all workers."""
    claimed: list[str] = field(default_factory=list)
    """Slots that belong to this run from now on, until it gives them away."""
    hosts: list[HostNote] = field(default_factory=list)
    """The records of other runs about the hosts that this run may fetch from now."""
    slots_found: int = 0
    """In answer to ``SharingReport.slots_wanted``: from how many slots rows were leased."""
    fair_share: int = 0
    """How many slots each worker would have if all had the same number; 0 unless another worker
    looks for slots and finds none."""
    others: int = 0
    """Where slots are shared: how many other runs are at work."""
    one_starves: bool = False
    """Where slots are shared: one of them looks for requests and finds none."""
    blocked_by: list[str] = field(default_factory=list)
    """Some slots of other workers, if this run looked for slots and found none."""
    others_at_work: bool = False
    """In answer to ``SharingReport.idle``: some request of the job is open, or may still come."""
    only_delayed: bool = False
    """In answer to ``SharingReport.idle``: all that is open is delayed."""
    start: StartTurn = StartTurn.taken
    """In answer to ``SharingReport.start_wanted``."""


class Described(NamedTuple):
    """What the event log says of a request beside its URL."""

    unit: str | None
    callback: str | None


class LogNotes(Struct, kw_only=True):
    """What only the store knows of a batch, for the event log (``EventReport.logged``)."""

    requests: dict[int, Described] = field(default_factory=dict)
    """Those that the batch ended or continued, by row."""
    units_started: list[str] = field(default_factory=list)
    """Units of whose requests one has ended for the first time."""
    units_completed: list[dict[str, Any]] = field(default_factory=list)
    """Units of which nothing is open any more, in the keys of ``units --json``."""


class Committed(Struct, kw_only=True):
    """The answer to a batch."""

    duplicates: set[int] = field(default_factory=set)
    """Ids of arrivals and tombstones that were known."""
    renamed: set[int] = field(default_factory=set)
    """Those of the duplicates that were known by one of their other identities."""
    skipped: set[int] = field(default_factory=set)
    """Ids of new arrivals that are not fetched (``Admission.may_be_skipped``)."""
    skipped_for_good: set[int] = field(default_factory=set)
    """Ids of new arrivals, and of continuations, that are never fetched."""
    leased_skipped: set[int] = field(default_factory=set)
    """Rows that this run has leased, and that were skipped for good since: not to be sent."""
    skipped_count: int = 0
    """Requests of the job that were skipped for good, as far as this run knows."""
    leased: list[LeasedRow] = field(default_factory=list)
    suspect: LeasedRow | None = None
    pending: dict[str, int] = field(default_factory=dict)
    """Slot → pending rows that this run may lease now, for each slot that the batch touched;
    delayed ones are left out. A store may count no further than a thousand."""
    suspects: int = 0
    """Suspects that are pending and that this run may lease."""
    counts: Counts = field(default_factory=Counts)
    delayed: int = 0
    """Pending rows whose time has not come, and that this run may lease then."""
    next_due: float = 0.0
    """When the first delayed row is due, in seconds since the epoch; 0: none is delayed."""
    now: float = 0.0
    """The time of the commit by the store's clock, in seconds since the epoch; 0: unknown. Times in
    batches and answers are by this clock."""
    items: ItemPosition = field(default_factory=ItemPosition)
    events: list[EventNote] = field(default_factory=list)
    """Those of this batch that the run wants; and those that workers which died left
    undelivered."""
    log: LogNotes | None = None
    """``None``: it was not asked for."""
    units: list[EndedUnit] = field(default_factory=list)
    """The named units that this batch has ended."""
    named_pages: int = 0
    """Requests of named units that this batch has ended."""
    named_units: dict[UnitState, int] | None = None
    """How many named units are in each state; ``None``: as the last answer had it, as far as this
    run knows."""
    steps: StepAnswer = field(default_factory=StepAnswer)
    sharing: SharingAnswer = field(default_factory=SharingAnswer)
