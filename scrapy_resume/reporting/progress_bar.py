"""The progress bar of a live crawl: one line of the terminal that is overwritten each time.

It is shown if standard error is a terminal and the log is written elsewhere. The cursor is never
hidden, so a process that is killed leaves the terminal as it was.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Final

from scrapy_resume.model import Counts
from scrapy_resume.reporting.progress import Progress
from scrapy_resume.stderr import UNWRITABLE, is_terminal

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text
    from scrapy.settings import BaseSettings

_WIDEST_BAR: Final = 40
_NARROWEST_BAR: Final = 8


def is_wanted(settings: BaseSettings) -> bool:
    """Whether standard error is a terminal, and the log is not written to it."""
    elsewhere = settings.get("LOG_FILE") or not settings.getbool("LOG_ENABLED")
    return bool(elsewhere) and is_terminal()


class ProgressBar:
    """One line on standard error."""

    def __init__(self, job: str) -> None:
        from rich.console import Console

        self._job = job
        self._console = Console(stderr=True, markup=False, highlight=False, emoji=False)

    def draw(self, counts: Counts, progress: Progress) -> None:
        """Draw the bar, and the progress line beside it, over what was drawn before."""
        from rich.control import Control
        from rich.segment import ControlType

        line = _line(self._console, self._job, counts, progress)
        self._write(Control.move_to_column(0), line, Control((ControlType.ERASE_IN_LINE, 0)))

    def clear(self) -> None:
        """Remove the bar."""
        from rich.control import Control
        from rich.segment import ControlType

        self._write(Control.move_to_column(0), Control((ControlType.ERASE_IN_LINE, 0)))

    def _write(self, *parts: object) -> None:
        with suppress(*UNWRITABLE):  # the terminal was closed: the crawl goes on
            self._console.print(*parts, sep="", end="", no_wrap=True, overflow="crop", crop=True)


def _line(console: Console, job: str, counts: Counts, progress: Progress) -> Text:
    from rich.text import Text

    words = progress.line()
    unicode = console.encoding.lower().replace("-", "").startswith("utf")
    full, rest = ("━", "╌") if unicode else ("#", "-")
    free = console.width - 1 - len(job) - len(words) - 2
    width = min(free, _WIDEST_BAR)
    name = "".join(char if char.isprintable() else "?" for char in job)
    if width < _NARROWEST_BAR:
        return Text(words[: console.width - 1])
    whole = max(progress.whole, 1)
    done = width * counts.done // whole
    ended = width * progress.ended // whole
    return Text.assemble(
        (name, "bold"),
        " ",
        (full * done, "green"),
        (full * (ended - done), "red"),
        (rest * (width - ended), "dim"),
        f" {words}",
    )
