"""``scrapy resume run``: goes on with a job as its crawl was started."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
from argparse import ArgumentParser
from typing import TYPE_CHECKING, Any, Final

from scrapy_resume.commands.acting import store_of
from scrapy_resume.commands.call import Call, add_job, add_json
from scrapy_resume.errors import ConfigurationError, JobError, JobLockedError

if TYPE_CHECKING:
    from scrapy_resume.model import JobSummary
    from scrapy_resume.run.launch import Launch

HELP: Final = "goes on with a job, with its recorded spider, arguments, settings and feeds"


def add_arguments(parser: ArgumentParser) -> None:
    """The arguments of ``scrapy resume run``."""
    add_job(parser)
    add_json(parser)
    parser.add_argument(
        "-a",
        dest="spider_arguments",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a spider argument that is not kept with the job (a password)",
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="only say what would be run, and where"
    )


def run(call: Call) -> int:
    """Become the crawl; with ``--json``, wait for its end and say how it ended."""
    given = _given_arguments(call)
    key = call.reports().find(call.arguments.job)
    summary = store_of(call).summary(key)
    if summary.status == "completed":
        return _nothing_to_do(call, summary)
    from scrapy_resume.run.restart import program_of
    from scrapy_resume.settings.masking import without_password

    _refuse_if_it_cannot_go_on(call, summary)
    words, directory = _command(call, summary, given)
    if call.arguments.dry_run:
        words = [without_password(word) for word in words]
        if call.arguments.json:
            call.print_json({"job": str(key), "directory": directory, "command": words})
        else:
            call.print_lines([f"cd {shlex.quote(directory)}", shlex.join(words)])
        return 0
    program = program_of(words)
    if not call.arguments.json:
        sys.stdout.flush()
        os.chdir(directory)
        os.execv(program[0], program)
    exit_code = _wait_for(program, directory)
    answer = call.reports().job(str(key))
    call.print_json(
        {
            "job": str(key),
            "exit_code": exit_code,
            "status": answer["status"],
            "reason": answer["reason"],
        }
    )
    return exit_code


def _given_arguments(call: Call) -> dict[str, str]:
    given = {}
    for text in call.arguments.spider_arguments:
        name, equals, value = text.partition("=")
        if not equals:
            call.usage_error("Invalid -a value, use -a NAME=VALUE")
        given[name] = value
    return given


def _nothing_to_do(call: Call, summary: JobSummary) -> int:
    key = summary.key
    if call.arguments.json:
        answer = {"job": str(key), "exit_code": 0, "status": summary.status}
        call.print_json({**answer, "reason": summary.reason})
    else:
        call.print_lines(
            [
                f"{key} is completed: there is nothing to go on with. `scrapy resume retry {key}` "
                "reopens it, its crawl begins the next number"
            ]
        )
    return 0


def _refuse_if_it_cannot_go_on(call: Call, summary: JobSummary) -> None:
    key, store = summary.key, store_of(call)
    if summary.alive and not store.shared:
        raise JobLockedError(f"{key} is being crawled by {summary.owner}: it goes on as it is")
    latest = store.latest(key.name)
    if latest is not None and latest.key != key:
        raise JobError(f"{key} cannot go on: {latest.key} has begun since, and is the one that can")


def _command(call: Call, summary: JobSummary, given: dict[str, str]) -> tuple[list[str], str]:
    """(the words of the command, the directory that it is run in)."""
    from scrapy_resume.run.launch import given_settings, launch_from
    from scrapy_resume.run.restart import restart_directory, scrapy_words

    launch = launch_from(summary.launch or {})
    _refuse_if_unknown(summary, launch)
    try:
        directory = restart_directory(launch)
        if launch.command == "crawl":
            _refuse_without_spider(call, summary)
        settings = given_settings(call.settings)
        words = scrapy_words(launch, summary.spider, given, settings)
    except ConfigurationError as error:
        raise ConfigurationError(f"{summary.key} cannot go on: {error}") from error
    words += ["-s", f"RESUME_JOB={summary.key.name}", "-s", "RESUME_MODE=resume"]
    return ["scrapy", *words, *_store_words(call)], directory


def _refuse_if_unknown(summary: JobSummary, launch: Launch) -> None:
    if not launch.command:
        how = (
            f"by a program ({launch.file})" if launch.file else "in a way that was not written down"
        )
        raise ConfigurationError(
            f"{summary.key} was started {how}: run that again, it goes on with the job"
        )


def _refuse_without_spider(call: Call, summary: JobSummary) -> None:
    from scrapy.spiderloader import get_spider_loader

    if summary.spider not in get_spider_loader(call.settings).list():
        raise ConfigurationError(f"this project has no spider {summary.spider}")


def _store_words(call: Call) -> list[str]:
    """A directory by its full path: the crawl may be run elsewhere. A database's URL may hold a
    password, which all could read among the words of a process; if it was given there, it is."""
    location = call.store_location()
    if "://" not in location:
        return ["-s", f"RESUME_STORE={location}"]
    given: Any = call.settings.getpriority("RESUME_STORE")
    return ["-s", f"RESUME_STORE={location}"] if given == _CMDLINE else []


_CMDLINE: Final = 40
"""Scrapy's priority of the command line (``SETTINGS_PRIORITIES``)."""


def _wait_for(program: list[str], directory: str) -> int:
    """Run the crawl; signals that ask this process to end ask the crawl."""
    with subprocess.Popen(program, cwd=directory, stdout=sys.stderr.fileno()) as crawl:
        before = {
            number: signal.signal(number, lambda received, _: crawl.send_signal(received))
            for number in (signal.SIGTERM, signal.SIGINT)
        }
        try:
            return crawl.wait()
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
