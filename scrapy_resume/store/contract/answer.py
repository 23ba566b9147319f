"""What a store answers to a batch."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple

from scrapy_resume.model import Counts
from scrapy_resume.store.contract.notes import EventNote, HostNote


class StartTurn(Enum):
    """How ``start()`` stands for a run that waits for its turn."""

    taken = "taken"
    """Another run has it."""
    given = "given"
    """This run is to run it."""
    over = "over"
    """It has come to its end."""


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
    """Items that an earlier execution gave (they are superseded by the next finish)."""
    every_run: bool = False


@dataclass(slots=True)
class Committed:
    """The answer to a batch."""

    duplicates: set[int] = field(default_factory=set)
    """Ids of arrivals and tombstones that were known."""
    skipped: set[int] = field(default_factory=set)
    """Ids of new arrivals that are not fetched (``Admission.may_be_skipped``)."""
    leased: list[LeasedRow] = field(default_factory=list)
    suspect: LeasedRow | None = None
    pending: dict[str, int] = field(default_factory=dict)
    """Slot → pending rows that this run may lease now, for each slot that the batch touched;
    delayed ones are left out. A store may count no further than a thousand."""
    suspects: int = 0
    """Suspects that wait now, and that this run may lease."""
    counts: Counts = field(default_factory=Counts)
    next_due: float = 0.0
    """When the first delayed row is due, in seconds since the epoch; 0: none is delayed."""
    last_item: int = 0
    """The highest id that an item was given so far; 0: see ``JobStore.last_item``."""
    items_given: int = 0
    """How many of the ids up to it this batch gave, to its items in order."""
    superseded: int = 0
    """How many items the job has taken back since it began: readers of items that were there
    before may have read what is there no more. (An item that is replaced by one with its key
    is not counted, unless a request of every run gave it.)"""
    events: list[EventNote] = field(default_factory=list)
    """What is true from this batch on and was wanted; and what workers that died left untold."""
    # For stores that several workers share.
    next_id: int = 0
    """All ids below it may have been used by somebody: whoever goes on from there keeps to the
    order of arrival over all workers."""
    claimed: list[str] = field(default_factory=list)
    """Slots that are this run's from now on, until it gives them."""
    hosts: list[HostNote] = field(default_factory=list)
    """What others have kept of the hosts that this run may ask now."""
    slots_found: int = 0
    """In answer to ``Batch.slots_wanted``: from how many slots rows were leased."""
    fair_share: int = 0
    """How many slots each worker would have if all had as many; 0 unless another one looks for
    some in vain."""
    blocked_by: list[str] = field(default_factory=list)
    """Some slots that others have, where this run looked for slots in vain."""
    others_at_work: bool = False
    """In answer to ``Batch.idle``: something of the job is open, or may still come."""
    only_delayed: bool = False
    """In answer to ``Batch.idle``: all that is open waits for its time."""
    start: StartTurn = StartTurn.taken
    """In answer to ``Batch.start_wanted``."""
