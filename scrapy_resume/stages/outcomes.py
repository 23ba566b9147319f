"""What a task's function may raise to say what becomes of the task."""

from __future__ import annotations


class Retry(Exception):
    """The task is tried again later. This attempt is not counted: see ``max_attempts``."""

    def __init__(self, reason: str = "", *, after: float = 0.0) -> None:
        """``after``: seconds before the next attempt; 0: as soon as possible."""
        super().__init__(reason)
        if not after >= 0:
            raise ValueError(f"Retry(after={after!r}): it must be a number of seconds, 0 or more")
        self.after_seconds = float(after)


class Fail(Exception):
    """The task has failed, however many attempts were left. ``scrapy resume retry`` tries it
    again."""


class Skip(Exception):
    """The task is ``ignored``, for the reason that is given: there is nothing to do for it."""
