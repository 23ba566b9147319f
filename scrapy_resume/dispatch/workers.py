"""Coordinates this run with other workers on the same job: who owns which slots, who is idle.

Does nothing on a store that only one run can use at a time.
"""

from __future__ import annotations

import logging
import random
from collections import Counter
from typing import TYPE_CHECKING, Final

from scrapy_resume.dispatch.shared_slots import SharedSlots
from scrapy_resume.dispatch.slot_ownership import SlotOwnership
from scrapy_resume.frontier.shared_lease_buffer import SharedLeaseBuffer
from scrapy_resume.store.contract import Release, StartTurn

if TYPE_CHECKING:
    from collections.abc import Mapping

    from scrapy_resume.commits.committer import Committer
    from scrapy_resume.dispatch.dispatcher import Dispatcher
    from scrapy_resume.frontier.lease_buffer import LeaseBuffer
    from scrapy_resume.frontier.row import Row
    from scrapy_resume.ports.clock import Clock, Timer, Waiter
    from scrapy_resume.ports.engine import Engine
    from scrapy_resume.store.contract import Batch, Committed, Session

logger = logging.getLogger("scrapy_resume")

POLL_SECONDS: Final = 0.5
"""How often a run that has too little to do asks for more. Each pause is between half and one and a
half times as long, so that a hundred workers do not ask at once."""

LISTEN_SECONDS: Final = 1.0
"""How often at least a worker that holds requests hears of others that look for some in vain, or
for slots."""

WANT_SECONDS: Final = 0.2
"""The pause after slots were asked for in vain."""

WANT_MORE_SECONDS: Final = 1.0
"""The same for a run that has as many slots as concurrent requests, though some wait for their
delay. The more hosts there are, the more such a query costs."""

FOUND_SECONDS: Final = 0.05
"""The pause after as many slots were found as were asked for: there may be more. By then they wait
for their delays, if they have any."""

KEPT_SECONDS: Final = 2.0
"""How long an empty slot is kept: the next link to it may come at any moment."""

GIVING_SECONDS: Final = 0.5
"""The pause between two times that slots are given to workers that have none."""

LOG_SECONDS: Final = 60.0
"""The pause between two log messages that say why this worker has nothing to do."""


