"""Writes the event log of a run: JSON Lines of what was committed, in a thread of its own.

The event loop only queues each committed batch. The thread makes the events of it, encodes,
writes and compresses them. The first error of the thread ends the log with one warning, and the
crawl goes on without a log.
"""

from __future__ import annotations

import atexit
import json
import logging
import queue
import threading
import time
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from msgspec.structs import asdict

from scrapy_resume.events.rotated_file import SEGMENT_BYTES, Fields, RotatedFile
from scrapy_resume.events.step_events import step_events
from scrapy_resume.model import Counts, Kind, State
from scrapy_resume.ports.clock import elapsed_seconds
from scrapy_resume.reporting.times import iso
from scrapy_resume.settings.masking import masked_text
from scrapy_resume.store.contract import Batch, Committed, Continuation, Finish, HostNote, LogNotes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from scrapy_resume.store.contract import Session

logger = logging.getLogger("scrapy_resume")

BACKLOG: Final = 1_000
"""The most batches that wait for the thread, on a disk that hangs; further ones are lost."""

LAST_SECONDS: Final = 5.0
"""The longest time that the end of the process waits for the thread."""

_TYPES: Final = {
    State.done: "request_done",
    State.failed: "request_failed",
    State.ignored: "request_ignored",
    State.parked: "request_failed",
}

UNIT_FIELDS: Final = ("state", "done", "failed", "parked", "ignored", "items", "items_failed")
"""What ``unit_completed`` says of a unit, beside its name and error."""


class _Queued(NamedTuple):
    """A committed batch, or other events, since ``at`` (seconds since the epoch)."""

    at: float
    elapsed: float
    """The same moment, on a clock that is never set."""
    batch: Batch | None
    answer: Committed | None
    events: tuple[tuple[str, Fields], ...] = ()


