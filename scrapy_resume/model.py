"""The data model: states of requests, units and jobs; identities; counters. No I/O.

Words used throughout: a *job* is one crawl from start to completion, over as many
*runs* (processes) as it takes. A *row* is one stored request. An *identity* is 20
bytes; requests of a job with the same identity are duplicates.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from hashlib import blake2b
from typing import Any, Final, NamedTuple

from msgspec import Struct, field

IDENTITY_BYTES: Final = 20

START: Final = 0
"""The id of ``start()`` itself, the parent of everything that it yields."""

NO_PARENT: Final = -1
"""The parent of requests of unknown origin (``spider_idle`` handlers, extensions)."""


class State(IntEnum):
    """The state of a request. The numbers are part of the stored format."""

    pending = 0
    leased = 1
    done = 2
    failed = 3
    parked = 4
    ignored = 5


class StepState(IntEnum):
    """The state of a step of an item. The numbers are part of the stored format."""

    pending = 0
    """It may run, at the latest when its time has come."""
    running = 1
    done = 2
    failed = 3
    parked = 4
    """The process died while it ran alone: it is left alone until it is retried."""
    skipped = 5
    waiting = 6
    """It waits for other steps of its item. People see it as ``pending``."""


OPEN_STEPS: Final = frozenset({StepState.pending, StepState.running, StepState.waiting})
"""States of a step that has not ended."""


class StepCounts(Struct):
    """The steps of one name by state. What waits for other steps is ``pending``."""

    pending: int = 0
    running: int = 0
    done: int = 0
    failed: int = 0
    parked: int = 0
    skipped: int = 0

    @property
    def open(self) -> int:
        """Steps that have not ended."""
        return self.pending + self.running

    @property
    def success_rate(self) -> float | None:
        """done / (done + failed + parked); ``None`` before the first of them."""
        ended = self.done + self.failed + self.parked
        return self.done / ended if ended else None


class UnitState(IntEnum):
    """The state of a unit, in the order in which units are listed.

    The numbers are part of the stored format. A request has *ended* if it is done, failed or
    ignored; it is *open* if it is pending or leased.
    """

    in_progress = 0
    """Some of its requests have ended, some are open."""
    failed = 1
    """No request is open, none is done, at least one failed."""
    partial = 2
    """No request is open, some are done; others failed or are parked, or items failed."""
    parked = 3
    """No request is open, none is done or failed, at least one is parked."""
    pending = 4
    """Requests are open, none has ended."""
    completed = 5
    """No request is open; none failed or is parked, and no item failed."""


class Outcome(NamedTuple):
    """How a request ended."""

    state: State
    error: str | None = None
    """The error's class name; ``None``: no error."""
    message: str | None = None
    http_status: int | None = None
    """``None``: not known from the error."""


class Kind(IntEnum):
    """What a row stands for. The numbers are part of the stored format."""

    request = 0
    start_item = 1
    """An item that ``start()`` yielded: identified by its content, not counted as a request."""


class Phase(IntEnum):
    """How far a request that the engine holds has got."""

    sent = 1
    answered = 2
    """The site has begun to answer: if the process dies now, the answer may be the cause."""


STATUSES: Final = (
    "initialized",
    "running",
    "recovering",
    "paused",
    "cancelled",
    "failed",
    "completed",
)
"""The stored statuses of a job. Readers show ``running`` without a live owner as ``crashed``."""

UNFINISHED: Final = frozenset(STATUSES) - {"completed"}


def digest(*parts: bytes) -> bytes:
    """The 20-byte BLAKE2b digest of the parts, each prefixed with its length."""
    hasher = blake2b(digest_size=IDENTITY_BYTES)
    for part in parts:
        hasher.update(len(part).to_bytes(4, "big"))
        hasher.update(part)
    return hasher.digest()


CRAWL: Final = "crawl"
STAGE: Final = "stage"
"""The kinds of jobs. A job is a stage's if its recorded start says so (``launch.command``)."""


def kind_of(launch: Mapping[str, Any] | None) -> str:
    """The kind of a job with this recorded start; ``None``: unknown."""
    return STAGE if launch and launch.get("command") == STAGE else CRAWL


EVERY_RUN_ITEM: Final = "every run "
"""Prefix of the item keys of requests that are fetched in every run."""


def ordinary_identity(fingerprint: bytes) -> bytes:
    """The identity of a request that is subject to deduplication: its fingerprint.

    A fingerprint that is not 20 bytes long (from a custom fingerprinter) is hashed.
    """
    if len(fingerprint) == IDENTITY_BYTES:
        return fingerprint
    return digest(b"fingerprint", fingerprint)


