"""What every store promises.

A store keeps jobs. Opening a job for writing gives a ``JobStore``, owned by one
run of one worker, with an *epoch* that fences it: from the moment another run
has taken the job over, everything that it sends is refused with
``LeaseLostError`` and nothing of it is kept.

All writes of a run go through ``JobStore.commit``, one ``Batch`` at a time, in
the order in which the batches were made. A batch is one transaction: it is kept
whole or not at all. So what is in the store is always a prefix of what happened.

Every write keeps the counts of the units that its requests belong to: at any time they are what
counting the requests would give.

All methods may block, except ``mark``, ``unmark`` and ``show_life``. They are called from one
thread at a time, not always the same one.

Errors of every method: ``StoreUnavailableError`` (nothing was kept; calling
again with the same arguments is right), ``LeaseLostError`` (never call again),
``StoreDamagedError``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from scrapy_resume.model import Counts, JobKey, JobSummary, Kind, Phase, Selection, State
from scrapy_resume.store.verifying import Verdict


@dataclass(slots=True)
class Admission:
    """A request (or an item of ``start()``) that arrived and may be new to the job."""

    id: int
    """Chosen by the run, ascending, from ``Session.first_id`` on; never used twice."""
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


@dataclass(slots=True)
class Continuation:
    """A leased row goes on as another request: a retry, a redirect."""

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
    """An attempt has failed: it is tried again."""
    again: bool = False
    """The same URL is asked once more: a retry. For readers in this process; not stored."""


class ItemRecord(NamedTuple):
    """An item of a request, after the pipelines."""

    occurrence: int
    """From 0, among the items of the request."""
    payload: str
    key: str | None = None
    """Items with the same key update one another: a later one replaces the earlier one, and
    becomes visible as the last. ``None``: the item stands for itself."""
    original: object = None
    """The item itself, for readers in this process; not stored. ``None``: nobody wants it."""


@dataclass(slots=True)
class Finish:
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
    """Items that an earlier execution of the row gave are deleted."""
    items_dropped: int = 0
    items_failed: int = 0
    aliases: Sequence[bytes] = ()
    """Identities that become known with this finish (of requests that continued the row and
    could not be recorded)."""
    origin: object = None
    """What has ended (it has a ``url``), for readers in this process; not stored."""
    tombstone: Admission | None = None
    """Set if the row is not in the store (it could not be recorded while it was open):
    it is inserted in its final state. If its identity is known by now, nothing of this
    finish is kept, and its spilled items are deleted; its id is in ``Committed.duplicates``."""


class StartTurn(Enum):
    """How ``start()`` stands for a run that waits for its turn."""

    taken = "taken"
    """Another run has it."""
    given = "given"
    """This run is to run it."""
    over = "over"
    """It has come to its end."""


@dataclass(frozen=True, slots=True)
class Wish:
    """Please lease up to ``count`` pending rows of a slot, in order."""

    slot: str
    count: int


class FeedNote(NamedTuple):
    """What the store keeps of one file of a feed."""

    feed: str
    """The feed's URI, with its parameters unfilled."""
    batch: int
    """Scrapy's ``batch_id``, from 1: the file among the feed's."""
    record: str
    """JSON, as the feeds wrote it."""
    settled: bool
    """No later run wants to know it: it is kept for people."""


class Release(NamedTuple):
    """A leased row becomes pending again. Its spilled items are deleted."""

    id: int
    attempts: int
    """How often the row was handed to the engine so far."""
    not_before: float = 0.0
    """Not to be leased before that time, nor before one that held already."""


class HostNote(NamedTuple):
    """What the store keeps of a host with which something is the matter."""

    key: str
    record: str
    """JSON, as the run wrote it."""


class EventNote(NamedTuple):
    """Events that somebody is to be told of, until the store hears that they were."""

    id: int
    events: list[dict[str, Any]]
    """In order; each has its name under ``event``."""


class StoredItem(NamedTuple):
    """An item that is visible."""

    id: int
    """Ascending in the order in which items became visible, with gaps; never used twice."""
    payload: str


