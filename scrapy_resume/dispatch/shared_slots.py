"""What a worker asks of slots from which all workers lease."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from scrapy_resume.dispatch.slot_ownership import SLOTS_PER_BATCH
from scrapy_resume.frontier.slot_queue import may_leave

if TYPE_CHECKING:
    from scrapy_resume.dispatch.dispatcher import Dispatcher
    from scrapy_resume.frontier.row import Row
    from scrapy_resume.frontier.shared_lease_buffer import SharedLeaseBuffer
    from scrapy_resume.ports.clock import Clock
    from scrapy_resume.ports.engine import Engine
    from scrapy_resume.store.contract import Batch, Committed

FIRST_POLL_SECONDS: Final = 0.1
"""The first pause of a worker that has looked for requests in vain: another one may release some
with its next commit. Each pause is twice as long as the one before."""

MORE_SECONDS: Final = 1.0
"""The pause after a worker that is busy has looked in vain for requests of further slots."""


class SharedSlots:
    """Asks for requests that the engine can send at once, and hears of workers that have none."""

    def __init__(
        self,
        frontier: SharedLeaseBuffer,
        dispatcher: Dispatcher,
        engine: Engine,
        clock: Clock,
        others: int,
    ) -> None:
        self._frontier = frontier
        self._quota = frontier.quota
        self._dispatcher = dispatcher
        self._engine = engine
        self._clock = clock
        self._more_at = 0.0
        self._polls_in_vain = 0
        self._quota.set_others(others, one_starves=False)

    def rows_wanted(self) -> int:
        """How many more requests the engine would send at once, beyond those that are leased."""
        if self._frontier.every_run.awaited or self._dispatcher.alone is not None:
            return 0
        sendable = min(self._quota.size, self._quota.room.total)
        return max(0, sendable - self._frontier.leased - self._frontier.coming)

    def starves(self) -> bool:
        """Whether the engine would send requests at once and there are none.

        If one of the slots is full, the worker is as busy as it may be.
        """
        frontier = self._frontier
        return bool(
            self.rows_wanted()
            and not frontier.ready_rows
            and not frontier.coming
            and not self._quota.full_slots()
        )

    def want(self, batch: Batch) -> None:
        """Ask for what the engine can send, beside what is leased with the batch already."""
        wanted, starves = self.rows_wanted(), self.starves()
        report = batch.sharing
        report.slots_enough = not starves
        if wanted and (starves or self._clock.monotonic() >= self._more_at):
            report.slots_wanted = min(SLOTS_PER_BATCH, wanted)
            report.rows_wanted = wanted
            report.slot_share = self._frontier.new_slot_share
            report.slots_passed_over = [*self._quota.full_slots(), *self._frontier.blocked]

    def answered(self, batch: Batch, answer: Committed) -> None:
        """The batch is committed."""
        sharing = answer.sharing
        self._quota.set_others(sharing.others, one_starves=sharing.one_starves)
        self._quota.refresh()
        if self._quota.yields:
            self._release_queued()
        if answer.leased:
            self._polls_in_vain = 0
        elif batch.sharing.slots_wanted and batch.sharing.slots_enough:
            self._more_at = self._clock.monotonic() + MORE_SECONDS

    def _release_queued(self) -> None:
        """Take back the requests that wait in the downloader's queues. (From now on no others are
        handed out that would wait there.) Of a slot with a delay the first one stays."""
        room, delayed = self._quota.room, set[str]()

        def is_meant(row: Row) -> bool:
            slot = self._frontier.host_of(row)
            if room.delay_seconds(slot) and slot not in delayed:
                delayed.add(slot)
                return False
            return may_leave(row) and row is not self._dispatcher.alone

        self._engine.hold_back(is_meant)

    def poll_seconds(self, longest_seconds: float) -> float:
        """The pause before the store is asked again."""
        if not self.starves():
            return longest_seconds
        self._polls_in_vain += 1
        return min(longest_seconds, FIRST_POLL_SECONDS * 2.0 ** (min(self._polls_in_vain, 8) - 1))
