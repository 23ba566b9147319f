"""The pages about who works on a job, and what has happened."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from scrapy_resume.events.log_files import TYPES
from scrapy_resume.reporting.details import workers_answer
from scrapy_resume.web.ask import Ask
from scrapy_resume.web.event_tail import has_log, last_events
from scrapy_resume.web.job_frame import Shown, frame, readable_document
from scrapy_resume.web.query import QueryError

EVENTS_AT_MOST: Final = 200


def workers(ask: Ask) -> Shown:
    """Who works on a job."""
    key = ask.key()
    document = readable_document(ask, key)
    return "workers", {
        **frame(ask, key, document),
        "tab": "workers",
        "workers": workers_answer(ask.pages.workers(key)),
    }


def events(ask: Ask) -> Shown:
    """The end of the event log."""
    key = ask.key()
    kinds = _kinds(ask.query.getlist("type"))
    found = last_events(ask.board.events, key, EVENTS_AT_MOST, kinds)
    return "events", {
        **frame(ask, key, readable_document(ask, key)),
        "tab": "events",
        "events": [_shown_event(event) for event in found],
        "types": TYPES,
        "chosen": kinds,
        "has_log": has_log(ask.board.events, key),
        "directory": str(ask.board.events),
    }


def _kinds(given: Sequence[str]) -> list[str]:
    kinds = [one for text in given for one in text.split(",") if one]
    for kind in kinds:
        if kind not in TYPES:
            raise QueryError(f"there is no event type {kind!r}")
    return kinds


def _shown_event(event: Mapping[str, Any]) -> dict[str, Any]:
    """An event for the page. The log is a file, in which anything may stand."""
    return {
        "time": str(event.get("time", "")),
        "run": event.get("run"),
        "type": str(event.get("type", "")),
        "url": event.get("url"),
        "rest": list(_rest_of(event)),
    }


def _rest_of(event: Mapping[str, Any]) -> Iterable[tuple[str, Any]]:
    """What an event says beside when and which, in the order in which it was written."""
    for name, value in event.items():
        if name in ("time", "type", "job", "run", "worker", "url") or value in (None, {}, []):
            continue
        if isinstance(value, dict):
            value = ", ".join(f"{one} {what}" for one, what in value.items() if what)
        if isinstance(value, bool):
            value = "yes" if value else "no"
        if value == "":
            continue
        yield name.replace("_", " "), value
