"""What earlier runs know of ``start()``: how many items it gave, which requests are not met again.

Both may read the whole job, so each is asked once in a run, and only if the answer matters.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from scrapy_resume.commits.committer import Committer
    from scrapy_resume.commits.store_thread import StoreThread
    from scrapy_resume.errors import StoreUnavailableError
    from scrapy_resume.ports.clock import Clock, Waiter
    from scrapy_resume.store.contract import JobStore

COMPARED: Final = 2_000
"""Requests of earlier runs among which a counterpart is looked for."""


class StartHistory:
    """Asks the store, on its thread, what ``start()`` did in earlier runs."""

    def __init__(
        self, job: JobStore, thread: StoreThread, committer: Committer, clock: Clock
    ) -> None:
        self._job = job
        self._thread = thread
        self._committer = committer
        self._clock = clock
        self.exhausted = job.session.start.exhausted
        """An earlier run has run ``start()`` to its end, so the job has all that it gave."""

    async def item_count(self) -> int:
        """How many items ``start()`` gave. Does not return if the store has failed for good."""
        answer: Waiter[int] = self._clock.waiter()
        self._thread.submit(self._job.start_items, answer.set, self._committer.fail, _wait)
        return await answer.wait()

    def not_met(self, tell: Callable[[list[tuple[str, str]]], None]) -> None:
        """Call ``tell`` with (URL, payload) of requests that ``start()`` yielded in earlier runs,
        and has not yielded in this one."""
        self._thread.submit(
            lambda: self._job.starts_not_met(COMPARED), tell, self._committer.fail, _wait
        )


def _wait(error: StoreUnavailableError) -> None:
    """The call is repeated; the committer says that the store is unavailable."""
