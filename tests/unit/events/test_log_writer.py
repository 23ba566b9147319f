"""The event log: what is committed is logged, and no error of the log affects the crawl."""

from __future__ import annotations

import gzip
import json
import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from scrapy_resume.events import log_writer
from scrapy_resume.events.log_files import (
    JobTail,
    read_events,
    remove_abandoned_parts,
    remove_events,
    segments,
)
from scrapy_resume.events.log_writer import EventLogWriter
from scrapy_resume.model import Counts, JobKey, Kind, State
from scrapy_resume.privatefiles import PlantedFileError, create_file
from scrapy_resume.store.contract import (
    Admission,
    Batch,
    Committed,
    Continuation,
    Described,
    EventNote,
    Finish,
    HostNote,
    ItemRecord,
    LogNotes,
    Recovered,
    RowIds,
    RunProgress,
    Session,
    UndeliveredEvents,
)
from tests.support import schemas

BOOKS = JobKey("böoks", 3)
HEAD = ("time", "job", "run", "worker")


def session(run: int = 1, **fields: Any) -> Session:
    known = {
        "job": BOOKS,
        "run": run,
        "epoch": run,
        "began": True,
        "crashed": False,
        "counts": Counts(pending=2),
        "ids": RowIds(first=1),
    }
    return Session(**{**known, **fields})


def finished(row: int, url: str | None = None, **fields: Any) -> Finish:
    origin = SimpleNamespace(url=url or f"http://shop.example/{row}")
    return Finish(**{"id": row, "state": State.done, "attempts": 1, "origin": origin, **fields})


def went_on(row: int, **fields: Any) -> Continuation:
    known = {
        "id": row,
        "url": f"http://shop.example/{row}",
        "payload": "{}",
        "slot": "shop.example",
        "priority": 0,
        "start": 0,
        "seq": 1,
        "attempts": 1,
    }
    return Continuation(**{**known, **fields})


def host(key: str, open_until: float = 0.0, wait_until: float = 0.0) -> HostNote:
    values = {"open_until": open_until, "probes": 0, "wait_until": wait_until}
    return HostNote(key, json.dumps(values))


NewLog = Callable[..., EventLogWriter]


@pytest.fixture
def new_log(tmp_path: Path) -> Iterator[NewLog]:
    logs: list[EventLogWriter] = []

    def make(
        run: int = 1, heartbeat: float = 900, segment_bytes: int = 10**6, **f: Any
    ) -> EventLogWriter:
        log = EventLogWriter(
            tmp_path / "events", session(run, **f), "host:7", heartbeat, segment_bytes
        )
        logs.append(log)
        return log

    yield make
    for log in logs:
        log._join()


def written(log: EventLogWriter, folder: Path) -> list[dict[str, Any]]:
    log._join()
    events = list(read_events(folder / "events", BOOKS))
    schemas.check(events, "log")
    return events


def told(log: EventLogWriter, folder: Path) -> list[dict[str, Any]]:
    """The events without what all of them have."""
    events = written(log, folder)
    for event in events:
        assert [event.pop(name) for name in HEAD][1:] == ["böoks#3", 1, "host:7"]
    return events


def as_if_killed(folder: Path) -> Path:
    """The only file of the log, as a process that dies at its end leaves it: not compressed."""
    (file,) = segments(folder / "events", BOOKS)
    plain = file.path.with_suffix("")
    plain.write_bytes(gzip.decompress(file.path.read_bytes()))
    file.path.unlink()
    return plain


def test_a_run_is_told_from_its_start_to_its_end(new_log: NewLog, tmp_path: Path) -> None:
    recovered = Recovered(requests=5, parked=1)
    log = new_log(began=False, crashed=True, recovered=recovered)
    opened = session(began=False, crashed=True, recovered=recovered)
    log.started(opened, "books")
    log.committed(Batch(next_id=9, start_exhausted=True), Committed())
    log.closed("paused", "shutdown", Counts(done=4), 6)
    log.end()
    log.committed(Batch(next_id=1, finishes=[finished(1)]), Committed())
    started, found, exhausted, closed = told(log, tmp_path)
    assert (started["type"], started["spider"], started["crashed"]) == (
        "run_started",
        "books",
        True,
    )
    assert started["counts"]["pending"] == 2
    assert found == {"type": "recovered", "requests": 5, "parked": 1}
    assert exhausted == {"type": "start_exhausted"}
    assert (closed["type"], closed["status"], closed["reason"]) == (
        "run_closed",
        "paused",
        "shutdown",
    )
    assert (closed["pages"], closed["counts"]["done"]) == (6, 4)


