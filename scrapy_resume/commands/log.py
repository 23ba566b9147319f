"""``scrapy resume log``: the event log of a job, of all its runs."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from collections.abc import Iterable, Iterator
from typing import Any, Final

from scrapy_resume.commands.arguments import add_job, add_json
from scrapy_resume.commands.invocation import Invocation

HELP: Final = "print the event log"

POLL_SECONDS: Final = 0.5
"""How often ``--follow`` looks for new events."""
HEAD: Final = frozenset({"time", "type", "job", "run", "worker"})
"""The keys of an event that its line does not show, or shows first."""


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the arguments."""
    add_job(parser)
    add_json(parser)
    parser.add_argument("--follow", action="store_true", help="keep printing new events")
    parser.add_argument(
        "--type", metavar="TYPE", help="only events of this type; several separated by commas"
    )


def run(call: Invocation) -> int:
    """Print the events by time; exit code 1 if there is no log."""
    from scrapy_resume.events.log_files import JobTail, has_events, read_events
    from scrapy_resume.settings.location import event_directory

    wanted = _wanted_types(call)
    key = call.find_job()
    directory = event_directory(call.settings)
    if call.arguments.follow:
        tail = JobTail(directory, key)
        while True:
            _print(call, _of_types(tail.events(), wanted), lines=True)
            sys.stdout.flush()
            call.clock.sleep(POLL_SECONDS)
    if not has_events(directory, key):
        return call.fail(
            f"there is no event log of {key} in {directory}. A crawl with "
            "RESUME_EVENT_LOG=True writes one; -s RESUME_EVENT_LOG=DIRECTORY names another place"
        )
    _print(call, _of_types(read_events(directory, key), wanted), lines=False)
    return 0


def _wanted_types(call: Invocation) -> frozenset[str]:
    from scrapy_resume.events.log_files import TYPES

    names = frozenset((call.arguments.type or "").split(",")) - {""}
    if unknown := sorted(names - set(TYPES)):
        call.usage_error(f"unknown event type {unknown[0]!r}; use one of {', '.join(TYPES)}")
    return names


def _of_types(events: Iterable[dict[str, Any]], wanted: frozenset[str]) -> Iterator[dict[str, Any]]:
    return (event for event in events if not wanted or event.get("type") in wanted)


def _print(call: Invocation, events: Iterator[dict[str, Any]], lines: bool) -> None:
    if not call.arguments.json:
        call.print_lines(map(line_of, events))
    elif lines:
        # JSON Lines: an array would never be closed.
        for event in events:
            call.print_json_line(event)
    else:
        call.print_json_array(events)


def line_of(event: dict[str, Any]) -> str:
    """An event for people: time, run, type, then every other key that has a value."""
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
