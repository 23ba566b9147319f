"""Requests that are not admitted before the callback that has yielded them has ended.

They carry values that other requests may share. What they share, and with which contents, is known
when all of them are there: see ``sharing``.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from scrapy_resume.errors import NotRecordableError, describe, message_of
from scrapy_resume.model import START, State
from scrapy_resume.ports.clock import leaves_event_loop

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from scrapy import Request

    from scrapy_resume.codec import Codec
    from scrapy_resume.commits.committer import Committer
    from scrapy_resume.frontier.row import Row
    from scrapy_resume.ports.clock import Clock
    from scrapy_resume.tracking.arrival_log import ArrivalLog
    from scrapy_resume.tracking.shared_objects import Planned
    from scrapy_resume.tracking.sharing import Sharing

logger = logging.getLogger("scrapy_resume")

WITHHELD_SECONDS: Final = 0.5
"""How long a request waits for the end of the callback that has yielded it."""

EXTENSIONS: Final = 10
"""How many times that long requests wait which share a value with the one that came last: others
that share it may follow. Those of a callback wait so as long as it yields more of them."""

MOST_WITHHELD: Final = 2_000
"""Requests of one callback that wait so."""


class Arrival(NamedTuple):
    """A new request, and what decides how it is admitted."""

    request: Request
    parent: Row | None
    """The row that yielded it; ``None``: unknown."""
    fingerprint: bytes
    identity: bytes
    """Empty for a request with ``dont_filter``."""
    distinctions: Sequence[bytes]
    """Of a request with ``dont_filter``; see ``model.distinction_of``. After the first one those by
    which it may be known too."""
    every_run: bool
    skippable: bool
    """A delta crawl may skip it."""


class Admitting(Protocol):
    """What admits a request at last."""

    def record(self, arrival: Arrival, payload: str) -> int:
        """Add an arrival to the batch. Returns its id."""

    def run_from_memory(self, arrival: Arrival, plan: Planned | None = None) -> None:
        """Create the row of an arrival that is not recorded."""


class Withheld:
    """Keeps such requests with the row of their parent, and admits them together."""

    def __init__(
        self,
        admissions: Admitting,
        sharing: Sharing,
        codec: Codec,
        committer: Committer,
        log: ArrivalLog,
        clock: Clock,
    ) -> None:
        self._admissions = admissions
        self._sharing = sharing
        self._codec = codec
        self._committer = committer
        self._log = log
        self._clock = clock
        self._extended: dict[int, int] = {}
        """Row id of a parent → how many times its requests have waited longer."""
        self._yielded_at: dict[int, float] = {}
        """Row id of a parent → when it has yielded the last one, on the monotonic clock."""

    def add(self, arrival: Arrival, parent: Row) -> None:
        """Admit a request later, together with those that its parent yields after it."""
        if not parent.withheld:
            self._clock.call_later(WITHHELD_SECONDS, self._time_out, parent)
        parent.withheld.append(arrival)
        self._yielded_at[parent.id] = self._clock.monotonic()
        if len(parent.withheld) >= MOST_WITHHELD:
            self.admit(parent)

    def _time_out(self, parent: Row) -> None:
        """A callback, or ``start()``, takes long: admit what is not about to be shared further.

        A callback that has yielded nothing for so long may await what its requests lead to.
        """
        growing = self._growing(parent.withheld)
        extended = self._extended.get(parent.id, 0)
        wait = WITHHELD_SECONDS
        if parent.id != START:
            now = self._clock.monotonic()
            wait -= now - self._yielded_at.get(parent.id, now - WITHHELD_SECONDS)
        if not growing or extended >= EXTENSIONS or wait <= 0:
            self.admit(parent)
            return
        rest = [arrival for arrival in parent.withheld if id(arrival) not in growing]
        parent.withheld = [arrival for arrival in parent.withheld if id(arrival) in growing]
        self._extended[parent.id] = extended + 1
        self._admit(parent, rest, ended=False)
        self._clock.call_later(wait, self._time_out, parent)

    def _growing(self, arrivals: Sequence[Arrival]) -> Collection[int]:
        """The ids of those that share a value with the last one, and with none admitted before."""
        if not arrivals:
            return ()
        *before, last = arrivals
        wanted = self._sharing.unknown_values(last.request)
        growing = {
            id(arrival)
            for arrival in before
            if wanted and not wanted.isdisjoint(self._sharing.unknown_values(arrival.request))
        }
        return {*growing, id(last)} if growing else ()

    def admit(self, parent: Row, *, ended: bool = False) -> None:
        """Admit what was withheld, in one transaction. ``ended``: the callback has ended."""
        arrivals, parent.withheld = parent.withheld, []
        self._extended.pop(parent.id, None)
        self._yielded_at.pop(parent.id, None)
        self._admit(parent, arrivals, ended=ended)

    def _admit(self, parent: Row, arrivals: Sequence[Arrival], *, ended: bool) -> None:
        if not arrivals:
            return
        planned = self._sharing.plan(parent, arrivals, ended=ended)
        payloads: dict[int, str] = {}
        unserializable: set[object] = set()
        for place, plan in enumerate(planned):
            if plan.group is None and not plan.from_memory:
                refs = self._sharing.refs(plan, parent)
                try:
                    payloads[place] = self._codec.encode_request(plan.arrival.request, refs)
                except NotRecordableError as error:
                    self._log.memory_only(plan.arrival.request, parent, error)
                    unserializable.update(plan.objects)
                except BaseException as error:  # of the user's codecs too
                    self._fail(parent, plan, error)
                    planned[place] = plan._replace(arrival=None)
        with self._committer.one_batch():
            for place, plan in enumerate(planned):
                if plan.arrival is None:
                    continue
                try:
                    # What shares something with what runs from memory does so too.
                    if place in payloads and unserializable.isdisjoint(plan.objects):
                        row_id = self._admissions.record(plan.arrival, payloads[place])
                        self._sharing.arrives(row_id, plan.objects)
                    else:
                        self._admissions.run_from_memory(plan.arrival, plan)
                except BaseException as error:  # of values in meta
                    self._fail(parent, plan, error)

    def _fail(self, parent: Row, plan: Planned, error: BaseException) -> None:
        """A request cannot be admitted: the row that has yielded it fails, as it does where the
        engine schedules one that raises."""
        if leaves_event_loop(error):
            raise error
        self._sharing.leaves(plan.objects)
        parent.set_outcome(State.failed, type(error).__name__, message_of(error))
        logger.error(
            "%s, which %s has yielded, could not be scheduled: %s",
            plan.arrival.request,
            parent.url or "start()",
            describe(error),
            exc_info=error,
        )


def may_withhold(parent: Row) -> bool:
    """Whether requests of a parent can wait until it has ended: the engine tells when it has."""
    return (parent.in_engine or parent.id == START) and not parent.ended
