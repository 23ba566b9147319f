"""What the package writes to standard error beside the log.

Standard error may be closed (``2>&-``, a daemonizer), or be replaced by an object that is no file
(a hosting platform's, a notebook's). Nothing that is only told may end a crawl: what cannot be
written there is left out.
"""

from __future__ import annotations

import sys
from contextlib import suppress
from typing import Final

UNWRITABLE: Final = (OSError, ValueError, AttributeError, TypeError)
"""What a closed file, or an object that is no file, raises when it is written to."""


def is_terminal() -> bool:
    """Whether somebody may look at it. What is closed or is no file is no terminal."""
    with suppress(*UNWRITABLE):
        return bool(sys.stderr.isatty())
    return False


def tell(line: str) -> None:
    """Write a line; nothing is written, and nothing raised, where that is not possible."""
    # print() would write to standard output if it is None.
    if sys.stderr is not None:
        with suppress(*UNWRITABLE):
            print(line, file=sys.stderr, flush=True)
