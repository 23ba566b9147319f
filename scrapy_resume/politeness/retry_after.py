"""The ``Retry-After`` header: when a site wants to be asked again, which delays its host. No I/O.

``HostBreakers`` blocks the host until then. The request itself is delayed by ``frontier.retries``.
"""

from __future__ import annotations

from datetime import timezone
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from scrapy.http import Response

    from scrapy_resume.politeness.host_state import Host

LONGEST_RETRY_AFTER_SECONDS: Final = 86_400.0
"""Longer delays are shortened to a day."""

RETRY_AFTER_CODES: Final = frozenset({429, 503})
"""Statuses with which ``Retry-After`` says how long a client should wait before it repeats a
request (RFC 6585, section 4, and RFC 9110, section 10.2.3). With redirects it has another
meaning."""


def retry_after(response: Response, now: float) -> float:
    """When the site wants to be asked again, in seconds since the epoch, as is ``now``. 0: it does
    not say, or the time has passed.

    ``Retry-After`` is in seconds or a date (RFC 9110, section 10.2.3). A date is by the site's
    clock, so its distance from the response's ``Date`` is what counts.
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


def delay(host: Host, until: float) -> bool:
    """Delay the requests of a host until that time; an earlier one does not shorten the delay.

    Returns whether the delay has grown, so that the host has to be blocked and stored.
    """
    if until <= host.wait_until:
        return False
    host.wait_until = until
    return True


def _header(response: Response, name: bytes) -> str:
    value = response.headers.get(name)
    return "" if value is None else value.decode("latin-1").strip()


def _moment(text: str) -> float:
    """Parse a date to seconds since the epoch; 0: it is invalid. Without a zone it is UTC."""
    try:
        date = parsedate_to_datetime(text)
        return (date if date.tzinfo else date.replace(tzinfo=timezone.utc)).timestamp()
    except (TypeError, ValueError, OverflowError):
        return 0.0
