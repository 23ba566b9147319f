"""What a run and its store exchange when a job is opened and closed, and orders to a live run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from msgspec import Struct, field

from scrapy_resume.model import Counts, JobKey, SkipRule
from scrapy_resume.store.contract.notes import (
    EventNote,
    FeedNote,
    HostNote,
    ItemPosition,
    SavedState,
)
from scrapy_resume.store.contract.steps import StepAnswer
from scrapy_resume.store.contract.waits import NO_LIMITS, WaitLimits


class Opening(Struct, frozen=True):
    """What a run says about itself when it opens a job."""

    spider: str
    worker: str
    """``host:pid``."""
    arguments: Mapping[str, object] = field(default_factory=dict)
    metadata: Mapping[str, object] = field(default_factory=dict)
    input_hashes: Mapping[str, str] = field(default_factory=dict)
    launch: Mapping[str, object] = field(default_factory=dict)
    """How the crawl was started, see ``run.launch``. Empty: the stored value stays."""
    crash_limit: int = 3
    """Crashes in flight after which a row becomes a suspect."""
    durable: bool = False
    """Every commit survives power loss."""
    force: bool = False
    """Take the job over from a live owner, who is fenced."""
    delta: bool = False
    """The new number skips requests that gave items in earlier ones."""
    extend: bool = False
    """What ``start()`` yields is fetched again: another round of it begins, unless the last one is
    not completed."""
    only_retried: bool = False
    """The run leases only requests that were retried, and those that they have led to."""
    skip: Sequence[SkipRule] = ()
    """What RESUME_SKIP says, in place of what it said before."""
    limits: WaitLimits = NO_LIMITS
    """Stored waits end no later than this allows, counted from the opening."""
    # For stores that several workers share.
    slots_shared: bool = False
    """Several workers may lease from one slot at a time."""
    slot_delay_seconds: float = 0.0
    """The longest delay between two requests of a slot in this worker."""
    heartbeat_seconds: float = 10.0
    orphan_seconds: float = 30.0
    """A worker without a heartbeat for so long counts as dead."""
    stall_seconds: float = 600.0
    """A worker whose event loop has not run for so long counts as dead."""


class RowIds(Struct, kw_only=True):
    """The ids that this run chooses for its rows: ``first``, ``first + step`` and so on."""

    first: int
    step: int = 1
    """Above 1 where other runs choose the ids between."""


class FrontierState(Struct, kw_only=True):
    """The pending rows that the run finds, for its lease buffer."""

    pending: dict[str, int] = field(default_factory=dict)
    """Slot → pending rows; slots without any are left out."""
    suspects: int = 0
    every_run: bool = False
    """Earlier runs had requests that are fetched in every run."""
    only_retried: bool = False
    """See ``Opening``: only such rows are counted here."""
    delayed: int = 0
    """Pending rows whose time has not come."""


class StartState(Struct, kw_only=True):
    """How ``start()`` stands."""

    exhausted: bool = False
    """An earlier run has run it to its end."""
    round: int = 0
    """Of a job that is extended: how often what it yields was to be fetched; 0: it is not."""
    round_from: int = 0
    """Ids of requests that this round has added begin here."""
    owned: bool = True
    """This run is to run it; otherwise another run has it, or it is over
    (``SharingReport.start_wanted``)."""


class UndeliveredEvents(Struct, kw_only=True):
    """Events that the store keeps until they are delivered."""

    of_job: list[EventNote] = field(default_factory=list)
    """Those that earlier runs did not deliver, then that this run has opened the job
    (``job_opened`` or ``job_resumed``) and what its recovery did."""
    of_previous_job: list[EventNote] = field(default_factory=list)
    """Those of the job with the number before; filled in after the opening."""


class Recovered(Struct, kw_only=True):
    """What a recovery has taken back from runs that died."""

    requests: int = 0
    """Rows that those runs had leased when they ended."""
    in_flight: int = 0
    """Of them, those that the engine held: sent, and not ended."""
    parked: int = 0
    """Of them, the suspects that were parked."""


class Sharing(Struct, kw_only=True):
    """The other workers of the job."""

    shared: bool = False
    """Several workers may be on the job, each with a run of its own."""
    slots_owned: bool = False
    """A slot belongs to one run at a time: this run leases only from slots that the store has
    assigned to it (``SharingAnswer.claimed``)."""
    others: int = 0
    """Workers that are on the job too."""


class JobProgress(Struct, kw_only=True):
    """What earlier runs have done."""

    pages: int = 0
    """Responses in all runs before."""
    items: int = 0
    """That all runs before have committed."""
    units: int = 0
    """Named units that have ended in them."""
    unit_pages: int = 0
    """Requests of those units that have ended."""
    named_pages: int = 0
    """Requests of any named unit that ended in them."""
    spans: list[tuple[float, float]] = field(default_factory=list)
    """When each of them began, and ended or had its last heartbeat, in seconds since the epoch."""
    expected_total: float | None = None
    """Pages of the whole job, as the spider said last; ``None``: it did not."""
    progressed_at: float | None = None
    """The beginning of the last minute in which a run did something, in seconds since the epoch;
    ``None``: none has."""

    @classmethod
    def of(
        cls,
        runs: Iterable[Sequence[Any]],
        expected_total: float | None,
        progressed_at: float | None,
    ) -> JobProgress:
        """From the fields of each run before, in order, then its start and its end."""
        rows = list(runs)
        names = ("pages", "items", "units", "unit_pages", "named_pages")
        sums = {name: sum(row[at] for row in rows) for at, name in enumerate(names)}
        spans = [(float(row[-2]), float(row[-1])) for row in rows]
        return cls(spans=spans, expected_total=expected_total, progressed_at=progressed_at, **sums)


# One part for each reader, beside what all of them read.
class Session(Struct, kw_only=True):
    """What the store tells a run that has opened a job."""

    job: JobKey
    uid: str = ""
    """Random: followers of the job's items know it by this id, over backups too."""
    run: int
    """From 1 in each job."""
    epoch: int
    began: bool
    """This run began the job."""
    crashed: bool
    """The previous run died; the rows that it held were recovered."""
    taken_over: bool = False
    """The previous run was alive, and was fenced by force; its rows were recovered."""
    created_at: float = 0.0
    """When the job began, in seconds since the epoch: distinguishes it from a deleted job of the
    same name and number."""
    now: float = 0.0
    """The time of the opening by the store's clock, in seconds since the epoch; 0: unknown."""
    delta: bool = False
    """The job skips what gave items in earlier numbers."""
    counts: Counts = field(default_factory=Counts)
    """After the recovery."""
    ids: RowIds
    frontier: FrontierState = field(default_factory=FrontierState)
    start: StartState = field(default_factory=StartState)
    state: SavedState = field(default_factory=SavedState)
    feeds: list[FeedNote] = field(default_factory=list)
    """Those that are not settled, by feed and batch."""
    hosts: list[HostNote] = field(default_factory=list)
    """Of all hosts; where slots belong to one run at a time, empty: they come with the slots."""
    items: ItemPosition = field(default_factory=ItemPosition)
    events: UndeliveredEvents = field(default_factory=UndeliveredEvents)
    recovered: Recovered = field(default_factory=Recovered)
    sharing: Sharing = field(default_factory=Sharing)
    steps: StepAnswer = field(default_factory=StepAnswer)
    """How the steps of items stand; nothing is leased."""
    progress: JobProgress = field(default_factory=JobProgress)


