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

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from scrapy_resume.ports.clock import Clock
    from scrapy_resume.store.contract import EventNote

logger = logging.getLogger("scrapy_resume")

LIVES_ON_SECONDS: Final = 5.0
"""A process that still runs so long after the end of its crawl goes on with other things."""


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
        self.undelivered = undelivered


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