class EventLogWriter:
    """A commit listener that writes what the commits of one run have changed.

    ``worker``: the name of this run's worker, which each event has.
    ``heartbeat_seconds``: the interval of ``heartbeat`` events.
    """

    def __init__(
        self,
        directory: Path,
        session: Session,
        worker: str,
        heartbeat_seconds: float,
        segment_bytes: int = SEGMENT_BYTES,
    ) -> None:
        self._known = {"job": str(session.job), "run": session.run, "worker": worker}
        self._heartbeat_seconds = heartbeat_seconds
        self._beat_at = elapsed_seconds()
        self._open_hosts = {note.key for note in session.hosts if _open_until(note)}
        self._queue: queue.SimpleQueue[_Queued | None] = queue.SimpleQueue()
        self._lost = 0
        self._ended = False
        self._file = RotatedFile(directory, session, segment_bytes)
        self._thread = threading.Thread(
            target=self._write_all, name=f"scrapy-resume events {session.job}", daemon=True
        )
        self._thread.start()
        atexit.register(self._join)

    # ---- called by the run, on any thread

    def started(self, session: Session, spider: str) -> None:
        """The job was opened."""
        events: list[tuple[str, Fields]] = []
        how = {"spider": spider, "began": session.began, "crashed": session.crashed}
        counts = _counts(session.counts)
        events.append(("run_started", {**how, "others": session.sharing.others, **counts}))
        if session.crashed:
            held = {"requests": session.recovered.requests, "parked": session.recovered.parked}
            events.append(("recovered", held))
        events += _units_at_opening(session)
        self._put(None, None, *events)

    def committed(self, batch: Batch, answer: Committed) -> None:
        """A batch was committed."""
        self._put(batch, answer)

    def closed(self, status: str, reason: str, counts: Counts, pages: int) -> None:
        """The end of the run was committed; no event follows."""
        end = {"status": status, "reason": reason, "pages": pages, **_counts(counts)}
        self._put(None, None, ("run_closed", end))

    def end(self) -> None:
        """Accept no more events; the thread writes those that wait and ends."""
        if not self._ended:
            self._ended = True
            self._queue.put(None)

    def _put(
        self, batch: Batch | None, answer: Committed | None, *events: tuple[str, Fields]
    ) -> None:
        if self._ended:
            return
        if self._queue.qsize() >= BACKLOG and batch is not None:
            self._lost += len(batch.finishes)
            return
        if self._lost:
            events = (*events, ("events_lost", {"requests": self._lost}))
            self._lost = 0
        self._queue.put(_Queued(time.time(), elapsed_seconds(), batch, answer, events))

    def _join(self) -> None:
        self.end()
        self._thread.join(LAST_SECONDS)

    # ---- the thread

    def _write_all(self) -> None:
        try:
            while (queued := self._queue.get()) is not None:
                self._file.write(self._lines_of(queued))
                if self._queue.empty():
                    self._file.flush()
            self._file.close_and_compress()
        except Exception as error:  # no error of the log may harm the crawl
            self._ended = True
            logger.warning(
                "The event log is not written any more (%s). The crawl goes on without it; what it "
                "has done is in the store.",
                error,
            )
        finally:
            atexit.unregister(self._join)

    def _lines_of(self, queued: _Queued) -> Iterator[Fields]:
        moment = datetime.fromtimestamp(queued.at, timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%f")
        at = f"{moment[:-3]}Z"
        for kind, fields in self._events_of(queued):
            yield {"time": at, "type": kind, **self._known, **fields}

    def _events_of(self, queued: _Queued) -> Iterator[tuple[str, Fields]]:
        yield from queued.events
        if queued.batch is None or queued.answer is None:
            return
        batch, known = queued.batch, queued.answer.duplicates
        notes = queued.answer.log or LogNotes()
        for unit in notes.units_started:
            yield "unit_started", {"unit": _url(unit)}
        for arrival in batch.arrivals:
            if isinstance(arrival, Continuation):
                kind, fields = _continuation_event(arrival, duplicate=arrival.id in known)
                yield kind, {**fields, **_described(notes, arrival.id)}
        for finish in batch.finishes:
            if finish.tombstone is None or (
                finish.id not in known and finish.tombstone.kind is Kind.request
            ):
                fields = {**_finish_fields(finish), **_described(notes, finish.id)}
                yield _TYPES[finish.state], fields
        for ended in notes.units_completed:
            yield "unit_completed", _unit_fields(ended)
        yield from step_events(batch, queued.answer)
        for note in batch.hosts:
            yield from self._host_changed(note)
        if batch.start_exhausted:
            yield "start_exhausted", {}
        if queued.elapsed - self._beat_at >= self._heartbeat_seconds:
            self._beat_at = queued.elapsed
            yield "heartbeat", {"pages": batch.progress.pages, **_counts(queued.answer.counts)}

    def _host_changed(self, note: HostNote) -> Iterator[tuple[str, Fields]]:
        until = _open_until(note)
        if until and note.key not in self._open_hosts:
            self._open_hosts.add(note.key)
            yield "breaker_opened", {"host": note.key, "until": iso(until)}
        elif not until and note.key in self._open_hosts:
            self._open_hosts.remove(note.key)
            yield "breaker_closed", {"host": note.key}
        waits = json.loads(note.record).get("wait_until")
        if waits:
            yield "host_waits", {"host": note.key, "until": iso(waits)}


def _finish_fields(finish: Finish) -> Fields:
    fields: Fields = {
        "url": _url(getattr(finish.origin, "url", "")),
        "http_status": finish.http_status,
        "attempts": finish.attempts,
        "items": len(finish.items),
    }
    if finish.items_dropped:
        fields["items_dropped"] = finish.items_dropped
    if finish.items_failed:
        fields["items_failed"] = finish.items_failed
    if finish.error is not None:
        fields["error"] = finish.error
        fields["error_message"] = finish.error_message and masked_text(finish.error_message)
    return fields


def _described(notes: LogNotes, row: int) -> Fields:
    found = notes.requests.get(row)
    if found is None:
        return {"unit": None, "callback": None}
    return {"unit": None if found.unit is None else _url(found.unit), "callback": found.callback}


def _unit_fields(unit: Mapping[str, Any]) -> Fields:
    fields = {name: unit[name] for name in UNIT_FIELDS}
    if unit["error"] is not None:
        fields["error"] = unit["error"]
        fields["error_message"] = unit["error_message"] and masked_text(unit["error_message"])
    return {"unit": _url(unit["unit"]), **fields}


def _units_at_opening(session: Session) -> list[tuple[str, Fields]]:
    """Units that the recovery has started or completed, by parking requests of theirs."""
    told: list[tuple[str, Fields]] = []
    opened = {("job_opened", session.run), ("job_resumed", session.run)}
    for note in session.events.of_job:
        if opened.isdisjoint((event["event"], event.get("run")) for event in note.events):
            continue
        for event in note.events:
            if event["event"] == "unit_started":
                told.append(("unit_started", {"unit": _url(event["unit"]["unit"])}))
            elif event["event"] == "unit_completed":
                told.append(("unit_completed", _unit_fields(event["unit"])))
    return told


def _continuation_event(arrival: Continuation, *, duplicate: bool) -> tuple[str, Fields]:
    fields: Fields = {"url": _url(arrival.url), "attempts": arrival.attempts}
    if duplicate:
        return "request_ignored", {**fields, "error": "duplicate"}
    if not arrival.again:
        return "redirected", fields
    due = arrival.not_before
    return "retry_scheduled", {**fields, "not_before": iso(due) if due else None}


def _url(url: str) -> str:
    return masked_text(url)


def _open_until(note: HostNote) -> float:
    """The time until which the host's breaker is open; 0: it is closed."""
    return float(json.loads(note.record).get("open_until", 0.0))


def _counts(counts: Counts) -> Fields:
    return {"counts": asdict(counts)}
