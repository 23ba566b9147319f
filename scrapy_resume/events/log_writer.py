"""Writes the event log of a run: JSON Lines of what was committed, in a thread of its own.

The event loop only queues each committed batch. The thread makes the events of it, encodes,
writes and compresses them. The first error of the thread ends the log with one warning, and the
crawl goes on without a log.
"""

from __future__ import annotations

import atexit
import gzip
import json
import logging
import os
import queue
import shutil
import threading
import time
from collections.abc import Iterator, Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final, NamedTuple

import jsonlines
import msgspec

from scrapy_resume.disk import sync_directory, sync_file
from scrapy_resume.events.log_files import (
    compressed_path,
    remove_abandoned_parts,
    segment_path,
    unfinished_path,
)
from scrapy_resume.model import Counts, Kind, State
from scrapy_resume.ports.clock import elapsed_seconds
from scrapy_resume.privatefiles import create_file
from scrapy_resume.reporting.times import iso
from scrapy_resume.settings.masking import masked_text
from scrapy_resume.store.contract import Batch, Committed, Continuation, Finish, HostNote

if TYPE_CHECKING:
    from scrapy_resume.store.contract import Session

logger = logging.getLogger("scrapy_resume")

SEGMENT_BYTES: Final = 16 * 1024 * 1024
"""A file that has reached this size is compressed, and the next one begins."""

COMPRESS_LEVEL: Final = 1
"""Gives a tenth of the size in a quarter of the time that gzip's default of 6 takes."""

BACKLOG: Final = 1_000
"""The most batches that wait for the thread, on a disk that hangs; further ones are lost."""

LAST_SECONDS: Final = 5.0
"""The longest time that the end of the process waits for the thread."""

_encode: Final = msgspec.json.Encoder().encode

_TYPES: Final = {
    State.done: "request_done",
    State.failed: "request_failed",
    State.ignored: "request_ignored",
    State.parked: "request_failed",
}

Fields = dict[str, Any]


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
        self._file = _RotatedFile(directory, session, segment_bytes)
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
            self._file.close()
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
        for arrival in batch.arrivals:
            if isinstance(arrival, Continuation):
                yield _continuation_event(arrival, duplicate=arrival.id in known)
        for finish in batch.finishes:
            if finish.tombstone is None or (
                finish.id not in known and finish.tombstone.kind is Kind.request
            ):
                yield _TYPES[finish.state], _finish_fields(finish)
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


class _RotatedFile:
    """The log files of one run. The first one is made when the first line is written."""

    def __init__(self, directory: Path, session: Session, segment_bytes: int) -> None:
        self._directory = directory
        self._job = session.job
        self._run = session.run
        self._segment_bytes = segment_bytes
        self._number = 0
        self._path: Path
        self._file: IO[bytes] | None = None
        self._writer: jsonlines.Writer

    def write(self, lines: Iterator[Fields]) -> None:
        for line in lines:
            if self._file is None:
                self._file = self._open()
            self._writer.write(line)
            if self._file.tell() >= self._segment_bytes:
                self._rotate()

    def _open(self) -> IO[bytes]:
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not self._number:
            for path in remove_abandoned_parts(self._directory, self._job):
                logger.info("%s was left by a process that died; it is removed", path)
        while True:
            self._number += 1
            self._path = segment_path(self._directory, self._job, self._run, self._number)
            if compressed_path(self._path).exists():
                continue  # left by a deleted job of the same name and number
            try:
                descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            except FileExistsError:
                continue
            file = os.fdopen(descriptor, "wb")
            self._writer = jsonlines.Writer(file, dumps=_dumps)
            return file

    def _rotate(self) -> None:
        """Begin the next file, then compress this one: so readers know that it is complete."""
        assert self._file is not None
        self._file.close()
        whole = self._path
        self._file = self._open()
        unfinished = unfinished_path(whole)
        with (
            whole.open("rb") as plain,
            os.fdopen(create_file(unfinished, os.O_WRONLY), "wb") as raw,
            gzip.GzipFile(whole.name, "wb", COMPRESS_LEVEL, raw) as packed,
        ):
            shutil.copyfileobj(plain, packed, 1 << 20)
        sync_file(unfinished)
        unfinished.replace(compressed_path(whole))
        sync_directory(whole.parent)
        whole.unlink()

    def flush(self) -> None:
        if self._file is not None:
            self._file.flush()

    def close(self) -> None:
        if self._file is not None:
            self._file.close()


def _dumps(event: Mapping[str, Any]) -> str:
    """One line of JSON. All characters beyond ASCII are escaped, so that no control character of
    a page reaches a terminal. Lone surrogates (an error's message may have them) are escaped too.
    """
    try:
        line = _encode(event)
    except UnicodeEncodeError:
        return json.dumps(event, separators=(",", ":"))
    return line.decode() if line.isascii() else json.dumps(event, separators=(",", ":"))


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
    return {"counts": dict(vars(counts))}