def distinction_of(fingerprint: bytes, telling: bytes) -> bytes:
    """What a ``dont_filter`` request is known by among those of its parent: its fingerprint, and
    what tells it apart from others that have it (``Codec.telling_text``)."""
    return digest(b"distinction", fingerprint, telling) if telling else fingerprint


def child_identity(parent: bytes, distinction: bytes) -> bytes:
    """What ``occurrence_identity`` starts from, for the ``dont_filter`` requests of a parent that
    have this distinction (``distinction_of``, or ``key_of_ones_own``)."""
    return digest(b"child", parent, distinction)


def occurrence_identity(base: bytes, occurrence: int) -> bytes:
    """The identity of the n-th (from 0) of the equal requests or items that a parent yielded."""
    return digest(b"occurrence", base, occurrence.to_bytes(8, "big"))


def skipped_identity(identity: bytes) -> bytes:
    """The identity of a row that a delta crawl skipped.

    It differs from the request's own identity: the same request is new if it arrives again in a
    way in which it is not skipped (from ``start()``, for example).
    """
    return digest(b"delta", identity)


def key_of_ones_own(key: object) -> bytes:
    """The identity for ``meta["resume_key"]``: of bytes as they are, of anything else as text."""
    own = key if isinstance(key, bytes) else str(key).encode("utf-8", "surrogatepass")
    return digest(b"resume key", own)


class JobKey(Struct, frozen=True):
    """A job's name and number; ``str`` gives ``books#3``, as on the command line."""

    name: str
    number: int

    def __str__(self) -> str:
        return f"{self.name}#{self.number}"

    @classmethod
    def parse(cls, text: str) -> tuple[str, int | None]:
        """``books#3`` → ``("books", 3)``; ``books`` → ``("books", None)``, its latest job."""
        name, mark, number = text.rpartition("#")
        if mark and number.isdecimal():
            return name, int(number)
        return text, None


Words = str | tuple[str, ...]
"""One text, or several of which either may hold; empty matches any."""


