"""A run's signs of life, and what its engine holds, on the way to the server."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Final, NamedTuple

from scrapy_resume.errors import ResumeError, StoreUnavailableError
from scrapy_resume.model import Phase
from scrapy_resume.store.contract import MARKED_AT_MOST
from scrapy_resume.store.postgres.statements import COMMIT, OPENING

if TYPE_CHECKING:
    from collections.abc import Callable

    from scrapy_resume.store.contract import Opening
    from scrapy_resume.store.postgres.connections import Link

log = logging.getLogger("scrapy_resume")

PAUSE_SECONDS: Final = 0.5
"""After a heartbeat that failed."""

MARKS_SECONDS: Final = 1.0
"""Marks that no commit has written are written after so long: readers, and the next run if this
process dies, know of requests that were sent while nothing was committed."""

LAST_SECONDS: Final = 5.0


class Taken(NamedTuple):
    """The marks as they were at one moment."""

    sent: list[int]
    """All rows."""
    answered: list[int]
    """Those of them that the site has begun to answer."""
    changes: int
    """How often they had changed by then."""


class Marks:
    """The rows that the engine holds. Changed by one thread, read by others.

    They are taken within the transaction that writes them, which has locked the run's row: so
    marks that were taken later are written later.
    """

    def __init__(self) -> None:
        self._phases: dict[int, Phase] = {}
        self._lock = threading.Lock()
        self._changes = 0
        self._known = 0
        """The changes that the server has."""

    @property
    def changed(self) -> bool:
        """Whether the marks have changed since they were last written."""
        with self._lock:
            return self._changes != self._known

    def mark(self, row: int, phase: Phase) -> None:
        """The engine holds the row; beyond ``MARKED_AT_MOST`` it is not marked."""
        with self._lock:
            if row in self._phases or len(self._phases) < MARKED_AT_MOST:
                self._phases[row] = phase
                self._changes += 1

    def unmark(self, row: int) -> None:
        """The engine does not hold the row any more."""
        with self._lock:
            if self._phases.pop(row, None) is not None:
                self._changes += 1

    def take(self) -> Taken:
        """The marks, to be written."""
        with self._lock:
            rows = list(self._phases)
            answered = [row for row in rows if self._phases[row] is Phase.answered]
            return Taken(rows, answered, self._changes)

    def written(self, taken: Taken) -> None:
        """The transaction that has written them was committed."""
        with self._lock:
            self._known = max(self._known, taken.changes)


class Heartbeat:
    """A thread that sends heartbeats, so that a long callback does not count as a death.

    It stops when the event loop has not shown life for ``RESUME_STALL_TIMEOUT``: a process that
    hangs is fenced. On a job that has crashed before (*careful*) it also writes marks at once, and
    callbacks wait for that, so that the server has the mark of a request before the process can
    die of it; otherwise marks go with the next commit, or after ``MARKS_SECONDS``.
    """

    def __init__(
        self, link: Link, job: int, run: int, opening: Opening, marks: Marks, careful: bool
    ) -> None:
        self._link = link
        self._values = {"job": job, "run": run}
        self._interval_seconds = min(opening.heartbeat_seconds, opening.orphan_seconds / 4)
        self._stall_seconds = opening.stall_seconds
        self._marks = marks
        self._careful = careful
        self._shown_at = time.monotonic()
        self._waiters: deque[Callable[[], None]] = deque()
        self._wake = threading.Event()
        self._ended = False
        self._thread = threading.Thread(target=self._run, name="scrapy-resume life", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def show(self) -> None:
        """The event loop runs."""
        self._shown_at = time.monotonic()

    def marked(self) -> None:
        """The engine was given a row, or a site has begun to answer."""
        if self._careful:
            self._wake.set()

    def when_written(self, tell: Callable[[], None]) -> bool:
        """Whether there is no need to wait until the server has the marks.

        If there is, ``tell`` is called when it has them, or when they could not be written.
        """
        if not self._careful:
            return True
        self._waiters.append(tell)
        self._wake.set()
        if self._ended:
            self._tell_waiters(len(self._waiters))
        return False

    def _tell_waiters(self, count: int) -> None:
        for _ in range(count):
            # Two threads may be here when the thread ends.
            with contextlib.suppress(IndexError):
                self._waiters.popleft()()

    def stop(self) -> None:
        """Stop the thread."""
        self._ended = True
        self._wake.set()
        self._thread.join(LAST_SECONDS)

    def last_marks(self) -> None:
        """Write the marks if possible: the run ends without a close."""
        if not self._ended and self._marks.changed:
            try:
                self._write_marks()
            except ResumeError as error:
                log.debug("The marks of requests in flight could not be written: %s", error)

    def _run(self) -> None:
        try:
            self._live()
        finally:
            self._ended = True
            self._tell_waiters(len(self._waiters))

    def _live(self) -> None:
        next_beat = time.monotonic() + self._interval_seconds
        while not self._ended:
            self._wake.wait(max(0.0, min(MARKS_SECONDS, next_beat - time.monotonic())))
            self._wake.clear()
            if self._ended:
                return
            try:
                self._write_changed_marks()
                if time.monotonic() >= next_beat:
                    self._beat()
                    next_beat = time.monotonic() + self._interval_seconds
            except StoreUnavailableError:
                # The commits log it; here it is only tried again.
                next_beat = time.monotonic() + PAUSE_SECONDS
            except ResumeError as error:
                log.debug("Heartbeats stop: %s", error)
                return

    def _beat(self) -> None:
        if time.monotonic() - self._shown_at > self._stall_seconds:
            return
        with self._link.transaction() as connection:
            connection.execute(COMMIT["beat"], self._values)

    def _write_changed_marks(self) -> None:
        waiting = len(self._waiters)
        try:
            if self._marks.changed:
                self._write_marks()
        finally:
            self._tell_waiters(waiting)

    def _write_marks(self) -> None:
        with self._link.transaction() as connection:
            connection.execute("SET LOCAL synchronous_commit = off")
            # A commit that has begun writes its own first: these must not be the older ones.
            connection.execute(OPENING["hold_run"], self._values)
            taken = self._marks.take()
            values = {**self._values, "sent": taken.sent, "answered": taken.answered}
            connection.execute(COMMIT["note_marks"], values)
        self._marks.written(taken)
