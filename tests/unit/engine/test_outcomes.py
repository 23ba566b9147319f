"""What a failure on its way to the errback says of its request."""

from __future__ import annotations

import pytest
from scrapy.exceptions import IgnoreRequest
from scrapy.http import Response
from scrapy.spidermiddlewares.httperror import HttpError
from twisted.internet.error import TimeoutError as TwistedTimeoutError

from scrapy_resume.engine.outcomes import outcome_of
from scrapy_resume.errors import http_status_of
from scrapy_resume.frontier.row import Row
from scrapy_resume.model import State


class DroppedByMiddleware(IgnoreRequest):
    pass


def http_error(status: int) -> HttpError:
    return HttpError(Response("http://shop.test/", status=status), f"Ignoring {status}")


@pytest.mark.parametrize("status", [404, 410])
def test_a_filtered_response_with_a_code_that_is_given_is_ignored(status: int) -> None:
    state, name, message, found = outcome_of(http_error(status), {404, 410})
    assert (state, name, found) == (State.ignored, "HttpError", status)
    assert str(status) in message


@pytest.mark.parametrize("codes", [set(), {404, 410}])
@pytest.mark.parametrize("status", [301, 400, 403, 429, 500, 503])
def test_a_filtered_response_with_any_other_code_has_failed(status: int, codes: set[int]) -> None:
    state, name, _, found = outcome_of(http_error(status), codes)
    assert (state, name, found) == (State.failed, "HttpError", status)


@pytest.mark.parametrize("error", [IgnoreRequest("why"), DroppedByMiddleware("why")])
def test_what_a_middleware_ignores_is_ignored_with_its_name(error: IgnoreRequest) -> None:
    assert outcome_of(error, ()) == (State.ignored, type(error).__name__, "why", None)


@pytest.mark.parametrize("error", [ValueError("why"), TwistedTimeoutError("why"), KeyError()])
def test_anything_else_is_a_failure_with_its_name(error: Exception) -> None:
    assert outcome_of(error, {404}) == (State.failed, type(error).__name__, str(error), None)


class NoText(Exception):
    """An error whose text cannot be had."""

    def __str__(self) -> str:
        raise AttributeError("no text")


def test_an_error_without_a_text_is_an_error_all_the_same() -> None:
    said = "(no message: its str() raises AttributeError)"
    assert outcome_of(NoText(), {404}) == (State.failed, "NoText", said, None)
    row = Row(1, b"", recorded=True)
    row.item_failed(0, NoText())
    assert (row.items_failed, row.error, row.error_message) == (1, "NoText", f"item 1: {said}")


def test_the_first_trouble_stays_whatever_the_errback_does() -> None:
    row = Row(1, b"", recorded=True)
    row.set_outcome(State.failed, "TimeoutError", "after 3 s")
    row.set_outcome(State.done)
    row.set_outcome(State.ignored, "IgnoreRequest", "later")
    assert (row.state, row.error, row.error_message) == (State.failed, "TimeoutError", "after 3 s")


def test_a_very_long_message_is_cut() -> None:
    row = Row(1, b"", recorded=True)
    row.set_outcome(State.failed, "ValueError", "x" * 10_000_000)
    assert row.error_message is not None
    assert len(row.error_message) == 2000


@pytest.mark.parametrize(
    ("status", "said", "message"),
    [
        (429, "Ignoring non-200 response", "HTTP 429 Too Many Requests"),
        (500, "Ignoring non-200 response", "HTTP 500 Internal Server Error"),
        (520, "Ignoring non-200 response", "HTTP 520"),
        (403, "blocked by the shop", "HTTP 403 Forbidden: blocked by the shop"),
        (403, "", "HTTP 403 Forbidden"),
    ],
)
def test_a_filtered_response_is_told_by_its_status(status: int, said: str, message: str) -> None:
    error = HttpError(Response("http://shop.test/", status=status), said)
    outcome = outcome_of(error, ())
    assert outcome.message == message
    assert http_status_of(outcome.message) == status


@pytest.mark.parametrize("message", [None, "", "HTTP", "HTTP is down", "HTTP 20", "no HTTP 429"])
def test_other_messages_have_no_status(message: str | None) -> None:
    assert http_status_of(message) is None