@dataclass(slots=True)
class Batch:
    """Everything that happened since the last batch. Applied in the order of the fields."""

    next_id: int
    """All ids below it may have been used."""
    arrivals: list[Admission | Continuation] = field(default_factory=list)
    """In order of arrival: what comes first makes what comes later a duplicate."""
    spills: list[tuple[int, ItemRecord]] = field(default_factory=list)
    """Provisional items of open rows (row id, item): invisible until the row's finish."""
    finishes: list[Finish] = field(default_factory=list)
    releases: list[Release] = field(default_factory=list)
    spider_state: str | None = None
    """``None``: as before."""
    cookies: dict[str, str] = field(default_factory=dict)
    """Jar → payload, only jars that changed."""
    feeds: list[FeedNote] = field(default_factory=list)
    """How far feeds have come with the items of earlier batches; files that changed."""
    hosts: list[HostNote] = field(default_factory=list)
    """Hosts of which something has changed."""
    start_exhausted: bool = False
    """``start()`` came to its end in this run (or did before this batch)."""
    wishes: list[Wish] = field(default_factory=list)
    suspect_wish: bool = False
    """Please lease one suspect, to run alone."""
    pages: int = 0
    """Responses so far in this run."""
    custom: str | None = None
    """The run's custom metrics so far, JSON; ``None``: as before."""
    expected_total: float | None = None
    """How many pages the spider expects of the whole job; ``None``: as before."""
    told: list[int] = field(default_factory=list)
    """Ids of events that were told: they are forgotten."""
    wanted: frozenset[str] = frozenset()
    """Names of events that somebody listens to: others are not kept."""
    notices: list[dict[str, Any]] = field(default_factory=list)
    """Events of the run's own that become true with this batch."""
    # For stores that several workers share; see ``Session.shared``.
    idle: bool = False
    """This run has nothing to do: does any other?"""
    start_wanted: bool = False
    """This run waits for its turn to run ``start()``."""
    slots_wanted: int = 0
    """Take up to so many slots that nobody has, and lease from each as ``slot_share`` says."""
    slots_enough: bool = False
    """This run has no use for more slots. (Without slots wanted either, it only does not ask for
    some again so soon.)"""
    slot_share: int = 1
    slots_given: dict[str, float] = field(default_factory=dict)
    """Slots that this run has no more use for → seconds before another may take them."""


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


@dataclass(frozen=True)
class Opening:
    """What a run says about itself when it opens a job."""

    spider: str
    worker: str
    """``host:pid``."""
    arguments: Mapping[str, object] = field(default_factory=dict)
    metadata: Mapping[str, object] = field(default_factory=dict)
    input_hashes: Mapping[str, str] = field(default_factory=dict)
    launch: Mapping[str, object] = field(default_factory=dict)
    """How the crawl was started, see ``launching``. Empty: what is known of it stays."""
    crash_limit: int = 3
    """Crashes in flight after which a row becomes a suspect."""
    durable: bool = False
    """Every commit survives power loss."""
    force: bool = False
    """Take the job over from a live owner, who is fenced."""
    delta: bool = False
    """The number that begins is to skip what gave items in earlier ones."""
    # For stores that several workers share.
    slots_shared: bool = False
    """Several workers may lease from one slot at a time."""
    slot_delay_seconds: float = 0.0
    """The longest delay between two requests of a slot that the worker keeps to."""
    heartbeat_seconds: float = 10.0
    orphan_seconds: float = 30.0
    """Without a heartbeat for so long, the worker is dead."""
    stall_seconds: float = 600.0
    """Without life in the event loop for so long, the worker is dead."""