def test_what_becomes_of_requests_is_told(new_log: NewLog, tmp_path: Path) -> None:
    log = new_log()
    batch = Batch(
        next_id=9,
        arrivals=[
            went_on(1, again=True, not_before=1_700_000_000.0, attempts=2),
            went_on(2, again=True),
            went_on(3, url="http://user:geheim@shop.example/new"),
            went_on(4),
        ],
        finishes=[
            finished(5, http_status=200, items=[ItemRecord(0, "{}")] * 2, items_dropped=1),
            finished(6, state=State.failed, error="HttpError", error_message="m", http_status=500),
            finished(7, state=State.ignored, error="IgnoreRequest"),
            finished(8, tombstone=_tombstone(8)),
            finished(9, tombstone=_tombstone(9)),
            finished(10, tombstone=_tombstone(10, kind=Kind.start_item)),
        ],
    )
    notes = LogNotes(requests={row: Described("city", f"parse_{row}") for row in range(1, 10)})
    log.committed(batch, Committed(duplicates={4, 9}, log=notes))
    site = "http://shop.example"
    events = told(log, tmp_path)
    assert {event.pop("unit") for event in events} == {"city"}
    callbacks = [event.pop("callback") for event in events]
    assert callbacks == [f"parse_{row}" for row in range(1, 9)]
    assert events == [
        {
            "type": "retry_scheduled",
            "url": f"{site}/1",
            "attempts": 2,
            "not_before": "2023-11-14T22:13:20Z",
        },
        {"type": "retry_scheduled", "url": f"{site}/2", "attempts": 1, "not_before": None},
        {"type": "redirected", "url": "http://user:***@shop.example/new", "attempts": 1},
        {"type": "request_ignored", "url": f"{site}/4", "attempts": 1, "error": "duplicate"},
        {
            "type": "request_done",
            "url": f"{site}/5",
            "http_status": 200,
            "attempts": 1,
            "items": 2,
            "items_dropped": 1,
        },
        {
            "type": "request_failed",
            "url": f"{site}/6",
            "http_status": 500,
            "attempts": 1,
            "items": 0,
            "error": "HttpError",
            "error_message": "m",
        },
        {
            "type": "request_ignored",
            "url": f"{site}/7",
            "http_status": None,
            "attempts": 1,
            "items": 0,
            "error": "IgnoreRequest",
            "error_message": None,
        },
        {
            "type": "request_done",
            "url": f"{site}/8",
            "http_status": None,
            "attempts": 1,
            "items": 0,
        },
    ]


def test_units_are_told_of_once_before_and_after_their_requests(
    new_log: NewLog, tmp_path: Path
) -> None:
    city = {
        "unit": "http://me:geheim@shop.example/",
        "state": "partial",
        "open": 0,
        "done": 1,
        "failed": 1,
        "parked": 0,
        "ignored": 0,
        "items": 2,
        "items_failed": 0,
        "attempts": 3,
        "error": "HttpError",
        "error_message": None,
        "first_at": None,
        "last_at": None,
    }
    log = new_log()
    notes = LogNotes(units_started=["town"], units_completed=[city])
    log.committed(Batch(next_id=9, finishes=[finished(1)]), Committed(log=notes))
    started, request, completed = told(log, tmp_path)
    assert started == {"type": "unit_started", "unit": "town"}
    assert (request["type"], request["unit"], request["callback"]) == ("request_done", None, None)
    assert completed == {
        "type": "unit_completed",
        "unit": "http://me:***@shop.example/",
        "state": "partial",
        "done": 1,
        "failed": 1,
        "parked": 0,
        "ignored": 0,
        "items": 2,
        "items_failed": 0,
        "error": "HttpError",
        "error_message": None,
    }


