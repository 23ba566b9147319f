"""What a run sends to its store: a batch, and its parts."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, NamedTuple

from msgspec import Struct, field

from scrapy_resume.model import OPEN_STEPS, Kind, State
from scrapy_resume.store.contract.notes import FeedNote, HostNote, SavedState
from scrapy_resume.store.contract.steps import NewStep, StepReport


class Admission(Struct, kw_only=True):
    """A request (or an item of ``start()``) that arrived and may be new to the job."""

    id: int
    """Chosen by the run, ascending, from ``Session.ids`` on; never used twice."""
    identity: bytes
    """20 bytes. With ``counted``: the base of the identities of its occurrences. The n-th
    occurrence of a run is known if its row is there, whichever run wrote it."""
    parent: int
    """The id of the row that yielded it, ``START`` or ``NO_PARENT``."""
    url: str
    payload: str
    """The rest of the request, as the codec wrote it."""
    slot: str
    """The download slot's key: rows are leased by slot."""
    priority: int
    start: int
    """0; 1 for requests that come after others of their priority, in order of arrival."""
    seq: int
    """The order among rows of equal slot, priority and ``start``: lowest first."""
    unit: int | str
    """The unit's name, or the id of the row that is the unit's root (its own for a root)."""
    depth: int = 0
    lease: bool = False
    """If it is new, it is leased at once: the run keeps it."""
    counted: bool = False
    """The store counts this run's occurrences of ``identity``: the n-th arrival in a run
    gets the identity ``occurrence_identity(identity, n)``, n from 0."""
    others: Sequence[bytes] = ()
    """Identities (with ``counted``: bases) by which it may be known too, if ``identity`` is new:
    code that it names has been renamed. It is then a duplicate, and in ``Committed.renamed``."""
    record: bool = True
    """False: only asks whether it is known; if it is not, nothing is written. (With
    ``counted``, a known occurrence is marked as met in this run, as always; an unknown one
    is left to the tombstone that may follow, so that it is counted once.)"""
    every_run: bool = False
    """Fetched once in each run, and before others."""
    kind: Kind = Kind.request
    not_before: float = 0.0
    """Not to be leased before that time (seconds since the epoch); 0: at any time."""
    given_key: bytes | None = None
    """20 bytes: what later numbers of the job know it by if it gives items. ``None``: its
    identity."""
    may_be_skipped: bool = False
    """If a request of an earlier number with its key gave items, it is not fetched: a new one
    becomes ``ignored`` with the error ``delta``. With ``record`` false nothing is written."""
    retried: bool = False
    """A request that was retried has led to it: runs that fetch only such requests may lease it."""


class Continuation(Struct, kw_only=True):
    """A leased row continues as another request: a retry, a redirect."""

    id: int
    url: str
    payload: str
    slot: str
    priority: int
    start: int
    seq: int
    attempts: int
    """How often the row was handed to the engine so far."""
    identity: bytes | None = None
    """If not ``None`` it is added to what is known, and if it is known already (as a row's,
    this one's own included, or as another continuation's), the row ends as ``ignored`` with
    the error ``duplicate`` instead."""
    lease: bool = True
    """The run keeps it; otherwise the row becomes pending."""
    not_before: float = 0.0
    failed: bool = False
    """An attempt has failed, as Scrapy's retry middleware counts; the request that is tried next
    may have another URL. When it failed is kept with the row."""
    again: bool = False
    """The same URL is requested once more, without a failed attempt: the request waited for its
    host. For readers in this process; not stored."""


class ItemRecord(NamedTuple):
    """An item of a request, after the pipelines."""

    occurrence: int
    """From 0, among the items of the request."""
    payload: str
    key: str | None = None
    """Items with the same key update one another: a later one replaces the earlier one, and
    becomes visible as the last. ``None``: the item stands for itself."""
    original: object = None
    """The item itself, for readers in this process; not stored. ``None``: there are no readers."""
    steps: Sequence[NewStep] = ()
    """Its steps, in order. If one of them is open, the item becomes visible when all have ended."""
    stable_key: str = ""
    """Of an item with steps: what it is called over updates, for people; ``key`` if it has one."""

    @property
    def waits(self) -> bool:
        """Whether a step of it is open, so that it is not visible yet."""
        return any(step.state in OPEN_STEPS for step in self.steps)


class Finish(Struct, kw_only=True):
    """The end of a leased row, with its items: visible together or not at all."""

    id: int
    state: State
    attempts: int
    http_status: int | None = None
    error: str | None = None
    """An error's class name, or the reason why the request was ignored."""
    error_message: str | None = None
    items: Sequence[ItemRecord] = ()
    spilled: bool = False
    """Items of this row that were spilled before become visible, before ``items``."""
    supersedes: bool = False
    """Items that an earlier execution of the row gave are deleted. If that one was ``done``, they
    are deleted only if this one is, or if its page is gone (404, 410); otherwise they stay, and
    those of this one are not stored."""
    items_dropped: int = 0
    items_failed: int = 0
    aliases: Sequence[bytes] = ()
    """Identities that become known with this finish (of requests that continued the row and
    could not be recorded)."""
    origin: object = None
    """The row that has ended (it has a ``url``), for readers in this process; not stored."""
    tombstone: Admission | None = None
    """Set if the row is not in the store (it could not be recorded while it was open):
    it is inserted in its final state. If its identity is known by now, nothing of this
    finish is kept, and its spilled items are deleted; its id is in ``Committed.duplicates``."""


