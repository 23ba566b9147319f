"""How many a change is expected to be of: the number that its preview has given."""

from __future__ import annotations

from scrapy_resume.web.query import QueryError


class CountDiffersError(Exception):
    """Those that match are not as many as was expected; nothing was changed."""

    def __init__(self, expected: int, found: int) -> None:
        super().__init__(
            f"by now {found:,} match, not {expected:,}: look at them again before you change them"
        )
        self.found = found


def expected_number(value: object) -> int | None:
    """The number of a body; ``None``: none is given. Raises ``QueryError``."""
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise QueryError("expect is a number of requests, or of steps")
    return value
