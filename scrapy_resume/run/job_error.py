"""What has kept a run from bringing its job further, as stats of the run: readers show it.

The stats are stored when the run closes, also by a forced shutdown. ``reporting.job_error`` reads
them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from scrapy_resume.errors import message_of
from scrapy_resume.reporting.job_error import ERROR_CLASS, ERROR_MESSAGE, UNDELIVERED
from scrapy_resume.settings.masking import masked_text
from scrapy_resume.wording import counted

if TYPE_CHECKING:
    from collections.abc import Mapping

    from scrapy_resume.events.commit_listeners import Feeds
    from scrapy_resume.tracking.held import HeldRequests

LONGEST_MESSAGE: Final = 1_000
"""Characters of a message that are kept."""


class JobErrors:
    """Collects the errors of one run."""

    def __init__(self) -> None:
        self.start: BaseException | None = None
        """``start()`` raised it."""

    def stats(
        self,
        reason: str,
        failure: BaseException | None,
        feeds: Feeds | None,
        held: HeldRequests,
        held_steps: tuple[str, str] | None = None,
    ) -> dict[str, Any]:
        """The stats for a run that ends for ``reason``. ``failure``: the error after which nothing
        could be committed. ``held_steps``: class and message of what is wrong with steps; ``None``:
        nothing. The gravest error counts; without any there are no stats."""
        owed: Mapping[str, BaseException | None] = {} if feeds is None else feeds.undelivered()
        stats: dict[str, Any] = {}
        if owed:
            stats[UNDELIVERED] = [masked_text(name) for name in owed]
        told = self._gravest(reason, failure, owed, held) or held_steps
        if told is not None:
            name, message = told
            stats[ERROR_CLASS] = name
            stats[ERROR_MESSAGE] = masked_text(message)[:LONGEST_MESSAGE]
        return stats

    def _gravest(
        self,
        reason: str,
        failure: BaseException | None,
        owed: Mapping[str, BaseException | None],
        held: HeldRequests,
    ) -> tuple[str, str] | None:
        if failure is not None:
            return type(failure).__name__, message_of(failure)
        if self.start is not None:
            return type(self.start).__name__, f"start() raised it: {message_of(self.start)}"
        if reason == "start_error":
            return "StartError", "start() could not be run; the log of the run says why"
        for name, error in owed.items():
            if error is not None:
                return type(error).__name__, f"feed {name}: {message_of(error)}"
        if held:
            names = ", ".join(f"{name} ({count})" for name, count in held.by_name())
            wanting = counted(len(held), "request")
            return "CallbackMissingError", f"{wanting} held, by what the code lacks: {names}"
        return None