class Closing(Struct, frozen=True):
    """How a run ended."""

    status: str
    """``completed`` is kept only if nothing is open; otherwise it becomes ``paused``."""
    reason: str
    stats: Mapping[str, object] = field(default_factory=dict)
    """Scrapy's stats of the run; what JSON cannot hold as text."""
    custom: str | None = None
    """See ``RunProgress``."""
    delivered: Sequence[int] = ()
    """See ``EventReport``."""
    announce: bool = False
    """Somebody listens to the event of the end (``job_closed``); see ``JobStore.closed``."""
    process: str = ""
    """An id of the process. If the run completes the job, the store remembers that this process
    still has to end; see ``JobStore.end_owed``. Empty: that is not asked for."""


class Orders(Struct, frozen=True):
    """The orders that commands have sent to a live run of a job."""

    stop: bool = False
    """The run is asked to close gracefully."""
    changed: bool = False
    """Requests were retried or parked, or will be by the next commit: send one soon."""
    retried: bool = False
    """Some were retried: hosts that did not answer are tried again."""


class AskedRun(NamedTuple):
    """A live run that was asked to stop."""

    number: int
    worker: str
    """``host:pid``."""


class Recovery(Struct, frozen=True):
    """The result of a recovery that begins no run."""

    workers: tuple[str, ...] = ()
    """The dead, as ``host:pid``."""
    requests: int = 0
    parked: int = 0
    """Of the requests, suspects that crashed while they ran alone."""
    alive: tuple[str, ...] = ()
    """Workers that are alive and continue."""
