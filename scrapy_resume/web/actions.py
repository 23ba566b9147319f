"""What people do to a job here: retry, park, skip, stop, recover. Through ``steering`` alone."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from scrapy_resume.errors import ConfigurationError
from scrapy_resume.events.action_log import add_action
from scrapy_resume.model import JobKey, Selection
from scrapy_resume.reporting.filters import named_url, selection
from scrapy_resume.steering import park, retry, skip
from scrapy_resume.store import open_location
from scrapy_resume.store.contract import Span
from scrapy_resume.store.transaction.steering import to_park, to_retry, to_skip
from scrapy_resume.web.ask import Ask
from scrapy_resume.web.expected import CountDiffersError, expected_number
from scrapy_resume.web.query import QueryError, filters_of_body
from scrapy_resume.web.step_actions import change_steps

logger = logging.getLogger("scrapy_resume.web")

SHOWN: Final = 20
"""URLs of a preview."""

CHANGES: Final[Mapping[str, tuple[Callable[..., int], Callable[[Selection], Selection]]]] = {
    "retry": (retry, to_retry),
    "park": (park, to_park),
    "skip": (skip, to_skip),
}
"""What changes requests, and what it takes of a selection."""

ACTIONS: Final = (*CHANGES, "stop", "recover")

BOUNDS: Final = frozenset({"limit", "max_attempts", "rounds"})
"""Filters that say how many, not which."""


@dataclass(frozen=True)
class Who:
    """Who does it, as far as that is known."""

    client: str
    """The address that the request came from."""
    said: str | None = None
    """What a proxy says who it is."""

    def text(self) -> str:
        """For the log."""
        return f"{self.said} ({self.client})" if self.said else self.client


def act(ask: Ask, action: str, body: Mapping[str, Any], who: Who) -> dict[str, Any]:
    """Do it, or with ``dry_run`` only say what would be done; returns the command's document.

    Raises ``CountDiffersError``, ``QueryError``, ``ValueError`` and what ``steering`` raises.
    """
    key = ask.key()
    ask.reports.summary(key)  # raises if the job cannot be read
    fields = dict(body)
    dry_run = _flag(fields.pop("dry_run", False), "dry_run")
    if action in CHANGES:
        expect = fields.pop("expect", None)
        if "step" in fields:
            document, filters = change_steps(
                ask, key, action, fields, dry_run=dry_run, expect=expect
            )
        else:
            filters = filters_of_body(fields)
            document = _change(
                ask, key, action, filters, dry_run=dry_run, expect=expected_number(expect)
            )
    elif fields or dry_run:
        raise QueryError(f"{action} takes no filters, and no dry_run")
    else:
        filters = {}
        document = _stop(ask, key) if action == "stop" else _recover(ask, key)
    if not dry_run:
        _note(ask, key, action, filters, document, who)
    return document


def _change(
    ask: Ask,
    key: JobKey,
    action: str,
    filters: dict[str, Any],
    *,
    dry_run: bool,
    expect: int | None,
) -> dict[str, Any]:
    change, choose = CHANGES[action]
    if action != "retry" and not filters.keys() - BOUNDS:
        raise QueryError(f"give at least one filter that says what to {action}")
    if "urls" in filters:
        filters["urls"] = [named_url(line) for line in filters["urls"]]
    if action == "retry":
        filters["rounds"] = ask.board.retry_rounds
        if filters.get("dead") and not ask.board.retry_rounds:
            raise ConfigurationError("There are no dead letters: RESUME_RETRY_ROUNDS is 0.")
    location = ask.board.location
    if dry_run:
        count = change(location, key, dry_run=True, **filters)
        return _preview(ask, key, choose(selection(**filters)), count)
    if expect is not None:
        found = change(location, key, dry_run=True, **filters)
        if found != expect:
            raise CountDiffersError(expect, found)
        # What arrives between the two looks is not in the preview that was agreed to.
        filters = {**filters, "limit": expect}
    count = change(location, key, **filters) if expect != 0 else 0
    return {"id": ask.path["id"], "job": str(key), "requests": count, "dry_run": False}


def _preview(ask: Ask, key: JobKey, chosen: Selection, count: int) -> dict[str, Any]:
    rows: list[dict[str, Any]] = []
    if count:
        meant = replace(chosen, changeable=True)
        rows = ask.pages.request_page(key, meant, Span(limit=SHOWN)).rows
    return {
        "id": ask.path["id"],
        "job": str(key),
        "requests": count,
        "dry_run": True,
        "urls": [row["url"] for row in rows],
    }


def _stop(ask: Ask, key: JobKey) -> dict[str, Any]:
    asked = open_location(ask.board.location).stop(key)
    answer = ask.reports.job(key)
    return {
        "id": ask.path["id"],
        "job": str(key),
        "asked": [run.worker for run in asked],
        "stopped": not asked,
        "status": answer["status"],
        "reason": answer["reason"],
    }


def _recover(ask: Ask, key: JobKey) -> dict[str, Any]:
    recovery = open_location(ask.board.location).recover(key, ask.board.crash_limit)
    return {
        "id": ask.path["id"],
        "job": str(key),
        "workers": list(recovery.workers),
        "requests": recovery.requests,
        "parked": recovery.parked,
        "alive": list(recovery.alive),
        "status": ask.reports.job(key)["status"],
    }


def _note(
    ask: Ask,
    key: JobKey,
    action: str,
    filters: Mapping[str, Any],
    document: Mapping[str, Any],
    who: Who,
) -> None:
    """Write down who has done what: in the log of this process, and beside the job's events."""
    given = {name: value for name, value in filters.items() if name != "rounds"}
    for name in ("urls", "items"):  # they may be a million
        if name in filters:
            given[name] = len(filters[name])
    fields: dict[str, Any] = {"action": action, "by": who.text(), "filters": given}
    fields["requests"] = document.get("requests")
    if "steps" in document:
        fields["steps"] = document["steps"]
    logger.info("%s of %s by %s: %s", action, key, who.text(), fields)
    try:
        add_action(ask.board.events, key, f"{socket.gethostname()}:{os.getpid()}", fields)
    except OSError as error:
        logger.warning("The action could not be written to %s: %s", ask.board.events, error)


def _flag(value: object, name: str) -> bool:
    if not isinstance(value, bool):
        raise QueryError(f"{name} is true or false")
    return value
