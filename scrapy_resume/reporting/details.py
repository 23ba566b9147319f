"""Parts of what ``show`` and ``workers`` print that are read from the store and from files."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final

from scrapy_resume.errors import ResumeError
from scrapy_resume.reporting.times import iso
from scrapy_resume.settings.input_files import hash_inputs

if TYPE_CHECKING:
    from scrapy_resume.model import JobKey
    from scrapy_resume.store.contract import Reader, Worker

FAILURES_SHOWN: Final = 8


def workers_answer(workers: Iterable[Worker]) -> list[dict[str, Any]]:
    """The workers that have not ended, as ``scrapy resume workers --json`` prints them.

    A worker is *stale* if it shows no sign of life: its process is dead, or has not beaten for
    longer than one that is well may.
    """
    return [
        {
            "worker": worker.name,
            "run": worker.run,
            "status": "running" if worker.alive else "crashed",
            "stale": not worker.alive or worker.silent_seconds > worker.silent_after,
            "started_at": iso(worker.started_at),
            "heartbeat_at": iso(worker.beat_at),
            "silent_seconds": round(worker.silent_seconds, 1),
            "pages": worker.pages,
            "items": worker.items,
            "in_hand": worker.in_hand,
        }
        for worker in workers
    ]


def resume_point(
    reader: Reader, key: JobKey, runs: Iterable[Mapping[str, Any]]
) -> dict[str, Any] | None:
    """Where the job stands: the page that was finished last, its unit, and when; ``None`` before
    the first.

    Of several workers, it is the page of the one that has finished one last.
    """
    cursors = [run["cursor"] for run in runs if run.get("cursor") is not None]
    # Of runs that follow one another the last one counts; workers at the same time are few.
    places = [reader.place(key, cursor) for cursor in cursors[-20:]]
    return max((place for place in places if place), key=lambda place: place["at"], default=None)


def inputs_answer(recorded: Mapping[str, str]) -> list[dict[str, str]]:
    """The input files, and whether they are what they were when the job began: ``unchanged``,
    ``changed``, or ``unreadable`` from where the command is run."""
    return [
        {"file": path, "sha256": digest, "state": _input_state(path, digest)}
        for path, digest in sorted(recorded.items())
    ]


def _input_state(path: str, digest: str) -> str:
    try:
        (found,) = hash_inputs([path]).values()
    except ResumeError:
        return "unreadable"
    return "unchanged" if found == digest else "changed"
