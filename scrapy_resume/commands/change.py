"""What retry, park and skip have in common: they list, change and say what they have left alone."""

from __future__ import annotations

import shlex
from argparse import ArgumentParser
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from scrapy_resume.commands.arguments import add_filters, add_job, add_json
from scrapy_resume.commands.invocation import Invocation, unknown_line
from scrapy_resume.commands.portions import row_limit
from scrapy_resume.commands.request_table import print_requests
from scrapy_resume.commands.step_lines import retry_command, troubled_steps
from scrapy_resume.reporting.nouns import nouns_of
from scrapy_resume.reporting.step_documents import steps_answer
from scrapy_resume.wording import counted

if TYPE_CHECKING:
    from scrapy_resume.model import JobKey, JobSummary, Selection


def add_change_arguments(parser: ArgumentParser, verb: str) -> None:
    """Declare what they have in common: the job, the filters, ``--limit`` and ``--dry-run``."""
    add_job(parser)
    add_json(parser)
    add_filters(parser, f"{verb} at most N requests, those that were found first")
    parser.add_argument("--dry-run", action="store_true", help="only list them")


def given_filters(call: Invocation) -> dict[str, Any]:
    """The filters of a command that needs one; ends with exit code 2 without any."""
    filters = call.filters()
    if not filters.keys() - BOUNDS:
        call.usage_error("give at least one filter")
    return filters


REMEDIES: Final = {
    "done": "done (--state done takes them)",
    "ignored": "ignored (--state ignored takes them)",
    "skipped": "skipped for good (--skipped takes them)",
    "dead": "failed in each of RESUME_RETRY_ROUNDS rounds of retry (--dead takes them)",
    "failed": "failed (--state failed takes them)",
    "parked": "parked (--state parked takes them)",
    "pending": "waiting to be {fetched} anyway",
    "leased": "being {fetched}",
}
"""State → how many there are of it, the end of "3 …"."""


@dataclass(frozen=True)
class Change:
    """One of these commands."""

    change: Callable[..., int]
    """The function of ``steering``."""
    choose: Callable[[Selection], Selection]
    """What it takes of a selection."""
    changed: str
    """What the requests are then, the end of a sentence; ``{fetched}``: the word of the job's
    kind."""
    states: frozenset[str]
    """The names of the states that it takes when none is given."""
    remedies: Mapping[str, str] = field(default_factory=lambda: REMEDIES)
    """State → the words that follow the number of those that it has left alone."""
    goes_on: bool = False
    """It says what to run next."""


def run_change(call: Invocation, change: Change, filters: dict[str, Any]) -> int:
    """List the requests (``--dry-run``) or change them, and say so. Returns the exit code."""
    dry_run = call.arguments.dry_run
    reports = call.reports()
    key = call.find_job()
    try:
        left = _left(call, key, change, filters)
        count = change.change(call.store_location(), key, dry_run=dry_run, **filters)
    except ValueError as error:
        call.usage_error(str(error))
    unknown = call.unknown_names(filters)
    if call.arguments.json:
        document: dict[str, Any] = {"job": str(key), "requests": count, "dry_run": dry_run}
        rows = _meant(call, key, change, filters, filters.get("limit"))
        urls = [row["url"] for row in rows] if dry_run and count else []
        if left or unknown or urls:
            document["left"] = [{"state": name, "requests": left[name]} for name in left]
            document |= {"unknown": unknown, "urls": urls}
        call.print_json(document)
        return 0
    job = reports.summary(key)
    nouns = nouns_of(job.kind)
    call.print_lines([_outcome(job, count, change, dry_run=dry_run)])
    if dry_run and count:
        limit = filters.get("limit")
        rows = _meant(call, key, change, filters, row_limit(limit))
        print_requests(call, rows, limit, nouns_of(job.kind))
    if left:
        shares = (
            f"{number:,} {change.remedies[state].format(fetched=nouns.fetched)}"
            for state, number in left.items()
        )
        call.print_lines([f"Left alone: {'; '.join(shares)}"])
    if change.goes_on and not filters.keys() - BOUNDS and job.counts.items_failed:
        lost = counted(job.counts.items_failed, "item")
        pages = f"{nouns_of(job.kind).page}s"
        call.print_lines(
            [f"Left alone: {pages} that are done, but lost {lost} (--partial takes them)"]
        )
    if change.goes_on and not filters.keys() - BOUNDS:
        steps = troubled_steps({"steps": steps_answer(reports.step_counts(key))})
        call.print_lines(
            f"Left alone: {counted(number, 'step')} {step!r} of items ({retry_command(key, step)})"
            for step, number in steps.items()
        )
    if unknown:
        call.print_lines([unknown_line(unknown)])
    if count and change.goes_on and not dry_run and not job.alive:
        call.print_lines([next_line(call, key, job)])
    return 0


