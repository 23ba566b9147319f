"""What every page of a job has around it."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from scrapy_resume.model import LIVE_STATUSES, JobKey
from scrapy_resume.reporting.times import seconds_of
from scrapy_resume.web.ask import Ask
from scrapy_resume.web.job_ids import job_id

OVER: Final = ("completed", "cancelled")


class Words(NamedTuple):
    """What a kind of job calls what it works on."""

    one: str
    many: str
    key: str
    """What stands where a request has its URL."""
    ended: str
    """What it counts as pages."""
    callback: str


WORDS: Final = {
    "crawl": Words("request", "requests", "URL", "pages", "callback"),
    "stage": Words("task", "tasks", "key", "tasks", "function"),
}

Shown = tuple[str, dict[str, Any]]
"""The name of a template, and what it needs."""


def frame(ask: Ask, key: JobKey, document: Mapping[str, Any]) -> dict[str, Any]:
    """What every page of a job has around it."""
    live = document["status"] in LIVE_STATUSES
    return {
        "title": str(key),
        "id": job_id(key),
        "key": str(key),
        "job": document,
        "kind": kind_of(document),
        "is_live": live,
        "is_stale": document["requests"] is not None and is_stale(ask, document),
        "say": say_of(document),
        "has_steps": bool(document.get("steps")),
        "command": command_of(ask, key),
        "tab": "",
    }


def command_of(ask: Ask, key: JobKey) -> str:
    """The command that goes on with a job. A database's URL may contain a password: left out."""
    words = ["scrapy", "resume", "run", str(key)]
    if not ask.board.location.is_database:
        words += ["-s", f"RESUME_STORE={ask.board.location}"]
    return shlex.join(words)


def kind_of(document: Mapping[str, Any]) -> str:
    """``crawl``, or ``stage``."""
    return str(document.get("kind") or "crawl")


def say_of(document: Mapping[str, Any]) -> Words:
    """The words for a job of its kind."""
    return WORDS.get(kind_of(document), WORDS["crawl"])


def is_stale(ask: Ask, document: Mapping[str, Any]) -> bool:
    """Whether an unfinished job has not changed for ``RESUME_STALE_AFTER``."""
    silent = ask.now - seconds_of(document["updated_at"])
    return document["status"] not in OVER and silent > ask.board.stale_seconds


def readable_document(ask: Ask, key: JobKey) -> dict[str, Any]:
    """The document of a job that can be read. Raises ``StoreError``."""
    document = ask.document(key)
    if document["requests"] is None:
        ask.reports.summary(key)
    return document