@dataclass
class Session:
    """What the store tells a run that opened a job."""

    job: JobKey
    run: int
    """From 1 in each job."""
    epoch: int
    first_id: int
    began: bool
    """This run began the job."""
    crashed: bool
    """The run before died; what it held was recovered."""
    counts: Counts
    """After the recovery."""
    pending: dict[str, int]
    """Slot → pending rows; slots without any are left out."""
    suspects: int
    start_exhausted: bool
    every_run: bool
    """Earlier runs had requests that are to be fetched in every run."""
    spider_state: str | None
    cookies: dict[str, str]
    created_at: float = 0.0
    """When the job began, in seconds since the epoch: tells it from another one of its name and
    number, after it was deleted."""
    feeds: list[FeedNote] = field(default_factory=list)
    """Those that are not settled, by feed and batch."""
    hosts: list[HostNote] = field(default_factory=list)
    """Of all hosts; where slots belong to one run at a time they come with the slots instead."""
    last_item: int = 0
    """See ``Committed``."""
    superseded: int = 0
    """See ``Committed``."""
    pages: int = 0
    """Responses in all runs before."""
    delta: bool = False
    """The job skips what gave items in earlier numbers."""
    events: list[EventNote] = field(default_factory=list)
    """What earlier runs left untold, then that this one has opened the job (``job_opened`` or
    ``job_resumed``), and what its recovery did."""
    expected_total: float | None = None
    """Pages of the whole job, as earlier runs knew."""
    untold_before: list[EventNote] = field(default_factory=list)
    """What the job with the number before this one's left untold; filled by whoever opens."""
    recovered: int = 0
    """Rows that the run before held when it ended."""
    parked: int = 0
    """Suspects that this recovery parked."""
    shared: bool = False
    """Several workers may be on the job, each with a run of its own."""
    slots_owned: bool = False
    """A slot belongs to one run at a time: rows may be leased from those only that the store
    says are this run's (``Committed.claimed``)."""
    has_start: bool = True
    """``start()`` is this run's; otherwise another one's, or over (``Batch.start_wanted``)."""
    others: int = 0
    """Workers that are on the job too."""
    id_step: int = 1
    """Ids are chosen in steps of this: other runs choose between."""


@dataclass(frozen=True)
class Closing:
    """How a run ended."""

    status: str
    """``completed`` is kept only if nothing is open; otherwise it becomes ``paused``."""
    reason: str
    stats: Mapping[str, object] = field(default_factory=dict)
    """Scrapy's stats of the run; what JSON cannot hold as text."""
    custom: str | None = None
    """See ``Batch``."""
    told: Sequence[int] = ()
    """See ``Batch``."""
    announce: bool = False
    """Somebody wants to be told of the end (``job_closed``); see ``JobStore.closed``."""


@dataclass(frozen=True)
class Orders:
    """What people have told a live run of a job."""

    stop: bool = False
    """It is to close gracefully."""
    changed: bool = False
    """Requests are retried or parked, or will be by the next commit: send one soon."""
    retried: bool = False
    """Some are retried: hosts that did not answer are to be asked again."""


class AskedRun(NamedTuple):
    """A live run that was asked to stop."""

    number: int
    worker: str
    """``host:pid``."""


@dataclass(frozen=True)
class Recovery:
    """What a recovery without a run of its own took back."""

    workers: tuple[str, ...] = ()
    """The dead, as ``host:pid``."""
    requests: int = 0
    parked: int = 0
    """Of the requests: suspects that died alone."""
    alive: tuple[str, ...] = ()
    """Workers that go on."""


class JobStore(Protocol):
    """One job, open for writing by one run."""

    session: Session
    closed: EventNote | None
    """After ``close``: the event of the end, if it was wanted, to be forgotten when it was told
    (``Store.forget``)."""

    def commit(self, batch: Batch) -> Committed:
        """Keep a batch, whole or not at all; also a heartbeat."""

    def mark(self, row: int, phase: Phase) -> None:
        """The engine holds the row. Survives the death of the process; does not block.

        A death counts as a crash of the rows that are marked then.
        """

    def unmark(self, row: int) -> None:
        """The engine let go of the row. Does not block."""

    def show_life(self) -> None:
        """The event loop runs. Does not block; to be called every second or so."""

    def orders(self) -> Orders:
        """What people have told this run and it has not heard yet; asked twice a second.

        What is to be done to requests the next commit does.
        """

    def is_last(self) -> bool | None:
        """The run found nothing left to do and is about to close: is it the last one?

        If it is, whoever opens the job from now on finds it so, until this run closes. ``None``:
        nothing is left of the job, and others are on it that have not noticed yet, or have died
        since they were last heard: ask again.
        """

    def last_item(self) -> int:
        """The highest id of an item. On a shared store it is not known before the run is the
        last one: others commit theirs in any order."""

    def items_after(self, item_id: int, through: int, count: int) -> list[StoredItem]:
        """The first ``count`` items with ids above the one and up to the other."""

    def close(self, closing: Closing) -> str:
        """Release what is leased, keep how the run ended, give the job up.

        Returns the job's status from then on: ``running`` if others go on with it.
        """

    def abandon(self) -> None:
        """Give the job up without a word, as a death would: the next run recovers it."""


