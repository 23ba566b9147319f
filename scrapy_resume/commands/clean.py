"""``scrapy resume clean``: completed jobs that are old are deleted."""

from __future__ import annotations

import time
from argparse import ArgumentParser
from collections.abc import Sequence
from math import isfinite
from typing import TYPE_CHECKING, Any, Final

from scrapy_resume.commands.acting import store_of
from scrapy_resume.commands.call import Call, add_json, one_line
from scrapy_resume.commands.reset import delete, tell_deleted
from scrapy_resume.errors import JobNotFoundError, StoreError

if TYPE_CHECKING:
    from scrapy_resume.model import JobSummary
    from scrapy_resume.store.contract import Store

HELP: Final = "deletes completed jobs that are older than so many days"

DAY_SECONDS: Final = 86_400


def add_arguments(parser: ArgumentParser) -> None:
    """The arguments of ``scrapy resume clean``."""
    add_json(parser)
    parser.add_argument(
        "--days", type=float, required=True, metavar="N", help="completed longer ago than that"
    )
    parser.add_argument(
        "--keep",
        type=int,
        default=0,
        metavar="N",
        help="of each name, the latest completed ones that stay whatever their age (default 0)",
    )
    parser.add_argument("--dry-run", action="store_true", help="only say which they are")


def run(call: Call) -> int:
    """Delete what is meant; 1 if there is something that cannot be read, or be deleted."""
    days, keep = call.arguments.days, call.arguments.keep
    if not (isfinite(days) and days >= 0):
        call.usage_error("--days has to be a number from 0")
    if keep < 0:
        call.usage_error("--keep has to be a number from 0")
    store = store_of(call)
    completed_before = time.time() - days * DAY_SECONDS
    completed, unreadable = _completed(store)
    old = [
        summary.key
        for summary in _without_latest(completed, keep)
        if summary.completed_at is not None and summary.completed_at < completed_before
    ]
    if call.arguments.dry_run:
        return tell_deleted(call, [str(key) for key in old], unreadable, would=True)
    return delete(call, store, old, completed_before=completed_before, unreadable=unreadable)


def _completed(store: Store) -> tuple[list[JobSummary], list[dict[str, Any]]]:
    """(completed jobs that nobody is on, what cannot be read), by name and number."""
    found = []
    unreadable = []
    for key in store.jobs():
        try:
            summary = store.summary(key)
        except JobNotFoundError:
            continue  # deleted since it was listed
        except StoreError as error:
            unreadable.append({"job": str(key), "error": one_line(error)})
            continue
        if summary.status == "completed" and not summary.alive:
            found.append(summary)
    return found, unreadable


def _without_latest(completed: Sequence[JobSummary], keep: int) -> list[JobSummary]:
    names: dict[str, list[JobSummary]] = {}
    for summary in completed:
        names.setdefault(summary.key.name, []).append(summary)
    return [summary for jobs in names.values() for summary in (jobs[:-keep] if keep else jobs)]
