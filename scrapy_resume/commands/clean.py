"""``scrapy resume clean``: deletes old completed jobs, and those that nobody has gone on with."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from scrapy_resume.commands.arguments import add_json, amount, count
from scrapy_resume.commands.formats import one_line
from scrapy_resume.commands.invocation import Invocation
from scrapy_resume.commands.reset import delete, print_deleted
from scrapy_resume.commands.writable_store import writable_store
from scrapy_resume.model import LIVE_STATUSES
from scrapy_resume.reporting.nouns import nouns_of
from scrapy_resume.reporting.times import iso
from scrapy_resume.wording import counted_are

if TYPE_CHECKING:
    from scrapy_resume.model import JobSummary

HELP: Final = "delete jobs that were completed, or left, more than N days ago"

DAY_SECONDS: Final = 86_400

FUTURE_SECONDS: Final = 3_600.0
"""A job that was completed later than so long after now has its time from a clock that was wrong:
it would never be old enough."""


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the arguments."""
    add_json(parser)
    parser.add_argument(
        "--days", type=amount, required=True, metavar="N", help="completed more than N days ago"
    )
    parser.add_argument(
        "--keep",
        type=count,
        default=0,
        metavar="N",
        help="keep the latest N completed jobs of each name, whatever their age (default 0)",
    )
    parser.add_argument(
        "--unfinished",
        action="store_true",
        help="also jobs that are not completed, and that nobody has gone on with for N days",
    )
    parser.add_argument("--dry-run", action="store_true", help="only list them")


def run(call: Invocation) -> int:
    """Delete the jobs; exit code 1 if there are jobs that cannot be read or deleted."""
    from scrapy_resume.run.pruning import needed_by_delta, readable

    days, keep = call.arguments.days, call.arguments.keep
    store = writable_store(call)
    completed_before = call.clock.now() - days * DAY_SECONDS
    unreadable: list[dict[str, Any]] = []
    jobs = readable(
        store,
        store.jobs(),
        lambda key, error: unreadable.append({"job": str(key), "error": one_line(error)}),
    )
    completed = [job for job in jobs if job.status == "completed" and not job.alive]
    open_ = [job for job in jobs if job.status != "completed" and not job.alive]
    untouched = {
        summary.key: completed_before
        for summary in (open_ if call.arguments.unfinished else ())
        if summary.updated_at < completed_before
    }
    extended = {summary.key for summary in (*completed, *open_) if summary.round}
    old = [
        summary.key
        for summary in _without_latest(completed, keep)
        if summary.completed_at is not None and summary.completed_at < completed_before
    ]
    old = sorted([*old, *untouched], key=lambda key: (key.name, key.number))
    unreadable += [_from_the_future(summary) for summary in completed if _is_future(summary, call)]
    needed = needed_by_delta(jobs, old)
    for key in old:
        if key in needed:
            call.note(f"{key} is kept: the delta crawl {needed[key]} rests on its items")
        elif key in extended:
            call.note(f"{key} is kept: it is extended; `scrapy resume reset '{key}'` deletes it")
    old = [key for key in old if key not in needed and key not in extended]
    for job in open_:
        if job.key in old:
            status = "crashed" if job.status in LIVE_STATUSES else job.status
            left = counted_are(job.counts.open, nouns_of(job.kind).request)
            call.note(f"{job.key} is unfinished ({status}): {left} open")
    if call.arguments.dry_run:
        return print_deleted(call, [str(key) for key in old], unreadable, verb="would be")
    return delete(
        call,
        store,
        old,
        completed_before=completed_before,
        untouched_since=untouched,
        unreadable=unreadable,
    )


def _is_future(summary: JobSummary, call: Invocation) -> bool:
    return (summary.completed_at or 0.0) > call.clock.now() + FUTURE_SECONDS


def _from_the_future(summary: JobSummary) -> dict[str, Any]:
    completed_at = iso(summary.completed_at or 0.0)
    error = (
        f"it was completed at {completed_at}, which is yet to come: a clock is or was wrong; "
        f"`scrapy resume reset '{summary.key}'` deletes it"
    )
    return {"job": str(summary.key), "error": error}


def _without_latest(completed: Sequence[JobSummary], keep: int) -> list[JobSummary]:
    names: dict[str, list[JobSummary]] = {}
    for summary in completed:
        names.setdefault(summary.key.name, []).append(summary)
    return [summary for jobs in names.values() for summary in (jobs[:-keep] if keep else jobs)]