class Wish(Struct, frozen=True):
    """The run wants to lease up to ``count`` pending rows of a slot, in order."""

    slot: str
    count: int


class Release(NamedTuple):
    """A leased row becomes pending again. Its spilled items are deleted."""

    id: int
    attempts: int
    """How often the row was handed to the engine so far."""
    not_before: float = 0.0
    """Not to be leased before that time, nor before one that held already."""


class Leasing(Struct, kw_only=True):
    """What the run wants to lease."""

    wishes: list[Wish] = field(default_factory=list)
    suspect_wish: bool = False
    """Lease one suspect, to run alone."""
    refused: list[int] = field(default_factory=list)
    """Rows that this run does not lease again, because it lacks code that they name: other workers
    may have it. Where there can be none, nothing is refused."""


class MetadataChange(NamedTuple):
    """What the spider has changed in the job's metadata: other workers may have changed more."""

    changed: dict[str, object]
    """New values; JSON can hold them."""
    removed: list[str]

    def applied_to(self, text: str) -> str:
        """The metadata, a JSON object, with the change."""
        kept = {name: one for name, one in json.loads(text).items() if name not in self.removed}
        return json.dumps({**kept, **self.changed})


class RunProgress(Struct, kw_only=True):
    """What the run has done so far, for reports."""

    pages: int = 0
    """Responses in this run."""
    custom: str | None = None
    """The run's custom stats, JSON; ``None``: as before."""
    expected_total: float | None = None
    """Pages of the whole job, as the spider expects; ``None``: as before."""
    metadata: MetadataChange | None = None
    """``None``: as before."""
    named_units_wanted: bool = False
    """The answer has to have ``Committed.named_units``."""


class EventReport(Struct, kw_only=True):
    """Which events the run has delivered, which it wants, and its own."""

    delivered: list[int] = field(default_factory=list)
    """Ids of ``EventNote``: the store deletes them."""
    wanted: frozenset[str] = frozenset()
    """Names of events that somebody listens to: the store keeps no others."""
    logged: bool = False
    """The run keeps an event log: ``Committed.log`` is wanted."""
    notices: list[dict[str, Any]] = field(default_factory=list)
    """Events of the run's own that become true with this batch."""


class SharingReport(Struct, kw_only=True):
    """What the run asks of the other workers, and gives to them; see ``Sharing``."""

    idle: bool = False
    """This run has nothing to do: has any other?"""
    start_wanted: bool = False
    """This run waits for its turn to run ``start()``."""
    slots_wanted: int = 0
    """Claim up to so many slots that no run has, and lease ``slot_share`` rows from each."""
    slots_enough: bool = False
    """This run does not lack requests, even if no slot is found. (If false and ``slots_wanted`` is
    0, it has asked in vain and waits before it asks again.)"""
    slot_share: int = 1
    rows_wanted: int | None = None
    """Where slots are shared: lease so many rows at most from all of these slots together."""
    slots_passed_over: list[str] = field(default_factory=list)
    """Where slots are shared: slots that are not meant by ``slots_wanted``."""
    slots_given: dict[str, float] = field(default_factory=dict)
    """Slots that this run has no more use for → seconds before another may claim them."""


class Batch(Struct, kw_only=True):
    """Everything that happened since the last batch. Applied in the order of the fields."""

    next_id: int
    """All ids below it may have been used."""
    arrivals: list[Admission | Continuation] = field(default_factory=list)
    """In order of arrival: what comes first makes what comes later a duplicate."""
    spills: list[tuple[int, ItemRecord]] = field(default_factory=list)
    """Provisional items of open rows (row id, item): invisible until the row's finish."""
    finishes: list[Finish] = field(default_factory=list)
    releases: list[Release] = field(default_factory=list)
    state: SavedState = field(default_factory=SavedState)
    feeds: list[FeedNote] = field(default_factory=list)
    """How far feeds have come with the items of earlier batches; files that changed."""
    hosts: list[HostNote] = field(default_factory=list)
    """Hosts whose record has changed."""
    start_exhausted: bool = False
    """``start()`` came to its end in this run (or did before this batch)."""
    leasing: Leasing = field(default_factory=Leasing)
    steps: StepReport = field(default_factory=StepReport)
    progress: RunProgress = field(default_factory=RunProgress)
    events: EventReport = field(default_factory=EventReport)
    sharing: SharingReport = field(default_factory=SharingReport)
    drops_item_duplicates: bool = False
    """Of items with one key the first one stays, and a later one counts as dropped; if false, a
    later one replaces it."""
    durable: bool = False
    """The batch, and with it all earlier ones, survives a power cut once it is committed, whatever
    ``Opening.durable`` says."""