# One field for each filter: always built by keyword.
@dataclass(frozen=True)
class Selection:
    """Selects the requests of a job that match all of these conditions.

    Of a condition with several values either has to hold; one that is empty matches any. What is
    given as one text is kept as a tuple of one.
    """

    states: tuple[State, ...] = ()
    host: Words = ()
    """Hosts of the URL, without a port."""
    status: int | tuple[int, ...] = ()
    """HTTP statuses with which it ended."""
    error: Words = ()
    """Class names of the error with which it ended, or the reason for which it is ignored."""
    callback: Words = ()
    """Names of the spider's method; of a rule of a ``CrawlSpider``, of the rule's callback."""
    url: Words = ()
    """Globs: ``*`` matches any text, ``?`` any one character, everything else itself."""
    unit: Words = ()
    """Globs, as for the URL."""
    missing: Words = ()
    """One of its stored items lacks the field, or has it empty."""
    urls: tuple[str, ...] | None = None
    """These URLs, whatever their fragments, or ``identities``; ``None``: any."""
    identities: tuple[str, ...] = ()
    """In hex: beside ``urls``, those that are known by one of these."""
    units: tuple[str, ...] | None = None
    """Units of these names; ``None``: any."""
    ids: tuple[int, ...] | None = None
    """These rows; ``None``: any."""
    partial: bool = False
    """Done, with items that failed in a pipeline."""
    max_attempts: int | None = None
    """Attempted at most so often; ``None``: no matter how often."""
    skipped: bool | None = None
    """Whether it is ignored because it is skipped; ``None``: no matter."""
    changeable: bool = False
    """Recorded, so that it can be fetched again, and not one that every run sends."""
    denied: bool = False
    """Its key is to be skipped."""
    not_allowed: bool = False
    """No command has taken back that it is skipped."""
    dead: bool | None = None
    """Whether it is a dead letter: it has failed in ``rounds`` rounds of retry, or more; ``None``:
    no matter."""
    rounds: int = 0
    """0: there are no dead letters."""
    limit: int | None = None
    """At most so many, those that were found first; ``None``: all."""

    def __post_init__(self) -> None:
        for name in ("host", "status", "error", "callback", "url", "unit", "missing"):
            value = getattr(self, name)
            if value is None:
                value = ()
            elif isinstance(value, (str, int)):
                value = (value,)
            object.__setattr__(self, name, tuple(value))
        for name in ("states", "identities"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        for name in ("urls", "units", "ids"):
            value = getattr(self, name)
            object.__setattr__(self, name, None if value is None else tuple(value))

    @property
    def is_everything(self) -> bool:
        """Whether there is no condition except on the state, and how many."""
        usual = Selection(
            states=self.states,
            skipped=self.skipped,
            dead=self.dead,
            rounds=self.rounds,
            limit=self.limit,
        )
        return self == usual


class SkipRule(NamedTuple):
    """What is never fetched: requests for which all of its parts hold. Empty parts hold for any."""

    host: str = ""
    """In lower case, without a port."""
    url: str = ""
    """A glob."""
    unit: str = ""
    """A glob, or a name."""
    exact: int = 0
    """1: ``unit`` is a name."""


@dataclass(frozen=True)
class UnitSelection:
    """Selects the units of a job that match all of these conditions; see ``Selection``."""

    states: tuple[UnitState, ...] = ()
    unit: tuple[str, ...] = ()
    """Globs."""
    units: tuple[str, ...] | None = None
    """These names; ``None``: any."""
    error: tuple[str, ...] = ()
    """The class names of the error of the request that failed, or was parked, last."""


TAKEN_OVER: Final = "taken over by "
"""The reason of a run that another one has fenced by force begins so."""

LIVE_STATUSES: Final = frozenset({"running", "recovering"})
"""Statuses of a job or a run that require a live owner."""


# Ten fields, one for each counter of the store: always built by keyword.
class Counts(Struct):
    """Requests by state, and items. ``delayed`` is a part of ``pending``."""

    pending: int = 0
    leased: int = 0
    done: int = 0
    failed: int = 0
    parked: int = 0
    ignored: int = 0
    delayed: int = 0
    items_stored: int = 0
    items_dropped: int = 0
    items_failed: int = 0
    steps_open: int = 0
    """Steps of items that have not ended."""

    @classmethod
    def of(cls, columns: Mapping[str, Any]) -> Counts:
        """From columns that have the names of the counters; a store of an older version lacks
        some."""
        return cls(**{name: int(columns.get(name, 0)) for name in cls.__struct_fields__})

    @property
    def open(self) -> int:
        """Requests that are pending or leased."""
        return self.pending + self.leased

    @property
    def nothing_open(self) -> bool:
        """Whether no request and no step of an item is open."""
        return not self.open and not self.steps_open

    @property
    def total(self) -> int:
        """Requests in any state."""
        return self.open + self.done + self.failed + self.parked + self.ignored

    @property
    def success_rate(self) -> float | None:
        """done / (done + failed + parked); ``None`` before the first of them."""
        ended = self.done + self.failed + self.parked
        return self.done / ended if ended else None


def unit_state(
    open_: int, done: int, failed: int, parked: int, ignored: int, items_failed: int
) -> UnitState | None:
    """The state of a unit with these numbers of requests; ``None`` if it has none."""
    ended = done + failed + ignored
    if open_:
        return UnitState.in_progress if ended else UnitState.pending
    if not ended and not parked:
        return None
    if done and (failed or parked or items_failed):
        return UnitState.partial
    if failed:
        return UnitState.failed
    return UnitState.parked if parked else UnitState.completed


# Eighteen fields, one for each fact that the store keeps of a job: always built by keyword.
class JobSummary(Struct, frozen=True):
    """One job as it is stored, without its requests."""

    key: JobKey
    spider: str
    status: str
    """One of ``STATUSES``, as stored."""
    reason: str | None
    """The close reason of the last run; ``None`` during a run and before the first."""
    alive: bool
    """Whether a live process owns the job."""
    owner: str | None
    """``host:pid`` of the last run; ``None`` before the first."""
    owned_since: float | None
    """When the last run began, in seconds since the epoch; ``None`` before the first."""
    created_at: float
    updated_at: float
    completed_at: float | None
    counts: Counts
    input_hashes: dict[str, str] = field(default_factory=dict)
    """Path → SHA-256 in hex, when the job began."""
    metadata: dict[str, object] = field(default_factory=dict)
    arguments: dict[str, object] = field(default_factory=dict)
    """The spider arguments."""
    start_exhausted: bool = False
    delta: bool = False
    """It skips requests that gave items in earlier numbers."""
    round: int = 0
    """Of a job that is extended: how often what ``start()`` yields was to be fetched; 0: it is
    not extended."""
    launch: dict[str, Any] | None = None
    """How the last crawl of the job was started, see ``run.launch``; ``None``: unknown."""
    expected_total: float | None = None
    """Pages of the whole job, as the spider says; ``None``: the spider does not say."""
    uid: str = ""
    """Random: followers of the job's items know it by this id. Empty: the store is of a version
    that had none, and no run has opened it since."""

    @property
    def kind(self) -> str:
        """``CRAWL`` or ``STAGE``."""
        return kind_of(self.launch)
