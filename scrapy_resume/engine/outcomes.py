"""Derives the outcome of a request from the failure that is passed to its errback."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from scrapy.exceptions import IgnoreRequest
from scrapy.spidermiddlewares.httperror import HttpError

from scrapy_resume.errors import http_status_text, message_of
from scrapy_resume.model import Outcome, State

if TYPE_CHECKING:
    from collections.abc import Collection


SCRAPY_SAYS: Final = "Ignoring non-200 response"
"""What Scrapy says of every filtered response, whatever its status is."""


def outcome_of(error: BaseException, ignored_http_codes: Collection[int]) -> Outcome:
    """The outcome of a request whose download failed, or whose response was filtered.

    An ``HttpError`` (a filtered response) is ``ignored`` if its status is in
    ``ignored_http_codes``, otherwise ``failed``. Any other ``IgnoreRequest`` is ``ignored``, any
    other error is ``failed``.
    """
    name, message = type(error).__name__, message_of(error)
    if isinstance(error, HttpError):
        status = error.response.status
        state = State.ignored if status in ignored_http_codes else State.failed
        return Outcome(state, name, _http_message(status, message), status)
    if isinstance(error, IgnoreRequest):
        return Outcome(State.ignored, name, message)
    return Outcome(State.failed, name, message)


def _http_message(status: int, message: str) -> str:
    """The status, and what somebody else than Scrapy has said of it."""
    own = message.removeprefix(SCRAPY_SAYS).strip()
    return f"{http_status_text(status)}: {own}" if own else http_status_text(status)
