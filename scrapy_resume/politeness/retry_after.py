"""``Retry-After``: when a site wants to be asked again. No I/O.

Until then the request is delayed (``frontier.retries``), and so is its whole host: see
``HostBreakers.downloaded`` in ``host_breaker``.
"""

from __future__ import annotations

from datetime import timezone
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from scrapy.http import Response

LONGEST_RETRY_AFTER_SECONDS: Final = 86_400.0
"""A site that asks for more than a day is believed to mean a day."""

RETRY_AFTER_CODES: Final = frozenset({429, 503})
"""RFC 6585 section 4 and RFC 9110 section 10.2.3: where ``Retry-After`` says how long a client
should wait before it asks again. (With a redirect it has another meaning.)"""


def retry_after(response: Response, now: float) -> float:
    """When the site wants to be asked again: seconds since the epoch, as is ``now``. 0: it does not
    say.

    ``Retry-After`` in seconds or as a date (RFC 9110, section 10.2.3), at most a day. A date is
    by the site's clock: what counts is how far it is from the response's own ``Date``.
    """
    if response.status not in RETRY_AFTER_CODES:
        return 0.0
    value = _header(response, b"Retry-After")
    if value.isascii() and value.isdecimal():
        seconds = float(value[:12])
    elif date := _moment(value):
        seconds = date - (_moment(_header(response, b"Date")) or now)
    else:
        return 0.0
    return now + min(seconds, LONGEST_RETRY_AFTER_SECONDS) if seconds > 0 else 0.0


def _header(response: Response, name: bytes) -> str:
    value = response.headers.get(name)
    return "" if value is None else value.decode("latin-1").strip()


def _moment(text: str) -> float:
    """A date in seconds since the epoch; 0: it makes no sense. Without a zone it is UTC."""
    try:
        date = parsedate_to_datetime(text)
        return (date if date.tzinfo else date.replace(tzinfo=timezone.utc)).timestamp()
    except (TypeError, ValueError, OverflowError):
        return 0.0