def test_units_that_a_recovery_has_ended_are_told_with_the_opening(
    new_log: NewLog, tmp_path: Path
) -> None:
    unit = {"unit": "city", "state": "parked", "done": 0, "failed": 0, "parked": 1, "ignored": 0}
    unit |= {"items": 0, "items_failed": 0, "error": None, "error_message": None}
    ends = [{"event": "unit_started", "unit": unit}, {"event": "unit_completed", "unit": unit}]
    of_job = [
        EventNote(1, [{"event": "job_resumed", "run": 1}, *ends]),  # of an earlier run
        EventNote(2, [{"event": "job_resumed", "run": 2}, {"event": "job_recovered"}, *ends]),
    ]
    opened = {"began": False, "crashed": True, "events": UndeliveredEvents(of_job=of_job)}
    log = new_log(2, **opened)
    log.started(session(2, **opened), "books")
    events = written(log, tmp_path)
    assert [event["type"] for event in events] == [
        "run_started",
        "recovered",
        "unit_started",
        "unit_completed",
    ]


def test_the_files_of_a_run_that_died_are_compressed_by_the_next_and_live_ones_are_not(
    new_log: NewLog, tmp_path: Path
) -> None:
    dead = new_log(1)
    dead.committed(Batch(next_id=1, finishes=[finished(1)]), Committed())
    dead._join()
    left = as_if_killed(tmp_path)
    left.write_bytes(left.read_bytes() + b'{"torn')
    live = new_log(2)
    done = threading.Event()
    live._file.flush = _then(live._file.flush, done)  # type: ignore[method-assign]
    live.committed(Batch(next_id=1, finishes=[finished(2)]), Committed())
    assert done.wait(20)
    other = new_log(3)
    other.committed(Batch(next_id=1, finishes=[finished(3)]), Committed())
    other._join()
    names = [file.path.suffix for file in segments(tmp_path / "events", BOOKS)]
    assert names == [".gz", ".jsonl", ".gz"]
    urls = [event["url"] for event in read_events(tmp_path / "events", BOOKS)]
    assert sorted(urls) == [f"http://shop.example/{row}" for row in (1, 2, 3)]


@pytest.mark.parametrize("operation", range(1, 8))
def test_a_kill_while_a_file_is_compressed_loses_nothing(
    new_log: NewLog, tmp_path: Path, operation: int
) -> None:
    """The process dies before its n-th operation on a file, and the next run goes on."""
    log = new_log(1)
    log.committed(Batch(next_id=1, finishes=[finished(row) for row in range(50)]), Committed())
    log._join()
    plain = as_if_killed(tmp_path)
    program = (
        "import os, sys\n"
        "from itertools import count\n"
        "from pathlib import Path\n"
        "from scrapy_resume.events.log_files import compress\n"
        "n = count(1)\n"
        "def hook(event, arguments):\n"
        "    if event in ('open', 'os.rename', 'os.remove') and sys.argv[1] in str(arguments[0]):\n"
        "        if next(n) == int(sys.argv[3]):\n"
        "            os._exit(9)\n"
        "sys.addaudithook(hook)\n"
        "compress(Path(sys.argv[2]))\n"
    )
    words = [sys.executable, "-c", program, str(tmp_path / "events"), str(plain), str(operation)]
    code = subprocess.run(words, check=False).returncode
    assert code in (0, 9)
    tail = JobTail(tmp_path / "events", BOOKS)
    assert len(list(tail.events())) == 50
    again = new_log(2)
    again.committed(Batch(next_id=1, finishes=[finished(99)]), Committed())
    again._join()
    assert len(list(tail.events())) == 1
    assert len(list(read_events(tmp_path / "events", BOOKS))) == 51
    names = sorted(path.name for path in (tmp_path / "events").iterdir())
    assert [name.rpartition(".")[2] for name in names] == ["gz", "gz"]


def _tombstone(row: int, kind: Kind = Kind.request) -> Admission:
    return Admission(
        id=row, identity=b"", parent=0, url="", payload="", slot="", priority=0, start=0, seq=0,
        unit=0, kind=kind,
    )  # fmt: skip