class SharedJobStore(JobStore, Protocol):
    """One job of many workers."""

    def items_of_run(self, run: int, item_id: int, count: int) -> list[StoredItem]:
        """The first ``count`` items with ids above that one which a run has stored."""

    def feeds_left(self) -> list[FeedNote]:
        """Files of feeds that are not settled, of this run and of those that have ended."""


class Store(Protocol):
    """A place that keeps jobs."""

    shared: bool
    """Several workers may be on a job at a time: whoever resumes a live one joins it."""

    def door(self, name: str) -> AbstractContextManager[None]:
        """Held while a run decides how to open a job of that name: one at a time."""

    def jobs(self) -> list[JobKey]:
        """All jobs, damaged ones too, by name and number."""

    def summary(self, key: JobKey) -> JobSummary:
        """The job without its requests. Raises ``JobNotFoundError`` and ``StoreError``."""

    def latest(self, name: str) -> JobSummary | None:
        """The job of that name with the highest number; ``None``: there is none."""

    def begin(self, key: JobKey, opening: Opening) -> JobStore:
        """Create the job and open it. Raises ``JobExistsError``.

        With ``opening.delta`` it takes over, from the earlier numbers that are there, the keys
        of requests that are done and have given items: of those that are visible now, whatever
        became of the job. Once that was done, every number takes over what the one before knew,
        so that no number is missed when it is deleted.
        """

    def resume(self, key: JobKey, opening: Opening) -> JobStore:
        """Open a job that exists; recovers it first if its last run died.

        Raises ``JobLockedError`` if a live process owns it, the store is not shared and
        ``opening.force`` is false, and ``JobNotFoundError``.
        """

    def cancel(self, key: JobKey) -> None:
        """Mark a job that nobody owns as ``cancelled``. Raises ``JobLockedError``."""

    def steer(self, key: JobKey, selection: Selection, to: State, *, dry_run: bool = False) -> int:
        """Have requests fetched again (``to`` is ``pending``) or never (``parked``).

        Returns how many they are; with ``dry_run`` nothing is changed. Those that were never
        written down, and those that come first in every run, are left alone. A completed job
        with something to fetch becomes ``paused``. On a live job its owner does it, or it is
        done beside the workers. Raises ``JobNotFoundError``, and ``StoreUnavailableError`` if a
        live owner does not answer: nothing is changed then.
        """

    def stop(self, key: JobKey) -> list[AskedRun]:
        """Ask the live runs of a job to close gracefully; which ones. Waits for nobody.

        Empty if nobody crawls it. Raises ``JobNotFoundError``.
        """

    def recover(
        self, key: JobKey, crash_limit: int, timeout_seconds: float | None = None
    ) -> Recovery:
        """Take back now what dead runs of a job hold. A job that nobody is on becomes ``paused``.

        ``timeout_seconds``: on a shared store, a worker that was silent for longer is fenced as
        dead; ``None``: as it asked for itself. Raises ``JobNotFoundError``.
        """

    def delete(self, key: JobKey, *, completed_before: float | None = None) -> bool:
        """Delete a job that nobody crawls.

        With ``completed_before`` only if it was completed before that time (seconds since the
        epoch), and is still; false: it is not. Raises ``JobNotFoundError``, ``JobLockedError``,
        and ``StoreDamagedError`` or ``SchemaTooNewError`` for what is not known to be a job's.
        """

    def backup(self, key: JobKey, target: Path) -> None:
        """Write the job as it is at one moment into a new file, while it is crawled or not.

        ``target`` must not exist; on an error it does not. Raises ``JobNotFoundError`` and
        ``StoreError``.
        """

    def restore(self, source: Path) -> JobKey:
        """Put a job back that a store of this kind has written; what was in flight is pending.

        Raises ``JobExistsError``; ``StoreDamagedError`` for a file that is none, or not whole;
        ``ConfigurationError`` for one of another kind of store.
        """

    def verify(self, key: JobKey) -> Verdict:
        """Whether all that should hold of a job holds, at one moment. Reads everything."""

    def untold(self, key: JobKey) -> list[EventNote]:
        """Events of a job that nobody is on, of which nobody was told. Raises
        ``JobNotFoundError``."""

    def forget(self, key: JobKey, events: Sequence[int]) -> None:
        """Events were told after the run had ended. No error if the job is gone."""

    def prune(self, name: str, keep: int) -> list[JobKey]:
        """Delete completed jobs of that name, but for the latest ``keep``; 0 keeps all."""
