"""``scrapy resume reset``: deletes jobs."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from scrapy_resume import stderr
from scrapy_resume.commands.arguments import JOB_HELP, add_json
from scrapy_resume.commands.formats import one_line
from scrapy_resume.commands.invocation import Invocation
from scrapy_resume.commands.terminal_output import printable
from scrapy_resume.commands.writable_store import forgetting, tidied_store
from scrapy_resume.errors import JobError, StoreError
from scrapy_resume.wording import counted

if TYPE_CHECKING:
    from scrapy_resume.model import JobKey
    from scrapy_resume.store.contract import Store

HELP: Final = "delete jobs with their requests and items; their feeds stay"

SHOWN: Final = 10
"""How many jobs the question names."""


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("jobs", nargs="*", metavar="JOB", help=JOB_HELP)
    add_json(parser)
    parser.add_argument("--all", action="store_true", help="delete all jobs of the store")
    parser.add_argument("--yes", action="store_true", help="do not ask")


def run(call: Invocation) -> int:
    """Delete the jobs; exit code 1 if some of them were left alone."""
    arguments = call.arguments
    if bool(arguments.jobs) == arguments.all:
        call.usage_error("name the jobs to delete, or give --all")
    reports = call.reports()
    store, completed = tidied_store(call)
    if arguments.all:
        keys = store.jobs()
    else:
        jobs = _without(arguments.jobs, completed)
        keys = list(dict.fromkeys(reports.find(job) for job in jobs))
    if not keys and completed:
        return print_deleted(call, [str(key) for key in completed], ())
    if not keys:
        if arguments.json:
            call.print_json({"deleted": [], "left": []})
        else:
            call.print_lines([f"There are no jobs in {reports.location}."])
        return 0
    if not arguments.yes and not _confirmed(call, keys):
        call.note("Nothing was deleted.")
        return 1
    return delete(call, store, keys)


def _without(jobs: Sequence[str], completed: Sequence[JobKey]) -> list[str]:
    """The jobs that are named, without those that an interrupted deletion has left half there."""
    gone = {str(key) for key in completed}
    return [job for job in jobs if job not in gone]


def _confirmed(call: Invocation, keys: Sequence[JobKey]) -> bool:
    """Ask the user; ends with exit code 2 if there is no terminal to ask on."""
    if sys.stdin is None or not (sys.stdin.isatty() and stderr.is_terminal()):
        call.usage_error("there is no terminal to ask on; --yes deletes without asking")
    names = ", ".join(map(str, keys[:SHOWN])) + (", …" if len(keys) > SHOWN else "")
    jobs = counted(len(keys), "job")
    print(printable(f"Delete {jobs} ({names})? [y/N] "), end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def delete(
    call: Invocation,
    store: Store,
    keys: Iterable[JobKey],
    *,
    completed_before: float | None = None,
    untouched_since: Mapping[JobKey, float] = MappingProxyType({}),
    unreadable: Sequence[dict[str, Any]] = (),
) -> int:
    """Delete jobs one by one and print which; a job that cannot be deleted is left alone.

    ``completed_before`` (seconds since the epoch): only jobs that were completed before that; but
    those in ``untouched_since`` whatever their status, if nobody has gone on with them since then.
    ``unreadable``: jobs that are reported as left alone, as ``print_deleted`` takes them.
    """
    forget = forgetting(call)
    deleted: list[str] = []
    left = list(unreadable)
    for key in keys:
        try:
            untouched = untouched_since.get(key)
            before = completed_before if untouched is None else None
            if store.delete(key, completed_before=before, untouched_since=untouched, forget=forget):
                deleted.append(str(key))
        except (JobError, StoreError) as error:
            left.append({"job": str(key), "error": one_line(error)})
    return print_deleted(call, deleted, left)


def print_deleted(
    call: Invocation, deleted: Sequence[str], left: Sequence[dict[str, Any]], verb: str = "is"
) -> int:
    """Print which jobs were deleted and which were ``left`` (``job``, ``error``).

    Returns the exit code: 1 if some were left.
    """
    if call.arguments.json:
        call.print_json({"deleted": deleted, "left": left})
    else:
        lines = [f"{job} {verb} deleted" for job in deleted]
        call.print_lines(lines or ([] if left else [f"No job {verb} deleted"]))
    if left:
        return call.fail("; ".join(f"{row['job']} is left alone: {row['error']}" for row in left))
    return 0
