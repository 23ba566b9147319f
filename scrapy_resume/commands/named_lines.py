"""Files that name many requests or units, one in a line."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

STANDARD_INPUT: Final = "-"

COMMENT: Final = "#"
"""Lines of URLs that begin with it are left out. The name of a unit may begin so."""


class UsageError(ValueError):
    """What was given on the command line cannot be meant so."""


def lines_of(name: str, option: str) -> list[str]:
    """The lines of a file, or of standard input: each once, in order, without blank ones.

    White space around a line is no part of it. ``option``: the option that names it. Raises
    ``UsageError`` if there is no line, and ``OSError``.
    """
    if name == STANDARD_INPUT:
        text = sys.stdin.read()
        shown = "standard input"
    else:
        try:
            text = Path(name).read_text(encoding="utf-8-sig")
        except UnicodeDecodeError as error:
            raise UsageError(f"{option}: {name} is no text in UTF-8") from error
        shown = name
    lines = (line.strip() for line in text.splitlines())
    comments = option == "--url-file"
    wanted = [line for line in lines if line and not (comments and line.startswith(COMMENT))]
    if not wanted:
        raise UsageError(f"{option}: {shown} names nothing: it has to have one name in a line")
    return list(dict.fromkeys(wanted))
