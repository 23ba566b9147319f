"""What the subcommands share that act on jobs."""

from __future__ import annotations

import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from scrapy_resume.commands.call import Call
from scrapy_resume.commands.terminal import printable

if TYPE_CHECKING:
    from scrapy_resume.store.contract import Store


def store_of(call: Call) -> Store:
    """The store that the settings name, to act on. Raises ``ConfigurationError``."""
    from scrapy_resume.store import open_location

    return open_location(call.store_location())


def fail(message: str) -> int:
    """One line on standard error; returns the exit code of a failure."""
    with suppress(BrokenPipeError):
        print(f"scrapy resume: {printable(' '.join(message.split()))}", file=sys.stderr)
    return 1


def told_status(answer: dict[str, Any]) -> str:
    """The status of a job with its reason, of a document of ``status --json``."""
    status: str = answer["status"]
    return f"{status} ({answer['reason']})" if answer["reason"] else status
