"""``scrapy resume log``: the event log of a job, over all its runs."""

from __future__ import annotations

import json
import sys
import time
from argparse import ArgumentParser
from collections.abc import Iterable, Iterator
from typing import Any, Final

from scrapy_resume.commands.call import Call, add_job, add_json
from scrapy_resume.commands.outcome import fail

HELP: Final = "the event log"

LOOK_SECONDS: Final = 0.5
HEAD: Final = frozenset({"time", "type", "job", "run", "worker"})


def add_arguments(parser: ArgumentParser) -> None:
    """The arguments of ``scrapy resume log``."""
    add_job(parser)
    add_json(parser)
    parser.add_argument("--follow", action="store_true", help="go on with what is added")
    parser.add_argument(
        "--type", metavar="TYPE", help="only events of that type; several with commas"
    )


def run(call: Call) -> int:
    """Print the events by their time; 1 if there is no log."""
    from scrapy_resume.events.log_files import JobTail, read_events, segments
    from scrapy_resume.settings.location import event_directory

    wanted = _wanted_types(call)
    key = call.reports().find(call.arguments.job)
    directory = event_directory(call.settings)
    if call.arguments.follow:
        tail = JobTail(directory, key)
        while True:
            _print(call, _of_types(tail.events(), wanted), lines=True)
            sys.stdout.flush()
            time.sleep(LOOK_SECONDS)
    if not segments(directory, key):
        return fail(
            f"there is no event log of {key} in {directory}: a crawl with RESUME_EVENT_LOG=True "
            "keeps one. Another place is named with -s RESUME_EVENT_LOG=DIRECTORY"
        )
    _print(call, _of_types(read_events(directory, key), wanted), lines=False)
    return 0


def _wanted_types(call: Call) -> frozenset[str]:
    from scrapy_resume.events.log_files import TYPES

    names = frozenset((call.arguments.type or "").split(",")) - {""}
    if unknown := sorted(names - set(TYPES)):
        call.usage_error(f"{unknown[0]!r} is none of {', '.join(TYPES)}")
    return names


def _of_types(events: Iterable[dict[str, Any]], wanted: frozenset[str]) -> Iterator[dict[str, Any]]:
    return (event for event in events if not wanted or event.get("type") in wanted)


def _print(call: Call, events: Iterator[dict[str, Any]], lines: bool) -> None:
    if not call.arguments.json:
        call.print_lines(map(line_of, events))
    elif lines:
        # As JSON Lines: an array that is followed would have no end.
        for event in events:
            call.print_lines([json.dumps(event)])
    else:
        call.print_json_array(events)


def line_of(event: dict[str, Any]) -> str:
    """An event for people: time, run, type, and what else there is."""
    rest = []
    for name, value in event.items():
        if name in HEAD or value is None:
            continue
        if name == "counts" and isinstance(value, dict):
            rest += [f"{state}={count}" for state, count in value.items() if count]
        else:
            rest.append(str(value) if name == "url" else f"{name}={value}")
    head = f"{event.get('time')}  run {event.get('run')}  {event.get('type')}"
    return "  ".join([head, " ".join(rest)]).rstrip()
