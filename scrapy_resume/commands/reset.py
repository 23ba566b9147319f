"""``scrapy resume reset``: jobs are deleted."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final

from scrapy_resume.commands.acting import store_of
from scrapy_resume.commands.call import Call, add_json, one_line
from scrapy_resume.commands.outcome import fail
from scrapy_resume.commands.terminal import printable
from scrapy_resume.errors import JobError, StoreError

if TYPE_CHECKING:
    from scrapy_resume.model import JobKey
    from scrapy_resume.store.contract import Store

HELP: Final = "deletes jobs, with their requests and items; their feeds stay"

SHOWN: Final = 10


def add_arguments(parser: ArgumentParser) -> None:
    """The arguments of ``scrapy resume reset``."""
    parser.add_argument(
        "jobs", nargs="*", metavar="JOB", help="name, the latest job of it, or name#number"
    )
    add_json(parser)
    parser.add_argument("--all", action="store_true", help="all jobs of the store")
    parser.add_argument("--yes", action="store_true", help="don't ask")


def run(call: Call) -> int:
    """Delete what is meant; 1 if some of it had to be left alone."""
    arguments = call.arguments
    if bool(arguments.jobs) == arguments.all:
        call.usage_error("which jobs? Name them, or give --all")
    reports, store = call.reports(), store_of(call)
    if arguments.all:
        keys = store.jobs()
    else:
        keys = list(dict.fromkeys(reports.find(job) for job in arguments.jobs))
    if not keys:
        if arguments.json:
            call.print_json({"deleted": [], "left": []})
        else:
            call.print_lines([f"There are no jobs in {reports.location}."])
        return 0
    if not arguments.yes and not _agreed(call, keys):
        print("Nothing is deleted.", file=sys.stderr)
        return 1
    return delete(call, store, keys)


def _agreed(call: Call, keys: Sequence[JobKey]) -> bool:
    """Ask whoever sits there; ends with 2 if nobody does."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        call.usage_error("nobody can be asked here: --yes deletes without asking")
    names = ", ".join(map(str, keys[:SHOWN])) + (", …" if len(keys) > SHOWN else "")
    jobs = "1 job" if len(keys) == 1 else f"{len(keys)} jobs"
    print(printable(f"Delete {jobs} ({names})? [y/N] "), end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def delete(
    call: Call,
    store: Store,
    keys: Iterable[JobKey],
    *,
    completed_before: float | None = None,
    unreadable: Sequence[dict[str, Any]] = (),
) -> int:
    """Delete jobs one by one and say which; what cannot be deleted does not keep the others."""
    from scrapy_resume.events.log_files import remove_events
    from scrapy_resume.settings.location import event_directory

    events = event_directory(call.settings)
    deleted: list[str] = []
    left = list(unreadable)
    for key in keys:
        try:
            if store.delete(key, completed_before=completed_before):
                deleted.append(str(key))
                remove_events(events, key)
        except (JobError, StoreError) as error:
            left.append({"job": str(key), "error": one_line(error)})
    return tell_deleted(call, deleted, left)


def tell_deleted(
    call: Call, deleted: Sequence[str], left: Sequence[dict[str, Any]], would: bool = False
) -> int:
    """Say what became of jobs; 1 if some were left alone."""
    if call.arguments.json:
        call.print_json({"deleted": deleted, "left": left})
    else:
        verb = "would be" if would else "is"
        call.print_lines(f"{job} {verb} deleted" for job in deleted)
    if left:
        return fail("; ".join(f"{row['job']} is left alone: {row['error']}" for row in left))
    return 0
