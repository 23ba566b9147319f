"""What a run does as one of many on a job: takes slots and gives them, asks after the others.

On a store that one run has for itself, all of this is silent.
"""

from __future__ import annotations

import logging
import random
from collections import Counter
from typing import TYPE_CHECKING, Final

from scrapy_resume.dispatch.slot_ownership import SlotOwnership
from scrapy_resume.store.contract import Release, StartTurn

if TYPE_CHECKING:
    from scrapy_resume.commits.committer import Committer
    from scrapy_resume.dispatch.dispatcher import Dispatcher
    from scrapy_resume.frontier.lease_buffer import LeaseBuffer
    from scrapy_resume.ports.clock import Clock, Timer, Waiter
    from scrapy_resume.ports.engine import Engine
    from scrapy_resume.store.contract import Batch, Committed, Session

logger = logging.getLogger("scrapy_resume")

POLL_SECONDS: Final = 0.5
"""How often a run without enough to do asks for more; half to one and a half times as long, so
that a hundred of them do not ask at once."""

WANT_SECONDS: Final = 0.2
"""Between two times that slots are asked for, when there were none."""

WANT_MORE_SECONDS: Final = 1.0
"""The same of a run that has as many as it may have requests, though they rest: the question
costs more the more hosts there are."""

KEPT_SECONDS: Final = 2.0
"""How long a slot in which nothing is left is kept: the next link to it may come any moment."""

GIVING_SECONDS: Final = 0.5
"""Between two times that slots are given to workers that have none."""

TELLING_SECONDS: Final = 60.0
"""Between two lines in the log about having nothing to do."""


