"""What a failure on the way to the errback means for its request."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scrapy.exceptions import IgnoreRequest
from scrapy.spidermiddlewares.httperror import HttpError

from scrapy_resume.model import Outcome, State

if TYPE_CHECKING:
    from collections.abc import Collection


def outcome_of(error: BaseException, ignored_http_codes: Collection[int]) -> Outcome:
    """The outcome of a request whose download failed, or whose response was filtered.

    A filtered response is ``HttpError``, which is an ``IgnoreRequest`` too: it is ``ignored``
    for the codes that are given, and ``failed`` for all others.
    """
    name, message = type(error).__name__, str(error)
    if isinstance(error, HttpError):
        status = error.response.status
        state = State.ignored if status in ignored_http_codes else State.failed
        return Outcome(state, name, message, status)
    if isinstance(error, IgnoreRequest):
        return Outcome(State.ignored, name, message)
    return Outcome(State.failed, name, message)
