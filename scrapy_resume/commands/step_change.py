"""What ``retry --step`` and ``skip --step`` do: they list, change and say what they left alone."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from msgspec.structs import asdict

from scrapy_resume.commands.change import next_line
from scrapy_resume.commands.invocation import Invocation
from scrapy_resume.commands.item_table import print_items
from scrapy_resume.commands.portions import row_limit
from scrapy_resume.commands.step_arguments import (
    STEP_OPTIONS,
    declared_or_none,
    step_filters,
    unknown_keys,
    unknown_keys_line,
)
from scrapy_resume.wording import counted

if TYPE_CHECKING:
    from scrapy_resume.model import JobKey, JobSummary
    from scrapy_resume.steps.declared import DeclaredStep
    from scrapy_resume.store.contract import SteeredSteps, StepSelection

PAGE_OPTIONS: Final = {
    "host": "--host",
    "status": "--status",
    "error": "--error",
    "callback": "--callback",
    "url": "--url",
    "urls": "--url-file",
    "unit": "--unit",
    "units": "--unit-file",
    "partial": "--partial",
    "skipped": "--skipped",
    "dead": "--dead",
    "max_attempts": "--max-attempts",
}
"""Filters of requests, which say nothing about steps."""

URLS_AT_MOST: Final = 10_000
"""Items that ``--dry-run --json`` lists."""


@dataclass(frozen=True)
class StepChange:
    """One of these commands."""

    change: Callable[..., SteeredSteps]
    """The function of ``steering``."""
    choose: Callable[[StepSelection], StepSelection]
    """What it takes of a selection."""
    changed: str
    """What the steps are then, the end of a sentence."""
    goes_on: bool = False
    """It says what to run next."""


def refuse_step_options(call: Invocation) -> None:
    """End with exit code 2 if options are given that need ``--step``."""
    given = [option for name, option in STEP_OPTIONS.items() if getattr(call.arguments, name)]
    if given:
        call.usage_error(f"{given[0]} is about steps of items: give --step as well")


def run_step_change(call: Invocation, change: StepChange) -> int:
    """List the steps (``--dry-run``) or change them, and say so. Returns the exit code."""
    key, step, dry_run = call.find_job(), call.arguments.step, call.arguments.dry_run
    filters, code = _filters(call, change)
    try:
        done = change.change(call.store_location(), key, step=step, dry_run=dry_run, **filters)
    except ValueError as error:
        call.usage_error(str(error))
    unknown = unknown_keys(call, filters)
    if call.arguments.json:
        rows = _meant(call, key, change, filters) if dry_run and done.steps else iter(())
        document = {
            "job": str(key),
            "step": step,
            "steps": done.steps,
            "consumed": done.consumed,
            "dry_run": dry_run,
            "unknown": unknown,
            "items": [row["key"] for row in islice(rows, URLS_AT_MOST)],
        }
        call.print_json(document)
        return 0
    job = call.reports().summary(key)
    call.print_lines([_outcome(job, step, done.steps, change, dry_run=dry_run)])
    if dry_run and done.steps:
        print_items(call, _meant(call, key, change, filters), call.arguments.limit)
    call.print_lines(_left(call, key, done, change, filters))
    if unknown:
        call.print_lines([unknown_keys_line(unknown)])
    if done.steps and change.goes_on and not dry_run:
        call.print_lines(_about_code(step, code))
        if not job.alive:
            call.print_lines([next_line(call, key, job, "run")])
    return 0


def _about_code(step: str, code: DeclaredStep | None) -> Iterator[str]:
    """What keeps the crawl from running the step, as far as this command knows its settings."""
    if code is None:
        here = "where this command is run: the crawl needs its code"
        yield f"RESUME_STEPS has no step {step!r} {here}"
    elif not code.is_on:
        yield f"RESUME_STEPS switches {step!r} off: the crawl will skip it"


def _filters(call: Invocation, change: StepChange) -> tuple[dict[str, Any], DeclaredStep | None]:
    """The filters, and what the project's code says about the step, if it says something."""
    given = call.filters()
    if call.arguments.__dict__.get("max_attempts") is not None:
        given["max_attempts"] = call.arguments.max_attempts
    if wrong := [option for name, option in PAGE_OPTIONS.items() if name in given]:
        call.usage_error(f"{wrong[0]} is about requests; with --step give --item or --missing")
    filters = step_filters(call)
    filters |= {name: given[name] for name in ("state", "missing", "limit") if name in given}
    if not change.goes_on:
        return filters, None
    code = declared_or_none(call, call.arguments.step)
    if code is not None:
        filters |= {"after": code.after, "is_consumed": code.is_consumed}
    return filters, code


def _meant(
    call: Invocation, key: JobKey, change: StepChange, filters: dict[str, Any]
) -> Iterator[dict[str, Any]]:
    """The items whose steps the command takes."""
    from scrapy_resume.reporting.step_documents import step_selection

    chosen = change.choose(step_selection(call.arguments.step, **filters))
    limit = chosen.limit if call.arguments.json else row_limit(chosen.limit)
    return call.reports().stepped_records(key, replace(chosen, limit=limit))


def _outcome(job: JobSummary, step: str, count: int, change: StepChange, *, dry_run: bool) -> str:
    if not count:
        return f"No step {step!r} of {job.key} {'would be' if dry_run else 'is'} changed"
    verb = "would be" if dry_run else "is" if count == 1 else "are"
    line = f"{counted(count, 'step')} {step!r} of {job.key} {verb} {change.changed}"
    if not change.goes_on:
        return line
    return f"{line} by {'the crawl that is running' if job.alive else 'its next crawl'}"


def _left(
    call: Invocation,
    key: JobKey,
    done: SteeredSteps,
    change: StepChange,
    filters: dict[str, Any],
) -> Iterator[str]:
    """What was left alone, and what takes it."""
    step = call.arguments.step
    if not filters.keys() & {"state", "items", "missing", "version"}:
        others = asdict(call.reports().step_counts(key)[step])
        states = ("done", "skipped") if change.goes_on else ("done",)
        counts = [f"{others[state]:,} {state}" for state in states if others[state]]
        if counts:
            remedy = " (--state takes them)" if change.goes_on else ""
            yield f"Left alone: {', '.join(counts)}{remedy}"
    if done.consumed:
        yield (
            f"Left alone: {counted(done.consumed, 'item')} whose input for {step!r} was consumed. "
            f"Fetch their pages again: {_urls_command(call, key)} | "
            f"scrapy resume retry {shlex.quote(str(key))} --state done --url-file -"
        )


def _urls_command(call: Invocation, key: JobKey) -> str:
    """The command that lists the pages of the items that were left alone."""
    arguments = call.arguments
    states = arguments.state or ["done,skipped,failed,parked"]
    words = ["scrapy", "resume", "items", str(key), "--step", arguments.step]
    words += ["--step-state", ",".join(states)]
    for option, values in (("--item", arguments.item), ("--missing", arguments.missing)):
        for value in values or ():
            words += [option, value]
    if arguments.item_file is not None:
        words += ["--item-file", arguments.item_file]
    if arguments.outdated:
        words.append("--outdated")
    return shlex.join([*words, "--urls"])