class Workers:
    """The other workers, as far as this one has to do with them."""

    def __init__(
        self,
        session: Session,
        frontier: LeaseBuffer,
        dispatcher: Dispatcher,
        slot_delay_seconds: float,
        committer: Committer,
        engine: Engine,
        clock: Clock,
    ) -> None:
        self.shared = session.sharing.shared
        """There may be others."""
        self.others_at_work = session.sharing.shared
        """Something of the job is open elsewhere, or may still come."""
        self.only_waits = not session.sharing.shared
        """All that is open elsewhere waits for its time."""
        self.starting = session.start.owned
        """``start()`` is run here, and has not come to its end."""
        self._frontier = frontier
        self.slots = SlotOwnership(frontier)
        self._dispatcher = dispatcher
        self._slot_delay_seconds = slot_delay_seconds
        self._committer = committer
        self._engine = engine
        self._clock = clock
        self._start_waiter: Waiter[bool] | None = None
        self._poll: Timer | None = None
        self._told_idle = False
        """The last answer was to a question whether others have something to do."""
        self._fair_share = 0
        """Of slots, where somebody looks for some in vain; 0: nobody does."""
        self._want_at = 0.0
        self._gave_at = 0.0
        self._told_at = 0.0
        self._ended = False

    # ---- start()

    async def start_turn(self) -> bool:
        """Wait until ``start()`` is this run's. False: it has come to its end elsewhere."""
        waiter: Waiter[bool] = self._clock.waiter()
        self._start_waiter = waiter
        self._committer.hurry()
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

    def make_way(self) -> None:
        """A batch is about to go: choose the slots that are to go to others with it, or soon.

        Before it is decided what else stays here, and what is asked for.
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
        """Add to a batch that is about to go what the others have to know."""
        if not self.shared:
            return
        batch.sharing.start_wanted = self._start_waiter is not None
        batch.sharing.idle = self._is_idle(batch)
        if not batch.sharing.idle:
            self.others_at_work = True
            self.only_waits = False
        if not self._ended:
            busy = self._busy()
            busy.update(arrival.slot for arrival in batch.arrivals if arrival.lease)
            self._give_slots(batch, busy)
            self._want_slots(batch, busy)

    def _is_idle(self, batch: Batch) -> bool:
        noted = batch.arrivals or batch.finishes or batch.releases
        return not noted and self._has_nothing()

    def _has_nothing(self) -> bool:
        """Nothing is in hand, on its way, or still to come from here."""
        dispatcher = self._dispatcher
        return not (
            self.starting
            or dispatcher.handed
            or dispatcher.expected
            or dispatcher.alone is not None
            or dispatcher.releasing
            or self._frontier.leased
        )

    def answered(self, batch: Batch, answer: Committed) -> None:
        """The batch is kept."""
        if not self.shared:
            return
        self.slots.own(answer.sharing.claimed)
        self._told_idle = batch.sharing.idle
        if batch.sharing.idle:
            self.others_at_work = answer.sharing.others_at_work
            self.only_waits = answer.sharing.only_delayed
        self._fair_share = answer.sharing.fair_share
        self._take_turn(answer.sharing.start)
        if batch.sharing.slots_wanted and not answer.sharing.slots_found:
            at_work = self.slots.slots_at_work(self._busy())
            is_rich = at_work >= self._frontier.concurrency
            self._want_at = self._clock.monotonic() + (
                WANT_MORE_SECONDS if is_rich else WANT_SECONDS
            )
            if answer.sharing.blocked_by and not at_work:
                self._tell_why(answer.sharing.blocked_by)

    def poll_if_needed(self) -> None:
        """Ask again after a while, if there is not enough to do."""
        if not self.shared or self._poll is not None or self._ended:
            return
        wants = self._start_waiter is not None or self.others_at_work
        if wants and self._slots_wanted(self._busy()):
            at_once = not self._told_idle and self._has_nothing()
            pause_seconds = 0 if at_once else POLL_SECONDS * random.uniform(0.5, 1.5)
            self._poll = self._clock.call_later(pause_seconds, self._ask_again)

    def _ask_again(self) -> None:
        self._poll = None
        self.slots.look_everywhere()
        self._committer.hurry()

    def _tell_why(self, slots: list[str]) -> None:
        now = self._clock.monotonic()
        if now - self._told_at < TELLING_SECONDS:
            return
        self._told_at = now
        logger.info(
            "This worker has nothing to do: all slots with requests belong to other workers (%s). "
            "A host is crawled by one worker at a time; RESUME_HOSTS = 'shared' lets several "
            "crawl it together.",
            ", ".join(slots),
        )

    def end(self) -> None:
        """The run is about to end: ask for nothing any more."""
        self._ended = True
        if self._poll is not None:
            self._poll.cancel()
            self._poll = None

    # ---- slots

    def _give_slots(self, batch: Batch, busy: Counter[str]) -> None:
        """Give back slots in which nothing is left, and those that are to go to others."""
        rows = self.slots.take_leaving_rows()
        self._dispatcher.releasing += len(rows)
        batch.releases += [Release(row.id, row.attempts) for row in rows]
        spare = self.slots.take_spare_slots(busy, self._clock.monotonic(), KEPT_SECONDS)
        # The next worker begins where this one has ended, after the delay.
        batch.sharing.slots_given = dict.fromkeys(spare, self._slot_delay_seconds)

    def _want_slots(self, batch: Batch, busy: Counter[str]) -> None:
        """Ask for more, but not again and again when there are none."""
        wanted = self._slots_wanted(busy)
        batch.sharing.slots_enough = not wanted
        if self._clock.monotonic() >= self._want_at:
            batch.sharing.slots_wanted = wanted
            batch.sharing.slot_share = self.slots.share

    def _slots_wanted(self, busy: Counter[str]) -> int:
        return self.slots.slots_wanted(busy, self._engine.is_resting)

    def _busy(self) -> Counter[str]:
        """Slot → requests of it that the engine holds, or that wait for it to be empty."""
        busy = Counter(row.slot for row in self._dispatcher.handed.values())
        if self._dispatcher.alone is not None:
            busy[self._dispatcher.alone.slot] += 1
        return busy
