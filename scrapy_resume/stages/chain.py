"""The stages of one program, one after the other.

A program that is killed in its third stage is started again, and its first stage is completed: it
must not begin its next number then. So the end of a completed stage is *owed* until its program
has come to its own end, with all of its stages completed: see ``run.crawl_end``. This holds for
programs (the stage is made in ``__main__``), not for services and notebooks, which run a stage each
time that they are told to.
"""

from __future__ import annotations

import atexit
import logging
import sys
from typing import TYPE_CHECKING, Final

from scrapy_resume.errors import JobError, StoreError
from scrapy_resume.stages.stop_signals import is_interactive

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scrapy_resume.model import JobKey
    from scrapy_resume.store.contract import Store

logger = logging.getLogger("scrapy_resume")


def is_program(module: str) -> bool:
    """Whether a stage that is made in this module is a part of a program that ends."""
    return module == "__main__" and not is_interactive()


class Chain:
    """The completed stages of this program, of which the end is owed."""

    def __init__(self) -> None:
        self._owed: list[tuple[Store, JobKey, Sequence[int]]] = []
        self._is_whole = True

    def completed(self, store: Store, job: JobKey, notes: Sequence[int]) -> None:
        """A stage is completed; the notes say that its end is owed."""
        if not self._owed:
            atexit.register(self._at_exit)
        self._owed.append((store, job, notes))

    def interrupted(self) -> None:
        """A stage has ended, and is not completed: the program will be started again."""
        self._is_whole = False

    def _at_exit(self) -> None:
        # The interpreter sets one of these for an exception that ends the program.
        raised = getattr(sys, "last_exc", None) or getattr(sys, "last_value", None)
        if not self._is_whole or raised is not None:
            return
        for store, job, notes in self._owed:
            try:
                store.delete_events(job, list(notes))
            except (JobError, StoreError) as error:
                logger.warning(
                    "The end of the program cannot be stored with %s: %s. The next start of the"
                    " program may take it for one that died, and begin no new number",
                    job,
                    error,
                )


CHAIN: Final = Chain()
"""Of this process."""
