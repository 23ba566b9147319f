"""Tells the store that a crawl has come to its end after its job was completed.

Whoever kills a process, or sees it die, starts the same command again. If the job was completed a
moment before, that start must not crawl everything once more; see ``open_job``.
"""

from __future__ import annotations

import atexit
import logging
import threading
from typing import TYPE_CHECKING, Final

from scrapy_resume.errors import JobCompletedError, JobError, StoreError
from scrapy_resume.model import JobKey
from scrapy_resume.store.contract import END_OWED

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from scrapy_resume.ports.clock import Clock
    from scrapy_resume.store.contract import EventNote, Store

logger = logging.getLogger("scrapy_resume")

LIVES_ON_SECONDS: Final = 5.0
"""A process that still runs so long after the end of its crawl goes on with other things."""


_settled: Final[set[tuple[JobKey, str]]] = set()
"""Ends of dead processes that a crawl of this process has come to, and may still have to tell."""


class EndOwedError(JobCompletedError):
    """The process that has completed the job died before its crawl had ended."""

    def __init__(self, job: JobKey, undelivered: Sequence[EventNote]) -> None:
        """``undelivered``: the events that the start of which this is raised has to deliver."""
        following = JobKey(job.name, job.number + 1)
        super().__init__(
            f"{job} was completed, and its process died before the crawl had ended. Its items and "
            "feeds are whole: nothing is left to do, and nothing is begun. The same command, once "
            f"more, begins {following}."
        )
        self.job = job
        self.undelivered = [note for note in undelivered if not _owes_end(note)]
        self._owed = [note for note in undelivered if _owes_end(note)]

    def take_over(self) -> list[int]:
        """This process comes to the end that is owed. Returns the ids of the notes, to be deleted
        then."""
        _settled.update((self.job, process) for process in processes_owing(self.job, self._owed))
        return [note.id for note in self._owed]

    def settle(self, store: Store, clock: Clock) -> None:
        """The crawl that this was raised for has ended too: tell the store when its process exits.

        Until then a start of the same command finds the end owed: this process may be killed as
        the one before was.
        """
        ids = self.take_over()
        CrawlEnd(lambda: store.delete_events(self.job, ids)).watch(clock)


def processes_owing(job: JobKey, notes: Sequence[EventNote]) -> list[str]:
    """The ids of the processes whose crawl has not ended after they completed the job, without
    those that a crawl of this process has stood in for."""
    owing = [e["process"] for note in notes for e in note.events if e["event"] == END_OWED]
    return [process for process in owing if (job, process) not in _settled]


def _owes_end(note: EventNote) -> bool:
    return any(event["event"] == END_OWED for event in note.events)


class CrawlEnd:
    """Calls ``tell`` once: when the process exits, as ``scrapy crawl`` does after its crawl, or
    after ``LIVES_ON_SECONDS`` in a process that lives on."""

    def __init__(self, tell: Callable[[], None]) -> None:
        """``tell`` blocks, and may raise ``StoreError`` and ``JobError``."""
        self._tell = tell

    def watch(self, clock: Clock) -> None:
        """Begin to wait. Called in the event loop."""
        atexit.register(self._try_to_tell)
        clock.call_later(LIVES_ON_SECONDS, self._lives_on)

    def _lives_on(self) -> None:
        atexit.unregister(self._try_to_tell)
        threading.Thread(target=self._try_to_tell, name="scrapy-resume end", daemon=True).start()

    def _try_to_tell(self) -> None:
        try:
            self._tell()
        except (JobError, StoreError) as error:
            logger.warning(
                "The end of the crawl cannot be stored: %s. A start of the same command within an "
                "hour may say that its process has died, and begin nothing",
                error,
            )
