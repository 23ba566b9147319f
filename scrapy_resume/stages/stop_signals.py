"""SIGINT and SIGTERM while stages are open: the first stops them gracefully, the second at once.

Handlers are set in the main thread only, when its first stage opens, and put back when its last one
has ended. A program that was told to stop does not begin its next stage: that one opens and pauses.
(Not so in an interactive session, where the next command is another one.)
"""

from __future__ import annotations

import builtins
import contextlib
import logging
import signal
import sys
import threading
from typing import TYPE_CHECKING, Any, Final, Protocol

from scrapy_resume.stderr import tell

if TYPE_CHECKING:
    from types import FrameType

logger = logging.getLogger("scrapy_resume")

SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


class Stoppable(Protocol):
    """A stage that is open."""

    def stop_soon(self) -> None:
        """Stop gracefully. Called in a signal handler."""

    def stop_now(self) -> None:
        """Stop at once. Called in a signal handler; may raise ``KeyboardInterrupt``."""


def is_interactive() -> bool:
    """Whether a person types one command after the other: a prompt, a notebook."""
    return hasattr(sys, "ps1") or hasattr(builtins, "__IPYTHON__") or bool(sys.flags.interactive)


class StopSignals:
    """The stages of this process that are open, and the handlers."""

    def __init__(self) -> None:
        self._open: list[Stoppable] = []
        self._before: dict[int, Any] = {}
        self._seen = 0
        self.stopped = False
        """The process was told to stop."""

    def add(self, stage: Stoppable) -> bool:
        """A stage opens. Returns whether it is to stop at once: the process was told to."""
        self._open.append(stage)
        if threading.current_thread() is threading.main_thread() and not self._before:
            for number in SIGNALS:
                with contextlib.suppress(ValueError):  # an interpreter within another one
                    self._before[number] = signal.signal(number, self._handle)
        return self.stopped and not is_interactive()

    def remove(self, stage: Stoppable) -> None:
        """A stage has ended."""
        if stage in self._open:
            self._open.remove(stage)
        if not self._open and threading.current_thread() is threading.main_thread():
            self._restore()
            self._seen = 0
            if is_interactive():
                self.stopped = False

    def _restore(self) -> None:
        while self._before:
            number, handler = self._before.popitem()
            # Whoever has set another handler since keeps it.
            if signal.getsignal(number) == self._handle:
                signal.signal(number, signal.SIG_DFL if handler is None else handler)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if not self._open:
            # The last stage has ended in another thread, which cannot put the handlers back.
            self._restore()
            self._seen = 0
            signal.raise_signal(number)
            return
        self.stopped = True
        self._seen += 1
        if self._seen == 1:
            tell(
                f"scrapy-resume: the program is told to stop ({signal.Signals(number).name}): what"
                " is in hand comes to its end; once more to stop at once"
            )
            for stage in list(self._open):
                stage.stop_soon()
            return
        self._restore()
        for stage in list(self._open):
            stage.stop_now()


STOP_SIGNALS: Final = StopSignals()
"""Of this process."""
