"""What a run and its store tell one another when it opens a job and when it ends; and beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from scrapy_resume.model import Counts, JobKey
from scrapy_resume.store.contract.notes import EventNote, FeedNote, HostNote


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
