"""How subcommands say what came of them."""

from __future__ import annotations

import sys
from contextlib import suppress
from typing import Any

from scrapy_resume.commands.terminal import printable


def fail(message: str) -> int:
    """One line on standard error; returns the exit code of a failure."""
    with suppress(BrokenPipeError):
        print(f"scrapy resume: {printable(' '.join(message.split()))}", file=sys.stderr)
    return 1


def told_status(answer: dict[str, Any]) -> str:
    """The status of a job with its reason, of a document of ``status --json``."""
    status: str = answer["status"]
    return f"{status} ({answer['reason']})" if answer["reason"] else status
