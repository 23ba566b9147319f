"""``scrapy resume run``: resumes a job with the command that started it."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
from argparse import ArgumentParser
from typing import TYPE_CHECKING, Final

from scrapy_resume.commands.arguments import add_job, add_json, count
from scrapy_resume.commands.dry_start import names_spider, print_start
from scrapy_resume.commands.invocation import Invocation
from scrapy_resume.commands.recorded_command import recorded_command
from scrapy_resume.commands.writable_store import writable_store
from scrapy_resume.errors import ConfigurationError, JobError, JobLockedError, JobNotFoundError
from scrapy_resume.model import JobKey

if TYPE_CHECKING:
    from scrapy_resume.model import JobSummary

HELP: Final = "resume a job with its recorded spider, arguments, settings and feeds"


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the arguments."""
    add_job(parser)
    add_json(parser)
    parser.add_argument(
        "-a",
        dest="spider_arguments",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="spider argument that is not stored with the job (a password)",
    )
    parser.add_argument(
        "--dry-run",
        action="store_true",
        help="only print the command and its directory; of a spider that has no job yet, what its "
        "start() would request",
    )
    parser.add_argument(
        "--limit",
        type=count,
        metavar="N",
        help="with --dry-run, of a spider without a job: list N requests at most",
    )


def run(call: Invocation) -> int:
    """Replace this process by the crawl; with ``--json``, run it and print how it ended."""
    given = _given_arguments(call)
    if not call.arguments.dry_run:
        _restore_if_damaged(call)
    try:
        key = call.find_job()
    except JobNotFoundError:
        spider = call.arguments.job
        if not call.arguments.dry_run or spider is None or not names_spider(call, spider):
            raise
        return print_start(call, spider, given)
    summary = writable_store(call).summary(key)
    if summary.status == "completed":
        return _print_completed(call, summary)
    from scrapy_resume.run.restart import program_of
    from scrapy_resume.settings.masking import without_password

    _refuse_if_not_resumable(call, summary)
    words, directory, doubtful = recorded_command(call, summary, given)
    if call.arguments.dry_run:
        words = [without_password(word) for word in words]
        if call.arguments.json:
            call.print_json({"job": str(key), "directory": directory, "command": words})
        else:
            call.print_lines([f"cd {shlex.quote(directory)}", shlex.join(words)])
            if doubtful:
                call.print_lines([f"# {_refusal(summary, doubtful)}"])
        return 0
    if doubtful:
        raise ConfigurationError(_refusal(summary, doubtful))
    program = program_of(words, standalone=words[1] == "runspider")
    if not call.arguments.json:
        sys.stdout.flush()
        os.chdir(directory)
        os.execv(program[0], program)
    exit_code = _wait_for(program, directory)
    answer = call.reports().job(key)
    call.print_json(
        {
            "job": str(key),
            "exit_code": exit_code,
            "status": answer["status"],
            "reason": answer["reason"],
        }
    )
    return exit_code


def _restore_if_damaged(call: Invocation) -> None:
    """Restore the job from its copy, if it is damaged or its file is gone: without it the command
    that it was crawled with is unknown."""
    if call.arguments.job is not None:
        name, _ = JobKey.parse(call.arguments.job)
    else:
        name = call.find_job().name
    store = writable_store(call)
    with store.door(name):
        restored = store.restore_damaged(name)
    if restored is not None:
        call.note(f"scrapy resume: {restored.line}")


def _given_arguments(call: Invocation) -> dict[str, str]:
    given = {}
    for text in call.arguments.spider_arguments:
        name, equals, value = text.partition("=")
        if not equals:
            call.usage_error("Invalid -a value, use -a NAME=VALUE")
        given[name] = value
    return given


def _print_completed(call: Invocation, summary: JobSummary) -> int:
    key = summary.key
    if call.arguments.json:
        answer = {"job": str(key), "exit_code": 0, "status": summary.status}
        call.print_json({**answer, "reason": summary.reason})
    else:
        call.print_lines(
            [
                f"{key} is completed: there is nothing to resume. `scrapy resume retry {key}` "
                "reopens it; its crawl would begin the next number"
            ]
        )
    return 0


def _refuse_if_not_resumable(call: Invocation, summary: JobSummary) -> None:
    key, store = summary.key, writable_store(call)
    if summary.alive and not store.shared:
        raise JobLockedError.for_crawl(key, summary.owner, summary.owned_since)
    latest = store.latest(key.name)
    if latest is not None and latest.key != key:
        raise JobError(f"{key} cannot be resumed: {latest.key} has begun since. Resume that one")


def _refusal(summary: JobSummary, doubtful: list[str]) -> str:
    return (
        f"{summary.key} is not resumed on its store's word alone, which names code, files or "
        f"addresses that may not be yours: {' '.join(map(_quoted, doubtful))}. If they are, "
        "give the settings again, as they stand here, or run the command that --dry-run shows"
    )


def _quoted(doubt: str) -> str:
    """A doubt of ``recorded_launch`` as a shell takes it."""
    option, _, value = doubt.partition(" ")
    return f"{option} {shlex.quote(value)}" if option == "-s" else doubt


def _wait_for(program: list[str], directory: str) -> int:
    """Run the crawl and return its exit code; SIGTERM and SIGINT are passed on to it."""
    output = subprocess.DEVNULL if sys.stderr is None else sys.stderr.fileno()
    with subprocess.Popen(program, cwd=directory, stdout=output) as crawl:
        before = {
            number: signal.signal(number, lambda received, _: crawl.send_signal(received))
            for number in (signal.SIGTERM, signal.SIGINT)
        }
        try:
            return crawl.wait()
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
