"""The steps of items: what a run tells its store of them, and what the store answers.

An item that has steps is *open* until all of them have ended. The store keeps it, and no reader,
feed or export sees it; then it becomes visible, like an item without steps at its request's finish.
A step that is opened again later (``retry --step``) leaves the item visible: its result makes a new
version of the item visible, which replaces the one before.

An item keeps its id when its page is fetched again, and its *version* grows: what a step of an
earlier version brings is refused.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from msgspec import Struct, field

from scrapy_resume.model import StepCounts, StepState


class NewStep(NamedTuple):
    """A step of an item, as it is from now on."""

    name: str
    state: StepState
    """``waiting``, ``pending``, ``done`` or ``skipped``."""
    reason: str | None = None
    """Why it is skipped."""


class StepWish(Struct, frozen=True):
    """The run wants to lease up to ``count`` steps of one name, in the order of their items."""

    name: str
    count: int
    concurrency: int | None = None
    """At most so many run at a time, over all workers; ``None``: no limit."""
    rate_count: int = 0
    """At most so many in any ``rate_seconds``, over all workers; 0: no limit. Each attempt counts
    from its lease until ``rate_seconds`` after its end: whatever it does once, it does not do more
    often in any such time."""
    rate_seconds: float = 0.0


class StepAttempt(NamedTuple):
    """The end of an attempt that this run had leased."""

    name: str
    state: StepState
    """``done``, ``failed``, ``skipped`` or ``parked``; ``pending``: it is tried again."""
    attempts: int
    """How many count from now on."""
    not_before: float = 0.0
    """If it is tried again: not before that time (seconds since the epoch); 0: at any time."""
    error: str | None = None
    """The class name of the error, or ``SkipStep``."""
    message: str | None = None
    version: str = ""
    """The step's ``version``, as its code has it."""
    inputs: str = ""
    """A digest of the fields that it needs, as they were."""
    gave: Sequence[str] = ()
    """The names of the fields that it gave."""


class ItemChange(NamedTuple):
    """What attempts have made of an item. Applied whole, or not at all: if this run does not have
    one of the steps leased, or the item has another version, nothing of it is kept."""

    item: int
    version: int
    attempts: Sequence[StepAttempt]
    others: Sequence[NewStep] = ()
    """Other steps of the item whose state changes: what they waited for, or were skipped for, has
    come, or will not come."""
    payload: str | None = None
    """The item with the fields that it has got; ``None``: as before."""
    visible: str | None = None
    """If no step of the item is open any more: what becomes visible, if it is not the payload:
    fields that steps consume are in no feed. ``None``: the payload."""
    kept: bool = False
    """If no step is open any more: the payload is needed for steps that may be tried again by
    command, since a field of it that is not visible is among their needs."""
    key: str = ""
    """The stable key of the item, as the next one for events of this run; not stored."""
    url: str = ""


class StepRelease(NamedTuple):
    """A leased step becomes pending again; the attempt does not count."""

    item: int
    name: str
    attempts: int
    """How many count."""
    not_before: float = 0.0


class EarlierResult(NamedTuple):
    """What a step gave the last version of the item."""

    version: str
    inputs: str
    gave: tuple[str, ...]
    payload: str
    """The last version of the item, with these fields."""


class LeasedStep(NamedTuple):
    """A step that this run may start."""

    item: int
    version: int
    """Of the item."""
    name: str
    mark: int
    """What ``JobStore.mark`` and ``unmark`` are called with while it runs, so that a later run
    knows of it if the process dies."""
    attempts: int
    """Before this one."""
    crashes: int
    payload: str
    key: str
    """The stable key of the item."""
    url: str
    """Of the page that has given the item; empty: ``start()`` has."""
    states: Mapping[str, StepState]
    """Of all steps of the item; this one is ``running``."""
    lacking: Sequence[str] = ()
    """Steps of the item that are skipped for want of a field: they may be opened again."""
    condemned: str | None = None
    """If the process has died while it ran alone: a message that says so. It is not started, but
    ends as ``parked``. ``None``: it may be started."""
    earlier: EarlierResult | None = None
    """If it was done for the version before: what it gave. ``None``: nothing that could be used."""


class WantedFetch(NamedTuple):
    """A download for a step, which the worker that owns the slot is to do."""

    id: int
    """Chosen by the run."""
    slot: str
    url: str
    request: str
    """The request, as the codec wrote it."""


class FetchToDo(NamedTuple):
    """A download that this run is to do, since it owns the slot."""

    run: int
    """That wants it; perhaps this one."""
    id: int
    slot: str
    url: str
    request: str


class FetchDone(NamedTuple):
    """The end of a ``FetchToDo``."""

    run: int
    id: int
    result: str
    """The response or the error, as text."""


class StepReport(Struct, kw_only=True):
    """What happened to steps since the last batch, and what the run wants. Releases come last."""

    changes: list[ItemChange] = field(default_factory=list)
    releases: list[StepRelease] = field(default_factory=list)
    wishes: list[StepWish] = field(default_factory=list)
    suspect_wish: bool = False
    """Lease one suspect, to run alone."""
    fetches_wanted: list[WantedFetch] = field(default_factory=list)
    """Where slots are owned: downloads that this run wants. It claims a slot that nobody owns."""
    fetches_awaited: bool = False
    """The run waits for downloads that it has wanted, with this batch or before."""
    fetches_done: list[FetchDone] = field(default_factory=list)
    fetches_given_up: list[int] = field(default_factory=list)
    """Of this run's wanted ones: nobody waits for them any more."""

    @property
    def is_empty(self) -> bool:
        """Whether it says and wants nothing of steps."""
        return not (self.changes or self.releases or self.wishes or self.suspect_wish)


class StepAnswer(Struct, kw_only=True):
    """The answer to a ``StepReport``."""

    leased: list[LeasedStep] = field(default_factory=list)
    suspect: LeasedStep | None = None
    refused: set[int] = field(default_factory=set)
    """Items of changes of which nothing was kept."""
    counts: dict[str, StepCounts] = field(default_factory=dict)
    """Of the whole job, by step; those that it has no rows of are left out."""
    ready: dict[str, int] = field(default_factory=dict)
    """How many this run may lease now, by step, as far as limits allow it; a store may count no
    further than a thousand."""
    suspects: int = 0
    """Suspects that this run may lease now."""
    next_due: float = 0.0
    """When the first delayed step is due, or the first limit allows another one (seconds since the
    epoch); 0: nothing waits for a time."""
    delayed: int = 0
    """Pending steps that wait for a time, of any step."""
    fetches_to_do: list[FetchToDo] = field(default_factory=list)
    """Downloads for this run to do. Their slots are this run's until these have ended, if it does
    not give them away."""
    fetches_done: dict[int, str] = field(default_factory=dict)
    """Wanted downloads of this run that have ended → ``FetchDone.result``."""
    ended: dict[int, tuple[str, ...]] = field(default_factory=dict)
    """Items of this batch's changes whose steps have all ended, so that they have become visible →
    the steps that have failed or are parked: empty, the item is complete."""