class Workers:
    """What this worker tells the other workers through the store, and learns of them."""

    def __init__(
        self,
        session: Session,
        frontier: LeaseBuffer,
        dispatcher: Dispatcher,
        slot_delay_seconds: float,
        committer: Committer,
        engine: Engine,
        clock: Clock,
        also_busy: Mapping[str, int] | None = None,
    ) -> None:
        # Eight: what workers share, and what this one has in hand.
        """``also_busy``: slot → downloads in it that are not of its requests; ``None``: there are
        none."""
        self.shared = session.sharing.shared
        """Other workers may be on the job."""
        self.others_at_work = session.sharing.shared
        """Other workers have open requests, or may still get some."""
        self.only_waits = not session.sharing.shared
        """All open requests of other workers are delayed."""
        self.starting = session.start.owned
        """``start()`` runs here, and has not ended."""
        self._frontier = frontier
        self.slots = SlotOwnership(frontier)
        self._dispatcher = dispatcher
        self._slot_delay_seconds = slot_delay_seconds
        self._committer = committer
        self._engine = engine
        self._clock = clock
        self._shared_slots = (
            SharedSlots(frontier, dispatcher, engine, clock, session.sharing.others)
            if isinstance(frontier, SharedLeaseBuffer)
            else None
        )
        """``None``: each slot belongs to one worker."""
        self._also_busy = {} if also_busy is None else also_busy
        self._start_waiter: Waiter[bool] | None = None
        self._poll: Timer | None = None
        self._reported_idle = False
        """This run was idle in the last batch answered, so the answer said what others do."""
        self._fair_share = 0
        """Slots with requests that this run may keep while another worker has none; 0: all have
        some."""
        self._want_at = 0.0
        self._found_all = False
        """The store had as many slots as were asked for the last time."""
        self._gave_at = 0.0
        self._logged_at = 0.0
        self._ended = False

    # ---- start()

    async def start_turn(self) -> bool:
        """Wait until this run may run ``start()``. Returns False if another worker has exhausted
        it."""
        waiter: Waiter[bool] = self._clock.waiter()
        self._start_waiter = waiter
        self._committer.send_soon()
        return await waiter.wait()

    def _take_turn(self, turn: StartTurn) -> None:
        waiter = self._start_waiter
        if waiter is None or turn is StartTurn.taken:
            return
        self._start_waiter = None
        self.starting = turn is StartTurn.given
        if self.starting:
            logger.info("start() is this worker's now")
        waiter.set(self.starting)

    # ---- batches

    def choose_slots_to_give(self) -> None:
        """A batch is about to be sent: choose the slots that go to other workers, now or as soon as
        their requests in the engine have ended.

        To be called before arrivals are leased, and before rows and slots are asked for.
        """
        now = self._clock.monotonic()
        if not self._fair_share or self._ended or now - self._gave_at < GIVING_SECONDS:
            return
        busy = self._busy()
        excess = self.slots.slots_at_work(busy) - self._fair_share
        if excess > 0:
            self._gave_at = now
            self.slots.hand_over(excess, busy)

    def complete(self, batch: Batch) -> None:
        """Add to a batch that is about to be sent what concerns other workers."""
        if not self.shared:
            return
        batch.sharing.start_wanted = self._start_waiter is not None
        batch.sharing.idle = self._is_idle(batch)
        if not batch.sharing.idle:
            self.others_at_work = True
            self.only_waits = False
        # Who ends needs nothing more, and must not keep others from leasing ahead.
        batch.sharing.slots_enough = self._ended
        if self._shared_slots is not None:
            if not self._ended:
                self._shared_slots.want(batch)
        elif not self._ended:
            busy = self._busy()
            busy.update(arrival.slot for arrival in batch.arrivals if arrival.lease)
            self._give_slots(batch, busy)
            self._want_slots(batch, busy)

    def _is_idle(self, batch: Batch) -> bool:
        changed = batch.arrivals or batch.finishes or batch.releases
        return not changed and self._has_nothing()

    def _has_nothing(self) -> bool:
        """Whether no request is in the engine, leased, arriving or being released, and ``start()``
        does not run here."""
        dispatcher = self._dispatcher
        return not (
            self.starting
            or dispatcher.dispatched
            or dispatcher.expected
            or dispatcher.alone is not None
            or dispatcher.releasing
            or self._frontier.leased
        )

    def answered(self, batch: Batch, answer: Committed) -> None:
        """The batch is committed."""
        if not self.shared:
            return
        self.slots.own(answer.sharing.claimed)
        self._reported_idle = batch.sharing.idle
        if batch.sharing.idle:
            self.others_at_work = answer.sharing.others_at_work
            self.only_waits = answer.sharing.only_delayed
        self._fair_share = answer.sharing.fair_share
        self._take_turn(answer.sharing.start)
        if self._shared_slots is not None:
            self._shared_slots.answered(batch, answer)
        elif batch.sharing.slots_wanted and answer.sharing.slots_found:
            self._found_all = answer.sharing.slots_found >= batch.sharing.slots_wanted
        elif batch.sharing.slots_wanted:
            at_work = self.slots.slots_at_work(self._busy())
            is_rich = at_work >= self._frontier.concurrency
            self._want_at = self._clock.monotonic() + (
                WANT_MORE_SECONDS if is_rich else WANT_SECONDS
            )
            if answer.sharing.blocked_by and not at_work:
                self._log_blocked(answer.sharing.blocked_by)

    def poll_if_needed(self) -> None:
        """If there is too little to do, ask the store again after a while."""
        if not self.shared or self._poll is not None or self._ended:
            return
        if self._found_all:
            self._found_all = False
            self._poll = self._clock.call_later(FOUND_SECONDS, self._ask_for_slots)
            return
        wants = self._start_waiter is not None or self.others_at_work
        if wants and self._wants_more():
            at_once = not self._reported_idle and self._has_nothing()
            pause_seconds = 0 if at_once else self._poll_seconds() * random.uniform(0.5, 1.5)
            self._poll = self._clock.call_later(pause_seconds, self._ask_again)

    def _wants_more(self) -> bool:
        if self._shared_slots is not None:
            return self._shared_slots.rows_wanted() > 0
        return self._slots_wanted(self._busy()) > 0

    def _poll_seconds(self) -> float:
        if self._shared_slots is not None:
            return self._shared_slots.poll_seconds(POLL_SECONDS)
        return POLL_SECONDS

    def refuse(self, row: Row) -> None:
        """Give a leased row back at once, and do not lease it again: this worker lacks code that it
        names, another one may have it."""
        self._dispatcher.releasing += 1
        batch = self._committer.begin_entry()
        batch.releases.append(Release(row.id, row.attempts))
        batch.leasing.refused.append(row.id)
        self._committer.send_soon()

    def listen(self) -> None:
        """Hear of workers that have too little to do, if this one holds requests, some of which it
        may not have sent. To be called about once a second."""
        silence_seconds = self._clock.monotonic() - self._committer.in_touch_at
        holds_any = self._frontier.leased or self._dispatcher.dispatched
        if holds_any and silence_seconds >= LISTEN_SECONDS and not self._ended:
            self._committer.send_soon()

    def _ask_again(self) -> None:
        self._poll = None
        self.slots.refill_empty_slots()
        self._committer.send_soon()

    def _ask_for_slots(self) -> None:
        self._poll = None
        if self._wants_more():
            self._committer.send_soon()
        else:
            self.poll_if_needed()

    def _log_blocked(self, slots: list[str]) -> None:
        now = self._clock.monotonic()
        if now - self._logged_at < LOG_SECONDS:
            return
        self._logged_at = now
        logger.info(
            "This worker has nothing to do: all slots with requests belong to other workers (%s). "
            "A host is crawled by one worker at a time; RESUME_HOSTS = 'shared' lets several "
            "crawl it together.",
            ", ".join(slots),
        )

    def end(self) -> None:
        """The run is about to end: ask for nothing more."""
        self._ended = True
        if self._poll is not None:
            self._poll.cancel()
            self._poll = None

    # ---- slots

    def _give_slots(self, batch: Batch, busy: Counter[str]) -> None:
        """Give back empty slots, and those that other workers are to have."""
        rows = self.slots.take_leaving_rows()
        self._dispatcher.releasing += len(rows)
        batch.releases += [Release(row.id, row.attempts) for row in rows]
        spare = self.slots.take_spare_slots(busy, self._clock.monotonic(), KEPT_SECONDS)
        # The next worker may send its first request after the download delay.
        batch.sharing.slots_given = dict.fromkeys(spare, self._slot_delay_seconds)

    def _want_slots(self, batch: Batch, busy: Counter[str]) -> None:
        """Ask for more slots, if it was not in vain a moment ago."""
        wanted = self._slots_wanted(busy)
        batch.sharing.slots_enough = not wanted
        if self._clock.monotonic() >= self._want_at:
            batch.sharing.slots_wanted = wanted
            batch.sharing.slot_share = self.slots.share

    def _slots_wanted(self, busy: Counter[str]) -> int:
        return self.slots.slots_wanted(busy, self._engine.is_resting)

    def _busy(self) -> Counter[str]:
        """Slot → number of its requests that the engine holds, those of steps too, and the suspect
        that is to run alone."""
        busy = Counter(row.slot for row in self._dispatcher.dispatched.values())
        busy.update(self._also_busy)
        if self._dispatcher.alone is not None:
            busy[self._dispatcher.alone.slot] += 1
        return busy