def _meant(
    call: Invocation, key: JobKey, change: Change, filters: Mapping[str, Any], limit: int | None
) -> Iterator[dict[str, Any]]:
    """The requests that the command takes."""
    from scrapy_resume.reporting.filters import selection

    chosen = change.choose(selection(**filters))
    return call.reports().selected(key, replace(chosen, changeable=True), limit)


def _outcome(job: JobSummary, count: int, change: Change, *, dry_run: bool) -> str:
    nouns = nouns_of(job.kind)
    noun = nouns.request
    if not count:
        return f"No {noun} of {job.key} {'would be' if dry_run else 'is'} changed"
    verb = "would be" if dry_run else "is" if count == 1 else "are"
    changed = change.changed.format(fetched=nouns.fetched)
    line = f"{counted(count, noun)} of {job.key} {verb} {changed}"
    if not change.goes_on:
        return line
    crawl = nouns.crawl
    return (
        f"{line} by {f'the {nouns.program} that is running' if job.alive else f'its next {crawl}'}"
    )


def _left(
    call: Invocation, key: JobKey, change: Change, filters: Mapping[str, Any]
) -> dict[str, int]:
    """How many requests match as well, but are in states that the command leaves alone.

    Empty if the states are given.
    """
    if filters.keys() & {"state", "skipped", "partial", "dead"}:
        return {}
    conditions = {name: value for name, value in filters.items() if name not in BOUNDS}
    reports = call.reports()
    counts = reports.count_by_state(key, **conditions) if conditions else ignored_of(call, key)
    if change.goes_on and filters.get("rounds"):
        dead = {**conditions, "dead": True, "rounds": filters["rounds"]}
        counts = {**counts, "dead": sum(reports.count_by_state(key, **dead).values())}
    taken = change.states
    return {
        state: counts[state]
        for state in change.remedies
        if state not in taken and counts.get(state)
    }


BOUNDS: Final = frozenset({"limit", "max_attempts", "rounds"})
"""Filters that say how many, not which."""


def ignored_of(call: Invocation, key: JobKey) -> dict[str, int]:
    """How many requests are ignored, and skipped, without reading all of them."""
    reports = call.reports()
    skipped = reports.skipped_count(key)
    return {"ignored": reports.summary(key).counts.ignored - skipped, "skipped": skipped}


def next_line(call: Invocation, key: JobKey, job: JobSummary, verb: str | None = None) -> str:
    """Says what to run so that what was retried is fetched (or what the ``verb`` says), of a job
    that nobody crawls. ``verb``: ``None``: what its runs do with a request."""
    nouns = nouns_of(job.kind)
    verb = verb or nouns.fetch
    if job.launch is None:
        return f"Run its {nouns.program} again to {verb} them"
    if _is_doubtful(call, job):
        return (
            f"Run the {nouns.program}'s own command again to {verb} them "
            f"(`scrapy resume run {shlex.quote(str(key))} --dry-run` shows it)"
        )
    words = ["scrapy", "resume", "run", str(key)]
    location = call.settings.get("RESUME_STORE")
    priority = call.settings.getpriority("RESUME_STORE")
    if location and priority == COMMAND_LINE_PRIORITY and "://" not in str(location):
        words += ["-s", f"RESUME_STORE={location}"]
    return f"{verb.capitalize()} them with: {shlex.join(words)}"


def _is_doubtful(call: Invocation, job: JobSummary) -> bool:
    """Whether ``run`` refuses to start the recorded command on the store's word alone: of a job
    that was completed, no note says any more that the file of its ``-o`` is its own."""
    from scrapy_resume.commands.recorded_command import doubtful_words
    from scrapy_resume.errors import ConfigurationError

    try:
        return bool(doubtful_words(call, job))
    except ConfigurationError:
        return False  # it says itself what is missing


COMMAND_LINE_PRIORITY: Final = 40
"""Scrapy's, of settings that are given with ``-s``."""