def test_hosts_are_told_of_when_their_breakers_change(new_log: NewLog, tmp_path: Path) -> None:
    log = new_log(hosts=[host("old", open_until=1.7e9)])
    for note in (
        host("a", open_until=1.7e9),
        host("a", open_until=1.8e9),  # a probe has failed
        host("a"),
        host("old"),
        host("b", wait_until=1.7e9),
    ):
        log.committed(Batch(next_id=1, hosts=[note]), Committed())
    assert told(log, tmp_path) == [
        {"type": "breaker_opened", "host": "a", "until": "2023-11-14T22:13:20Z"},
        {"type": "breaker_closed", "host": "a"},
        {"type": "breaker_closed", "host": "old"},
        {"type": "host_waits", "host": "b", "until": "2023-11-14T22:13:20Z"},
    ]


def test_a_heartbeat_comes_with_a_commit_when_it_is_due(new_log: NewLog, tmp_path: Path) -> None:
    log = new_log(heartbeat=0)
    log.committed(
        Batch(next_id=1, progress=RunProgress(pages=3)), Committed(counts=Counts(leased=1))
    )
    (beat,) = told(log, tmp_path)
    assert (beat["type"], beat["pages"], beat["counts"]["leased"]) == ("heartbeat", 3, 1)


def test_heartbeats_go_on_when_the_clock_was_set_back(
    new_log: NewLog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elapsed = [1_000.0]
    monkeypatch.setattr("scrapy_resume.events.log_writer.elapsed_seconds", lambda: elapsed[0])
    log = new_log(heartbeat=60)
    monkeypatch.setattr(time, "time", lambda: 1.7e9)
    for _ in range(3):
        elapsed[0] += 61
        log.committed(Batch(next_id=1), Committed())
    assert [event["type"] for event in told(log, tmp_path)] == ["heartbeat"] * 3


def test_large_files_are_compressed_and_read_in_order(new_log: NewLog, tmp_path: Path) -> None:
    log = new_log(segment_bytes=2_000)
    for row in range(200):
        log.committed(Batch(next_id=1, finishes=[finished(row)]), Committed())
    events = told(log, tmp_path)
    assert [event["url"].rpartition("/")[2] for event in events] == [str(r) for r in range(200)]
    files = segments(tmp_path / "events", BOOKS)
    assert len(files) > 5
    packed = [file.path for file in files]
    assert all(path.suffix == ".gz" for path in packed)
    assert {path.stat().st_mode & 0o777 for path in packed} == {0o600}
    with gzip.open(packed[0]) as file:
        assert all(json.loads(line)["type"] == "request_done" for line in file)
    assert not list((tmp_path / "events").glob("*.part"))


def test_lines_are_ascii_and_move_no_terminal(new_log: NewLog, tmp_path: Path) -> None:
    log = new_log()
    text = "é\x1b[31m\x9b31m\u202e"
    log.committed(
        Batch(next_id=1, finishes=[finished(1, state=State.failed, error="E", error_message=text)]),
        Committed(),
    )
    (event,) = written(log, tmp_path)
    assert event["error_message"] == text
    (file,) = segments(tmp_path / "events", BOOKS)
    content = gzip.decompress(file.path.read_bytes())
    assert content.isascii()
    assert b"\x1b" not in content


def test_an_error_with_half_a_character_in_its_message_does_not_end_the_log(
    new_log: NewLog, tmp_path: Path
) -> None:
    log = new_log()
    for message in ("\ud800", "whole"):
        end = finished(1, state=State.failed, error="E", error_message=message)
        log.committed(Batch(next_id=1, finishes=[end]), Committed())
    events = written(log, tmp_path)
    assert [event["error_message"] for event in events] == ["\ud800", "whole"]


def test_a_torn_last_line_is_left_out(new_log: NewLog, tmp_path: Path) -> None:
    log = new_log()
    log.committed(Batch(next_id=1, finishes=[finished(1), finished(2)]), Committed())
    assert len(written(log, tmp_path)) == 2
    plain = as_if_killed(tmp_path)
    os.truncate(plain, plain.stat().st_size - 5)
    assert len(list(read_events(tmp_path / "events", BOOKS))) == 1


def test_runs_are_read_by_time(new_log: NewLog, tmp_path: Path) -> None:
    first, second = new_log(1), new_log(2)
    for log, row in ((first, 1), (second, 2), (first, 3), (second, 4)):
        done = threading.Event()
        log._file.flush = _then(log._file.flush, done)  # type: ignore[method-assign]
        log.committed(Batch(next_id=1, finishes=[finished(row)]), Committed())
        assert done.wait(20)
    events = list(read_events(tmp_path / "events", BOOKS))
    assert [event["time"] for event in events] == sorted(event["time"] for event in events)
    assert {event["run"] for event in events} == {1, 2}
    assert len(events) == 4


def _then(call: Callable[[], None], done: threading.Event) -> Callable[[], None]:
    def both() -> None:
        call()
        done.set()

    return both


def test_what_is_added_is_followed_through_rotation_and_new_runs(
    new_log: NewLog, tmp_path: Path
) -> None:
    tail = JobTail(tmp_path / "events", BOOKS)
    assert list(tail.events()) == []
    log = new_log(1, segment_bytes=1_000)
    seen: list[str] = []

    def look(log: EventLogWriter) -> None:
        seen.extend(event["type"] for event in tail.events())

    for row in range(30):
        log.committed(Batch(next_id=1, finishes=[finished(row)]), Committed())
        look(log)
    log.closed("paused", "shutdown", Counts(), 30)
    log._join()
    look(log)
    assert seen == ["request_done"] * 30 + ["run_closed"]
    other = new_log(2)
    other.started(session(2), "books")
    other._join()
    look(other)
    look(other)
    assert seen[31:] == ["run_started"]


def test_a_file_that_was_compressed_twice_is_read_once(new_log: NewLog, tmp_path: Path) -> None:
    """The process died after the compressed file had its name, before the other one was gone."""
    log = new_log()
    log.committed(Batch(next_id=1, finishes=[finished(1)]), Committed())
    assert len(written(log, tmp_path)) == 1
    plain = as_if_killed(tmp_path)
    packed = plain.with_name(f"{plain.name}.gz")
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    assert len(segments(tmp_path / "events", BOOKS)) == 1
    assert len(list(read_events(tmp_path / "events", BOOKS))) == 1
    remove_events(tmp_path / "events", BOOKS)
    assert list((tmp_path / "events").iterdir()) == []


def test_only_a_job_s_own_files_are_removed(new_log: NewLog, tmp_path: Path) -> None:
    log = new_log()
    log.committed(Batch(next_id=1, finishes=[finished(1)]), Committed())
    log._join()
    folder = tmp_path / "events"
    (file,) = segments(folder, BOOKS)
    others = [file.path.name.replace("#3", "#33"), f"x{file.path.name}", f"{file.path.name}.txt"]
    for name in others:
        (folder / name).write_text("{}\n")
    linked = folder / file.path.name.replace("run-1", "run-2")
    linked.symlink_to(tmp_path / "mine")
    remove_events(folder, BOOKS)
    assert sorted(path.name for path in folder.iterdir()) == sorted([*others, linked.name])


def test_what_cannot_be_written_is_told_once_and_harms_nothing(
    new_log: NewLog, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "events").write_text("a file, where the directory should be")
    log = new_log()
    with caplog.at_level(logging.WARNING, "scrapy_resume"):
        for row in range(3):
            log.committed(Batch(next_id=1, finishes=[finished(row)]), Committed())
        log._join()
        log.committed(Batch(next_id=1, finishes=[finished(4)]), Committed())
        log.closed("completed", "finished", Counts(), 1)
    assert len(caplog.records) == 1
    assert "The event log is not written any more" in caplog.text


def test_what_a_standing_disk_loses_is_counted(
    new_log: NewLog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_writer, "BACKLOG", 3)
    log = new_log()
    stands, goes_on = threading.Event(), threading.Event()
    write = log._file.write

    def standing(lines: Iterator[dict[str, Any]]) -> None:
        stands.set()
        assert goes_on.wait(20)
        write(lines)

    log._file.write = standing  # type: ignore[method-assign]
    log.committed(Batch(next_id=1, finishes=[finished(0)]), Committed())
    assert stands.wait(20)
    for row in range(1, 10):
        log.committed(Batch(next_id=1, finishes=[finished(row)]), Committed())
    goes_on.set()
    log.closed("completed", "finished", Counts(), 1)
    events = written(log, tmp_path)
    assert [event["type"] for event in events] == [
        *["request_done"] * 4,
        "run_closed",
        "events_lost",
    ]
    assert events[-1]["requests"] == 6


def test_a_job_deleted_elsewhere_keeps_its_log_apart(new_log: NewLog, tmp_path: Path) -> None:
    for _ in range(2):
        log = new_log()
        log.committed(Batch(next_id=1, finishes=[finished(1)]), Committed())
        log._join()
    assert [file.number for file in segments(tmp_path / "events", BOOKS)] == [1, 2]
    assert len(list(read_events(tmp_path / "events", BOOKS))) == 2


# After a power cut


@pytest.mark.parametrize("blank", [0, 1, 4_096])
def test_what_a_power_cut_has_left_of_a_log_is_read_and_a_run_of_the_same_number_goes_on(
    new_log: NewLog, tmp_path: Path, blank: int
) -> None:
    log = new_log()
    log.started(session(), "books")
    for row in (1, 2):
        log.committed(Batch(next_id=9, finishes=[finished(row)]), Committed())
    log.closed("paused", "shutdown", Counts(), 2)
    log._join()
    plain = as_if_killed(tmp_path)
    whole = plain.read_bytes()
    ends = [number + 1 for number, byte in enumerate(whole) if byte == ord("\n")]
    for size in (0, ends[0], ends[0] + 7, ends[2] - 1, len(whole)):
        plain.write_bytes(whole[:size] + b"\0" * blank)
        for later in segments(tmp_path / "events", BOOKS)[1:]:
            later.path.unlink()
        again = new_log()  # the store does not know of the run that was cut off
        again.started(session(), "books")
        again._join()
        tail = JobTail(tmp_path / "events", BOOKS)
        types = [event["type"] for event in tail.events()]
        assert types == [
            *["run_started", "request_done", "request_done", "run_closed"][
                : sum(e <= size for e in ends)
            ],
            "run_started",
        ]
        more = new_log()
        more.closed("completed", "finished", Counts(), 0)
        more._join()
        assert [event["type"] for event in tail.events()] == ["run_closed"]


def test_a_block_that_a_power_cut_has_left_blank_hides_its_own_lines_only(
    new_log: NewLog, tmp_path: Path
) -> None:
    log = new_log()
    for row in range(100):
        log.committed(Batch(next_id=999, finishes=[finished(row)]), Committed())
    log._join()
    plain = as_if_killed(tmp_path)
    content = bytearray(plain.read_bytes())
    assert len(content) > 3 * 4_096
    content[4_096:8_192] = b"\0" * 4_096
    plain.write_bytes(content)
    lines = bytes(content).split(b"\n")
    intact = [json.loads(line)["url"] for line in lines if line and b"\0" not in line]
    assert [event["url"] for event in read_events(tmp_path / "events", BOOKS)] == intact
    assert 40 < len(intact) < 100


def test_what_a_dead_process_left_of_a_compressed_file_is_removed(tmp_path: Path) -> None:
    books = JobKey("books", 1)
    left = tmp_path / "books#1.run-1.0001.jsonl.part"
    left.write_bytes(b"torn")
    live = tmp_path / "books#1.run-2.0001.jsonl.part"
    file = create_file(live)
    other = tmp_path / "books#10.run-1.0001.jsonl.part"
    other.write_bytes(b"torn")
    assert remove_abandoned_parts(tmp_path, books) == [left]
    assert sorted(tmp_path.iterdir()) == [live, other]
    os.close(file)


def test_a_log_that_is_a_fifo_is_not_waited_for(tmp_path: Path) -> None:
    books = JobKey("books", 1)
    os.mkfifo(tmp_path / "books#1.run-1.0001.jsonl")
    with pytest.raises(PlantedFileError):
        list(read_events(tmp_path, books))
