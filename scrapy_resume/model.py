"""States, identities and rows. No I/O.

Words used throughout: a *job* is one crawl from start to completion, over as many
*runs* (processes) as it takes. A *row* is one recorded request. An *identity* is
what makes two requests the same for the job: 20 bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from hashlib import blake2b
from typing import Any, Final, NamedTuple

IDENTITY_BYTES: Final = 20

START: Final = 0
"""The id of ``start()`` itself: the parent of everything that it yields."""

NO_PARENT: Final = -1
"""The parent of requests that nothing known has yielded (``spider_idle``, extensions)."""


class State(IntEnum):
    """What became of a request. The numbers are part of the stored format."""

    pending = 0
    leased = 1
    done = 2
    failed = 3
    parked = 4
    ignored = 5


class UnitState(IntEnum):
    """How far a unit has come, in the order in which people want to know.

    The numbers are part of the stored format.
    """

    in_progress = 0
    """Some of it has ended, some is open."""
    failed = 1
    """Nothing is open, none of it is done, some has failed."""
    partial = 2
    """Nothing is open; done, but for requests that failed or are parked, or items that failed."""
    parked = 3
    """Nothing is open, none of it is done, some is parked."""
    pending = 4
    """None of it has ended."""
    completed = 5
    """Nothing is open, nothing was lost."""


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
    """An item that ``start()`` yielded: known by its content, not counted as a request."""


class Phase(IntEnum):
    """How far a request that the engine holds has come."""

    sent = 1
    answered = 2
    """The site has begun to answer: a death from here on may be the answer's doing."""


STATUSES: Final = (
    "initialized",
    "running",
    "recovering",
    "paused",
    "cancelled",
    "failed",
    "completed",
)
"""Stored statuses of a job; ``crashed`` is what readers show for ``running`` without an owner."""

UNFINISHED: Final = frozenset(STATUSES) - {"completed"}


def digest(*parts: bytes) -> bytes:
    """A 20-byte BLAKE2b digest of the parts, each prefixed with its length."""
    hasher = blake2b(digest_size=IDENTITY_BYTES)
    for part in parts:
        hasher.update(len(part).to_bytes(4, "big"))
        hasher.update(part)
    return hasher.digest()


EVERY_RUN_ITEM: Final = "every run "
"""With it begin the keys of items of requests that are fetched in every run."""


def ordinary_identity(fingerprint: bytes) -> bytes:
    """The identity of a request that duplicates are filtered from: its fingerprint.

    Fingerprints of another length than 20 bytes (a user's fingerprinter) are hashed.
    """
    if len(fingerprint) == IDENTITY_BYTES:
        return fingerprint
    return digest(b"fingerprint", fingerprint)


def child_identity(parent: bytes, fingerprint: bytes) -> bytes:
    """The base of the identities of a parent's ``dont_filter`` requests with a fingerprint."""
    return digest(b"child", parent, fingerprint)


def occurrence_identity(base: bytes, occurrence: int) -> bytes:
    """The identity of the n-th (from 0) equal thing that one parent has yielded."""
    return digest(b"occurrence", base, occurrence.to_bytes(8, "big"))


def skipped_identity(identity: bytes) -> bytes:
    """The identity of a row that a delta crawl skipped.

    Another one than the request's own: the same request is new when it comes in a way that it
    is not skipped in (from ``start()``, say).
    """
    return digest(b"delta", identity)


def key_of_ones_own(key: object) -> bytes:
    """What ``meta["resume_key"]`` says a request gave its items by: bytes, or text of anything."""
    own = key if isinstance(key, bytes) else str(key).encode("utf-8", "surrogatepass")
    return digest(b"resume key", own)


@dataclass(frozen=True)
class JobKey:
    """A job's name and number; ``str`` gives the ``books#3`` of the command line."""

    name: str
    number: int

    def __str__(self) -> str:
        return f"{self.name}#{self.number}"

    @classmethod
    def parse(cls, text: str) -> tuple[str, int | None]:
        """``books#3`` → ``("books", 3)``; ``books`` → ``("books", None)``, the latest."""
        name, mark, number = text.rpartition("#")
        if mark and number.isdecimal():
            return name, int(number)
        return text, None


@dataclass(frozen=True)
class Selection:
    """Which requests of a job are meant: those that all of these hold for; ``None``: any."""

    states: tuple[State, ...] = ()
    """Empty: any."""
    host: str | None = None
    """The host of the URL, without a port."""
    status: int | None = None
    """The HTTP status that it ended with."""
    error: str | None = None
    """The class name of the error that it ended with."""
    callback: str | None = None
    """The name of the spider's method."""
    url: str | None = None
    """A glob: ``*`` stands for any text, ``?`` for any character, all else for itself."""
    unit: str | None = None
    partial: bool = False
    """Done, with items that failed in a pipeline."""
    max_attempts: int | None = None
    """Tried at most so often."""

    @property
    def is_everything(self) -> bool:
        """Nothing but the state tells which ones are meant."""
        return self == Selection(states=self.states)


LIVE_STATUSES: Final = frozenset({"running", "recovering"})
"""Statuses of a job, or a run, that only a live owner may have."""


@dataclass
class Counts:
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

    @classmethod
    def of(cls, columns: Mapping[str, Any]) -> Counts:
        """Out of columns that have the names of the counters."""
        return cls(**{name: int(columns[name]) for name in cls.__dataclass_fields__})

    @property
    def open(self) -> int:
        """Requests that still want to be fetched or finished."""
        return self.pending + self.leased

    @property
    def total(self) -> int:
        """All requests, whatever their state."""
        return self.open + self.done + self.failed + self.parked + self.ignored

    @property
    def success_rate(self) -> float | None:
        """done / (done + failed + parked); ``None`` before the first of them."""
        ended = self.done + self.failed + self.parked
        return self.done / ended if ended else None


def unit_state(
    open_: int, done: int, failed: int, parked: int, ignored: int, items_failed: int
) -> UnitState | None:
    """How far a unit with so many requests has come; ``None``: it has none."""
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


@dataclass(frozen=True)
class JobSummary:
    """One job as the store has it, without its requests."""

    key: JobKey
    spider: str
    status: str
    """One of ``STATUSES``, as stored."""
    reason: str | None
    """The close reason of the last run; ``None`` while one is running, or before the first."""
    alive: bool
    """A live process owns the job now."""
    owner: str | None
    """``host:pid`` of the last run; ``None`` before the first."""
    owned_since: float | None
    """When the last run began, in seconds since the epoch."""
    created_at: float
    updated_at: float
    completed_at: float | None
    counts: Counts
    input_hashes: dict[str, str] = field(default_factory=dict)
    """Path → SHA-256 in hex, as they were when the job began."""
    metadata: dict[str, object] = field(default_factory=dict)
    arguments: dict[str, object] = field(default_factory=dict)
    """The spider arguments."""
    start_exhausted: bool = False
    delta: bool = False
    """It skips what gave items in earlier numbers."""
    launch: dict[str, Any] | None = None
    """How the last crawl of the job was started, see ``launching``; ``None``: unknown."""
    expected_total: float | None = None
    """Pages of the whole job, as the spider says; ``None``: it does not."""
